"""The image while it is being denoised: the clean latents that a step points at, as a picture.

They are shown as `latent_views` says. Where the space or the scheduler is of an unknown kind there is no preview,
rather than a wrong one. Nothing that the run computes with is touched: no random numbers are drawn, tensors are only
read, and nobody waits for the device.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import inspect
import io
import logging
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from dw_lsp.protocol import PreviewMade
from dw_lsp.worker.engine.latent_views import (
    OF_VIDEOS,
    UNEXPECTED,
    ColourMap,
    View,
    denormalized,
    in_bytes,
    is_one_of,
    picture_latents,
    rgb_of,
)
from dw_lsp.worker.engine.prompts import replaced

logger = logging.getLogger(__name__)

SECONDS_BETWEEN = 0.1
#: Previews may take this part of a run's time; expensive ones are made less often.
SHARE_OF_TIME = 0.01
#: The first one waits until this part of the steps is done, or for so many seconds: before, there is nothing to see.
FIRST_STEPS, FIRST_SECONDS = 0.2, 1.0
SMALLEST_SIDE, LARGEST_SIDE = 64, 512
QUALITY = 80
#: The answer of schedulers that tell the clean latents as well.
_ANSWER = ("prev_sample", "pred_original_sample")


@dataclass(frozen=True)
class _Coming:
    """The newest picture on its way from the device.

    `asked` is when, in seconds; `began` and `arrived` are the device's own events; `pixels` are there after the latter.
    """

    asked: float
    began: Any
    arrived: Any
    pixels: Any
    current: int
    total: int


class Previewer:
    """Makes the previews of one call.

    Arguments: how latents are shown; the pipeline's autoencoder and scheduler; show every so many steps; where previews
    go; the size of the image in pixels (width, height), where it is known.
    """

    def __init__(
        self,
        view: View,
        vae: Any,
        scheduler: Any,
        every: int,
        send: Callable[[PreviewMade], None],
        size: tuple[int, int] | None = None,
    ):
        self._view, self._vae, self._scheduler, self._size = view, vae, scheduler, size
        self._every, self._send = max(1, every), send
        self._began: float | None = None
        self._next = float("-inf")
        self._working = True
        self._labels = ("", "", 0)
        self._coming: _Coming | None = None

    def begin(self, run_id: str, step: str, iteration: int) -> None:
        """The previews to come belong to this iteration of a step."""
        self._labels = (run_id, step, iteration)

    @contextlib.contextmanager
    def watching(self, pipeline: Any) -> Iterator[None]:
        """While it lasts, the picture's size is that for which the pipeline prepares its latents, whoever chose it."""
        own = getattr(pipeline, "prepare_latents", None)
        if not callable(own):
            yield
            return
        takes = inspect.signature(own)

        @functools.wraps(own)
        def prepare(*given: Any, **named: Any) -> Any:
            with contextlib.suppress(TypeError):
                asked = takes.bind(*given, **named).arguments
                if isinstance(asked.get("width"), int) and isinstance(asked.get("height"), int):
                    self._size = (asked["width"], asked["height"])
            return own(*given, **named)

        with replaced(pipeline, "prepare_latents", prepare):
            yield

    def __call__(self, model_output: Any, timestep: Any, sample: Any, answer: Any, current: int, total: int) -> None:
        """Look at one denoising step (see `instruments.StepListener`)."""
        began = time.monotonic()
        if self._coming is not None and self._coming.arrived.query():
            coming, self._coming = self._coming, None
            self._tell(coming.pixels, coming.current, coming.total)
            # What the device spent on it, which nobody waited for, counts as well.
            on_device = coming.began.elapsed_time(coming.arrived) / 1000
            self._rest(coming.asked, on_device + time.monotonic() - began)
        wanted = current % self._every == 0 or current == total
        if not self._working or not wanted or began < self._next or self._is_early(began, current, total):
            return
        try:
            self._show(model_output, timestep, sample, answer, current, total)
        except UNEXPECTED as error:
            # A preview may never cost the run; that there is none is told once.
            self._working = False
            logger.warning("there are no previews of this step: %s: %s", type(error).__name__, error)
        self._rest(began, time.monotonic() - began)

    def _rest(self, began: float, took: float) -> None:
        """No preview for as long as one that took so many seconds has to be paid for."""
        self._next = max(self._next, began + max(SECONDS_BETWEEN, took / SHARE_OF_TIME))

    def _is_early(self, now: float, current: int, total: int) -> bool:
        if self._began is None:
            self._began = now
        return current < FIRST_STEPS * total and now - self._began < FIRST_SECONDS

    def _show(self, model_output: Any, timestep: Any, sample: Any, answer: Any, current: int, total: int) -> None:
        began = torch.cuda.Event(enable_timing=True) if sample.device.type == "cuda" else None
        if began is not None:
            began.record()
        clean = predicted_clean(self._scheduler, model_output, timestep, sample, answer)
        latents = None if clean is None else picture_latents(clean, self._view, self._size)
        pixels = None if latents is None else self._pixels(latents)
        if pixels is None:
            self._working = False
        elif began is not None:
            # Fetched without waiting; the newest one wins over one that has not arrived when it is made.
            host = torch.empty(pixels.shape, dtype=pixels.dtype, pin_memory=True)
            host.copy_(pixels, non_blocking=True)
            arrived = torch.cuda.Event(enable_timing=True)
            arrived.record()
            self._coming = _Coming(time.monotonic(), began, arrived, host, current, total)
        else:
            self._tell(pixels.cpu(), current, total)

    def _pixels(self, latents: Any) -> Any:
        """The picture of latents (channel, height, width) in bytes, (height, width, 3), on their device."""
        with torch.no_grad():
            if isinstance(self._view, ColourMap):
                return rgb_of(latents, self._view)
            vae = self._view.distilled or self._vae
            if hasattr(vae, "_hf_hook"):
                return None
            weight = next(vae.decoder.parameters())
            given = denormalized(vae.config, latents[None].float())
            decode = type(vae).decode  # Not the call's own: what that decodes is kept.
            if is_one_of(vae, OF_VIDEOS):
                decoded = decode(vae, given[:, :, None].to(weight.device, weight.dtype)).sample[0, :, 0]
            else:
                decoded = decode(vae, given.to(weight.device, weight.dtype)).sample[0]
            return in_bytes(decoded.float().permute(1, 2, 0) / 2 + 0.5)

    def _tell(self, pixels: Any, current: int, total: int) -> None:
        factor = self._view.factor if isinstance(self._view, ColourMap) else 1
        image = enlarged(Image.fromarray(pixels.numpy()), factor)
        data = io.BytesIO()
        image.save(data, "JPEG", quality=QUALITY)
        run_id, step, iteration = self._labels
        self._send(
            PreviewMade(
                run_id=run_id,
                step=step,
                iteration=iteration,
                current=current,
                total=total,
                content_type="image/jpeg",
                data=base64.b64encode(data.getvalue()).decode("ascii"),
                width=image.width,
                height=image.height,
            )
        )


def enlarged(small: Image.Image, factor: int) -> Image.Image:
    """The picture `factor` times as large, within what is worth sending and can be looked at."""
    longest = min(LARGEST_SIDE, max(small.size) * factor)
    scale = max(longest / max(small.size), SMALLEST_SIDE / min(small.size))
    size = (round(small.width * scale), round(small.height * scale))
    return small if size == small.size else small.resize(size, Image.Resampling.BICUBIC)


def predicted_clean(scheduler: Any, model_output: Any, timestep: Any, sample: Any, answer: Any) -> Any:
    """The clean latents that a denoising step points at; `None` for a scheduler of an unknown kind.

    Arguments: what `scheduler.step` was given, and its answer.
    """
    predicted = _told_by(scheduler, sample, answer)
    if predicted is not None:
        return predicted
    output = model_output[:, : sample.shape[1]]
    name = type(scheduler).__name__
    if name.startswith("FlowMatch"):
        return sample - _sigma(scheduler) * output
    if hasattr(scheduler, "precondition_outputs"):
        return scheduler.precondition_outputs(sample, output, _sigma(scheduler))
    if hasattr(scheduler, "_sigma_to_alpha_sigma_t"):
        alpha, sigma = scheduler._sigma_to_alpha_sigma_t(_sigma(scheduler))
        return _clean(scheduler.config, output, sample, alpha, sigma)
    if name.startswith("Euler"):
        sigma = _sigma(scheduler)
        scale = (1 + sigma**2) ** 0.5
        return _clean(scheduler.config, output, sample / scale, 1 / scale, sigma / scale)
    if hasattr(scheduler, "alphas_cumprod") and not hasattr(scheduler, "sigmas"):
        index = int(timestep.flatten()[0] if torch.is_tensor(timestep) else timestep)
        alpha_squared = scheduler.alphas_cumprod[index].to(sample.device)
        return _clean(scheduler.config, output, sample, alpha_squared**0.5, (1 - alpha_squared) ** 0.5)
    return None


def _told_by(scheduler: Any, sample: Any, answer: Any) -> Any:
    """The clean latents that a scheduler itself tells: in its answer, or second in a tuple if its answers are such."""
    if not isinstance(answer, tuple):
        return getattr(answer, "pred_original_sample", None)
    kind = getattr(sys.modules.get(type(scheduler).__module__), f"{type(scheduler).__name__}Output", None)
    if not dataclasses.is_dataclass(kind) or len(answer) != len(_ANSWER):
        return None
    fields = tuple(field.name for field in dataclasses.fields(kind))
    return answer[1] if fields == _ANSWER and getattr(answer[1], "shape", None) == sample.shape else None


def _sigma(scheduler: Any) -> Any:
    """The noise level of the step that was just taken; the scheduler has moved on by one since."""
    return scheduler.sigmas[scheduler.step_index - 1]


def _clean(config: Any, output: Any, sample: Any, alpha: Any, sigma: Any) -> Any:
    """Clean latents from `sample = alpha * clean + sigma * noise` and what the model predicts."""
    kind = getattr(config, "prediction_type", "epsilon")
    if kind == "epsilon":
        return (sample - sigma * output) / alpha
    if kind == "v_prediction":
        return alpha * sample - sigma * output
    if kind == "flow_prediction":
        return sample - sigma * output
    return output if kind == "sample" else None
