"""Sound as steps hand it on: samples and their rate, alone or beside the frames of a film."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy
import torch

from dw_lsp.workflow.resolved import InvalidInput

#: More tracks than this are taken for samples that stand in the wrong order.
MOST_CHANNELS = 32
#: Where pipelines keep the samples a second of what they give: a component ("" is the pipeline), its setting.
_RATES = (
    ("vocoder", "output_sampling_rate"),
    ("vocoder", "sampling_rate"),
    ("audio_vae", "sampling_rate"),
    ("audio_vae", "sample_rate"),
    ("vae", "sampling_rate"),
    ("vae", "sample_rate"),
    ("unet", "sample_rate"),
    ("", "sample_rate"),
)


@dataclass(frozen=True, eq=False)
class Sound:
    """A recording: an array or a tensor (sample) or (channel, sample), from -1 to 1; samples a second, if known."""

    samples: Any
    sample_rate: int | None = None


@dataclass(frozen=True, eq=False)
class Film:
    """Frames with their sound, if they have one; `fps` are frames a second, if known."""

    frames: Any
    audio: Sound | None
    fps: float | None = None


def rate_of(pipeline: Any) -> int | None:
    """The samples a second of the sound that a pipeline gives, as its components say."""
    for name, setting in _RATES:
        part = pipeline if not name else getattr(pipeline, name, None)
        config = getattr(part, "config", None)
        value = config.get(setting) if name and isinstance(config, Mapping) else getattr(config, setting, None)
        value = getattr(part, setting, None) if value is None else value
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
            return int(value)
    return None


@dataclass(frozen=True)
class OutputFacts:
    """What is known of a call's output besides itself: samples and frames a second; whether it has been decoded."""

    sample_rate: int | None = None
    fps: float | None = None
    latent: bool = False


UNKNOWN = OutputFacts()


def facts_of(pipeline: Any, arguments: Mapping[str, Any]) -> OutputFacts:
    """What a pipeline, called with these arguments, gives."""
    parameter = inspect.signature(pipeline.__call__).parameters.get("frame_rate")
    fps = arguments.get("frame_rate", parameter.default if parameter is not None else None)
    known = isinstance(fps, (int, float)) and not isinstance(fps, bool) and fps > 0
    return OutputFacts(rate_of(pipeline), float(fps) if known else None, arguments.get("output_type") == "latent")


def sounds_of(values: Any, rate: int | None) -> list[Sound]:
    """The recordings of a batch: a list, or an array whose first dimension counts them."""
    count = len(values) if isinstance(values, (list, tuple)) else values.shape[0]
    return [Sound(values[index], rate) for index in range(count)]


def is_sound(value: Any) -> bool:
    """Whether a value is a recording, or the bare samples of one."""
    return isinstance(value, Sound) or (isinstance(value, (numpy.ndarray, torch.Tensor)) and value.ndim in (1, 2))


def as_sound(value: Any, rate: int | None = None) -> Sound:
    """The recording that a value is, or that belongs to it; `rate` is that of bare samples.

    Raises `InvalidInput` for what has no sound.
    """
    if isinstance(value, Film) and value.audio is not None:
        return value.audio
    if isinstance(value, Sound):
        return value
    if is_sound(value):
        return Sound(value, rate)
    what = "a film that is silent" if isinstance(value, Film) else f"a value of the type {type(value).__name__}"
    raise InvalidInput(f"{what} has no sound")


def channels(sound: Sound) -> Any:
    """The samples as an array (channel, sample) of floating-point numbers.

    Raises `InvalidInput` where they are not numbers from silence to full scale.
    """
    samples = sound.samples
    if isinstance(samples, torch.Tensor):
        samples = samples.detach().to("cpu")
        samples = (samples.float() if samples.is_floating_point() else samples).numpy()
    found = numpy.atleast_2d(numpy.asarray(samples))
    if found.ndim != 2 or 0 in found.shape:
        raise InvalidInput(f"an array of the shape {tuple(found.shape)} is no sound")
    if found.shape[0] > MOST_CHANNELS >= found.shape[1]:
        found = found.T
    if found.shape[0] > MOST_CHANNELS:
        raise InvalidInput(f"an array of the shape {tuple(found.shape)} has too many channels for a sound")
    if found.dtype.kind in "iu":
        largest = numpy.iinfo(found.dtype).max + 1
        found = found.astype(numpy.float32) / largest if found.dtype.kind == "i" else found / (largest / 2) - 1
    found = found.astype(numpy.float32)
    if not numpy.isfinite(found).all():
        raise InvalidInput("the sound has samples that are no numbers")
    return found
