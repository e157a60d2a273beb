"""How the latents of an autoencoder are shown as a picture, cheaply.

A small decoder shows them as they are; so does the distilled one of a known latent space, where it is in the cache. For
any other, latents are brought to colours by a linear map: the published one of a known latent space, or one that is
fitted once for the autoencoder, on colour patches that its own encoder saw. Where the space is of an unknown kind there
is no view, rather than a wrong one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import diffusers
import numpy
import torch

from dw_lsp.worker.engine.latent_spaces import LatentSpace, cached_decoder, known_space

logger = logging.getLogger(__name__)

#: Decoders with no more bytes than this are used themselves.
SMALL_DECODER = 16 * 1024 * 1024
#: An encoder with more weights is asked for no map on a processor: that of Stable Diffusion, 34 million, takes 12 s.
LARGEST_ON_CPU = 3_000_000
#: Patches on each side of the picture that the map is fitted on, and latent pixels on each side of a patch.
PATCHES, PATCH_LATENTS = 8, 4
#: A map that misses the colours of a second picture, of larger patches, by more than this is not used (root of the mean
#: square; colours are 0..1).
LARGEST_ERROR = 0.25
#: Autoencoders of pictures, and of videos, whose latents have a dimension more. All give `latent_dist` or `latents`.
_OF_PICTURES = ("AutoencoderKL", "AutoencoderTiny")
OF_VIDEOS = ("AutoencoderKLWan", "AutoencoderKLQwenImage", "AutoencoderKLHunyuanVideo")
#: What a model that is somewhere else, or of another form than its kind has, may answer to being looked at.
UNEXPECTED = (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError, ArithmeticError)


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
    """A decoder that is small enough: of the autoencoder itself, or the `distilled` one of its latent space.

    Latents have `channels`; one stands for `factor` pixels a side.
    """

    channels: int
    factor: int
    distilled: Any = None


View = ColourMap | SmallDecoder


def view_of(vae: Any, device: torch.device) -> View | None:
    """How the latents of an autoencoder are shown; `None` for one of an unknown kind, or one that cannot be asked.

    Arguments: the autoencoder, and the device on which latents are denoised.
    """
    if not is_one_of(vae, _OF_PICTURES + OF_VIDEOS):
        return None
    try:
        if sum(tensor.numel() * tensor.element_size() for tensor in vae.decoder.parameters()) <= SMALL_DECODER:
            config = vae.config
            return SmallDecoder(int(config.get("latent_channels") or config.get("z_dim")), _factor(vae))
        if isinstance(vae, diffusers.AutoencoderTiny):
            return None
        space = known_space(vae)
        if space is None and _is_slow(vae.encoder):
            logger.info("fitting previews to this %s would take too long on a processor", type(vae).__name__)
            return None
        return fit_colour_map(vae) if space is None else _view_of_space(space, _factor(vae), device)
    except UNEXPECTED as error:
        # A preview may never cost the run.
        logger.info("there are no previews for this %s: %s", type(vae).__name__, error)
        return None


def _is_slow(encoder: torch.nn.Module) -> bool:
    """Whether it would see pictures on a processor, and has too many weights for that."""
    weights = list(encoder.parameters())
    on_cpu = any(tensor.device.type == "cpu" for tensor in weights)
    return on_cpu and sum(tensor.numel() for tensor in weights) > LARGEST_ON_CPU


def _view_of_space(space: LatentSpace, factor: int, device: torch.device) -> View:
    # A processor takes a second for what a map does in a millisecond.
    distilled = None if device.type == "cpu" else cached_decoder(space, device)
    if distilled is not None:
        return SmallDecoder(len(space.factors), factor, distilled)
    # Published for colours from -1 to 1; here they are 0..1.
    return ColourMap(numpy.array(space.factors) / 2, numpy.array(space.offset) / 2 + 0.5, factor)


def is_one_of(vae: Any, names: tuple[str, ...]) -> bool:
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
    if is_one_of(vae, OF_VIDEOS):
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


def denormalized(config: Any, latents: Any) -> Any:
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


def picture_latents(latents: Any, view: View, size: tuple[int, int] | None) -> Any:
    """The latents of one picture, (channel, height, width); `None` for those of another space.

    Of a batch the first, of a video the middle frame; four of a square in one row, as FLUX and its like have them, are
    laid out again. Arguments: `size` of the image in pixels, width and height, without which nobody knows how.
    """
    channels = view.channels
    if latents.ndim == 4 and latents.shape[1] == channels:
        return latents[0]
    if latents.ndim == 5 and latents.shape[1] == channels:
        return latents[0, :, latents.shape[2] // 2]
    if latents.ndim != 3 or latents.shape[2] != 4 * channels or size is None:
        return None
    columns, rows = (side // (2 * view.factor) for side in size)
    if rows * columns != latents.shape[1]:
        return None
    squares = latents[0].reshape(rows, columns, channels, 2, 2)
    return squares.permute(2, 0, 3, 1, 4).reshape(channels, 2 * rows, 2 * columns)


def rgb_of(latents: Any, colours: ColourMap) -> Any:
    """Latents (channel, height, width) as pixels in bytes, (height, width, 3), by a map."""
    weights = torch.as_tensor(colours.weights, dtype=torch.float32, device=latents.device)
    offset = torch.as_tensor(colours.offset, dtype=torch.float32, device=latents.device)
    return in_bytes(latents.detach().float().permute(1, 2, 0) @ weights + offset)


def in_bytes(rgb: Any) -> Any:
    return (rgb.clamp(0.0, 1.0) * 255).round().to(torch.uint8)
