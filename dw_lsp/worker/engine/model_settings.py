"""What a step sets for models under their usual names (`vae`, `unet`, `transformer`): on for its calls, off after them.

The precision that may stand there too (`torch_dtype`) belongs to loading: the planner takes it to the keywords.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from typing import Any

import torch

from dw_lsp.text.syntax_tree import Value
from dw_lsp.worker.engine.failures import describe
from dw_lsp.worker.engine.trusted_types import TrustedTypes
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

logger = logging.getLogger(__name__)

#: What may be set, by the name of the model.
MODEL_SETTINGS: Mapping[str, frozenset[str]] = {
    "vae": frozenset({"enable_slicing", "enable_tiling", "channels_last", "torch_dtype"}),
    "unet": frozenset({"enable_forward_chunking", "channels_last", "torch_dtype", "attn_processor_type"}),
    "transformer": frozenset({"attn_processor_type"}),
    "text_encoder": frozenset({"torch_dtype"}),
}


def set_models(
    pipeline: Any, step: ResolvedStep, settings: Mapping[str, Value], types: TrustedTypes, undo: contextlib.ExitStack
) -> None:
    """Set what a step asks of its models.

    Raises `InvalidInput` for an attention processor that the model does not take.
    """
    for name in MODEL_SETTINGS:
        wanted, model = settings.get(name), getattr(pipeline, name, None)
        if not isinstance(wanted, dict) or not wanted:
            continue
        if model is None:
            logger.warning("this pipeline has no %s, so its settings have no effect", name)
            continue
        _switch(model, name, wanted, undo)
        if wanted.get("channels_last"):
            _reorder(model, undo)
        if wanted.get("enable_forward_chunking") and hasattr(model, "enable_forward_chunking"):
            model.enable_forward_chunking()
            undo.callback(model.disable_forward_chunking)
        processor = wanted.get("attn_processor_type")
        if isinstance(processor, str):
            _set_processor(model, name, processor, step, types, undo)


def _switch(model: Any, name: str, wanted: Mapping[str, Value], undo: contextlib.ExitStack) -> None:
    for key, attribute in (("enable_slicing", "use_slicing"), ("enable_tiling", "use_tiling")):
        if wanted.get(key) and not hasattr(model, key):
            logger.warning("this pipeline's %s cannot do %s", name, key)
        elif wanted.get(key) and not getattr(model, attribute, False):
            getattr(model, key)()
            undo.callback(getattr(model, key.replace("enable", "disable")))


def _reorder(model: torch.nn.Module, undo: contextlib.ExitStack) -> None:
    """Weights of convolutions in the order that some processors are faster with. Their values stay as they are."""
    model.to(memory_format=torch.channels_last)
    undo.callback(model.to, memory_format=torch.contiguous_format)


def _set_processor(
    model: Any, name: str, processor: str, step: ResolvedStep, types: TrustedTypes, undo: contextlib.ExitStack
) -> None:
    place = step.place("pipeline", "configuration", name, "attn_processor_type")
    if not hasattr(model, "set_attn_processor"):
        raise InvalidInput(f"{type(model).__name__} has no attention processors to choose", place, step.name)
    before = dict(model.attn_processors)
    try:
        model.set_attn_processor(types.value(processor)())
    except InvalidInput as error:
        raise InvalidInput(error.message, place, step.name, error.hint) from error
    except Exception as error:  # A class that is no processor fails in its own way.
        raise InvalidInput(f"{processor} is no attention processor: {describe(error)}", place, step.name) from error
    undo.callback(model.set_attn_processor, before)
