"""The image while it is being denoised: the clean latents that a step points at, as a picture.

A small decoder shows them as they are. For a large one, latents are brought to colours by a linear map, which belongs
to a latent space: it is fitted once for each autoencoder, on colour patches that its own encoder saw. Where the space
or the scheduler is of an unknown kind there is no preview, rather than a wrong one. Nothing that the run computes with
is touched: no random numbers are drawn, and tensors are only read.
"""

from __future__ import annotations

import base64
import io
import logging
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
SHARE_OF_TIME = 0.05
SMALLEST_SIDE, LARGEST_SIDE = 64, 512
#: Decoders with no more bytes than this are used themselves.
SMALL_DECODER = 16 * 1024 * 1024
#: Patches on each side of the picture that the map is fitted on, and latent pixels on each side of a patch.
PATCHES, PATCH_LATENTS = 8, 4
#: A map that misses the colours of a second picture, of larger patches, by more than this is not used (root of the mean
#: square; colours are 0..1).
LARGEST_ERROR = 0.25
QUALITY = 80


@dataclass(frozen=True)
class ColourMap:
    """From latents, as the denoiser has them, to colours: `rgb = latents @ weights + offset`, values 0..1.

    `weights` has the shape (channels, 3), `offset` (3,); `factor` is how many pixels a latent pixel stands for.
    """

    weights: Any
    offset: Any
    factor: int


@dataclass(frozen=True)
class SmallDecoder:
    """The autoencoder's own decoder is small enough; latents have `channels`."""

    channels: int


def view_of(vae: Any) -> ColourMap | SmallDecoder | None:
    """How the latents of an autoencoder are shown; `None` for one of an unknown kind."""
    if not isinstance(vae, (diffusers.AutoencoderKL, diffusers.AutoencoderTiny)):
        return None
    if getattr(vae.config, "latents_mean", None):
        return None
    if sum(tensor.numel() * tensor.element_size() for tensor in vae.decoder.parameters()) <= SMALL_DECODER:
        return SmallDecoder(int(vae.config.latent_channels))
    return fit_colour_map(vae) if isinstance(vae, diffusers.AutoencoderKL) else None


def fit_colour_map(vae: Any) -> ColourMap | None:
    """The map for the latent space of an `AutoencoderKL`; `None` if its latents do not tell colours in this way."""
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
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


def _means(vae: Any, factor: int, patches: int, latents_each: int) -> tuple[Any, Any]:
    """Mean latents of colour patches and a column of ones, (patches², channels + 1); the colours, (patches², 3)."""
    colours = numpy.random.default_rng(7).random((patches, patches, 3), dtype=numpy.float32)
    side = latents_each * factor
    pixels = torch.from_numpy(colours.repeat(side, axis=0).repeat(side, axis=1)).permute(2, 0, 1)[None] * 2 - 1
    weight = next(vae.encoder.parameters())
    with torch.no_grad():
        latents = vae.encode(pixels.to(weight.device, weight.dtype)).latent_dist.mode().float().cpu()
    latents = (latents - (vae.config.shift_factor or 0.0)) * (vae.config.scaling_factor or 1.0)
    # The inside of each patch: at its border the latents mix two colours.
    inner = latents[0].unfold(1, latents_each, latents_each).unfold(2, latents_each, latents_each)[..., 1:-1, 1:-1]
    means = inner.mean(dim=(-1, -2)).permute(1, 2, 0).reshape(patches * patches, -1).numpy()
    return numpy.concatenate([means, numpy.ones((len(means), 1), numpy.float32)], axis=1), colours.reshape(-1, 3)


class Previewer:
    """Makes the previews of one call.

    Arguments: how latents are shown; the pipeline's autoencoder and scheduler; show every so many steps; where previews
    go.
    """

    def __init__(
        self,
        view: ColourMap | SmallDecoder,
        vae: Any,
        scheduler: Any,
        every: int,
        send: Callable[[PreviewMade], None],
    ):
        self._view, self._vae, self._scheduler = view, vae, scheduler
        self._every, self._send = max(1, every), send
        self._next = float("-inf")
        self._working = True
        self._labels = ("", "", 0)

    def begin(self, run_id: str, step: str, iteration: int) -> None:
        """The previews to come belong to this iteration of a step."""
        self._labels = (run_id, step, iteration)

    def __call__(self, model_output: Any, timestep: Any, sample: Any, answer: Any, current: int, total: int) -> None:
        """Look at one denoising step (see `instruments.StepListener`)."""
        began = time.monotonic()
        wanted = current % self._every == 0 or current == total
        if not self._working or not wanted or began < self._next:
            return
        try:
            self._show(model_output, timestep, sample, answer, current, total)
        except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
            # A preview may never cost the run; that there is none is told once.
            self._working = False
            logger.warning("there are no previews of this step: %s: %s", type(error).__name__, error)
        took = time.monotonic() - began
        self._next = began + max(SECONDS_BETWEEN, took / SHARE_OF_TIME)

    def _show(self, model_output: Any, timestep: Any, sample: Any, answer: Any, current: int, total: int) -> None:
        clean = predicted_clean(self._scheduler, model_output, timestep, sample, answer)
        image = None if clean is None or clean.ndim != 4 else self._picture(clean[:1])
        if image is None:
            self._working = False
            return
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

    def _picture(self, latents: Any) -> Image.Image | None:
        """A picture of latents (1, channel, height, width); `None` for those of another space."""
        if isinstance(self._view, ColourMap):
            if latents.shape[1] != len(self._view.weights):
                return None
            return to_image(latents[0].detach().float().cpu().numpy(), self._view)
        if latents.shape[1] != self._view.channels or hasattr(self._vae, "_hf_hook"):
            return None
        weight = next(self._vae.decoder.parameters())
        config = self._vae.config
        latents = latents / (getattr(config, "scaling_factor", None) or 1.0) + (
            getattr(config, "shift_factor", None) or 0.0
        )
        with torch.no_grad():
            decode = type(self._vae).decode  # Not the call's own: what that decodes is kept.
            pixels = decode(self._vae, latents.to(weight.device, weight.dtype)).sample[0].float().cpu()
        return enlarged(_as_image((pixels / 2 + 0.5).permute(1, 2, 0).numpy()), 1)


def to_image(latents: Any, colours: ColourMap) -> Image.Image:
    """A picture of latents (channel, height, width) by a map, large enough to look at."""
    rgb = numpy.tensordot(latents, colours.weights, axes=(0, 0)) + colours.offset
    return enlarged(_as_image(rgb), colours.factor)


def _as_image(rgb: Any) -> Image.Image:
    return Image.fromarray((rgb.clip(0.0, 1.0) * 255).round().astype(numpy.uint8))


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
