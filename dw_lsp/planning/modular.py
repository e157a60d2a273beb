"""Modular pipelines: how a step's text says what of a model is loaded, and how, in the words of ordinary pipelines."""

from __future__ import annotations

from collections.abc import Mapping

from dw_lsp.text.syntax_tree import Value

#: Members of a configuration that only modular pipelines have.
MODULAR_SETTINGS = frozenset({"load_components", "configs", "components_manager"})
#: Keywords of `from_pretrained` that choose among a modular model's parts, and say nothing about any one of them.
CHOOSING = frozenset({"workflow"})
#: Members of `load_components` that are keywords of each part's own loading.
_PASSED_ON = ("variant", "low_cpu_mem_usage", "use_safetensors")


def is_modular(class_name: str) -> bool:
    """Whether a pipeline class of that name is a modular one."""
    return class_name.rpartition(".")[2].endswith("ModularPipeline")


def modular_loading(configuration: Mapping[str, Value], keywords: Mapping[str, Value]) -> dict[str, Value]:
    """The keywords with which a modular pipeline's parts are loaded, named as an ordinary pipeline names them.

    Arguments: the step's `configuration`, and its `from_pretrained_arguments` besides the model's name.
    """
    wanted = load_components(configuration)
    found = dict(keywords)
    for key in ("torch_dtype", "dtype"):
        if key in wanted:
            found["torch_dtype"] = wanted[key]
    found.update({key: wanted[key] for key in _PASSED_ON if key in wanted})
    return found


def load_components(configuration: Mapping[str, Value]) -> Mapping[str, Value]:
    """What a configuration says of the loading of parts."""
    wanted = configuration.get("load_components")
    return wanted if isinstance(wanted, dict) else {}


def quantized_parts(configuration: Mapping[str, Value]) -> dict[str, Value]:
    """Which parts are quantized as they are loaded, and how: definitions by the part's name."""
    wanted = load_components(configuration).get("quantization_config")
    return {name: value for name, value in wanted.items() if value} if isinstance(wanted, dict) else {}


def chosen_names(configuration: Mapping[str, Value]) -> frozenset[str] | None:
    """The names of the parts that are loaded; `None` if no choice is made."""
    names = load_components(configuration).get("names")
    if isinstance(names, str):
        return frozenset({names})
    return frozenset(map(str, names)) if isinstance(names, list) else None


def offload_in(configuration: Mapping[str, Value]) -> str | None:
    """The offload that a configuration asks for: "model" or "sequential"; a components manager does the former."""
    offload, manager = configuration.get("offload"), configuration.get("components_manager")
    if isinstance(offload, str):
        return offload
    return "model" if isinstance(manager, dict) and manager.get("enable_auto_cpu_offload") is True else None
