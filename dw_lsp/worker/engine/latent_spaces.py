"""The latent spaces that many models share: how to know them, which colours their channels stand for, and the name of
the distilled decoder that shows them well.

A space is known by its autoencoder's class and configuration, which are the same in all its copies and descendants. The
factors are measured figures that are in circulation with the programs that show previews (ComfyUI, InvokeAI and others
use them); they bring latents, as the denoiser has them, to colours from -1 to 1.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import diffusers
import torch

from dw_lsp.catalog.models import find_folder

logger = logging.getLogger(__name__)

Row = tuple[float, float, float]


@dataclass(frozen=True)
class LatentSpace:
    """One latent space.

    `classes` are the names of the autoencoders that have it, `config` what each has in its configuration (of a list:
    how it begins). `factors` has a row of red, green and blue for each channel, `offset` is added. `distilled` is the
    repository of the small decoder, if there is one.
    """

    classes: tuple[str, ...]
    config: Mapping[str, float | tuple[float, ...]]
    factors: tuple[Row, ...]
    offset: Row = (0.0, 0.0, 0.0)
    distilled: str | None = None


_WIDTHS = (128.0, 256.0, 512.0, 512.0)
STABLE_DIFFUSION = LatentSpace(
    ("AutoencoderKL",),
    {"latent_channels": 4, "scaling_factor": 0.18215, "block_out_channels": _WIDTHS},
    ((0.3512, 0.2297, 0.3227), (0.3250, 0.4974, 0.2350), (-0.2829, 0.1762, 0.2721), (-0.2120, -0.2616, -0.7177)),
    distilled="madebyollin/taesd",
)
STABLE_DIFFUSION_XL = LatentSpace(
    ("AutoencoderKL",),
    {"latent_channels": 4, "scaling_factor": 0.13025, "block_out_channels": _WIDTHS},
    ((0.3651, 0.4232, 0.4341), (-0.2533, -0.0042, 0.1068), (0.1076, 0.1111, -0.0362), (-0.3165, -0.2492, -0.2188)),
    (0.1084, -0.0175, -0.0011),
    distilled="madebyollin/taesdxl",
)
STABLE_DIFFUSION_3 = LatentSpace(
    ("AutoencoderKL",),
    {"latent_channels": 16, "scaling_factor": 1.5305, "shift_factor": 0.0609, "block_out_channels": _WIDTHS},
    (
        (-0.0922, -0.0175, 0.0749),
        (0.0311, 0.0633, 0.0954),
        (0.1994, 0.0927, 0.0458),
        (0.0856, 0.0339, 0.0902),
        (0.0587, 0.0272, -0.0496),
        (-0.0006, 0.1104, 0.0309),
        (0.0978, 0.0306, 0.0427),
        (-0.0042, 0.1038, 0.1358),
        (-0.0194, 0.0020, 0.0669),
        (-0.0488, 0.0130, -0.0268),
        (0.0922, 0.0988, 0.0951),
        (-0.0278, 0.0524, -0.0542),
        (0.0332, 0.0456, 0.0895),
        (-0.0069, -0.0030, -0.0810),
        (-0.0596, -0.0465, -0.0293),
        (-0.1448, -0.1463, -0.1189),
    ),
    (0.2394, 0.2135, 0.1925),
    distilled="madebyollin/taesd3",
)
FLUX = LatentSpace(
    ("AutoencoderKL",),
    {"latent_channels": 16, "scaling_factor": 0.3611, "shift_factor": 0.1159, "block_out_channels": _WIDTHS},
    (
        (-0.0346, 0.0244, 0.0681),
        (0.0034, 0.0210, 0.0687),
        (0.0275, -0.0668, -0.0433),
        (-0.0174, 0.0160, 0.0617),
        (0.0859, 0.0721, 0.0329),
        (0.0004, 0.0383, 0.0115),
        (0.0405, 0.0861, 0.0915),
        (-0.0236, -0.0185, -0.0259),
        (-0.0245, 0.0250, 0.1180),
        (0.1008, 0.0755, -0.0421),
        (-0.0515, 0.0201, 0.0011),
        (0.0428, -0.0012, -0.0036),
        (0.0817, 0.0765, 0.0749),
        (-0.1264, -0.0522, -0.1103),
        (-0.0280, -0.0881, -0.0499),
        (-0.1262, -0.0982, -0.0778),
    ),
    (-0.0329, -0.0718, -0.0851),
    distilled="madebyollin/taef1",
)
#: Of Wan 2.1, which Wan 2.2 (all but the 5B model) and Qwen-Image have as well.
WAN = LatentSpace(
    ("AutoencoderKLWan", "AutoencoderKLQwenImage"),
    {"z_dim": 16, "latents_mean": (-0.7571, -0.7089, -0.9113, 0.1075), "latents_std": (2.8184, 1.4541, 2.3275)},
    (
        (-0.1299, -0.1692, 0.2932),
        (0.0671, 0.0406, 0.0442),
        (0.3568, 0.2548, 0.1747),
        (0.0372, 0.2344, 0.1420),
        (0.0313, 0.0189, -0.0328),
        (0.0296, -0.0956, -0.0665),
        (-0.3477, -0.4059, -0.2925),
        (0.0166, 0.1902, 0.1975),
        (-0.0412, 0.0267, -0.1364),
        (-0.1293, 0.0740, 0.1636),
        (0.0680, 0.3019, 0.1128),
        (0.0032, 0.0581, 0.0639),
        (-0.1251, 0.0927, 0.1699),
        (0.0060, -0.0633, 0.0005),
        (0.3477, 0.2275, 0.2950),
        (0.1984, 0.0913, 0.1861),
    ),
    (-0.1835, -0.0868, -0.3360),
)
HUNYUAN_VIDEO = LatentSpace(
    ("AutoencoderKLHunyuanVideo",),
    {"latent_channels": 16, "scaling_factor": 0.476986, "block_out_channels": _WIDTHS},
    (
        (-0.0395, -0.0331, 0.0445),
        (0.0696, 0.0795, 0.0518),
        (0.0135, -0.0945, -0.0282),
        (0.0108, -0.0250, -0.0765),
        (-0.0209, 0.0032, 0.0224),
        (-0.0804, -0.0254, -0.0639),
        (-0.0991, 0.0271, -0.0669),
        (-0.0646, -0.0422, -0.0400),
        (-0.0696, -0.0595, -0.0894),
        (-0.0799, -0.0208, -0.0375),
        (0.1166, 0.1627, 0.0962),
        (0.1165, 0.0432, 0.0407),
        (-0.2315, -0.1920, -0.1355),
        (-0.0270, 0.0401, -0.0821),
        (-0.0616, -0.0997, -0.0727),
        (0.0249, -0.0469, -0.1703),
    ),
    (0.0259, -0.0192, -0.0761),
)
SPACES = (STABLE_DIFFUSION, STABLE_DIFFUSION_XL, STABLE_DIFFUSION_3, FLUX, WAN, HUNYUAN_VIDEO)


def known_space(vae: Any) -> LatentSpace | None:
    """The space of an autoencoder's latents; `None` for one that is not among the known."""
    names, config = {kind.__name__ for kind in type(vae).__mro__}, vae.config
    for space in SPACES:
        # Statistics of each channel on top of the same scale make a space of its own (Playground 2.5).
        has_statistics = config.get("latents_mean") is not None
        if has_statistics != ("latents_mean" in space.config) or names.isdisjoint(space.classes):
            continue
        if all(_is_like(config.get(name), wanted) for name, wanted in space.config.items()):
            return space
    return None


def _is_like(found: Any, wanted: float | tuple[float, ...]) -> bool:
    if isinstance(wanted, tuple):
        is_list = isinstance(found, (list, tuple)) and len(found) >= len(wanted)
        return is_list and all(
            math.isclose(one, other, rel_tol=1e-4) for one, other in zip(found, wanted, strict=False)
        )
    return isinstance(found, (int, float)) and math.isclose(found, wanted, rel_tol=1e-4)


def cached_decoder(space: LatentSpace, device: torch.device) -> Any:
    """The distilled autoencoder of a space, on a device; `None` where it is not in the cache. Nothing is downloaded."""
    folder = None if space.distilled is None else find_folder(space.distilled, None)
    if folder is None:
        return None
    try:
        dtype = torch.float32 if device.type == "cpu" else torch.float16
        loaded = diffusers.AutoencoderTiny.from_pretrained(
            folder, torch_dtype=dtype, use_safetensors=True, local_files_only=True
        )
        return loaded.to(device).eval()
    except (OSError, ValueError, RuntimeError) as error:
        # A download that was broken off leaves half a model; there are other ways to show latents.
        logger.info("the small decoder %s cannot be used: %s", space.distilled, error)
        return None
