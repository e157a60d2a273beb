"""Commands that surround an image: borders with a mask for outpainting, watermarks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from PIL import Image, ImageColor, ImageDraw, ImageFont

from dw_lsp.worker.tasks.constraints import Between
from dw_lsp.worker.tasks.resize import Fraction, Side

#: A part of the image's own width or height.
Share = Annotated[float, Between(0.0, 8.0)]
Position = Literal["top-left", "top-right", "bottom-left", "bottom-right", "center"]


def add_border_and_mask(
    image: Image.Image,
    zoom_all: Annotated[float, Between(1.0, 8.0)] = 1.0,
    zoom_left: Share = 0.0,
    zoom_right: Share = 0.0,
    zoom_up: Share = 0.0,
    zoom_down: Share = 0.0,
    overlap: Fraction = 0.0,
) -> dict[str, Image.Image]:
    """Put a black border around an image, and draw the mask (white: to be painted) that goes with it.

    Args:
        image: the image.
        zoom_all: the new size as a multiple of the old one, shared evenly by all sides.
        zoom_left: border on the left, as a part of the image's width.
        zoom_right: border on the right, as a part of the image's width.
        zoom_up: border above, as a part of the image's height.
        zoom_down: border below, as a part of the image's height.
        overlap: how far the mask reaches into the image, as a part of its size.
    """
    evenly = (zoom_all - 1.0) / 2
    left, right = (round(image.width * (evenly + share)) for share in (zoom_left, zoom_right))
    above, below = (round(image.height * (evenly + share)) for share in (zoom_up, zoom_down))
    size = (left + image.width + right, above + image.height + below)
    return _bordered(image, size, (left, above), (round(image.width * overlap), round(image.height * overlap)))


def add_border_and_mask_with_size(
    image: Image.Image, width: Side, height: Side, overlap: Fraction = 0.0
) -> dict[str, Image.Image]:
    """The same to an exact size, with the image in the middle; an image that is larger is made smaller to fit.

    Args:
        image: the image.
        width: the result's width in pixels.
        height: the result's height in pixels.
        overlap: how far the mask reaches into the image, as a part of its size.
    """
    factor = min(1.0, width / image.width, height / image.height)
    if factor < 1.0:
        image = image.resize(
            (max(1, int(image.width * factor)), max(1, int(image.height * factor))), Image.Resampling.LANCZOS
        )
    corner = ((width - image.width) // 2, (height - image.height) // 2)
    return _bordered(image, (width, height), corner, (round(image.width * overlap), round(image.height * overlap)))


def _bordered(
    image: Image.Image, size: tuple[int, int], corner: tuple[int, int], overlap: tuple[int, int]
) -> dict[str, Image.Image]:
    canvas = Image.new("RGB", size, "black")
    canvas.paste(image.convert("RGB"), corner)
    mask = Image.new("L", size, 255)
    # The mask reaches into the image only from the sides that have a border.
    start = [at + reach if at > 0 else 0 for at, reach in zip(corner, overlap, strict=True)]
    end = [
        at + length - reach if at + length < whole else whole
        for at, length, reach, whole in zip(corner, image.size, overlap, size, strict=True)
    ]
    if end[0] > start[0] and end[1] > start[1]:
        mask.paste(0, (start[0], start[1], end[0], end[1]))
    return {"bordered_image": canvas, "mask": mask}


def add_watermark(
    image: Image.Image,
    text: str = "AI Generated",
    position: Position = "bottom-right",
    opacity: Annotated[int, Between(0, 255)] = 128,
    font_size: Annotated[int, Between(0, 2048)] = 0,
    margin: Annotated[int, Between(0, 4096)] = 10,
    color: str | list[int] | None = None,
) -> Image.Image:
    """Write a text into a corner of an image.

    Args:
        image: the image.
        text: what to write.
        position: the corner, or "center".
        opacity: from 0 (invisible) to 255.
        font_size: height of the letters in pixels; 0 chooses one that fits the image.
        margin: distance from the edges in pixels.
        color: a colour name, "#rrggbb", or [red, green, blue]; white if absent.
    """
    base = image.convert("RGBA")
    font = _font(font_size or max(10, min(image.size) // 24))
    layer = Image.new("RGBA", base.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    x, y = _corner(position, base.size, (right - left, bottom - top), margin)
    draw.text((x - left, y - top), text, font=font, fill=(*_colour(color), opacity))
    marked = Image.alpha_composite(base, layer)
    return marked if image.mode == "RGBA" else marked.convert("RGB")


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _colour(color: str | list[int] | None) -> tuple[int, int, int]:
    if isinstance(color, list):
        if len(color) != 3 or not all(0 <= part <= 255 for part in color):
            raise ValueError(f"the colour {color} is not [red, green, blue] with numbers from 0 to 255")
        return (color[0], color[1], color[2])
    red, green, blue, *_ = ImageColor.getrgb(color or "white")
    return (red, green, blue)


def _corner(position: str, size: tuple[int, int], text: tuple[float, float], margin: int) -> tuple[float, float]:
    if position == "center":
        return (size[0] - text[0]) / 2, (size[1] - text[1]) / 2
    x = margin if position.endswith("left") else size[0] - text[0] - margin
    y = margin if position.startswith("top") else size[1] - text[1] - margin
    return x, y
