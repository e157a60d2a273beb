"""Quantization of one component: from what a workflow writes to the object that a library's loader takes.

What is quantized how is part of a component's key, so a quantized model lies in memory beside the plain one.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import inspect
import logging
from collections.abc import Mapping
from typing import Any

import torch

from dw_lsp.text.syntax_tree import Value
from dw_lsp.worker.engine.arguments import Arguments
from dw_lsp.worker.engine.failures import describe
from dw_lsp.worker.engine.trusted_types import TrustedTypes, install
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

logger = logging.getLogger(__name__)

#: Methods whose kernels a processor does not have.
_NEED_A_GPU = frozenset({"bitsandbytes", "awq", "gptq"})
#: What TorchAO's ways to quantize were called before each became a class of `torchao.quantization`.
TORCHAO_TYPES = {
    "int8wo": "Int8WeightOnlyConfig",
    "int8_weight_only": "Int8WeightOnlyConfig",
    "int4wo": "Int4WeightOnlyConfig",
    "int4_weight_only": "Int4WeightOnlyConfig",
    "int8dq": "Int8DynamicActivationInt8WeightConfig",
    "int8_dynamic_activation_int8_weight": "Int8DynamicActivationInt8WeightConfig",
    "float8wo": "Float8WeightOnlyConfig",
    "float8wo_e4m3": "Float8WeightOnlyConfig",
    "float8_weight_only": "Float8WeightOnlyConfig",
    "float8dq": "Float8DynamicActivationFloat8WeightConfig",
    "float8dq_e4m3": "Float8DynamicActivationFloat8WeightConfig",
    "float8_dynamic_activation_float8_weight": "Float8DynamicActivationFloat8WeightConfig",
}
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
    if isinstance(arguments.get("quant_type"), str):
        arguments = _with_torchao_class(kind, arguments, types)
    try:
        made = kind(**{key: _made(value) for key, value in arguments.items()})
    except importlib.metadata.PackageNotFoundError as error:
        message = f"{name} needs the package {error.name}, which the worker's Python does not have"
        raise InvalidInput(message, hint=install(error.name)) from error
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


def _with_torchao_class(kind: Any, arguments: Mapping[str, Any], types: TrustedTypes) -> dict[str, Any]:
    """Arguments in which a text as TorchAO's `quant_type` is the object it stands for, made with what belongs to it."""
    text = str(arguments["quant_type"])
    if text not in TORCHAO_TYPES:
        known = ", ".join(f"{{{name}}}" for name in TORCHAO_TYPES)
        message = f"{text!r} is no `quant_type`: it is a class of torchao.quantization, or one of {known}"
        raise InvalidInput(message)
    chosen = types.value(f"torchao.quantization.{TORCHAO_TYPES[text]}")
    own = inspect.signature(kind.__init__).parameters
    others = {name: value for name, value in arguments.items() if name not in own}
    try:
        made = chosen(**others)
    except TypeError as error:
        raise InvalidInput(f"`quant_type` {text!r} does not take these arguments: {describe(error)}") from error
    return {**{name: value for name, value in arguments.items() if name in own}, "quant_type": made}


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


def multiply_quantized(
    models: Mapping[str, Any], step: ResolvedStep, names: Value, device: torch.device, undo: contextlib.ExitStack
) -> None:
    """Have models that SDNQ has quantized multiply their integers, instead of the numbers that these stand for.

    Arguments: `models` are the pipeline's components by name; `names` those that are meant; it is switched back by
    `undo`. Raises `InvalidInput` for a name that the pipeline does not have.
    """
    for name in names if isinstance(names, list) else ():
        if name not in models:
            message = f"this pipeline has no component {name!r}; it has {', '.join(models)}"
            raise InvalidInput(message, step.place("pipeline", "configuration", "sdnq_optimize"), step.name)
        model = models[str(name)]
        if device.type in ("cpu", "mps"):
            logger.warning("`sdnq_optimize` has no effect on %s", device.type)
        elif not _is_of_sdnq(model):
            logger.warning("`sdnq_optimize` has no effect on %s: it is not quantized by SDNQ", name)
        else:
            _switch_products(model, undo)


def _is_of_sdnq(model: Any) -> bool:
    return type(getattr(model, "quantization_config", None)).__module__.partition(".")[0] == "sdnq"


def _switch_products(model: Any, undo: contextlib.ExitStack) -> None:
    apply = importlib.import_module("sdnq.loader").apply_sdnq_options_to_model
    before = bool(model.quantization_config.use_quantized_matmul)
    apply(model, use_quantized_matmul=True)
    undo.callback(apply, model, use_quantized_matmul=before)
