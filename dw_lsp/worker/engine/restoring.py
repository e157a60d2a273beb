"""What pipelines change in shared models while they are called, and leave so when they are broken off: put back.

Pipelines cast autoencoders to other precisions, exchange attention processors, switch tiling on and turn tokenizers
round. Most undo it at the end of a call, which a cancel or an error does not reach; some never do.
"""

from __future__ import annotations

import contextlib
import logging
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from dw_lsp.worker.engine.failures import describe

logger = logging.getLogger(__name__)

#: What puts one kind of change back.
_Restore = Callable[[], None]
_Inside = tuple[weakref.ref[torch.nn.Module], ...]
_PLAIN = (bool, int, float, str, type(None))
#: The sides of a text that tokenizers fill up, and with what.
_OF_TOKENIZERS = ("padding_side", "pad_token")


@contextlib.contextmanager
def as_found(live: Mapping[str, Any], lose: Callable[[str], object]) -> Iterator[None]:
    """Afterwards components are as they were before, also when a call was broken off.

    Arguments: the components by name; `lose` is told the name of one that could not be put back.
    """
    narrowest = min((_width(each) for each in live.values() if isinstance(each, torch.nn.Module)), default=0)
    restores = [(name, restore) for name, component in live.items() for restore in _restores(component, narrowest)]
    try:
        yield
    finally:
        for name, restore in restores:
            try:
                restore()
            except (RuntimeError, MemoryError) as error:
                logger.warning("%s could not be put back after a call and is loaded anew: %s", name, describe(error))
                lose(name)


def _restores(component: Any, narrowest: int) -> Iterator[_Restore]:
    if not isinstance(component, torch.nn.Module):
        if hasattr(component, "padding_side"):
            yield _attributes(component, {name: getattr(component, name, None) for name in _OF_TOKENIZERS})
        return
    attentions = _attentions(component)
    if attentions:
        yield _processors(attentions)
    if callable(getattr(component, "decode", None)):
        # Only what stands between pictures and latents is cast, for the range of its numbers.
        yield _attributes(component, {name: each for name, each in vars(component).items() if type(each) in _PLAIN})
        yield _precision(component, narrowest)


def _attributes(owner: Any, before: Mapping[str, Any]) -> _Restore:
    def restore() -> None:
        for name, value in before.items():
            if getattr(owner, name, None) != value:
                setattr(owner, name, value)

    return restore


# ---------------------------------------------------------------- attention

#: Found once for each model, as long as it lives; none of it is kept alive, or it would outlast the model.
_ATTENTIONS: weakref.WeakKeyDictionary[torch.nn.Module, _Inside] = weakref.WeakKeyDictionary()


def _attentions(model: torch.nn.Module) -> list[Any]:
    if model not in _ATTENTIONS:
        inner = (module for module in model.modules() if module is not model)
        found = (module for module in inner if callable(getattr(module, "set_processor", None)))
        _ATTENTIONS[model] = tuple(map(weakref.ref, found))
    return _alive(_ATTENTIONS[model])


def _alive(inside: _Inside) -> list[Any]:
    return [module for each in inside if (module := each()) is not None]


def _processors(attentions: list[Any]) -> _Restore:
    before = [attention.processor for attention in attentions]

    def restore() -> None:
        for attention, processor in zip(attentions, before, strict=True):
            if attention.processor is not processor:
                attention.set_processor(processor)

    return restore


# ---------------------------------------------------------------- precision

#: The modules of an autoencoder that have parameters or buffers; found once for each, as long as it lives.
_HOLDING: weakref.WeakKeyDictionary[torch.nn.Module, _Inside] = weakref.WeakKeyDictionary()


def _width(model: torch.nn.Module) -> int:
    """Bytes of one of a model's numbers."""
    return next((each.element_size() for each in model.parameters() if each.is_floating_point()), 8)


def _tensors(model: torch.nn.Module) -> Iterator[dict[str, Any]]:
    if model not in _HOLDING:
        holding = (module for module in model.modules() if module._parameters or module._buffers)
        _HOLDING[model] = tuple(map(weakref.ref, holding))
    for module in _alive(_HOLDING[model]):
        yield module._parameters
        yield module._buffers


def _precision(model: torch.nn.Module, narrowest: int) -> _Restore:
    """What gives a model's tensors back the precision, and the values, that they have now.

    A wider precision holds all values of a narrower one. Where other models of the pipeline have a narrower one, it may
    be that which this one gets; so its tensors are kept until the call is over.
    """
    kept = _width(model) > narrowest
    before = [
        (named, name, tensor.dtype, tensor.data if kept else None)
        for named in _tensors(model)
        for name, tensor in named.items()
        if tensor is not None
    ]

    def restore() -> None:
        for named, name, dtype, data in before:
            tensor = named.get(name)
            if tensor is not None and tensor.dtype != dtype:
                tensor.data = tensor.data.to(dtype) if data is None else data.to(tensor.device)

    return restore
