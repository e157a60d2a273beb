"""The command that draws a QR code; needs the package segno."""

from __future__ import annotations

from typing import Annotated

from PIL import Image

from dw_lsp.worker.tasks.constraints import NotEmpty
from dw_lsp.worker.tasks.resize import Side

QUIET_ZONE = 4


def qr_code(qr_code_contents: Annotated[str, NotEmpty()], height: Side = 768, width: Side = 768) -> Image.Image:
    """Draw a QR code, black on white, with the highest error correction, so that a picture may hide in it.

    Args:
        qr_code_contents: the text or address it should hold.
        height: the image's height in pixels.
        width: the image's width in pixels.
    """
    import segno

    code = segno.make(qr_code_contents, error="h", micro=False)
    modules = [[0 if dark else 255 for dark in row] for row in code.matrix_iter(scale=1, border=QUIET_ZONE)]
    side = len(modules)
    if min(width, height) < side:
        raise ValueError(f"this content needs at least {side}x{side} pixels, but the size is {width}x{height}")
    image = Image.new("L", (side, side))
    image.putdata([value for row in modules for value in row])
    # Whole multiples keep all modules equally large; the rest becomes a wider white margin.
    factor = min(width, height) // side
    canvas = Image.new("RGB", (width, height), "white")
    code_image = image.resize((side * factor, side * factor), Image.Resampling.NEAREST).convert("RGB")
    canvas.paste(code_image, ((width - code_image.width) // 2, (height - code_image.height) // 2))
    return canvas
