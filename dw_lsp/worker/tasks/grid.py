"""The command that lays several images on one sheet."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from PIL import Image, ImageColor

from dw_lsp.worker.tasks.constraints import Between, NotEmpty
from dw_lsp.worker.tasks.resize import Side


def ingredients_grid(
    images: Annotated[list[Image.Image], NotEmpty()],
    width: Side = 768,
    height: Side = 448,
    layout: Literal["auto", "rows", "panels"] = "auto",
    fit: Literal["contain", "cover"] = "contain",
    gap: Annotated[int, Between(0, 4096)] = 8,
    background: str = "white",
    max_images: Annotated[int, Between(1, 256)] = 12,
) -> Image.Image:
    """Lay several images on one sheet, in reading order.

    Args:
        images: the images.
        width: the sheet's width in pixels.
        height: the sheet's height in pixels.
        layout: "rows" (one below the other), "panels" (side by side), or "auto" (the grid with the largest cells).
        fit: "contain" shows each image whole, "cover" fills its cell and cuts what overhangs.
        gap: pixels between the images and around them.
        background: the sheet's colour.
        max_images: more images than this are an error.
    """
    if len(images) > max_images:
        raise ValueError(f"there are {len(images)} images for a sheet of at most {max_images} (max_images)")
    columns, rows = _cells(len(images), width, height, layout)
    cell = ((width - gap * (columns + 1)) / columns, (height - gap * (rows + 1)) / rows)
    if min(cell) < 1:
        raise ValueError(f"a sheet of {width}x{height} pixels has no room for {len(images)} images and gaps of {gap}")
    sheet = Image.new("RGB", (width, height), ImageColor.getcolor(background, "RGB"))
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        left, top = gap + column * (cell[0] + gap), gap + row * (cell[1] + gap)
        _place(sheet, image.convert("RGB"), (left, top, left + cell[0], top + cell[1]), fit)
    return sheet


def _cells(count: int, width: int, height: int, layout: str) -> tuple[int, int]:
    if layout == "rows":
        return 1, count
    if layout == "panels":
        return count, 1
    choices = [(columns, math.ceil(count / columns)) for columns in range(1, count + 1)]
    return max(choices, key=lambda cells: (min(width / cells[0], height / cells[1]), -cells[0] * cells[1]))


def _place(sheet: Image.Image, image: Image.Image, box: tuple[float, float, float, float], fit: str) -> None:
    left, top, right, bottom = (round(edge) for edge in box)
    cell = (max(1, right - left), max(1, bottom - top))
    factors = (cell[0] / image.width, cell[1] / image.height)
    factor = max(factors) if fit == "cover" else min(factors)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    scaled = image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)
    if fit == "cover":
        cut = ((size[0] - cell[0]) // 2, (size[1] - cell[1]) // 2)
        scaled = scaled.crop((cut[0], cut[1], cut[0] + cell[0], cut[1] + cell[1]))
    sheet.paste(scaled, (left + (cell[0] - scaled.width) // 2, top + (cell[1] - scaled.height) // 2))
