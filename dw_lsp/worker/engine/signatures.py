"""What a pipeline's call costs in Python alone, and need not: signatures that are asked for again and again."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

_Method = Callable[..., Any]
#: Found once for each model: what its attention processors are called by.
_CALLED: weakref.WeakKeyDictionary[torch.nn.Module, frozenset[_Method]] = weakref.WeakKeyDictionary()
_SIGNATURES: dict[_Method, inspect.Signature] = {}


@contextmanager
def signatures_known(models: Iterable[torch.nn.Module]) -> Iterator[None]:
    """While it lasts, the signatures of the models' attention processors are known.

    diffusers works them out in every attention layer of every step, 10 us each time; `__signature__` is where Python
    looks first. A method that has one already is left alone, and so are processors that come later.
    """
    methods = {method for model in models for method in _called(model) if "__signature__" not in vars(method)}
    for method in methods:
        method.__signature__ = _SIGNATURES[method]  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for method in methods:
            del method.__signature__  # type: ignore[attr-defined]


def _called(model: torch.nn.Module) -> frozenset[_Method]:
    if model not in _CALLED:
        kinds = {type(part.processor) for part in model.modules() if hasattr(part, "processor")}
        found = frozenset(kind.__call__ for kind in kinds if inspect.isfunction(kind.__call__))
        _SIGNATURES.update({method: inspect.signature(method) for method in found})
        _CALLED[model] = found
    return _CALLED[model]
