"""Models compiled for a step: what was compiled once stays with its model, and is put in place for steps that ask.

A model's `forward` is replaced, not its call: hooks (offloading, caches, those that stop a run) stay outside of what is
compiled, so that they neither break it into pieces nor have it compiled anew.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from dw_lsp.text.syntax_tree import Value
from dw_lsp.worker.engine.failures import describe
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

logger = logging.getLogger(__name__)

#: Keywords of `torch.compile` that a workflow may give, and the kind of value of each.
OPTIONS: Mapping[str, type] = {"mode": str, "fullgraph": bool, "dynamic": bool, "repeated_blocks": bool}
#: Under this name a model keeps what was compiled of it, by the keywords.
_KEPT = "_compiled_forwards"
_Forward = Callable[..., Any]


def compile_model(
    module: torch.nn.Module, name: str, options: Mapping[str, Value], step: ResolvedStep, undo: contextlib.ExitStack
) -> None:
    """Have a model compute compiled until `undo`; it is compiled when it computes for the first time.

    Arguments: `options` as the step writes them; with `repeated_blocks` only the blocks that repeat are compiled.
    Raises `InvalidInput` for a model that says nothing of such blocks.
    """
    keywords = {key: value for key, value in options.items() if key != "repeated_blocks" and value is not None}
    modules = [module]
    if options.get("repeated_blocks"):
        modules = list(_repeated(module))
        if not modules:
            path = ("pipeline", "configuration", "components", name, "compile", "repeated_blocks")
            message = f"{type(module).__name__} does not say which of its blocks repeat"
            raise InvalidInput(message, step.place(*path), step.name, "Remove `repeated_blocks` to compile all of it.")
    for each in modules:
        before = vars(each).get("forward")
        each.forward = _compiled(each, name, keywords)
        undo.callback(_restore, each, before)


def computes_compiled(module: torch.nn.Module) -> bool:
    """Whether all of a model is one compiled piece at the moment, into which no hook should reach."""
    return vars(module).get("forward") in vars(module).get(_KEPT, {}).values()


def _repeated(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    names = getattr(module, "_repeated_blocks", None) or ()
    return (each for each in module.modules() if type(each).__name__ in names)


def _compiled(module: torch.nn.Module, name: str, keywords: Mapping[str, Value]) -> _Forward:
    kept: dict[Any, _Forward] = vars(module).setdefault(_KEPT, {})
    key = tuple(sorted(keywords.items()))
    if key not in kept:
        kept[key] = _guarded(module.forward, name, keywords)
    return kept[key]


def _guarded(forward: _Forward, name: str, keywords: Mapping[str, Any]) -> _Forward:
    """A compiled `forward`; where this machine cannot compile (no C compiler, say), it says so and computes as ever."""
    compiled = torch.compile(forward, **keywords)
    works = True

    @functools.wraps(forward)
    def call(*given: Any, **named: Any) -> Any:
        nonlocal works
        if not works:
            return forward(*given, **named)
        try:
            return compiled(*given, **named)
        except torch._dynamo.exc.TorchDynamoException as error:
            if keywords.get("fullgraph"):
                raise
            works = False
            logger.warning("%s cannot be compiled here and computes without: %s", name, describe(error))
            return forward(*given, **named)

    return call


def _restore(module: torch.nn.Module, before: _Forward | None) -> None:
    if before is not None:
        module.forward = before
    else:
        vars(module).pop("forward", None)
