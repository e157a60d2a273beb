"""Measure the shapes model: does it draw what the prompt says, and how fast?

    python evaluate_shapes.py                  # all 224 prompts; exit code 1 when a bar is missed

For every prompt, with a fixed seed and 20 steps: the background is right when the nearest of the eight colours at the
corners is the one asked for; the foreground when that holds around the shape's centre of mass; the shape when, of the
four drawn as templates with position and size fitted, the one asked for overlaps best. Also checked: image-to-image and
inpainting with the same components.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline, StableDiffusionPipeline
from PIL import Image
from shapes_dataset import COLOURS, SHAPES, SIZE, Placement, Scene, all_scenes, draw_mask

HERE = Path(__file__).resolve().parent
STEPS = 20
GUIDANCE = 3.0
COLOUR_BAR, SHAPE_BAR, SECONDS_BAR = 0.99, 0.97, 0.5

_NAMES = list(COLOURS)
_PALETTE = numpy.array(list(COLOURS.values()), dtype=numpy.float32)


@dataclass(frozen=True)
class Judgement:
    """What a picture shows."""

    background: str
    colour: str
    shape: str
    x: float
    y: float


@dataclass(frozen=True)
class Report:
    """The measured quality; the first three are fractions of the prompts, the times seconds."""

    background_right: float
    colour_right: float
    shape_right: float
    seconds_per_picture: float
    image_to_image_right: bool
    image_to_image_shift: float
    inpainting_right: bool
    wrong: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every bar is reached."""
        return (
            min(self.background_right, self.colour_right) >= COLOUR_BAR
            and self.shape_right >= SHAPE_BAR
            and self.seconds_per_picture < SECONDS_BAR
            and self.image_to_image_right
            and self.inpainting_right
        )


def nearest_colour(pixels: numpy.ndarray) -> str:
    """The name of the colour that the mean of the pixels (count, 3) is nearest to."""
    distance = numpy.linalg.norm(_PALETTE - pixels.reshape(-1, 3).mean(axis=0), axis=1)
    return _NAMES[int(distance.argmin())]


def corner_pixels(picture: numpy.ndarray) -> numpy.ndarray:
    """Four by four pixels at each corner of a picture (64, 64, 3)."""
    return numpy.concatenate([picture[rows, columns].reshape(-1, 3) for rows in _ENDS for columns in _ENDS])


_ENDS = (slice(0, 4), slice(-4, None))


def foreground(picture: numpy.ndarray) -> numpy.ndarray:
    """How far each pixel is from the background, 0 to 1."""
    background = numpy.median(corner_pixels(picture), axis=0)
    distance = numpy.linalg.norm(picture - background, axis=2)
    return numpy.clip(distance / max(float(numpy.percentile(distance, 97)), 1.0), 0, 1)


def overlap(mask: numpy.ndarray, shape: str, place: Placement) -> float:
    """Intersection over union of the mask with a drawn shape."""
    template = numpy.asarray(draw_mask(shape, place), dtype=numpy.float32) / 255
    return float(numpy.minimum(mask, template).sum() / max(float(numpy.maximum(mask, template).sum()), 1.0))


def fit(mask: numpy.ndarray, shape: str) -> float:
    """The best overlap of a shape with the mask over position and size, coarse first, then fine."""
    rows, columns = numpy.nonzero(mask > 0.5)
    if not len(rows):
        return 0.0
    x, y = float(columns.min() + columns.max() + 1) / 2, float(rows.min() + rows.max() + 1) / 2
    radius = float(max(numpy.ptp(rows), numpy.ptp(columns)) + 1) / 2
    best, score = Placement(x, y, radius), -1.0
    for reach in (4.0, 2.0, 1.0, 0.5):
        steps = (-reach, 0.0, reach)
        around = [
            Placement(best.x + dx, best.y + dy, max(2.0, best.radius + dr))
            for dx in steps
            for dy in steps
            for dr in steps
        ]
        scores = [overlap(mask, shape, place) for place in around]
        score = max(scores)
        best = around[scores.index(score)]
    return score


def judge(image: Image.Image) -> Judgement:
    """What a picture shows: its two colours, its shape and where that lies."""
    picture = numpy.asarray(image.convert("RGB"), dtype=numpy.float32)
    mask = foreground(picture)
    weight = (mask > 0.5).astype(numpy.float32)
    total = max(float(weight.sum()), 1.0)
    y = float((weight.sum(axis=1) * numpy.arange(SIZE)).sum() / total)
    x = float((weight.sum(axis=0) * numpy.arange(SIZE)).sum() / total)
    row, column = min(max(round(y), 2), SIZE - 3), min(max(round(x), 2), SIZE - 3)
    middle = picture[row - 2 : row + 3, column - 2 : column + 3]
    scores = {shape: fit(mask, shape) for shape in SHAPES}
    return Judgement(
        nearest_colour(corner_pixels(picture)), nearest_colour(middle), max(scores, key=lambda s: scores[s]), x, y
    )


def picture_of(pipeline: StableDiffusionPipeline, scene: Scene, seed: int) -> Image.Image:
    """The picture that the model draws of a scene."""
    generator = torch.Generator().manual_seed(seed)
    call = pipeline(scene.prompt, num_inference_steps=STEPS, guidance_scale=GUIDANCE, generator=generator)
    return call.images[0]


def check_image_to_image(pipeline: StableDiffusionPipeline) -> tuple[bool, float]:
    """A red circle turned blue at strength 0.6 stays where it was: (right, how many pixels it moved)."""
    before = picture_of(pipeline, Scene("red", "circle", "white"), 11)
    turned = StableDiffusionImg2ImgPipeline(**pipeline.components, requires_safety_checker=False)
    turned.set_progress_bar_config(disable=True)
    after = turned(
        "a blue circle on a white background",
        image=before,
        strength=0.6,
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        generator=torch.Generator().manual_seed(3),
    ).images[0]
    old, new = judge(before), judge(after)
    shift = float(numpy.hypot(old.x - new.x, old.y - new.y))
    return (new.colour, new.background, new.shape) == ("blue", "white", "circle") and shift < 3, shift


def check_inpainting(pipeline: StableDiffusionPipeline) -> bool:
    """Only the masked middle is drawn anew: the shape changes its colour, the corners keep theirs."""
    before = picture_of(pipeline, Scene("red", "circle", "white"), 11)
    mask = Image.new("L", (SIZE, SIZE), 0)
    mask.paste(255, (6, 6, SIZE - 6, SIZE - 6))
    painted = StableDiffusionInpaintPipeline(**pipeline.components, requires_safety_checker=False)
    painted.set_progress_bar_config(disable=True)
    after = painted(
        "a green square on a white background",
        image=before,
        mask_image=mask,
        height=SIZE,
        width=SIZE,
        strength=1.0,
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        generator=torch.Generator().manual_seed(5),
    ).images[0]
    seen = judge(after)
    return (seen.colour, seen.background) == ("green", "white")


def evaluate(folder: Path) -> tuple[Report, list[Image.Image]]:
    """Measure the model in a folder; also gives the pictures, in the order of the prompts."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder).to(torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    scenes = all_scenes()
    picture_of(pipeline, scenes[0], 0)
    pictures, wrong, counts = [], [], {"background": 0, "colour": 0, "shape": 0}
    seconds = []
    for index, scene in enumerate(scenes):
        started = time.perf_counter()
        image = picture_of(pipeline, scene, 1000 + index)
        seconds.append(time.perf_counter() - started)
        seen = judge(image)
        pictures.append(image)
        for part in counts:
            counts[part] += getattr(seen, part) == getattr(scene, part)
        if (seen.background, seen.colour, seen.shape) != (scene.background, scene.colour, scene.shape):
            wrong.append(f"{scene.prompt}: a {seen.colour} {seen.shape} on {seen.background}")
    turned, shift = check_image_to_image(pipeline)
    report = Report(
        background_right=counts["background"] / len(scenes),
        colour_right=counts["colour"] / len(scenes),
        shape_right=counts["shape"] / len(scenes),
        seconds_per_picture=float(numpy.median(seconds)),
        image_to_image_right=turned,
        image_to_image_shift=shift,
        inpainting_right=check_inpainting(pipeline),
        wrong=tuple(wrong),
    )
    return report, pictures


def contact_sheet(pictures: list[Image.Image]) -> Image.Image:
    """All pictures on one sheet, 28 in a row."""
    columns = 28
    sheet = Image.new("RGB", (columns * SIZE, -(-len(pictures) // columns) * SIZE))
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index % columns * SIZE, index // columns * SIZE))
    return sheet


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=HERE / "shapes")
    parser.add_argument("--sheet", type=Path, help="write all pictures to this PNG")
    options = parser.parse_args()
    torch.set_num_threads(2)
    report, pictures = evaluate(options.model)
    if options.sheet:
        contact_sheet(pictures).save(options.sheet)
    print(json.dumps({**asdict(report), "passed": report.passed}, indent=2))
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
