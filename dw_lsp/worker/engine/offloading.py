"""Models that rest in host memory and come to a device only when they compute: whole, in groups of layers, in turns."""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from dw_lsp.text.syntax_tree import Value
from dw_lsp.worker.engine.devices import synchronize
from dw_lsp.worker.engine.prompts import replaced

_HOST = torch.device("cpu")
#: Methods by which pipelines let a model compute.
_COMPUTING = ("forward", "encode", "decode", "generate")


def offload_groups(module: Any, options: Mapping[str, Value], device: torch.device, undo: contextlib.ExitStack) -> None:
    """Let groups of a model's layers come to a device one after another, as diffusers does it."""
    hooks = importlib.import_module("diffusers.hooks.group_offloading")
    given = {key: value for key, value in options.items() if key not in ("onload_device", "offload_device")}
    onload, offload = (
        str(options.get(key) or usual) for key, usual in (("onload_device", device), ("offload_device", "cpu"))
    )
    module.to(offload)
    hooks.apply_group_offloading(
        module, onload_device=torch.device(onload), offload_device=torch.device(offload), **given
    )
    undo.callback(_remove_groups, module, torch.device(onload))


def _remove_groups(module: Any, device: torch.device) -> None:
    # A call that was broken off may have left a group on its way there, on a stream of its own: weights that are read
    # before they have arrived would be taken for the model's ever after.
    synchronize(device)
    hooks = importlib.import_module("diffusers.hooks.group_offloading")
    registry = importlib.import_module("diffusers.hooks").HookRegistry.check_if_exists_or_initialize(module)
    for name in ("_GROUP_OFFLOADING", "_LAYER_EXECUTION_TRACKER", "_LAZY_PREFETCH_GROUP_OFFLOADING"):
        if hasattr(hooks, name):
            registry.remove_hook(getattr(hooks, name), recurse=True)
    module.to(_HOST)


def bring_on_demand(module: Any, device: torch.device, undo: contextlib.ExitStack) -> None:
    """Let a model rest in host memory and be on a device only while it computes."""
    module.to(_HOST)

    def brought(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                module.to(device)
                return function(*args, **kwargs)
            finally:
                module.to(_HOST)

        return call

    for name in _COMPUTING:
        if callable(getattr(module, name, None)):
            undo.enter_context(replaced(module, name, brought(getattr(module, name))))


def take_turns(modules: Iterable[Any], device: torch.device, undo: contextlib.ExitStack) -> None:
    """Let one model at a time be on a device: the one that computes; it stays until another one's turn."""
    current: Any = None

    def brought(module: Any, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal current
            if current is not module:
                if current is not None:
                    current.to(_HOST)
                current = module
                module.to(device)
            return function(*args, **kwargs)

        return call

    for module in modules:
        module.to(_HOST)
        undo.callback(module.to, _HOST)
        for name in _COMPUTING:
            if callable(getattr(module, name, None)):
                undo.enter_context(replaced(module, name, brought(module, getattr(module, name))))


def one_by_one(module: Any, device: torch.device, undo: contextlib.ExitStack) -> None:
    """Let the layers of a model come to a device one by one, as accelerate does it."""
    accelerate = importlib.import_module("accelerate")
    module.to(_HOST)
    accelerate.cpu_offload(module, device, offload_buffers=bool(module._parameters))
    undo.callback(_without_hooks, module)


def _without_hooks(module: Any) -> None:
    hooks = importlib.import_module("accelerate.hooks")
    hooks.remove_hook_from_module(module, recurse=True)
    module.to(_HOST)
