"""What steps hand to one another: the artifacts of a pipeline's output or a task's answer, and their properties."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy
import torch
from PIL import Image

from dw_lsp.worker.engine.sounds import UNKNOWN, Film, OutputFacts, Sound, sounds_of
from dw_lsp.workflow.resolved import InvalidInput

#: Fields of an output that belong together and are handed on as one object.
_EMBEDDINGS = ("image_embeds", "image_embeddings")
#: Results of modular pipelines that are a batch. A sound beside films is theirs.
_FILMS, _SOUNDS = ("videos", "frames"), ("audios", "audio")
_NAMED = (*_FILMS, "images", *_SOUNDS)


def of_pipeline(output: Any, facts: OutputFacts = UNKNOWN) -> list[Any]:
    """The artifacts of a pipeline's output: each image, each video's frames, each sound; embeddings as one object.

    Arguments: `output` is what the call returned, an output object or a tuple; `facts` are what else is known of it.
    """
    if isinstance(output, tuple) and not hasattr(output, "_fields"):
        output = output[0] if output else []
        return _split(output, facts)
    if type(output) is dict:
        return _of_named(output, facts)
    fields = _fields(output)
    for name in ("images", *_EMBEDDINGS, "frames", "audios"):
        if fields.get(name) is None:
            continue
        if name == "audios" and not facts.latent:
            return list(sounds_of(fields[name], facts.sample_rate))
        if name == "frames" and fields.get("audio") is not None and not facts.latent:
            return _films(fields, facts)
        return [fields] if name in _EMBEDDINGS else _split(fields[name], facts)
    return [fields] if fields else _split(output, facts)


def _films(fields: Mapping[str, Any], facts: OutputFacts) -> list[Any]:
    """Each video of a batch with the sound that was made for it."""
    told = fields.get("sampling_rate")
    sounds = sounds_of(fields["audio"], told if isinstance(told, int) else facts.sample_rate)
    return [
        Film(frames, sound, facts.fps) for frames, sound in zip(_split(fields["frames"], facts), sounds, strict=True)
    ]


def _of_named(output: dict[str, Any], facts: OutputFacts) -> list[Any]:
    """The artifacts of results that a step has asked for by name: each picture, film or sound; all others together."""
    name = next((name for name in _NAMED if output.get(name) is not None), None)
    if name is None:
        return [output]
    told = output.get("sampling_rate")
    used = {name}
    if name in _FILMS and output.get("audio") is not None and not facts.latent:
        made = _films({**output, "frames": output[name]}, facts)
        used |= {"audio", "sampling_rate"}
    elif name in _SOUNDS and not facts.latent:
        made = list(sounds_of(output[name], told if isinstance(told, int) else facts.sample_rate))
        used.add("sampling_rate")
    else:
        made = _split(output[name], facts)
    rest = {key: value for key, value in output.items() if key not in used}
    return [*made, *([rest] if rest else [])]


def of_task(answer: Any) -> list[Any]:
    """The artifacts of a task's answer: the items of a list, else the answer itself; text without outer quotes."""
    answers = answer if isinstance(answer, list) else [answer]
    return [each.strip().strip('"').strip() if isinstance(each, str) else each for each in answers]


def property_of(artifacts: Sequence[Any], name: str, step: str) -> list[Any]:
    """A property of each artifact: an object's member (absent: it does not count), another's data attribute.

    Raises `InvalidInput` when an artifact that is no object has no such attribute, or it is a method.
    """
    found: list[Any] = []
    for artifact in artifacts:
        if isinstance(artifact, Mapping):
            if name in artifact:
                found.append(artifact[name])
        elif name.startswith("_") or not hasattr(artifact, name) or callable(getattr(artifact, name)):
            raise InvalidInput(f"the results of step {step!r} are of the type {kind_of(artifact)} and have no {name!r}")
        else:
            found.append(getattr(artifact, name))
    return found


def kind_of(artifact: Any) -> str:
    """What an artifact is, in words."""
    if isinstance(artifact, Image.Image):
        return "image"
    if isinstance(artifact, str):
        return "text"
    if isinstance(artifact, (Sound, Film)):
        return "sound" if isinstance(artifact, Sound) else "frames"
    if isinstance(artifact, Mapping):
        return f"object ({', '.join(map(str, artifact))})"
    if is_frames(artifact):
        return "frames"
    return type(artifact).__name__


def is_frames(artifact: Any) -> bool:
    """Whether an artifact is a video: a list of images, or an array of frames (frame, height, width, channel)."""
    if isinstance(artifact, Film):
        return True
    if isinstance(artifact, list):
        return bool(artifact) and all(isinstance(frame, Image.Image) for frame in artifact)
    return isinstance(artifact, (numpy.ndarray, torch.Tensor)) and artifact.ndim == 4


def as_images(artifact: Any) -> list[Image.Image]:
    """The images of an artifact that is an image, a video, or an array of either (values 0..1, or 0..255 as bytes).

    Raises `InvalidInput` for what is no picture.
    """
    if isinstance(artifact, Image.Image):
        return [artifact]
    if isinstance(artifact, Film):
        return as_images(artifact.frames)
    if isinstance(artifact, (list, tuple)) and artifact:
        return [image for item in artifact for image in as_images(item)]
    if isinstance(artifact, torch.Tensor):
        array = artifact.detach().to("cpu", torch.float32 if artifact.is_floating_point() else artifact.dtype).numpy()
        return _from_array(numpy.moveaxis(array, -3, -1) if array.ndim >= 3 and array.shape[-3] in (1, 3, 4) else array)
    if isinstance(artifact, numpy.ndarray):
        return _from_array(artifact)
    raise InvalidInput(f"a result of the type {kind_of(artifact)} cannot be written as a picture")


def _from_array(array: Any) -> list[Image.Image]:
    if array.ndim == 4:
        return [image for frame in array for image in _from_array(frame)]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (1, 3, 4)):
        raise InvalidInput(f"an array of the shape {tuple(array.shape)} cannot be written as a picture")
    if array.dtype != numpy.uint8:
        array = (array.clip(0.0, 1.0) * 255).round().astype(numpy.uint8)
    return [Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array)]


def _fields(output: Any) -> dict[str, Any]:
    """The fields of an output object (a dataclass, an ordered mapping)."""
    if isinstance(output, Mapping):
        return {str(key): value for key, value in output.items()}
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        return {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
    return {}


def _split(values: Any, facts: OutputFacts) -> list[Any]:
    """The single results of a batch. Latents stay batches, of one: that is how pipelines take them."""
    if isinstance(values, (list, tuple)):
        return list(values)
    if isinstance(values, (numpy.ndarray, torch.Tensor)) and values.ndim >= 1:
        if facts.latent:
            return [values[index : index + 1] for index in range(values.shape[0])]
        return [values[index] for index in range(values.shape[0])]
    return [values]
