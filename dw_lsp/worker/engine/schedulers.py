"""Schedulers: made anew for each step from a configuration, so that nothing of one run is left for the next."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers

from dw_lsp.planning.requirements import SCHEDULER_NAMES
from dw_lsp.text.syntax_tree import Value
from dw_lsp.worker.engine.arguments import plain
from dw_lsp.worker.engine.loading import Loader
from dw_lsp.worker.engine.trusted_types import TrustedTypes
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep


def fresh_schedulers(index: Mapping[str, Any], folder: Path, loader: Loader) -> dict[str, Any]:
    """New schedulers as a model's index names them.

    Arguments: `index` is the content of the model's model_index.json, `folder` the model's.
    """
    found: dict[str, Any] = {}
    for name in SCHEDULER_NAMES & index.keys():
        entry = index[name]
        if isinstance(entry, list) and len(entry) == 2 and entry[0] and entry[1]:
            found[name] = scheduler_from(str(entry[0]), str(entry[1]), folder / name, loader)
    return found


def scheduler_from(library: str, class_name: str, place: Path, loader: Loader) -> Any:
    """A new scheduler of a class as its folder says."""
    kind = loader.class_of(library, class_name)
    if not place.is_dir():
        raise InvalidInput(f"the model has no folder {place.name!r} for its scheduler (looked for at {place})")
    return _unused(kind, place)


def _unused(kind: Any, place: Path) -> Any:
    """A new scheduler as its folder says, which is read once for each state of its file."""
    file = place / kind.config_name
    try:
        state = file.stat()
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror or error}") from error
    # A copy of one that has never been used takes a tenth of the time of making one from a configuration.
    return copy.deepcopy(_made(kind, place, state.st_ino, state.st_mtime_ns, state.st_size))


@functools.lru_cache(maxsize=64)
def _made(kind: Any, place: Path, *state: int) -> Any:
    return kind.from_config(kind.load_config(place))


def defined_schedulers(step: ResolvedStep, types: TrustedTypes) -> dict[str, Any]:
    """Schedulers that a step defines all by itself, for a pipeline that no model gives one."""
    found: dict[str, Any] = {}
    for name in SCHEDULER_NAMES & step.body.keys():
        definition = step.body[name]
        settings = definition.get("configuration") if isinstance(definition, dict) else None
        wanted = settings.get("scheduler_type") if isinstance(settings, dict) else None
        if isinstance(wanted, str):
            found[name] = _placed(types, wanted, step, name)()
    return found


def change_schedulers(pipeline: Any, step: ResolvedStep, body: Mapping[str, Value], types: TrustedTypes) -> None:
    """Give a pipeline the schedulers that its step asks for.

    Raises `InvalidInput` when a class is no scheduler, an option is not one of its own, or a shift cannot be set.
    """
    for name in SCHEDULER_NAMES & body.keys():
        definition = body[name]
        if not isinstance(definition, dict):
            continue
        configuration = definition.get("configuration")
        options = definition.get("from_config_args")
        settings = configuration if isinstance(configuration, dict) else {}
        current = getattr(pipeline, name, None)
        if current is None:
            message = f"{type(pipeline).__name__} has no {name}"
            raise InvalidInput(message, step.place("pipeline", name), step.name)
        changed = _rebuilt(current, settings.get("scheduler_type"), options, step, name, types)
        _set_shift(changed, settings.get("shift"), step, name)
        set_scheduler(pipeline, name, changed)


def set_scheduler(pipeline: Any, name: str, scheduler: Any) -> None:
    """Give a pipeline another scheduler."""
    if isinstance(pipeline, diffusers.ModularPipeline):
        # Its own way would write down from where to load it again, which is known from the step.
        setattr(pipeline, name, scheduler)
    else:
        pipeline.register_modules(**{name: scheduler})


def check_schedulers(step: ResolvedStep, body: Mapping[str, Value], types: TrustedTypes) -> None:
    """Raise `InvalidInput` where a step names a scheduler class that is none, or options that it cannot have, before
    anything is loaded.
    """
    for name in SCHEDULER_NAMES & body.keys():
        definition = body[name]
        if not isinstance(definition, dict):
            continue
        settings = definition.get("configuration")
        wanted = settings.get("scheduler_type") if isinstance(settings, dict) else None
        kind = _placed(types, wanted, step, name) if isinstance(wanted, str) else None
        _options(kind, definition.get("from_config_args"), step, name, types)


def _placed(types: TrustedTypes, wanted: str, step: ResolvedStep, name: str) -> Any:
    try:
        return types.scheduler(wanted)
    except InvalidInput as error:
        place = step.place("pipeline", name, "configuration", "scheduler_type")
        raise InvalidInput(error.message, place, step.name, error.hint) from error


def _rebuilt(current: Any, wanted: Value, options: Value, step: ResolvedStep, name: str, types: TrustedTypes) -> Any:
    kind = _placed(types, wanted, step, name) if isinstance(wanted, str) else type(current)
    return kind.from_config(current.config, **_options(kind, options, step, name, types))


def _options(kind: Any, options: Value, step: ResolvedStep, name: str, types: TrustedTypes) -> dict[str, Any]:
    """The options of a scheduler as plain values. Arguments: `kind` is its class, `None` while that is not known."""
    given = options if isinstance(options, dict) else {}
    known = [] if kind is None else list(inspect.signature(kind.__init__).parameters)
    found: dict[str, Any] = {}
    for key, value in given.items():
        place = step.place("pipeline", name, "from_config_args", key)
        if kind is not None and (key not in known or key in ("self", "kwargs")):
            having = ", ".join(each for each in known if each not in ("self", "kwargs"))
            raise InvalidInput(f"{kind.__name__} has no option {key!r}", place, step.name, f"It has {having}.")
        try:
            found[key] = plain(key, value, types)
        except InvalidInput as error:
            raise InvalidInput(error.message, place, step.name, error.hint) from error
    return found


def _set_shift(scheduler: Any, shift: Value, step: ResolvedStep, name: str) -> None:
    if shift is None:
        return
    place = step.place("pipeline", name, "configuration", "shift")
    if not hasattr(scheduler, "set_shift"):
        raise InvalidInput(f"{type(scheduler).__name__} has no shift to set", place, step.name)
    try:
        number = float(shift)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InvalidInput(f"the shift must be a number above 0, not {shift!r}", place, step.name) from None
    if number <= 0:
        raise InvalidInput(f"the shift must be a number above 0, not {shift!r}", place, step.name)
    scheduler.set_shift(number)
