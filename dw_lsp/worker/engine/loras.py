"""LoRAs in live models: brought in, weighted, switched off and taken out, always by difference to what is there.

Models are shared by all pipelines, so what is in them is set before each call. A LoRA that the next call does not want
is switched off, not taken out: wanting it again loads nothing, and without it each layer does what it did before.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import torch

from dw_lsp.planning.loras import RequiredLora
from dw_lsp.protocol import Component
from dw_lsp.worker.engine.components import Components, device_of
from dw_lsp.worker.engine.failures import describe
from dw_lsp.worker.engine.out_of_memory import is_out_of_memory
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

logger = logging.getLogger(__name__)

#: LoRAs that are kept in one model though the current call does not want them.
MOST_IDLE = 4
#: What a model was set to: the names of its active LoRAs, each with its weight and alpha, in order.
_Settings = tuple[tuple[str, float, float | None], ...]


class Loras:
    """Which LoRAs are in which live models. A model that is dropped takes its own along."""

    def __init__(self) -> None:
        # Of each model: the keys it was offered, least recently used first, and what of them is in it, if anything.
        self._offered: WeakKeyDictionary[torch.nn.Module, dict[str, Component | None]] = WeakKeyDictionary()
        self._set: WeakKeyDictionary[torch.nn.Module, _Settings] = WeakKeyDictionary()
        self._alphas: WeakKeyDictionary[torch.nn.Module, dict[str, float]] = WeakKeyDictionary()

    def bring(
        self,
        pipeline: Any,
        step: ResolvedStep,
        loras: Sequence[RequiredLora],
        keys: Mapping[str, str],
        components: Components,
    ) -> tuple[tuple[Component, ...], tuple[Component, ...]]:
        """Load those LoRAs of a step that its models do not have. Returns what was loaded, and what was there.

        Arguments: `keys` are those of the pipeline's components, by name. Raises `InvalidInput` when a file is no LoRA
        for this pipeline.
        """
        loaded: list[Component] = []
        reused: list[Component] = []
        models = _models(pipeline)
        for lora in loras:
            if all(lora.key in self._offered.get(model, {}) for model in models.values()):
                for model in models.values():
                    self._offered[model][lora.key] = self._offered[model].pop(lora.key)
                reused.append(_whole([self._offered[model][lora.key] for model in models.values()]))
                continue
            # One of them may have it from a pipeline with other models, which keep it.
            self._take_from(models, keys, lora.key, components)
            loaded.append(self._load(pipeline, step, lora, models, keys, components))
        self._limit(models, keys, {lora.key for lora in loras}, components)
        return tuple(loaded), tuple(each for each in reused if each.key not in {new.key for new in loaded})

    def activate(self, pipeline: Any, loras: Sequence[RequiredLora]) -> None:
        """Make these the active LoRAs of a pipeline's models, with their weights; all others are switched off."""
        for model in pipeline.components.values():
            if not isinstance(model, torch.nn.Module) or model not in self._offered:
                continue
            offered = self._offered[model]
            wanted = _settings([lora for lora in loras if offered.get(lora.key)])
            if self._set.get(model) != wanted:
                self._set.pop(model, None)
                self._apply(model, wanted)
                self._set[model] = wanted

    def state_of(self, model: torch.nn.Module) -> str:
        """What a model was set to, as text."""
        return str(self._set.get(model, ()))

    def unsure(self, pipeline: Any) -> None:
        """Set a pipeline's models anew before their next call: something else may have changed the weights."""
        for model in pipeline.components.values():
            if isinstance(model, torch.nn.Module):
                self._set.pop(model, None)

    def take_out(self, key: str, components: Components) -> bool:
        """Remove one LoRA from all models. Returns whether it was in any."""
        holders = [model for model, offered in self._offered.items() if offered.get(key)]
        for model in holders:
            self._forget(model, key)
        if holders:
            components.take_out(key)
        return bool(holders)

    def _take_from(
        self, models: Mapping[str, torch.nn.Module], keys: Mapping[str, str], key: str, components: Components
    ) -> None:
        """Remove one LoRA from some models. Arguments: `keys` are those of the components, by name."""
        for part, model in models.items():
            if self._forget(model, key):
                components.take_out(key, keys[part])

    def _forget(self, model: torch.nn.Module, key: str) -> bool:
        if self._offered.get(model, {}).pop(key, None) is None:
            return False
        _remove(model, _name(key))
        self._set.pop(model, None)
        return True

    def _load(
        self,
        pipeline: Any,
        step: ResolvedStep,
        lora: RequiredLora,
        models: Mapping[str, torch.nn.Module],
        keys: Mapping[str, str],
        components: Components,
    ) -> Component:
        started, name, file = time.monotonic(), _name(lora.key), lora.file
        if file is None:
            raise RuntimeError("a LoRA is loaded before its file is there")
        before = {part: {id(each) for each in model.parameters()} for part, model in models.items()}
        place = step.place("pipeline", "loras", lora.index)
        try:
            pipeline.load_lora_weights(
                str(file.parent), weight_name=file.name, adapter_name=name, local_files_only=True, **lora.options
            )
        except BaseException as error:
            for model in models.values():
                _remove(model, name)
                self._set.pop(model, None)
            if is_out_of_memory(error) or not isinstance(
                error, (ValueError, KeyError, RuntimeError, TypeError, OSError)
            ):
                raise
            message = f"{file.name} cannot be loaded as a LoRA of {type(pipeline).__name__}: {_cause(error)}"
            raise InvalidInput(message, place, step.name, "Check that it was made for this kind of model.") from error
        affected = {part: model for part, model in models.items() if name in getattr(model, "peft_config", {})}
        if not affected:
            message = f"{file.name} has no weights for any model of {type(pipeline).__name__}"
            raise InvalidInput(message, place, step.name, "Check that it was made for this kind of model.")
        seconds = time.monotonic() - started
        for part, model in models.items():
            record = None
            if part in affected:
                size = sum(each.numel() * each.element_size() for each in _weights(model, name))
                record = Component(lora.key, lora.name, "LoRA", size, device_of(model), seconds)
                components.put_inside(keys[part], record)
            self._offered.setdefault(model, {})[lora.key] = record
            self._set.pop(model, None)
            if not before[part] <= {id(each) for each in model.parameters()}:
                # It has replaced weights of the model itself, which is then no longer what its key says.
                components.drop(keys[part])
        return _whole([self._offered[model][lora.key] for model in models.values()])

    def _apply(self, model: torch.nn.Module, wanted: _Settings) -> None:
        names = [name for name, _, _ in wanted]
        for layer in _layers(model):
            layer.enable_adapters(enabled=bool(wanted))
            if not wanted:
                continue
            layer.set_adapter(names)
            own = self._alphas.setdefault(layer, {})
            for name, scale, alpha in wanted:
                if name not in getattr(layer, "lora_alpha", {}):
                    continue
                layer.lora_alpha[name] = own.setdefault(name, layer.lora_alpha[name]) if alpha is None else alpha
                layer.set_scale(name, scale)

    def _limit(
        self,
        models: Mapping[str, torch.nn.Module],
        keys: Mapping[str, str],
        wanted: set[str],
        components: Components,
    ) -> None:
        """Take out what was not wanted for longest, so that models do not grow with each LoRA that is tried."""
        for part, model in models.items():
            idle = [key for key, inside in self._offered.get(model, {}).items() if inside and key not in wanted]
            for key in idle[: max(0, len(idle) - MOST_IDLE)]:
                self._take_from({part: model}, keys, key, components)


def check_loras(step: ResolvedStep, chosen: Any, loras: Sequence[RequiredLora], automatic: bool) -> None:
    """Raise `InvalidInput` when LoRAs are wanted and cannot be had: the class takes none, or peft is not installed."""
    if not loras:
        return
    place = step.place("pipeline", "loras")
    if not automatic and not hasattr(chosen, "load_lora_weights"):
        raise InvalidInput(f"{chosen.__name__} takes no LoRAs", place, step.name, "Remove `loras`.")
    if importlib.util.find_spec("peft") is None:
        message = "LoRAs need the package peft, which the worker's Python does not have"
        raise InvalidInput(message, place, step.name, "Install it there: pip install peft")


def _whole(parts: Sequence[Component | None]) -> Component:
    """A LoRA in the models of one pipeline, of which each may have a part."""
    inside = [part for part in parts if part is not None]
    return replace(inside[0], bytes=sum(part.bytes for part in inside))


def _settings(loras: Sequence[RequiredLora]) -> _Settings:
    """One LoRA named twice counts once, with the sum of its weights."""
    found: dict[str, tuple[float, float | None]] = {}
    for lora in loras:
        scale, _ = found.get(_name(lora.key), (0.0, None))
        found[_name(lora.key)] = (scale + lora.scale, lora.alpha)
    return tuple((name, scale, alpha) for name, (scale, alpha) in found.items())


def _name(key: str) -> str:
    """The name of a LoRA inside models: by its content, since names that workflows give may mean another file."""
    return key.replace(":", "_")


def _models(pipeline: Any) -> dict[str, torch.nn.Module]:
    """The models of a pipeline that LoRAs go into."""
    names = getattr(pipeline, "_lora_loadable_modules", ())
    found = {name: getattr(pipeline, name, None) for name in names}
    return {name: model for name, model in found.items() if isinstance(model, torch.nn.Module)}


def _layers(model: torch.nn.Module) -> Iterator[Any]:
    """The layers of a model that LoRAs have been put around."""
    tuners = importlib.import_module("peft.tuners.tuners_utils")
    for layer in model.modules():
        if isinstance(layer, tuners.BaseTunerLayer):
            yield layer


def _weights(model: torch.nn.Module, name: str) -> Iterator[torch.nn.Parameter]:
    for path, parameter in model.named_parameters():
        if f".{name}." in path or path.endswith(f".{name}"):
            yield parameter


def _cause(error: BaseException) -> str:
    """What went wrong first: diffusers fails once more, with another error, while it clears up."""
    while isinstance(error, KeyError) and error.__context__ is not None:
        error = error.__context__
    return describe(error).splitlines()[0]


def _remove(model: torch.nn.Module, name: str) -> None:
    """Remove a LoRA's layers from a model, also where its loading was broken off."""
    if name not in getattr(model, "peft_config", {}):
        return
    functions = importlib.import_module("diffusers.utils.peft_utils")
    functions.delete_adapter_layers(model, name)
    getattr(model, "peft_config", {}).pop(name, None)
