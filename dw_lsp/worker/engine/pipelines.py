"""From components to a pipeline: which it needs, loading the missing ones, putting it together anew for each step."""

from __future__ import annotations

import functools
import inspect
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import diffusers
import torch

from dw_lsp.planning.ip_adapters import RequiredIpAdapter
from dw_lsp.planning.loras import RequiredLora
from dw_lsp.planning.requirements import RequiredComponent, RequiredPipeline, required_pipeline
from dw_lsp.planning.taken_parts import lacks
from dw_lsp.protocol import Component
from dw_lsp.worker.engine.components import Components, Resident, settle_garbage
from dw_lsp.worker.engine.loading import Loader
from dw_lsp.worker.engine.modular import assemble_modular, is_modular, modular_class, shape_of
from dw_lsp.worker.engine.room import Room
from dw_lsp.worker.engine.schedulers import defined_schedulers, fresh_schedulers
from dw_lsp.worker.engine.trusted_types import TrustedTypes
from dw_lsp.workflow.identity import component_key
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

logger = logging.getLogger(__name__)

MODEL_INDEX = "model_index.json"
#: Keywords of `from_pretrained` that this engine passes to the loading of each component.
LOADING_KEYWORDS = frozenset(
    {"torch_dtype", "variant", "revision", "use_safetensors", "low_cpu_mem_usage", "local_files_only", "subfolder"}
)


@dataclass(frozen=True)
class Loaded:
    """What a pipeline is made of: its components by name, which of them had to be loaded, and how long it took.

    `loras` and `ip_adapter` are those that its calls want; its models have them already. `originals` are components,
    with their keys, in whose place the pipeline has a model that it has made of them.
    """

    live: Mapping[str, Any]
    keys: Mapping[str, str]
    loaded: tuple[Component, ...]
    reused: tuple[Component, ...]
    seconds: float
    loras: tuple[RequiredLora, ...] = ()
    ip_adapter: RequiredIpAdapter | None = None
    originals: Mapping[str, tuple[str, Any]] = field(default_factory=dict)

    def shareable(self, name: str) -> tuple[str, Any]:
        """The key and the component of that name, for pipelines of other steps."""
        return self.originals.get(name) or (self.keys[name], self.live[name])


#: Told before each component is loaded: its name, how many are loaded already, how many have to be.
LoadingListener = Callable[[str, int, int], None]


def gather_components(
    required: RequiredPipeline,
    wanted: frozenset[str] | None,
    components: Components,
    loader: Loader,
    room: Room,
    listener: LoadingListener,
    base: Path | None,
) -> Loaded:
    """The components of a pipeline: those in memory as they are, the missing ones loaded, one after another.

    Arguments: `wanted` are the names that the pipeline class takes, `None` if it takes all; `room` is what
    components may fill; `listener` may raise to stop between two components: what was loaded stays;
    `base` is where relative paths start.
    """
    started = time.monotonic()
    components.begin_turn()
    parts = [part for part in required.parts if wanted is None or part.name in wanted]
    found: dict[str, Resident | None] = {part.key: components.get(part.key) for part in parts}
    missing = [part for part in parts if found[part.key] is None]
    room.make(components, missing, [each for each in found.values() if each is not None])
    loaded: list[Component] = []
    for count, part in enumerate(missing):
        listener(part.name, count, len(missing))
        fresh = _load(part, required, components, loader, base)
        found[part.key] = fresh
        loaded.append(fresh.record)
    if missing:
        settle_garbage()
    residents = {part.name: resident for part in parts if (resident := found[part.key]) is not None}
    new = {record.key for record in loaded}
    return Loaded(
        live={name: resident.live for name, resident in residents.items()},
        keys={part.name: part.key for part in parts},
        loaded=tuple(loaded),
        reused=tuple(resident.record for resident in residents.values() if resident.record.key not in new),
        seconds=time.monotonic() - started if missing else 0.0,
    )


def _load(
    part: RequiredComponent, required: RequiredPipeline, components: Components, loader: Loader, base: Path | None
) -> Resident:
    started = time.monotonic()
    definition = required.explicit.get(part.name)
    if definition is None:
        live = loader.component(part, required.loading, base, None, required.quantization.get(part.name))
    else:
        keywords, configuration = definition.get("from_pretrained_arguments"), definition.get("configuration")
        chosen = configuration.get("component_type") if isinstance(configuration, dict) else None
        live = loader.component(
            part,
            keywords if isinstance(keywords, dict) else {},
            base,
            chosen if isinstance(chosen, str) else None,
            definition.get("quantization_config"),
        )
    if isinstance(live, torch.nn.Module):
        cut(live, part)
        live.requires_grad_(False)
    return components.add(part.key, part.name, live, time.monotonic() - started)


def cut(model: torch.nn.Module, part: RequiredComponent) -> None:
    """Leave out of a model what its step does not want: layers behind a number, whole modules.

    Raises `InvalidInput` where it has no such layers or modules.
    """
    lengths, removed = part.cuts.get("truncate_layers"), part.cuts.get("remove_modules")
    for path, count in (lengths if isinstance(lengths, dict) else {}).items():
        layers = _inside(model, path, part.name)
        if not isinstance(layers, torch.nn.ModuleList) or not isinstance(count, int) or not 1 <= count <= len(layers):
            what = f"{len(layers)} layers" if isinstance(layers, torch.nn.ModuleList) else type(layers).__name__
            raise InvalidInput(f"{part.name}.{path} cannot be cut to {count} layers: it is {what}")
        del layers[count:]
    for gone in map(str, removed if isinstance(removed, list) else ()):
        owner, _, name = gone.rpartition(".")
        _inside(model, gone, part.name)
        setattr(_inside(model, owner, part.name) if owner else model, name, torch.nn.Identity())


def _inside(model: torch.nn.Module, path: str, name: str) -> Any:
    try:
        return model.get_submodule(path)
    except AttributeError as error:
        raise InvalidInput(f"{name} has no part {path!r}") from error


#: What a pipeline makes one model of, and keeps nothing of: the frames' denoiser, of a picture's and what moves it.
_MADE_OF = ("unet", "motion_adapter")


def with_made(loaded: Loaded, components: Components) -> Loaded:
    """With the model that a pipeline makes of two components in the place of the first, if it is in memory."""
    key = key_of_made(loaded.keys)
    found = None if key is None else components.get(key)
    return loaded if key is None or found is None else _exchanged(loaded, key, found)


def keep_made(pipeline: Any, loaded: Loaded, components: Components, seconds: float) -> Loaded:
    """Keep a model that a pipeline has just made of two components: with many layers, that takes as long as a load.

    Arguments: `seconds` is what it took.
    """
    made, key = getattr(pipeline, _MADE_OF[0], None), None if loaded.originals else key_of_made(loaded.keys)
    if key is None or made is loaded.live[_MADE_OF[0]] or not isinstance(made, torch.nn.Module):
        return loaded
    made.requires_grad_(False)
    resident = components.add(key, _MADE_OF[0], made, seconds)
    settle_garbage()
    return _exchanged(loaded, key, resident)


def key_of_made(keys: Mapping[str, str]) -> str | None:
    """The key of the model that a pipeline makes of two of its components. Arguments: the keys of these by name."""
    if not all(name in keys for name in _MADE_OF):
        return None
    return component_key(_MADE_OF[0], "made", " ".join(keys[name] for name in _MADE_OF), {})


def _exchanged(loaded: Loaded, key: str, made: Resident) -> Loaded:
    name = _MADE_OF[0]
    originals = {name: (loaded.keys[name], loaded.live[name])}
    live, keys = {**loaded.live, name: made.live}, {**loaded.keys, name: key}
    return replace(loaded, live=live, keys=keys, originals=originals)


def pipeline_class(required: RequiredPipeline, types: TrustedTypes) -> Any:
    """The class that a step names, or, where it leaves the choice to the model, the model's own."""
    chosen = types.pipeline(required.class_name)
    if chosen is diffusers.DiffusionPipeline and required.model is not None:
        if not required.model.pipeline_class:
            message = f"the model {required.model_name!r} does not say which pipeline class it is for"
            raise InvalidInput(message, hint="Name the class itself.")
        return types.pipeline(required.model.pipeline_class)
    return modular_class(chosen, required, types) if is_modular(chosen) else chosen


def exactly(required: RequiredPipeline, chosen: Any, step: ResolvedStep, folder: Path | None) -> RequiredPipeline:
    """What a step requires, once its class is known: a modular one tells itself which parts it takes.

    Arguments: `folder` is that of the workflow file.
    """
    shape = shape_of(chosen)
    if shape is None:
        return required
    renewed = required_pipeline(step, folder, shape.components, required.device)
    return renewed if renewed.parts != required.parts else required


def is_automatic(chosen: Any) -> bool:
    """Whether a class stands for one that is known only when its model is there.

    Such are those that choose themselves (AutoPipelineForText2Image, ...), and the bases of all pipelines.
    """
    bases = (diffusers.DiffusionPipeline, diffusers.ModularPipeline)
    return chosen in bases or not issubclass(chosen, bases)


def component_names(chosen: Any) -> frozenset[str] | None:
    """The names of the components that a pipeline class takes; `None` if that is known only when it is made."""
    if is_automatic(chosen):
        return None
    if is_modular(chosen):
        shape = shape_of(chosen)
        return None if shape is None else shape.components
    return constructor_names(chosen)[0]


def assemble(
    chosen: Any,
    required: RequiredPipeline,
    live: Mapping[str, Any],
    loader: Loader,
    types: TrustedTypes,
    step: ResolvedStep,
) -> Any:
    """A new pipeline object around live components, with new schedulers.

    Raises `InvalidInput` when a component that the class needs is neither in the model nor given by the workflow.
    """
    if is_modular(chosen):
        return assemble_modular(chosen, required, live, loader, step)
    path = required.model.path if required.model is not None else None
    index = read_index(path) if path is not None else {}
    given = dict(live)
    given.update(defined_schedulers(step, types) if path is None else fresh_schedulers(index, path, loader))
    if is_automatic(chosen):
        if path is None:
            message = f"{chosen.__name__} is chosen by a model, and none is named"
            place = step.place("pipeline", "configuration", "component_type")
            raise InvalidInput(message, place, step.name, "Name a `model_name`, or the pipeline class itself.")
        absent = {name: None for name, value in required.loading.items() if value is None}
        made = chosen.from_pretrained(str(path), **given, **absent)
    else:
        made = chosen(**_constructor_values(chosen, required, given, index, step))
        if path is not None:
            made.register_to_config(_name_or_path=str(path))
    return made


def _constructor_values(
    chosen: Any, required: RequiredPipeline, given: Mapping[str, Any], index: Mapping[str, Any], step: ResolvedStep
) -> dict[str, Any]:
    modules, options = constructor_names(chosen)
    optional = set(getattr(chosen, "_optional_components", ()))
    values: dict[str, Any] = {}
    for name in modules:
        if name in given:
            values[name] = given[name]
        elif name in optional or name in required.loading:
            values[name] = None
        else:
            raise lacks(step, required, chosen.__name__, name)
    for name in options:
        if name in required.loading and name not in LOADING_KEYWORDS:
            values[name] = required.loading[name]
        elif name in index and not isinstance(index[name], list):
            values[name] = index[name]
    return values


def read_index(folder: Path) -> dict[str, Any]:
    """The content of a model's model_index.json. Raises `InvalidInput` when it cannot be read."""
    try:
        index = json.loads((folder / MODEL_INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{folder / MODEL_INDEX} cannot be read: {error}") from error
    if not isinstance(index, dict):
        raise InvalidInput(f"{folder / MODEL_INDEX} holds no object")
    return index


@functools.lru_cache(maxsize=64)
def constructor_names(chosen: Any) -> tuple[frozenset[str], frozenset[str]]:
    """What a pipeline class is made of: the names of its components, and of its other options."""
    modules, options = chosen._get_signature_keys(chosen)
    return frozenset(modules), frozenset(options)


@functools.lru_cache(maxsize=64)
def call_parameters(chosen: Any) -> tuple[list[str], bool]:
    """The names of a pipeline call's arguments, and whether it takes any others too."""
    if is_modular(chosen):
        shape = shape_of(chosen)
        return [*(shape.inputs if shape is not None else ()), "output"], True
    parameters = inspect.signature(chosen.__call__).parameters
    anything = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    return [name for name in parameters if name not in ("self", "args", "kwargs")], anything


def unused(chosen: Any, required: RequiredPipeline) -> list[str]:
    """What a step gives a pipeline that its class does not know: keywords of `from_pretrained`, whole components."""
    if is_automatic(chosen) or is_modular(chosen):
        return []
    modules, options = constructor_names(chosen)
    keywords = [name for name in required.loading if name not in LOADING_KEYWORDS | modules | options]
    return keywords + [name for name in required.explicit if name not in modules]
