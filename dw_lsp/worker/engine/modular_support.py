"""What a modular pipeline's configuration may ask for besides what every pipeline's may."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from dw_lsp.planning.modular import load_components
from dw_lsp.text.syntax_tree import Value
from dw_lsp.worker.engine.refusals import object_at, only, refuse
from dw_lsp.workflow.resolved import ResolvedStep

logger = logging.getLogger(__name__)

#: Members of `load_components`. Where a part is placed is this engine's own work, so `device_map` says nothing more.
LOADING = frozenset(
    {
        "names",
        "dtype",
        "torch_dtype",
        "quantization_config",
        "variant",
        "low_cpu_mem_usage",
        "use_safetensors",
        "device_map",
        "trust_remote_code",
    }
)
#: Those of them that may differ from part to part.
_BY_PART = frozenset({"dtype", "torch_dtype", "quantization_config"})
_MANAGER = frozenset({"enable_auto_cpu_offload", "memory_reserve_margin"})


def check_modular_settings(step: ResolvedStep, configuration: Mapping[str, Value]) -> None:
    """Raise `InvalidInput` for the first thing in a modular pipeline's own settings that cannot be carried out."""
    path = ("pipeline", "configuration", "load_components")
    loading = object_at(step, configuration.get("load_components"), path)
    only(step, loading, LOADING, path)
    names = loading.get("names")
    listed = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not listed and not isinstance(names, (str, type(None))):
        raise refuse(step, (*path, "names"), "`names` should be a list of component names")
    for key in loading.keys() - _BY_PART:
        if isinstance(loading[key], dict):
            raise refuse(step, (*path, key), f"`{key}` is the same for all components; it is no object")
    for name, definition in object_at(step, loading.get("quantization_config"), (*path, "quantization_config")).items():
        object_at(step, definition, (*path, "quantization_config", name))
    object_at(step, configuration.get("configs"), (*path[:2], "configs"))
    _check_manager(step, configuration)


def _check_manager(step: ResolvedStep, configuration: Mapping[str, Value]) -> None:
    path = ("pipeline", "configuration", "components_manager")
    manager = object_at(step, configuration.get("components_manager"), path)
    only(step, manager, _MANAGER, path)
    wanted = manager.get("enable_auto_cpu_offload")
    if not isinstance(wanted, (bool, type(None))):
        raise refuse(step, (*path, "enable_auto_cpu_offload"), "`enable_auto_cpu_offload` is true or false")
    if "memory_reserve_margin" in manager:
        logger.warning("`memory_reserve_margin` has no effect: dw.memory.budget says how much memory may be filled")


def dtype_path(configuration: Mapping[str, Value]) -> tuple[str, ...]:
    """Where the text says of what precision the parts are."""
    wanted = load_components(configuration)
    for key in ("dtype", "torch_dtype"):
        if key in wanted:
            return ("pipeline", "configuration", "load_components", key)
    return ("pipeline", "from_pretrained_arguments", "torch_dtype")
