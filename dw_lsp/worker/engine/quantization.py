"""Quantization of one component: from what a workflow writes to the object that a library's loader takes.

What is quantized how is part of a component's key, so a quantized model lies in memory beside the plain one.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import torch

from dw_lsp.text.syntax_tree import Value
from dw_lsp.worker.engine.arguments import Arguments
from dw_lsp.worker.engine.failures import describe
from dw_lsp.worker.engine.trusted_types import TrustedTypes
from dw_lsp.workflow.resolved import InvalidInput

#: Methods whose kernels a processor does not have.
_NEED_A_GPU = frozenset({"bitsandbytes", "awq", "gptq"})
#: Modules with the base classes of what configures a quantization.
_BASES = ("diffusers.quantizers.quantization_config", "transformers.utils.quantization_config")


def quantization_of(
    definition: Value, component: Any, types: TrustedTypes, values: Arguments, device: torch.device
) -> Any:
    """The object that tells a loader how to quantize; `None` where a component defines nothing of the kind.

    Arguments: `component` is the class that is to be loaded; `device` is where it will compute.
    Raises `InvalidInput` when the class configures no quantization, is not installed, or does not take the arguments.
    """
    if definition is None:
        return None
    if not isinstance(definition, dict):
        raise InvalidInput("`quantization_config` should be an object")
    configuration = definition.get("configuration")
    name = configuration.get("config_type") if isinstance(configuration, dict) else None
    if not isinstance(name, str):
        raise InvalidInput("`quantization_config` needs a `configuration` with `config_type`, the name of its class")
    kind = _fitting(types.value(name), component)
    if not (inspect.isclass(kind) and issubclass(kind, _bases())):
        raise InvalidInput(f"{name} configures no quantization", hint="Use BitsAndBytesConfig, TorchAoConfig, ...")
    given = definition.get("arguments")
    arguments = values.live(given if isinstance(given, dict) else {})
    try:
        made = kind(**{key: _made(value) for key, value in arguments.items()})
    except Exception as error:  # Each library checks in its own way.
        raise InvalidInput(f"{name} cannot be made with these arguments: {describe(error)}") from error
    _check_device(made, name, device)
    return made


def _fitting(kind: Any, component: Any) -> Any:
    """The class of the library that loads the component: diffusers and transformers have some under the same name."""
    library = component.__module__.partition(".")[0]
    if inspect.isclass(kind) and kind.__module__.partition(".")[0] == "diffusers" and library == "transformers":
        return getattr(importlib.import_module("transformers"), kind.__name__, kind)
    return kind


def _bases() -> tuple[type, ...]:
    found = (importlib.import_module(module) for module in _BASES)
    return tuple(module.QuantizationConfigMixin for module in found)


def _made(value: Any) -> Any:
    """A class stands for an object of its own with no arguments, as in `quant_type`; a dtype for itself."""
    return value() if inspect.isclass(value) else value


def _check_device(made: Any, name: str, device: torch.device) -> None:
    method = getattr(made, "quant_method", "")
    method = str(getattr(method, "value", method))
    if device.type == "cpu" and method in _NEED_A_GPU:
        raise InvalidInput(
            f"{name} quantizes with {method}, which needs a GPU; this machine computes on its processor",
            hint="Remove `quantization_config` here, or use one that runs anywhere: TorchAoConfig with "
            "torchao.quantization.Int8WeightOnlyConfig, or sdnq.SDNQConfig.",
        )
