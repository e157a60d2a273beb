"""Caches inside a denoiser that skip what changes little from step to step: on for one step's calls, off after it."""

from __future__ import annotations

import contextlib
import importlib
import logging
from collections.abc import Mapping
from typing import Any

import diffusers
import torch

from dw_lsp.text.syntax_tree import Value
from dw_lsp.worker.engine.failures import describe
from dw_lsp.worker.engine.instruments import denoisers
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

logger = logging.getLogger(__name__)

#: Of each type of cache: its class in diffusers, and the members that are its own. Others' members have no effect.
TYPES: Mapping[str, tuple[str, frozenset[str]]] = {
    "first_block": ("FirstBlockCacheConfig", frozenset({"threshold"})),
    "faster": ("FasterCacheConfig", frozenset({"is_guidance_distilled"})),
    "mag": (
        "MagCacheConfig",
        frozenset({"threshold", "num_inference_steps", "max_skip_steps", "retention_ratio", "calibrate", "mag_ratios"}),
    ),
    "taylorseer": ("TaylorSeerCacheConfig", frozenset({"cache_interval", "max_order"})),
    "text_kv": ("TextKVCacheConfig", frozenset()),
}
_PATH = ("pipeline", "configuration", "cache")


def enable_cache(pipeline: Any, step: ResolvedStep, settings: Mapping[str, Value], undo: contextlib.ExitStack) -> None:
    """Switch a step's cache on in the models that denoise.

    Raises `InvalidInput` where the installed diffusers does not have it, or it does not take the settings.
    """
    definition = settings.get("cache")
    if not isinstance(definition, dict):
        return
    models = [(name, model) for name, model in denoisers(pipeline) if hasattr(model, "enable_cache")]
    if not models:
        logger.warning("`cache` has no effect: the models of %s have no such thing", type(pipeline).__name__)
    for name, model in models:
        try:
            model.enable_cache(_configuration(definition, pipeline, step))
        except InvalidInput:
            raise
        except Exception as error:  # Which models can do what, each kind of cache finds out in its own way.
            message = f"the cache {definition.get('type')!r} cannot be used in {name}: {describe(error)}"
            raise InvalidInput(message, step.place(*_PATH), step.name) from error
        undo.callback(model.disable_cache)


def _configuration(definition: Mapping[str, Value], pipeline: Any, step: ResolvedStep) -> Any:
    name, members = TYPES[str(definition["type"])]
    kind = getattr(diffusers, name, None)
    if kind is None:
        raise InvalidInput(
            f"the installed diffusers {diffusers.__version__} has no {name}",
            step.place(*_PATH),
            step.name,
            "Install a newer one, or remove `cache`.",
        )
    given: dict[str, Any] = {key: definition[key] for key in members & definition.keys()}
    if isinstance(given.get("mag_ratios"), str):
        given["mag_ratios"] = _ratios(str(given["mag_ratios"]), step)
    if name == "FasterCacheConfig":
        given["current_timestep_callback"] = lambda: getattr(pipeline, "current_timestep", None)
    return kind(**given)


def _ratios(name: str, step: ResolvedStep) -> torch.Tensor:
    module = importlib.import_module("diffusers.hooks.mag_cache")
    found = getattr(module, f"{name.upper()}_MAG_RATIOS", None)
    if not isinstance(found, torch.Tensor):
        known = [key.removesuffix("_MAG_RATIOS").lower() for key in vars(module) if key.endswith("_MAG_RATIOS")]
        place = step.place(*_PATH, "mag_ratios")
        raise InvalidInput(f"diffusers has no ratios named {name!r}; it has {', '.join(known)}", place, step.name)
    return found
