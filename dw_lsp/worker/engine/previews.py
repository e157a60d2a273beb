"""The image while it is being denoised: the clean latents that a step points at, as a picture.

A small decoder shows them as they are. For a large one, latents are brought to colours by a linear map, which belongs
to a latent space: it is fitted once for each autoencoder, on colour patches that its own encoder saw. Where the space
or the scheduler is of an unknown kind there is no preview, rather than a wrong one. Nothing that the run computes with
is touched: no random numbers are drawn, tensors are only read, and nobody waits for the device.
"""

from __future__ import annotations

import base64
import io
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import diffusers
import numpy
import torch
from PIL import Image

from dw_lsp.protocol import PreviewMade

logger = logging.getLogger(__name__)

SECONDS_BETWEEN = 0.1
#: Previews may take this part of a run's time; expensive ones are made less often.
SHARE_OF_TIME = 0.01
#: The first one waits until this part of the steps is done, or for so many seconds: before, there is nothing to see.
FIRST_STEPS, FIRST_SECONDS = 0.2, 1.0
SMALLEST_SIDE, LARGEST_SIDE = 64, 512
#: Decoders with no more bytes than this are used themselves.
SMALL_DECODER = 16 * 1024 * 1024
#: Patches on each side of the picture that the map is fitted on, and latent pixels on each side of a patch.
PATCHES, PATCH_LATENTS = 8, 4
#: A map that misses the colours of a second picture, of larger patches, by more than this is not used (root of the mean
#: square; colours are 0..1).
LARGEST_ERROR = 0.25
QUALITY = 80
#: Autoencoders of pictures, and of videos, whose latents have a dimension more. All give `latent_dist` or `latents`.
_OF_PICTURES = ("AutoencoderKL", "AutoencoderTiny")
_OF_VIDEOS = ("AutoencoderKLWan", "AutoencoderKLQwenImage", "AutoencoderKLHunyuanVideo")
#: What a model that is somewhere else, or of another form than its kind has, may answer to being looked at.
_UNEXPECTED = (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError, ArithmeticError)


@dataclass(frozen=True)
class ColourMap:
    """From latents, as the denoiser has them, to colours: `rgb = latents @ weights + offset`, values 0..1.

    `weights` has the shape (channels, 3), `offset` (3,); `factor` is how many pixels a latent pixel stands for.
    """

    weights: Any
    offset: Any
    factor: int

    @property
    def channels(self) -> int:
        return len(self.weights)


@dataclass(frozen=True)
class SmallDecoder:
    """The autoencoder's own decoder is small enough. Latents have `channels`; one stands for `factor` pixels a side."""

    channels: int
    factor: int


View = ColourMap | SmallDecoder


def view_of(vae: Any) -> View | None:
    """How the latents of an autoencoder are shown; `None` for one of an unknown kind, or one that cannot be asked."""
    if not _is_one_of(vae, _OF_PICTURES + _OF_VIDEOS):
        return None
    try:
        if sum(tensor.numel() * tensor.element_size() for tensor in vae.decoder.parameters()) <= SMALL_DECODER:
            config = vae.config
            return SmallDecoder(int(config.get("latent_channels") or config.get("z_dim")), _factor(vae))
        return None if isinstance(vae, diffusers.AutoencoderTiny) else fit_colour_map(vae)
    except _UNEXPECTED as error:
        # A preview may never cost the run.
        logger.info("there are no previews for this %s: %s", type(vae).__name__, error)
        return None


def _is_one_of(vae: Any, names: tuple[str, ...]) -> bool:
    """Whether it is of one of these classes of diffusers; by name, as each version has others."""
    return any(kind.__name__ in names for kind in type(vae).__mro__)


def fit_colour_map(vae: Any) -> ColourMap | None:
    """The map for an autoencoder's latent space; `None` if its latents do not tell colours in this way."""
    factor = _factor(vae)
    known, colours = _means(vae, factor, PATCHES, PATCH_LATENTS)
    solved = numpy.linalg.lstsq(known, colours, rcond=None)[0] if numpy.isfinite(known).all() else None
    if solved is None:
        return None
    other, wanted = _means(vae, factor, PATCHES // 4, PATCH_LATENTS * 4)
    error = float(numpy.sqrt(((other @ solved - wanted) ** 2).mean()))
    if not error <= LARGEST_ERROR:
        logger.info("the latents of %s do not tell colours: no previews (error %.2f)", type(vae).__name__, error)
        return None
    return ColourMap(solved[:-1], solved[-1], factor)


def _factor(vae: Any) -> int:
    """How many pixels a latent pixel stands for, in each direction."""
    config = vae.config
    known = config.get("scale_factor_spatial") or config.get("spatial_compression_ratio")
    halvings = len(
        config.get("block_out_channels") or config.get("dim_mult") or config.get("encoder_block_out_channels")
    )
    return int(known or 2 ** (halvings - 1))


def _means(vae: Any, factor: int, patches: int, latents_each: int) -> tuple[Any, Any]:
    """Mean latents of colour patches and a column of ones, (patches², channels + 1); the colours, (patches², 3)."""
    colours = numpy.random.default_rng(7).random((patches, patches, 3), dtype=numpy.float32)
    side = latents_each * factor
    pixels = torch.from_numpy(colours.repeat(side, axis=0).repeat(side, axis=1)).permute(2, 0, 1)[None] * 2 - 1
    if _is_one_of(vae, _OF_VIDEOS):
        pixels = pixels[:, :, None]
    weight = next(vae.encoder.parameters())
    with torch.no_grad():
        latents = vae.encode(pixels.to(weight.device, weight.dtype)).latent_dist.mode().float().cpu()
    latents = _normalized(vae.config, latents)
    picture = latents[0, :, 0] if latents.ndim == 5 else latents[0]
    # The inside of each patch: at its border the latents mix two colours.
    inner = picture.unfold(1, latents_each, latents_each).unfold(2, latents_each, latents_each)[..., 1:-1, 1:-1]
    means = inner.mean(dim=(-1, -2)).permute(1, 2, 0).reshape(patches * patches, -1).numpy()
    return numpy.concatenate([means, numpy.ones((len(means), 1), numpy.float32)], axis=1), colours.reshape(-1, 3)


def _normalized(config: Any, latents: Any) -> Any:
    """Latents of an autoencoder (batch, channel, ...) as its denoiser has them."""
    mean, deviation, scale = _statistics(config, latents)
    return (latents - mean) / deviation * scale


def _denormalized(config: Any, latents: Any) -> Any:
    """Latents of a denoiser as their autoencoder has them."""
    mean, deviation, scale = _statistics(config, latents)
    return latents / scale * deviation + mean


def _statistics(config: Any, latents: Any) -> tuple[Any, Any, float]:
    """Mean and deviation of each channel, in the shape of the latents, or one for all; and the factor behind them."""
    scale = float(config.get("scaling_factor") or 1.0)
    means, deviations = config.get("latents_mean"), config.get("latents_std")
    if means is None or deviations is None:
        return float(config.get("shift_factor") or 0.0), 1.0, scale
    shape = (1, -1) + (1,) * (latents.ndim - 2)
    return torch.tensor(means).to(latents).reshape(shape), torch.tensor(deviations).to(latents).reshape(shape), scale


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
        #: The newest picture on its way from the device: what says that it has arrived, its pixels, step and total.
        self._coming: tuple[Any, Any, int, int] | None = None

    def begin(self, run_id: str, step: str, iteration: int) -> None:
        """The previews to come belong to this iteration of a step."""
        self._labels = (run_id, step, iteration)

    def __call__(self, model_output: Any, timestep: Any, sample: Any, answer: Any, current: int, total: int) -> None:
        """Look at one denoising step (see `instruments.StepListener`)."""
        began = time.monotonic()
        if self._coming is not None and self._coming[0].query():
            _, pixels, at, of = self._coming
            self._coming = None
            self._tell(pixels, at, of)
        wanted = current % self._every == 0 or current == total
        if not self._working or not wanted or began < self._next or self._is_early(began, current, total):
            return
        try:
            self._show(model_output, timestep, sample, answer, current, total)
        except _UNEXPECTED as error:
            # A preview may never cost the run; that there is none is told once.
            self._working = False
            logger.warning("there are no previews of this step: %s: %s", type(error).__name__, error)
        took = time.monotonic() - began
        self._next = began + max(SECONDS_BETWEEN, took / SHARE_OF_TIME)

    def _is_early(self, now: float, current: int, total: int) -> bool:
        if self._began is None:
            self._began = now
        return current < FIRST_STEPS * total and now - self._began < FIRST_SECONDS

    def _show(self, model_output: Any, timestep: Any, sample: Any, answer: Any, current: int, total: int) -> None:
        clean = predicted_clean(self._scheduler, model_output, timestep, sample, answer)
        latents = None if clean is None else picture_latents(clean, self._view, self._size)
        pixels = None if latents is None else self._pixels(latents)
        if pixels is None:
            self._working = False
        elif pixels.device.type == "cuda":
            # Fetched without waiting; the newest one wins over one that has not arrived when it is made.
            host = torch.empty(pixels.shape, dtype=pixels.dtype, pin_memory=True)
            host.copy_(pixels, non_blocking=True)
            arrived = torch.cuda.Event()
            arrived.record()
            self._coming = (arrived, host, current, total)
        else:
            self._tell(pixels.cpu(), current, total)

    def _pixels(self, latents: Any) -> Any:
        """The picture of latents (channel, height, width) in bytes, (height, width, 3), on their device."""
        with torch.no_grad():
            if isinstance(self._view, ColourMap):
                return rgb_of(latents, self._view)
            if hasattr(self._vae, "_hf_hook"):
                return None
            weight = next(self._vae.decoder.parameters())
            given = _denormalized(self._vae.config, latents[None].float())
            decode = type(self._vae).decode  # Not the call's own: what that decodes is kept.
            if _is_one_of(self._vae, _OF_VIDEOS):
                decoded = decode(self._vae, given[:, :, None].to(weight.device, weight.dtype)).sample[0, :, 0]
            else:
                decoded = decode(self._vae, given.to(weight.device, weight.dtype)).sample[0]
            return _in_bytes(decoded.float().permute(1, 2, 0) / 2 + 0.5)

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


def picture_latents(latents: Any, view: View, size: tuple[int, int] | None) -> Any:
    """The latents of one picture, (channel, height, width); `None` for those of another space.

    Of a batch the first, of a video the middle frame; four of a square in one row, as FLUX and its like have them, are
    laid out again. Arguments: `size` of the image in pixels, width and height, without which such a one has to be
    square.
    """
    channels = view.channels
    if latents.ndim == 4 and latents.shape[1] == channels:
        return latents[0]
    if latents.ndim == 5 and latents.shape[1] == channels:
        return latents[0, :, latents.shape[2] // 2]
    if latents.ndim != 3 or latents.shape[2] != 4 * channels:
        return None
    count = latents.shape[1]
    columns, rows = (math.isqrt(count),) * 2 if size is None else (side // (2 * view.factor) for side in size)
    if rows * columns != count:
        return None
    squares = latents[0].reshape(rows, columns, channels, 2, 2)
    return squares.permute(2, 0, 3, 1, 4).reshape(channels, 2 * rows, 2 * columns)


def rgb_of(latents: Any, colours: ColourMap) -> Any:
    """Latents (channel, height, width) as pixels in bytes, (height, width, 3), by a map."""
    weights = torch.as_tensor(colours.weights, dtype=torch.float32, device=latents.device)
    offset = torch.as_tensor(colours.offset, dtype=torch.float32, device=latents.device)
    return _in_bytes(latents.detach().float().permute(1, 2, 0) @ weights + offset)


def _in_bytes(rgb: Any) -> Any:
    return (rgb.clamp(0.0, 1.0) * 255).round().to(torch.uint8)


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
    predicted = getattr(answer, "pred_original_sample", None)
    if predicted is not None:
        return predicted
    output = model_output[:, : sample.shape[1]]
    name = type(scheduler).__name__
    if name.startswith("FlowMatch"):
        return sample - _sigma(scheduler) * output
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
