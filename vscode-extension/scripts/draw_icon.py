"""Draws icon.png: the shapes that the embedded model draws, coming out of noise. Needs Pillow.

python scripts/draw_icon.py
"""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image, ImageDraw

SIZE = 128
#: Drawn larger and scaled down, so that the edges are smooth.
SCALE = 4
BACKGROUND = (27, 31, 48)
CIRCLE = (228, 72, 66)
SQUARE = (64, 132, 240)
TRIANGLE = (250, 196, 60)
NOISE_COLUMNS = 48


def draw_shapes() -> Image.Image:
    """A rounded tile with a square, a triangle and a circle on it."""
    side = SIZE * SCALE
    image = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((0, 0, side - 1, side - 1), radius=side // 6, fill=BACKGROUND)

    def at(*numbers: float) -> list[float]:
        return [number * SCALE for number in numbers]

    pen.rectangle(at(58, 22, 106, 70), fill=SQUARE)
    pen.polygon(at(82, 50, 114, 106, 50, 106), fill=TRIANGLE)
    pen.ellipse(at(22, 46, 78, 102), fill=CIRCLE)
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def add_noise(image: Image.Image) -> Image.Image:
    """Noise that grows towards the left edge, as a picture has it before it is denoised."""
    source = random.Random(7)
    noisy = image.copy()
    for y in range(0, SIZE, 4):
        for x in range(0, NOISE_COLUMNS, 4):
            if source.random() > 0.9 * (1 - x / NOISE_COLUMNS):
                continue
            colour = tuple(source.randrange(40, 230) for _ in range(3))
            ImageDraw.Draw(noisy).rectangle((x, y, x + 3, y + 3), fill=colour)
    noisy.putalpha(image.getchannel("A"))
    return noisy


if __name__ == "__main__":
    path = Path(__file__).resolve().parent.parent / "icon.png"
    add_noise(draw_shapes()).save(path, optimize=True)
    print(path)
