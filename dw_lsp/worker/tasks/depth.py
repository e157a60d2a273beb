"""Tasks that measure how far away what a picture shows is: near is bright, far is dark."""

from __future__ import annotations

from typing import Annotated, Any

import numpy
import torch
from PIL import Image

from dw_lsp.worker.tasks.constraints import Above
from dw_lsp.worker.tasks.models import Models

Pixels = Annotated[int, Above(0)]


def depth(models: Models, image: Image.Image, height: Pixels = 1024, width: Pixels = 1024) -> Image.Image:
    """The depth of a picture, as a picture of a size.

    Args:
        image: the picture.
        height: of the answer, in pixels.
        width: of the answer, in pixels.
    """
    return _picture(_measured(models, image, (height, width)))


def depth_estimator(models: Models, image: Image.Image, device: str | None = None, dtype: Any = None) -> Image.Image:
    """The depth of a picture, as one of its size.

    Args:
        image: the picture.
        device: where the model computes.
        dtype: the precision of the model.
    """
    return _picture(_measured(models, image, (image.height, image.width)))


def depth_estimator_tensor(
    models: Models, image: Image.Image, device: str | None = None, dtype: Any = None
) -> dict[str, Any]:
    """The depth of a picture under `hint`: a tensor of the shape (1, 3, height, width), values 0..1.

    Args:
        image: the picture.
        device: where the model computes.
        dtype: the precision of the model.
    """
    values = _measured(models, image, (image.height, image.width))
    return {"hint": values.expand(1, 3, -1, -1).contiguous()}


def zoe_depth(models: Models, image: Image.Image, device: str | None = None) -> Image.Image:
    """The depth of a picture, as one of its size, measured in metres by the model: near is bright here too.

    Args:
        image: the picture.
        device: where the model computes.
    """
    return _picture(1 - _measured(models, image, (image.height, image.width)))


def _measured(models: Models, image: Image.Image, size: tuple[int, int]) -> torch.Tensor:
    """What the model tells, brought to a size (height, width) and to values 0..1. The shape is (1, 1, height, width).

    Raises `ValueError` for a model that tells no depth.
    """
    model, processor = models["depth_model"], models["depth_processor"]
    given = processor(images=image, return_tensors="pt")
    pixels = given["pixel_values"].to(models.device, model.dtype)
    with torch.no_grad():
        answer = model(pixels)
    told = getattr(answer, "predicted_depth", None)
    if told is None:
        raise ValueError(f"the model is a {type(model).__name__}, which tells no depth")
    found = torch.nn.functional.interpolate(
        told.float().reshape(1, 1, *told.shape[-2:]), size=size, mode="bicubic", align_corners=False
    ).cpu()
    least, most = found.min(), found.max()
    # A picture that is equally far everywhere is black.
    return (found - least) / (most - least) if most > least else torch.zeros_like(found)


def _picture(values: torch.Tensor) -> Image.Image:
    grey = (values[0, 0].clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return Image.fromarray(numpy.repeat(grey[:, :, None], 3, axis=2))
