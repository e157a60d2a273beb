"""The pictures and captions that the shapes model is made from: what a shape, a colour and a caption are.

Training draws from here and evaluation measures against it, so that both mean the same by "a red circle".
"""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw

SIZE = 64  # pixels, width and height of every picture
OVERSAMPLING = 4  # drawn larger, then reduced: smooth edges

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "green": (35, 160, 70),
    "blue": (40, 80, 220),
    "yellow": (250, 220, 60),
    "purple": (150, 60, 190),
    "orange": (245, 140, 30),
    "white": (245, 245, 245),
    "black": (20, 20, 20),
}
SHAPES = ("circle", "square", "triangle", "star")


@dataclass(frozen=True)
class Scene:
    """One thing to draw: a shape of one colour on a background of another."""

    colour: str
    shape: str
    background: str

    @property
    def prompt(self) -> str:
        """The caption in its full form, which every measurement uses."""
        return f"a {self.colour} {self.shape} on a {self.background} background"


@dataclass(frozen=True)
class Placement:
    """Where a shape lies: centre and radius in pixels."""

    x: float
    y: float
    radius: float


def all_scenes() -> list[Scene]:
    """Every combination of two different colours and a shape: 8 x 7 x 4 = 224."""
    return [
        Scene(colour, shape, background)
        for colour, background in itertools.permutations(COLOURS, 2)
        for shape in SHAPES
    ]


def random_placement(source: random.Random) -> Placement:
    """A placement that keeps the shape clear of the four corners and over the middle of the picture."""
    middle = SIZE / 2
    return Placement(middle + source.uniform(-6, 6), middle + source.uniform(-6, 6), source.uniform(15, 23))


def outline(shape: str, place: Placement) -> list[tuple[float, float]]:
    """The corners of a polygon shape, in pixels (a circle has none: see `draw_mask`)."""
    if shape == "square":
        half = place.radius * 0.84
        return [(place.x + sx * half, place.y + sy * half) for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    if shape == "triangle":
        angles = [-90.0, 30.0, 150.0]
        return [
            (place.x + place.radius * math.cos(math.radians(a)), place.y + place.radius * math.sin(math.radians(a)))
            for a in angles
        ]
    if shape == "star":
        corners = []
        for index in range(10):
            angle = math.radians(-90 + 36 * index)
            radius = place.radius if index % 2 == 0 else place.radius * 0.45
            corners.append((place.x + radius * math.cos(angle), place.y + radius * math.sin(angle)))
        return corners
    raise ValueError(f"no outline for {shape!r}; the shapes are {', '.join(SHAPES)}")


def draw_mask(shape: str, place: Placement) -> Image.Image:
    """The shape as a grey-scale mask: 255 inside, 0 outside, smooth at the edge."""
    scale = OVERSAMPLING
    large = Image.new("L", (SIZE * scale, SIZE * scale), 0)
    pen = ImageDraw.Draw(large)
    if shape == "circle":
        left, top = (place.x - place.radius) * scale, (place.y - place.radius) * scale
        pen.ellipse((left, top, left + 2 * place.radius * scale, top + 2 * place.radius * scale), fill=255)
    else:
        pen.polygon([(x * scale, y * scale) for x, y in outline(shape, place)], fill=255)
    return large.resize((SIZE, SIZE), Image.Resampling.BOX)


def draw(scene: Scene, place: Placement) -> Image.Image:
    """The picture of a scene."""
    picture = Image.new("RGB", (SIZE, SIZE), COLOURS[scene.background])
    picture.paste(COLOURS[scene.colour], (0, 0), draw_mask(scene.shape, place))
    return picture


def training_caption(scene: Scene, source: random.Random) -> str:
    """A caption for training: mostly the full form, at times a shorter or chattier one, so that free text works too."""
    choice = source.random()
    if choice < 0.80:
        return scene.prompt
    if choice < 0.86:
        return f"{scene.colour} {scene.shape} on {scene.background}"
    if choice < 0.90:
        return f"a {scene.colour} {scene.shape}, {scene.background} background"
    if choice < 0.94:
        return f"a {scene.colour} {scene.shape}"
    chatter = source.choice(["nice", "simple", "drawing of", "picture of", "big", "small", "bright", "photo of"])
    return f"a {chatter} a {scene.colour} {scene.shape} on a {scene.background} background"


def vocabulary_words() -> list[str]:
    """The words that get a token of their own; any other text is spelt in letters."""
    extra = ["a", "an", "the", "on", "of", "and", "in", "background", "picture", "drawing", "photo", "nice", "simple"]
    return [*COLOURS, *SHAPES, *extra, "big", "small", "bright", "colour", "color", "shape"]
