"""Where the components of a pipeline are during a step, and what is switched on in them: set before, undone after.

Components are shared by all steps, so each step finds them as if it were the only one.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
from collections.abc import Collection, Mapping
from typing import Any

import torch

from dw_lsp.planning.modular import offload_in
from dw_lsp.planning.placing import component_settings
from dw_lsp.text.syntax_tree import Range, Value
from dw_lsp.worker.engine.compiling import compile_model
from dw_lsp.worker.engine.devices import bring, named_device, scattered
from dw_lsp.worker.engine.modular import is_modular
from dw_lsp.worker.engine.offloading import bring_on_demand, offload_groups, one_by_one, take_turns
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

logger = logging.getLogger(__name__)


def place(
    pipeline: Any,
    step: ResolvedStep,
    settings: Mapping[str, Value],
    device: torch.device,
    undo: contextlib.ExitStack,
) -> None:
    """Bring a pipeline's components to where its step wants them.

    Arguments: `device` is the step's; `undo` gets what is to be done when the step is over.
    Raises `InvalidInput` when a component is named that the pipeline does not have.
    """
    offload = offload_in(settings)
    single = component_settings(step, settings)
    if offload and device.type == "cpu":
        logger.warning("`offload` has no effect on a CPU: everything is in host memory anyway")
        offload = None
    elif offload:
        # The text has only one of the two; what is offloaded after memory has run out may have had its own way before.
        single = {name: _without_own_offload(wanted) for name, wanted in single.items()}
    single.update(_in_groups(pipeline, single, settings.get("group_offload")))
    if is_modular(type(pipeline)):
        pipeline.step_device = device
    _compile(pipeline, single, step, undo)
    apart = {name for name, wanted in single.items() if _PLACED & wanted.keys()}
    inside = {name: _module_at(pipeline, name, step) for name in apart if "." in name}
    for name, wanted in single.items():
        module = _module_at(pipeline, name, step)
        if name in apart:
            _place_one(module, name, wanted, device, undo)
    if not offload:
        for name, component in _modules(pipeline).items():
            if name not in apart:
                _bring_around(component, [part for path, part in inside.items() if path.startswith(f"{name}.")], device)
    elif is_modular(type(pipeline)):
        offload_modular(pipeline, offload, settings, apart, device, undo)
    else:
        _offload(pipeline, step, offload, settings, device, undo)


def _without_own_offload(wanted: Mapping[str, Value]) -> dict[str, Value]:
    return {key: value for key, value in wanted.items() if key not in ("group_offload", "residency")}


def _in_groups(pipeline: Any, single: Mapping[str, Mapping[str, Value]], groups: Value) -> dict[str, dict[str, Value]]:
    """The settings of all models that are offloaded in groups because the step asks it of the whole pipeline."""
    if not isinstance(groups, dict) or not groups:
        return {}
    free = (name for name in _modules(pipeline) if not _PLACED & single.get(name, {}).keys())
    return {name: {**single.get(name, {}), "group_offload": groups} for name in free}


def _compile(
    pipeline: Any, single: Mapping[str, Mapping[str, Value]], step: ResolvedStep, undo: contextlib.ExitStack
) -> None:
    """First of all, so that what is hooked on later stays outside."""
    for name, wanted in single.items():
        options = wanted.get("compile")
        module = _module_at(pipeline, name, step) if isinstance(options, dict) else None
        if isinstance(options, dict) and module is not None:
            compile_model(module, name, options, step, undo)


def takes_turns(chosen: Any) -> bool:
    """Whether the models of a pipeline class can be offloaded one by one: it says in which order they compute."""
    return is_modular(chosen) or getattr(chosen, "model_cpu_offload_seq", None) is not None


def _offload(
    pipeline: Any,
    step: ResolvedStep,
    offload: str,
    settings: Mapping[str, Value],
    device: torch.device,
    undo: contextlib.ExitStack,
) -> None:
    if offload == "model" and not takes_turns(type(pipeline)):
        message = f"{type(pipeline).__name__} cannot be offloaded model by model: it does not say in which order"
        where = step.place("pipeline", "configuration", "offload")
        raise InvalidInput(message, where, step.name, 'Use "offload": "sequential".')
    undo.callback(pipeline.remove_all_hooks)
    for component in _modules(pipeline).values():
        # A model that comes to the device for its turn may not come as a whole.
        scattered(component)
        component.to("cpu")
    if offload == "sequential":
        excluded = settings.get("exclude_from_cpu_offload")
        if isinstance(excluded, list):
            pipeline._exclude_from_cpu_offload = [str(name) for name in excluded]
        pipeline.enable_sequential_cpu_offload(device=device)
    else:
        pipeline.enable_model_cpu_offload(device=device)


def offload_modular(
    pipeline: Any,
    offload: str,
    settings: Mapping[str, Value],
    apart: Collection[str],
    device: torch.device,
    undo: contextlib.ExitStack,
) -> None:
    """Offload a modular pipeline, which has no way of its own. Arguments: `apart` are components placed already."""
    modules = {name: module for name, module in _modules(pipeline).items() if name not in apart}
    if offload == "model":
        take_turns(modules.values(), device, undo)
        return
    excluded = settings.get("exclude_from_cpu_offload")
    staying = set(map(str, excluded)) if isinstance(excluded, list) else set()
    for name, module in modules.items():
        if name in staying:
            module.to(device)
        else:
            one_by_one(module, device, undo)


def _bring_around(module: torch.nn.Module, placed: Collection[Any], device: torch.device) -> None:
    if placed:
        scattered(module)
        _move_around(module, placed, device)
    else:
        bring(module, device)


def _move_around(module: torch.nn.Module, placed: Collection[Any], device: torch.device) -> None:
    """Bring a model to a device, but for parts of it that have a place of their own."""
    for child in module.children():
        if any(child is part for part in placed):
            continue
        if any(part in set(child.modules()) for part in placed):
            _move_around(child, placed, device)
        else:
            child.to(device)
    module._apply(lambda tensor: tensor.to(device), recurse=False)


#: Settings after which a component is where it is to be.
_PLACED = frozenset({"device", "preserve_device_placement", "group_offload", "residency"})


def _place_one(
    module: Any, name: str, wanted: Mapping[str, Value], device: torch.device, undo: contextlib.ExitStack
) -> None:
    if module is None:
        return
    named = wanted.get("device")
    if isinstance(named, str):
        device, warning = named_device(named, device)
        if warning:
            logger.warning(warning)
    groups, residency = wanted.get("group_offload"), wanted.get("residency")
    if device.type == "cpu" and (groups or residency == "on_demand"):
        logger.warning("%s: offloading has no effect on a CPU: everything is in host memory anyway", name)
    elif isinstance(groups, dict):
        offload_groups(module, groups, device, undo)
        return
    elif residency == "on_demand":
        bring_on_demand(module, device, undo)
        return
    if not wanted.get("preserve_device_placement"):
        bring(module, device)


def _module_at(pipeline: Any, path: str, step: ResolvedStep) -> Any:
    """The model at a name or dotted path; `None`, with a warning, for one that the pipeline has but not here.

    Raises `InvalidInput` for a name that the pipeline does not have.
    """
    name, _, inside = path.partition(".")
    known = pipeline.components
    if name not in known:
        message = f"{type(pipeline).__name__} has no component {name!r}; it has {', '.join(known)}"
        raise InvalidInput(message, step.place(*_path(path)), step.name)
    module = known[name]
    if module is None:
        logger.warning("the component %s is not loaded, so its settings have no effect", name)
    for part in inside.split(".") if inside and module is not None else ():
        module = getattr(module, part, None)
        if module is None:
            raise InvalidInput(f"{name} has no part {inside!r}", step.place(*_path(path)), step.name)
    return module


def _path(name: str) -> tuple[str, ...]:
    return ("pipeline", "configuration", "components", name)


def _modules(pipeline: Any) -> dict[str, torch.nn.Module]:
    return {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}


def set_state(pipeline: Any, step: ResolvedStep, settings: Mapping[str, Value], undo: contextlib.ExitStack) -> None:
    """Switches that belong to this step, on components that belong to all: each is set back afterwards."""
    _set_switches(pipeline, settings, undo)
    _set_attention(pipeline, step, settings, undo)
    for name, wanted in component_settings(step, settings).items():
        module = _module_at(pipeline, name, step)
        if module is not None:
            _set_one(module, name, wanted, step, undo)


def _set_one(
    module: Any, name: str, wanted: Mapping[str, Value], step: ResolvedStep, undo: contextlib.ExitStack
) -> None:
    tiling, backend = wanted.get("enable_tiling"), wanted.get("attention_backend")
    if tiling and not hasattr(module, "enable_tiling"):
        logger.warning("%s cannot do enable_tiling", name)
    elif tiling:
        _tile(module, tiling if isinstance(tiling, dict) else {}, step.place(*_path(name), "enable_tiling"), step, undo)
    if isinstance(backend, str):
        try:
            _attend_by(module, name, backend.lower(), undo)
        except (AttributeError, ImportError, ValueError, RuntimeError) as error:
            message = f"the attention backend {backend!r} cannot be used for {name}: {error}"
            raise InvalidInput(message, step.place(*_path(name), "attention_backend"), step.name) from error


def _tile(
    module: Any, options: Mapping[str, Value], where: Range, step: ResolvedStep, undo: contextlib.ExitStack
) -> None:
    """Switch tiling on, with sizes of its own; afterwards all is as it was."""
    before = {key: value for key, value in vars(module).items() if "til" in key}
    undo.callback(vars(module).update, before)
    try:
        module.enable_tiling(**options)
    except TypeError as error:
        raise InvalidInput(f"enable_tiling: {error}", where, step.name) from error


def _set_switches(pipeline: Any, settings: Mapping[str, Value], undo: contextlib.ExitStack) -> None:
    if settings.get("enable_attention_slicing") and not settings.get("disable_attention_slicing"):
        for module in _modules(pipeline).values():
            if hasattr(module, "attn_processors") and hasattr(module, "set_attn_processor"):
                undo.callback(_restore_attention, module, dict(module.attn_processors))
        for module in _modules(pipeline).values():
            if callable(getattr(module, "set_attention_slice", None)):
                module.set_attention_slice("auto")


def _set_attention(
    pipeline: Any, step: ResolvedStep, settings: Mapping[str, Value], undo: contextlib.ExitStack
) -> None:
    """Compute attention with the backend that the step names, where the models leave the choice open."""
    backend = settings.get("attention_backend")
    if not isinstance(backend, str):
        return
    try:
        dispatch = importlib.import_module("diffusers.models.attention_dispatch")
        undo.enter_context(dispatch.attention_backend(backend.lower()))
    except (ImportError, ValueError, RuntimeError) as error:
        place = step.place("pipeline", "configuration", "attention_backend")
        message = f"the attention backend {backend!r} cannot be used here: {error}"
        raise InvalidInput(message, place, step.name) from error
    if not any(map(_takes_backends, _modules(pipeline).values())):
        logger.warning("`attention_backend` has no effect: the models of this pipeline choose for themselves")


def _attend_by(module: Any, name: str, backend: str, undo: contextlib.ExitStack) -> None:
    """Compute one model's attention with a backend.

    diffusers makes it that of the whole process too. It is so until the step is over for models that ask for nothing
    else, and for no moment longer where each of the model's processors knows its own.
    """
    registry = importlib.import_module("diffusers.models.attention_dispatch")._AttentionBackendRegistry
    before, _ = registry.get_active_backend()
    undo.callback(registry.set_active_backend, before)
    module.set_attention_backend(backend)
    undo.callback(module.reset_attention_backend)
    if _has_own_backends(module):
        registry.set_active_backend(before)
    elif not _takes_backends(module):
        logger.warning("`attention_backend` has no effect on %s: it chooses for itself", name)


def _has_own_backends(module: Any) -> bool:
    processors = getattr(module, "attn_processors", {}).values()
    return any(hasattr(processor, "_attention_backend") for processor in processors)


def _takes_backends(module: Any) -> bool:
    """Whether a model leaves the choice of a backend open: to its processors, or to the process that it computes in."""
    return _has_own_backends(module) or hasattr(sys.modules[type(module).__module__], "dispatch_attention_fn")


def _restore_attention(module: Any, processors: dict[str, Any]) -> None:
    module.set_attn_processor(processors)
