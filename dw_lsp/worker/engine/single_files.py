"""Pipelines out of one file: what is in it is kept by component, and shared by all classes that take it."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from typing import Any

import torch

from dw_lsp.planning.file_contents import key_of_content
from dw_lsp.planning.placing import places_of
from dw_lsp.planning.requirements import SCHEDULER_NAMES, RequiredPipeline
from dw_lsp.worker.engine.components import Resident, settle_garbage
from dw_lsp.worker.engine.failures import describe
from dw_lsp.worker.engine.interruptible import LoadingWatch
from dw_lsp.worker.engine.loading import config_of_file
from dw_lsp.worker.engine.out_of_memory import is_out_of_memory
from dw_lsp.worker.engine.pipelines import Loaded, constructor_names
from dw_lsp.worker.engine.prepare import PreparedPipeline
from dw_lsp.worker.engine.progress import StepReporter
from dw_lsp.worker.engine.room import Room
from dw_lsp.worker.engine.run_context import FileContents, RunContext
from dw_lsp.workflow.resolved import InvalidInput


def from_single_file(
    prepared: PreparedPipeline, given: Loaded, context: RunContext, reporter: StepReporter
) -> tuple[Any, Loaded]:
    """A pipeline out of one file, with the components in it kept.

    Arguments: `given` are components that take the place of those in the file. What an earlier call of any class has
    taken from the same file with the same keywords, and is in memory, is not loaded again.
    """
    chosen, required, components = prepared.chosen, prepared.required, context.resources.components
    _, _, digest = required.parts[0].key.partition(":")
    contents = context.resources.single_files.setdefault(digest, FileContents())
    modules, _ = constructor_names(chosen)
    off = {name for name, value in required.loading.items() if value is None}
    wanted = modules - given.live.keys() - off - SCHEDULER_NAMES
    there = {name: found for name in wanted if (found := components.get(contents.keys.get(name) or "")) is not None}
    known = chosen.__name__ in contents.options and all(
        name in there or contents.keys.get(name, "") is None for name in wanted
    )
    if known:
        _room(prepared, given, context).make(components, (), list(there.values()))
    fresh, seconds = ({}, 0.0) if known else _load(prepared, given, there, contents, context, reporter)
    residents = {**there, **fresh}
    live = {**given.live, **{name: each.live for name, each in residents.items()}}
    # A scheduler has a state: each pipeline gets one that has never been used.
    parts = {**copy.deepcopy(contents.schedulers), **live}
    made = chosen(**{name: parts.get(name) for name in modules}, **contents.options[chosen.__name__])
    keys = {**given.keys, **{name: each.record.key for name, each in residents.items()}}
    loaded = (*given.loaded, *(each.record for each in fresh.values()))
    reused = (*given.reused, *(each.record for each in there.values()))
    return made, Loaded(live, keys, loaded, reused, given.seconds + seconds)


def keys_of_file(required: RequiredPipeline, context: RunContext) -> frozenset[str]:
    """The keys of what has been taken out of a pipeline's single file; none where it has no such source."""
    if required.single_file is None:
        return frozenset()
    _, _, digest = required.parts[0].key.partition(":")
    contents = context.resources.single_files.get(digest)
    return frozenset(key for key in contents.keys.values() if key is not None) if contents is not None else frozenset()


def _load(
    prepared: PreparedPipeline,
    given: Loaded,
    there: Mapping[str, Resident],
    contents: FileContents,
    context: RunContext,
    reporter: StepReporter,
) -> tuple[dict[str, Resident], float]:
    """Take out of the file what is not in memory, and note what is in it. Returns what was loaded, and the seconds."""
    started, chosen, required, step = time.monotonic(), prepared.chosen, prepared.required, prepared.step
    place = step.place("pipeline", "from_pretrained_arguments", "from_single_file")
    whole, components = required.parts[0], context.resources.components
    file = whole.folder
    if file is None:
        raise RuntimeError("a model is loaded before its file is there")
    context.allowed.resolve(str(file), None, "the model's file")
    reporter.phase("loading", f"{chosen.__name__}: {file.name}")
    _room(prepared, given, context).make(components, [whole], list(there.values()))
    passed = {**given.live, **{name: each.live for name, each in there.items()}}
    try:
        with LoadingWatch(reporter.goes_on):
            made = chosen.from_single_file(str(file), **passed, **_keywords(prepared, context, passed))
    except (OSError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        raise InvalidInput(f"{file.name} cannot be loaded: {describe(error)}", place, step.name) from error
    seconds = time.monotonic() - started
    modules, options = constructor_names(chosen)
    contents.options[chosen.__name__] = {name: made.config[name] for name in options if name in made.config}
    fresh: dict[str, Resident] = {}
    for name in modules - passed.keys():
        component = getattr(made, name, None)
        if name in SCHEDULER_NAMES:
            contents.schedulers[name] = component
            continue
        contents.keys[name] = None if component is None else key_of_content(name, whole.key)
        if component is not None:
            if isinstance(component, torch.nn.Module):
                component.requires_grad_(False)
            fresh[name] = components.add(key_of_content(name, whole.key), name, component, seconds)
    settle_garbage()
    return fresh, seconds


def _room(prepared: PreparedPipeline, given: Loaded, context: RunContext) -> Room:
    places = places_of(prepared.step, context.resources.device.type)
    return Room(context.budgets, context.resources.meter.free, 0, places, frozenset(given.keys.values()))


def _keywords(prepared: PreparedPipeline, context: RunContext, passed: Mapping[str, Any]) -> dict[str, Any]:
    loading = prepared.required.loading
    keywords = {key: value for key, value in loading.items() if key not in passed}
    dtype = loading.get("torch_dtype")
    if isinstance(dtype, str) and dtype != "auto":
        keywords["torch_dtype"] = context.types.dtype(dtype)
    else:
        keywords["torch_dtype"] = torch.float32 if context.resources.device.type == "cpu" else None
    return {**keywords, **config_of_file(loading, prepared.folder, context.allowed)}
