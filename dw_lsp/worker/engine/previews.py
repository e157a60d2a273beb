"""The image while it is being denoised: the predicted clean latents, brought to colours by a linear map.

The map belongs to a latent space: it is fitted once for each autoencoder, on colour patches that its own encoder saw.
Where the space or the scheduler is of an unknown kind there is no preview, rather than a wrong one. Nothing that the
run computes with is touched: no random numbers are drawn, and tensors are only read.
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
SMALLEST_SIDE, LARGEST_SIDE = 64, 512
#: Patches on each side of the picture that the map is fitted on, and latent pixels on each side of a patch.
PATCHES, PATCH_LATENTS = 8, 4
QUALITY = 80


@dataclass(frozen=True)
class ColourMap:
    """From latents, as the denoiser has them, to colours: `rgb = latents @ weights + offset`, values 0..1.

    `weights` has the shape (channels, 3), `offset` (3,); `factor` is how many pixels a latent pixel stands for.
    """

    weights: Any
    offset: Any
    factor: int


def fit_colour_map(vae: Any) -> ColourMap | None:
    """The map for an autoencoder's latent space; `None` for one of an unknown kind, or that gives no finite latents."""
    if not isinstance(vae, diffusers.AutoencoderKL) or getattr(vae.config, "latents_mean", None):
        return None
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    colours = numpy.random.default_rng(7).random((PATCHES, PATCHES, 3), dtype=numpy.float32)
    side = PATCH_LATENTS * factor
    pixels = torch.from_numpy(colours.repeat(side, axis=0).repeat(side, axis=1)).permute(2, 0, 1)[None] * 2 - 1
    weight = next(vae.encoder.parameters())
    with torch.no_grad():
        latents = vae.encode(pixels.to(weight.device, weight.dtype)).latent_dist.mode()
    latents = (latents.float().cpu() - (vae.config.shift_factor or 0.0)) * (vae.config.scaling_factor or 1.0)
    if latents.shape[-1] != PATCHES * PATCH_LATENTS or not torch.isfinite(latents).all():
        return None
    # The inside of each patch: at its border the latents mix two colours.
    inner = latents[0].unfold(1, PATCH_LATENTS, PATCH_LATENTS).unfold(2, PATCH_LATENTS, PATCH_LATENTS)[..., 1:-1, 1:-1]
    means = inner.mean(dim=(-1, -2)).permute(1, 2, 0).reshape(PATCHES * PATCHES, -1).numpy()
    known = numpy.concatenate([means, numpy.ones((len(means), 1), dtype=numpy.float32)], axis=1)
    solved = numpy.linalg.lstsq(known, colours.reshape(-1, 3), rcond=None)[0]
    return ColourMap(solved[:-1], solved[-1], factor)


class Previewer:
    """Makes the previews of one step's runs. Arguments: the map; where previews go; show every so many steps."""

    def __init__(self, colours: ColourMap, scheduler: Any, every: int, send: Callable[[PreviewMade], None]):
        self._colours, self._scheduler = colours, scheduler
        self._every, self._send = max(1, every), send
        self._last = float("-inf")
        self._working = True
        self._labels = ("", "", 0)

    def begin(self, run_id: str, step: str, iteration: int) -> None:
        """The previews to come belong to this iteration of a step."""
        self._labels = (run_id, step, iteration)

    def __call__(self, model_output: Any, timestep: Any, sample: Any, answer: Any, current: int, total: int) -> None:
        """Look at one denoising step (see `instruments.StepListener`)."""
        now = time.monotonic()
        wanted = current % self._every == 0 or current == total
        if not self._working or not wanted or now - self._last < SECONDS_BETWEEN:
            return
        self._last = now
        try:
            self._show(model_output, timestep, sample, answer, current, total)
        except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
            # A preview may never cost the run; that there is none is told once.
            self._working = False
            logger.warning("there are no previews of this step: %s: %s", type(error).__name__, error)

    def _show(self, model_output: Any, timestep: Any, sample: Any, answer: Any, current: int, total: int) -> None:
        clean = predicted_clean(self._scheduler, model_output, timestep, sample, answer)
        channels = len(self._colours.weights)
        if clean is None or clean.ndim != 4 or clean.shape[1] != channels:
            self._working = False
            return
        image = to_image(clean[0].detach().float().cpu().numpy(), self._colours)
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


def to_image(latents: Any, colours: ColourMap) -> Image.Image:
    """A picture of latents (channel, height, width), large enough to look at."""
    rgb = numpy.tensordot(latents, colours.weights, axes=(0, 0)) + colours.offset
    small = Image.fromarray((rgb.clip(0.0, 1.0) * 255).round().astype(numpy.uint8))
    longest = min(LARGEST_SIDE, max(small.size) * colours.factor)
    scale = max(longest / max(small.size), SMALLEST_SIDE / min(small.size))
    size = (round(small.width * scale), round(small.height * scale))
    return small.resize(size, Image.Resampling.BICUBIC)


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
