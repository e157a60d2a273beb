"""The task that finds what a text names: a detector draws boxes around it, a second model its outline in each box."""

from __future__ import annotations

import logging
from typing import Annotated, Any

import numpy
import torch
from PIL import Image

from dw_lsp.worker.tasks.constraints import Between, NotEmpty
from dw_lsp.worker.tasks.models import Models

logger = logging.getLogger(__name__)

#: How the colours of pictures are spread before models of this family see them: mean and deviation of ImageNet.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def segment(
    models: Models,
    image: Image.Image,
    prompt: Annotated[str, NotEmpty()],
    model_name: str | None = None,
    sam_model_name: str | None = None,
    threshold: Annotated[float, Between(0, 1)] = 0.3,
    invert: bool = False,
    device: str | None = None,
    torch_dtype: Any = None,
) -> Image.Image:
    """The mask of what a text names: white where it is, black elsewhere. All black when nothing is found.

    Args:
        image: the picture.
        prompt: what is looked for, several things with full stops between them.
        model_name: repository or folder of the model that finds.
        sam_model_name: of the model that outlines, a SAM 2.
        threshold: how sure the first model has to be.
        invert: black where it is, white elsewhere.
        device: where the models compute.
        torch_dtype: the precision of the models.
    Raises `ValueError` for models of another kind.
    """
    picture = image.convert("RGB")
    boxes = _boxes(models, picture, prompt, threshold)
    if len(boxes) == 0:
        logger.warning(
            "nothing in the picture is %r with a threshold of %g: the mask has nothing in it", prompt, threshold
        )
        found = numpy.zeros((picture.height, picture.width), dtype=bool)
    else:
        found = _outlined(models, picture, boxes)
    return Image.fromarray(((found != invert) * 255).astype(numpy.uint8), "L")


def _boxes(models: Models, picture: Image.Image, prompt: str, threshold: float) -> torch.Tensor:
    """Around what was found: the shape is (number, 4), left, top, right and bottom in pixels."""
    model, processor = models["detector"], models["detector_processor"]
    if not hasattr(processor, "post_process_grounded_object_detection"):
        raise ValueError(f"the model is a {type(model).__name__}, which finds nothing by its name")
    # The model was taught on texts in small letters that end with a full stop.
    text = prompt.strip().lower()
    given = processor(images=picture, text=text if text.endswith(".") else f"{text}.", return_tensors="pt")
    given = given.to(models.device)
    given["pixel_values"] = given["pixel_values"].to(model.dtype)
    with torch.no_grad():
        answer = model(**given)
    sizes = [(picture.height, picture.width)]
    (found,) = processor.post_process_grounded_object_detection(
        answer, given["input_ids"], threshold=threshold, text_threshold=0.0, target_sizes=sizes
    )
    boxes: torch.Tensor = found["boxes"].float().cpu()
    return boxes


def _outlined(models: Models, picture: Image.Image, boxes: torch.Tensor) -> Any:
    """Where what the boxes hold is: an array of truth values, the shape is (height, width)."""
    model = models["segmenter"]
    side = int(model.config.prompt_encoder_config.image_size)
    scale = torch.tensor([side / picture.width, side / picture.height]).repeat(2)
    with torch.no_grad():
        answer = model(
            pixel_values=_pixels(picture, side).to(models.device, model.dtype),
            input_boxes=(boxes * scale)[None].to(models.device, model.dtype),
            multimask_output=False,
        )
    masks = answer.pred_masks[0].float().cpu()  # (boxes, 1, height, width), above 0 inside
    larger = torch.nn.functional.interpolate(masks, (picture.height, picture.width), mode="bilinear")
    return (larger > 0).any(dim=0)[0].numpy()


def _pixels(picture: Image.Image, side: int) -> torch.Tensor:
    values = numpy.asarray(picture.resize((side, side), Image.Resampling.BILINEAR), dtype=numpy.float32) / 255
    spread = (values - numpy.array(_MEAN, numpy.float32)) / numpy.array(_DEVIATION, numpy.float32)
    return torch.from_numpy(spread).permute(2, 0, 1)[None]
