"""Commands that change an image's size or framing."""

from __future__ import annotations

from typing import Annotated

from PIL import Image, ImageColor

from dw_lsp.worker.tasks.constraints import Above, Between, NotEmpty

LARGEST_SIDE = 16384
#: A side's length in pixels.
Side = Annotated[int, Between(1, LARGEST_SIDE)]
Fraction = Annotated[float, Between(0.0, 1.0)]
#: Width divided by height of the shapes that diffusion models are usually trained on.
USUAL_RATIOS = (1.0, 4 / 3, 3 / 4, 3 / 2, 2 / 3, 16 / 9, 9 / 16, 5 / 4, 4 / 5, 2.0, 0.5)


def resize_rescale(image: Image.Image, height: Side = 768, width: Side = 768) -> Image.Image:
    """Stretch an image to a size, whatever its shape was.

    Args:
        image: the image.
        height: the new height in pixels.
        width: the new width in pixels.
    """
    return image.resize((width, height), Image.Resampling.LANCZOS)


def resize_center_crop(image: Image.Image, height: Side = 768, width: Side = 768) -> Image.Image:
    """Cut out the largest centred square, then bring it to a size.

    Args:
        image: the image.
        height: the new height in pixels.
        width: the new width in pixels.
    """
    return crop_square(image).resize((width, height), Image.Resampling.LANCZOS)


def resize_resample(image: Image.Image, resolution: Side = 1024) -> Image.Image:
    """Bring the shorter side to a length and keep the shape; both sides are rounded to multiples of 64.

    Args:
        image: the image.
        resolution: the shorter side's new length in pixels.
    """
    factor = resolution / min(image.size)
    width, height = (_to_multiple(side * factor, 64) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def resize_bucket(
    image: Image.Image,
    resolution: Side = 1024,
    ratios: Annotated[list[float | str], NotEmpty()] | None = None,
    alignment: Annotated[int, Between(1, 1024)] = 64,
) -> Image.Image:
    """Bring an image to the nearest of a model's shapes: about `resolution`² pixels, what overhangs is cut evenly.

    Args:
        image: the image.
        resolution: side in pixels of the square that has the wanted area.
        ratios: width divided by height of each shape allowed, as a number or as "16:9".
        alignment: both sides become multiples of this.
    """
    allowed = [_ratio(ratio) for ratio in ratios] if ratios else list(USUAL_RATIOS)
    own = image.width / image.height
    ratio = min(allowed, key=lambda candidate: max(candidate / own, own / candidate))
    width = _to_multiple(resolution * ratio**0.5, alignment)
    height = _to_multiple(resolution / ratio**0.5, alignment)
    return _cover(image, width, height)


def crop_square(image: Image.Image) -> Image.Image:
    """Cut out the largest centred square.

    Args:
        image: the image.
    """
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def recenter_crop(
    image: Image.Image,
    center_x: Fraction = 0.5,
    center_y: Fraction = 0.5,
    crop: Annotated[float, Above(0)] = 1.0,
    width: Side | None = None,
    height: Side | None = None,
    fill: str = "edge",
) -> Image.Image:
    """Frame an image anew around one of its points.

    Args:
        image: the image.
        center_x: where the new centre lies, from 0 (left) to 1 (right).
        center_y: the same from 0 (top) to 1 (bottom).
        crop: the new frame's size as a part of the old one's.
        width: the result's width in pixels; the frame's own if absent.
        height: the result's height in pixels; the frame's own if absent.
        fill: what stands where the frame leaves the image: "edge" (its border goes on) or a colour.
    """
    frame = (max(1, round(image.width * crop)), max(1, round(image.height * crop)))
    left = round(image.width * center_x - frame[0] / 2)
    top = round(image.height * center_y - frame[1] / 2)
    framed = _window(image, left, top, frame, fill)
    size = (width or frame[0], height or frame[1])
    return framed if size == frame else framed.resize(size, Image.Resampling.LANCZOS)


def get_image_size(image: Image.Image) -> dict[str, int]:
    """An object with the image's `width` and `height` in pixels.

    Args:
        image: the image.
    """
    return {"width": image.width, "height": image.height}


def strip_exif(image: Image.Image) -> Image.Image:
    """The same pixels without any metadata.

    Args:
        image: the image.
    """
    bare = Image.new(image.mode, image.size)
    palette = image.getpalette() if image.mode == "P" else None
    if palette is not None:
        bare.putpalette(palette)
    bare.paste(image)
    return bare


def _to_multiple(length: float, of: int) -> int:
    return max(of, round(length / of) * of)


def _ratio(ratio: float | str) -> float:
    if isinstance(ratio, str):
        width, colon, height = ratio.partition(":")
        try:
            value = float(width) / float(height) if colon else float(width)
        except (ValueError, ZeroDivisionError):
            raise ValueError(f"the ratio {ratio!r} is neither a number nor of the form '16:9'") from None
    else:
        value = float(ratio)
    if value <= 0:
        raise ValueError(f"the ratio {ratio!r} must be above 0")
    return value


def _cover(image: Image.Image, width: int, height: int) -> Image.Image:
    """Scale the image so that it covers the size, and cut what overhangs evenly on both sides."""
    factor = max(width / image.width, height / image.height)
    scaled = image.resize(
        (max(width, round(image.width * factor)), max(height, round(image.height * factor))), Image.Resampling.LANCZOS
    )
    left, top = (scaled.width - width) // 2, (scaled.height - height) // 2
    return scaled.crop((left, top, left + width, top + height))


def _window(image: Image.Image, left: int, top: int, size: tuple[int, int], fill: str) -> Image.Image:
    """The part of the image from (left, top); what lies outside is filled."""
    if fill != "edge":
        canvas = Image.new(image.mode, size, ImageColor.getcolor(fill, image.mode))
        canvas.paste(image, (-left, -top))
        return canvas
    columns = [min(max(left + offset, 0), image.width - 1) for offset in range(size[0])]
    rows = [min(max(top + offset, 0), image.height - 1) for offset in range(size[1])]
    return _stretch_edges(image, columns, rows)


def _stretch_edges(image: Image.Image, columns: list[int], rows: list[int]) -> Image.Image:
    """The image with these columns and rows, some of them repeated: the inside as it is, the border drawn out."""
    box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    inside = image.crop(box)
    before = (columns.count(columns[0]) - 1, rows.count(rows[0]) - 1)
    canvas = Image.new(image.mode, (len(columns), len(rows)))
    canvas.paste(inside, before)
    _draw_out(canvas, (before[0], before[1], before[0] + inside.width, before[1] + inside.height))
    return canvas


def _draw_out(canvas: Image.Image, box: tuple[int, int, int, int]) -> None:
    """Repeat the outermost pixels of the box up to the borders of the canvas."""
    left, top, right, bottom = box
    for strip, place in (
        ((left, top, left + 1, bottom), (0, top, left, bottom)),
        ((right - 1, top, right, bottom), (right, top, canvas.width, bottom)),
    ):
        _fill_from(canvas, strip, place)
    for strip, place in (
        ((0, top, canvas.width, top + 1), (0, 0, canvas.width, top)),
        ((0, bottom - 1, canvas.width, bottom), (0, bottom, canvas.width, canvas.height)),
    ):
        _fill_from(canvas, strip, place)


def _fill_from(canvas: Image.Image, strip: tuple[int, int, int, int], place: tuple[int, int, int, int]) -> None:
    size = (place[2] - place[0], place[3] - place[1])
    if size[0] > 0 and size[1] > 0:
        canvas.paste(canvas.crop(strip).resize(size, Image.Resampling.NEAREST), place[:2])
