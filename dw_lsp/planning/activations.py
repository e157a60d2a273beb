"""How much memory computing needs beside the weights, from configurations and sizes alone: nothing is loaded.

Denoising and decoding follow each other, so a call needs the larger of the two. Each is the number of elements that are
alive at once, times the bytes of one, times what allocator and kernels take on top:

- Decoding by a convolutional autoencoder: its last block, at full resolution, has 2 (c0 + c1) elements alive for each
  pixel (c0, c1: the first two `block_out_channels`), which for the usual 128 and 256 is the 750 that a trace of SDXL's
  autoencoder shows; times 2.85. That is 2190 elements a pixel: two other engines have measured 2178 and 2200.
- A U-Net: 16 c0 for each latent pixel (trace of SDXL's: 0.31 GiB at 1024 x 1024 with guidance); times 1.2.
- A transformer: 18 x its width for each token (trace of FLUX.1: 0.46 GiB at 1024 x 1024); times 1.2.

Attention counts as the memory-efficient kind, as torch computes it. `planning.measured` corrects by what was measured.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dw_lsp.planning.measured import Measurements
from dw_lsp.text.syntax_tree import Value

CONVOLUTION_OVERHEAD, TRANSFORMER_OVERHEAD = 2.85, 1.2
_UNET_TENSORS, _TRANSFORMER_TENSORS, _TEXT_TOKENS = 16, 18, 512
_DENOISERS = ("unet", "transformer", "prior")
#: Settings of models that work on sound.
_SOUND_SETTINGS = frozenset({"audio_channels", "sampling_rate", "sample_rate"})
_AUTOENCODERS = ("vae", "vqvae", "movq", "vqgan")


@dataclass(frozen=True)
class Part:
    """What is known of a component: its name in the pipeline, its class, its folder, the bytes of one element."""

    name: str
    class_name: str
    folder: Path | None
    element_bytes: int


@dataclass(frozen=True)
class Picture:
    """What a call makes: pixels, pictures at once, frames (1 for a still); `None` is what the model is made for."""

    width: int | None = None
    height: int | None = None
    count: int = 1
    frames: int = 1
    guided: bool = True
    sliced: bool = False
    tiled: bool = False


@dataclass(frozen=True)
class Activations:
    """Bytes for computing: the least that the shapes allow, and what is expected; `measured`: corrected by experience.

    `kind` names what the expectation is corrected for: classes and precision.
    """

    least: int
    expected: int
    kind: str
    measured: bool = False


def picture_of(body: Mapping[str, Value]) -> Picture:
    """The picture that a pipeline's `body` asks for, as far as its text tells."""
    arguments = _object(body.get("arguments"))
    switches = _object(_object(body.get("configuration")).get("vae"))
    prompt, guidance = arguments.get("prompt"), arguments.get("guidance_scale")
    prompts = len(prompt) if isinstance(prompt, list) else 1
    return Picture(
        width=_size(arguments.get("width")),
        height=_size(arguments.get("height")),
        count=prompts * (_size(arguments.get("num_images_per_prompt")) or 1),
        frames=_size(arguments.get("num_frames")) or 1,
        guided=not isinstance(guidance, (int, float)) or guidance > 1,
        sliced=switches.get("enable_slicing") is True,
        tiled=switches.get("enable_tiling") is True,
    )


def activations(
    parts: Iterable[Part], picture: Picture, device: str = "cpu", known: Measurements | None = None
) -> Activations | None:
    """What a call needs beside the weights; `None` for a pipeline whose models are of no known kind.

    Arguments: `device` is the kind of device; `known` has what was measured before.
    """
    by_name = {part.name: part for part in parts}
    denoiser = next((by_name[name] for name in _DENOISERS if name in by_name), None)
    autoencoder = next((by_name[name] for name in _AUTOENCODERS if name in by_name), None)
    used = [part for part in (denoiser, autoencoder) if part is not None]
    configs = {part.name: configuration(part.folder) for part in used}
    if not used or not all(configs.values()) or _is_of_sound(by_name, configs):
        return None
    scale = _pixels_per_latent(configs[autoencoder.name]) if autoencoder is not None else 8
    sized = _with_size(picture, configs[denoiser.name] if denoiser else {}, scale)
    if sized is None:
        return None
    phases: list[tuple[float, float]] = []
    if denoiser is not None:
        elements, overhead = _denoising(configs[denoiser.name], sized, scale)
        phases.append((elements * denoiser.element_bytes, overhead))
    if autoencoder is not None:
        elements = _decoding(configs[autoencoder.name], sized)
        size = max(autoencoder.element_bytes, 4 if configs[autoencoder.name].get("force_upcast") else 0)
        phases.append((elements * size, CONVOLUTION_OVERHEAD))
    least = int(max(live for live, _ in phases))
    predicted = int(max(live * overhead for live, overhead in phases))
    kind = "/".join([device, *(f"{part.class_name}:{part.element_bytes}" for part in used)])
    factor = known.factor(kind) if known is not None else None
    if factor is None:
        return Activations(least, predicted, kind)
    return Activations(least, int(predicted * factor), kind, True)


def _is_of_sound(parts: Mapping[str, Part], configs: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a pipeline makes sound and no picture: its sizes are seconds, which no formula here knows."""
    waves = any(_SOUND_SETTINGS & config.keys() for config in configs.values())
    return waves or ("vocoder" in parts and any(config.get("in_channels") == 1 for config in configs.values()))


def _denoising(config: Mapping[str, Any], picture: Picture, scale: int) -> tuple[float, float]:
    """Elements alive in one step of the denoiser, and what comes on top."""
    height, width = (picture.height or 0) / scale, (picture.width or 0) / scale
    batch = picture.count * (2 if picture.guided and not config.get("guidance_embeds") else 1)
    channels = _channels(config)
    if channels:
        return _UNET_TENSORS * channels[0] * height * width * picture.frames * batch, TRANSFORMER_OVERHEAD
    patch = _patch(config)
    tokens = (height / patch) * (width / patch) * _latent_frames(picture) + _TEXT_TOKENS
    return _TRANSFORMER_TENSORS * _width(config) * tokens * batch, TRANSFORMER_OVERHEAD


def _decoding(config: Mapping[str, Any], picture: Picture) -> float:
    """Elements alive while pictures are decoded."""
    channels = _channels(config)
    first, second = (channels[0], channels[min(1, len(channels) - 1)]) if channels else (128, 256)
    height, width = picture.height or 0, picture.width or 0
    if picture.tiled:
        tile = _size(config.get("sample_size")) or 512
        height, width = min(height, tile), min(width, tile)
    return 2.0 * (first + second) * height * width * picture.frames * (1 if picture.sliced else picture.count)


def _with_size(picture: Picture, config: Mapping[str, Any], scale: int) -> Picture | None:
    """The picture with the size that the model is made for, where none is given."""
    usual = _size(config.get("sample_size"))
    if usual is None and (picture.width is None or picture.height is None):
        usual = 128 if config else None  # Transformers without a size of their own are made for 1024 x 1024.
    if usual is None:
        return picture if picture.width and picture.height else None
    return replace(picture, width=picture.width or usual * scale, height=picture.height or usual * scale)


def _latent_frames(picture: Picture) -> int:
    return (picture.frames - 1) // 4 + 1


def _pixels_per_latent(config: Mapping[str, Any]) -> int:
    channels = _channels(config)
    return 2 ** (len(channels) - 1) if channels else int(_size(config.get("scale_factor_spatial")) or 8)


def _channels(config: Mapping[str, Any]) -> list[int]:
    found = config.get("block_out_channels")
    return [int(each) for each in found] if isinstance(found, list) and found else []


def _patch(config: Mapping[str, Any]) -> float:
    patch = config.get("patch_size")
    if isinstance(patch, list) and patch:
        patch = patch[-1]
    own = _size(patch) or 1
    # Latents of four pixels each in one token, as FLUX packs them.
    return 2 if own == 1 and (_size(config.get("in_channels")) or 0) >= 64 else own


def _width(config: Mapping[str, Any]) -> int:
    heads, each = _size(config.get("num_attention_heads")), _size(config.get("attention_head_dim"))
    return heads * each if heads and each else _size(config.get("hidden_size")) or 3072


def configuration(folder: Path | None) -> Mapping[str, Any]:
    """A component's config.json; empty where there is none."""
    if folder is None:
        return {}
    file = os.path.join(folder, "config.json")
    try:
        return _configuration(file, os.stat(file).st_mtime_ns)
    except OSError:
        return {}


@functools.lru_cache(maxsize=256)
def _configuration(file: str, changed: int) -> Mapping[str, Any]:
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _size(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _object(value: Value) -> Mapping[str, Value]:
    return value if isinstance(value, dict) else {}
