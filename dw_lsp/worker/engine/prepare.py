"""What can be wrong with a workflow, found out before anything is loaded: in all its steps, called files too."""

from __future__ import annotations

import dataclasses
import difflib
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dw_lsp.planning.called_workflows import (
    Source,
    arguments_of_call,
    error_in_child,
    handed_name,
    understand_waiting,
    waits,
)
from dw_lsp.planning.chains import chain_of
from dw_lsp.planning.counts import makes_nothing
from dw_lsp.planning.input_files import FROM_FILE, location_of, names_media
from dw_lsp.planning.plan import steps_until
from dw_lsp.planning.requirements import RequiredPipeline, required_pipeline
from dw_lsp.planning.step_keys import sound_arguments
from dw_lsp.planning.taken_parts import lacks, missing_part
from dw_lsp.planning.task_models import models_of
from dw_lsp.text.syntax_tree import Value
from dw_lsp.worker.engine.arguments import Arguments
from dw_lsp.worker.engine.devices import named_device
from dw_lsp.worker.engine.ip_adapters import check_ip_adapter
from dw_lsp.worker.engine.loras import check_loras
from dw_lsp.worker.engine.media import Media
from dw_lsp.worker.engine.modular import UnknownWorkflow, check_modular, check_output, is_modular, shape_of
from dw_lsp.worker.engine.pipelines import call_parameters, constructor_names, exactly, is_automatic, pipeline_class
from dw_lsp.worker.engine.prompt_weights import check_weights
from dw_lsp.worker.engine.references import check_order, is_result, results_read
from dw_lsp.worker.engine.refusals import refuse
from dw_lsp.worker.engine.run_context import RunContext
from dw_lsp.worker.engine.schedulers import check_schedulers
from dw_lsp.worker.engine.source_checks import check_sources
from dw_lsp.worker.engine.sub_workflows import read_child
from dw_lsp.worker.engine.support import check_step, walk_values
from dw_lsp.worker.engine.task_models import checked_models
from dw_lsp.worker.tasks.registry import check_arguments
from dw_lsp.workflow.identity import canonical
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep, ResolvedWorkflow

logger = logging.getLogger(__name__)

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class PreparedPipeline:
    """A pipeline step that has been checked: its class, its components' keys, what it shares and reuses."""

    step: ResolvedStep
    chosen: Any
    required: RequiredPipeline
    shared: frozenset[str]
    reused: frozenset[str]
    folder: Path | None


@dataclass(frozen=True)
class PreparedWorkflow:
    """A workflow that has been checked: the steps to run, and what was found out about its pipelines by step name.

    `tasks` has the steps among them that are tasks with models; `called` the workflows that others call, with the
    values that are known before the run; `open`: some of it could not be judged, since it depends on other values.
    """

    source: Source
    workflow: ResolvedWorkflow
    steps: tuple[ResolvedStep, ...]
    pipelines: Mapping[str, PreparedPipeline]
    tasks: Mapping[str, PreparedPipeline] = field(default_factory=dict)
    called: tuple[PreparedWorkflow, ...] = ()
    open: bool = False


def prepare(
    source: Source,
    workflow: ResolvedWorkflow,
    context: RunContext,
    last: str | None = None,
    handed: Collection[str] = (),
    waiting: frozenset[str] = _NONE,
) -> PreparedWorkflow:
    """Check all steps of a workflow.

    Arguments: `last` names the last step to run, `None` for all; `handed` are the names under which it reads results of
    the calling workflow, `waiting` those of values that are not known yet: what depends on these is not judged.
    Raises `InvalidInput` for the first problem.
    """
    steps = steps_until(workflow, last)
    pipelines: dict[str, PreparedPipeline] = {}
    tasks: dict[str, PreparedPipeline] = {}
    called: list[PreparedWorkflow | None] = []
    unjudged: set[str] = set()
    names = dict.fromkeys((*handed, *waiting))
    for step in steps:
        context.cancellation.check()
        if waits(step, waiting) or step.body.get("reference_name") in unjudged:
            unjudged.add(step.name)
            names[step.name] = None
            continue
        _check_text(step, names, context, (*handed, *waiting))
        names[step.name] = None
        if _may_name_files(step):
            _check_values(step, context.arguments_of(source.folder))
        if step.kind == "pipeline":
            pipelines[step.name] = _prepare_pipeline(step, source, context, pipelines)
            if not unjudged:
                _check_reused(step, pipelines)
        elif step.kind == "pipeline_reference":
            _check_reference(step, steps, pipelines)
        elif step.kind == "task":
            _check_files(step, context.media_of(source.folder))
            if models_of(step):
                required = checked_models(step, source.folder, context)
                tasks[step.name] = PreparedPipeline(step, None, required, _NONE, _NONE, source.folder)
        else:
            called.append(_prepare_child(step, source, context))
    known = tuple(each for each in called if each is not None)
    is_open = bool(unjudged) or len(known) < len(called) or any(each.open for each in known)
    return PreparedWorkflow(source, workflow, steps, pipelines, tasks, known, is_open)


def _check_text(step: ResolvedStep, names: Collection[str], context: RunContext, handed: Collection[str]) -> None:
    """All that follows from the text, the options and what is installed: found out once for each text."""
    given = (context.options, tuple(handed))
    if step.facts.get("checked") == given:
        return
    check_step(step, context.options)
    check_order(step, names)
    if not _may_name_files(step):
        _check_values(step, context.arguments_of(None))
    if step.kind == "task":
        _check_task(step)
    step.facts["checked"] = given


def _may_name_files(step: ResolvedStep) -> bool:
    """Whether an argument may be a picture's path, so that it depends on more than the text whether it is right."""
    if "may_name_files" not in step.facts:
        step.facts["may_name_files"] = any(
            names_media(key) or key == FROM_FILE or (isinstance(value, dict) and "location" in value)
            for _, key, value in walk_values(step.body.get("arguments"), (step.kind, "arguments"))
        )
    return bool(step.facts["may_name_files"])


def _check_values(step: ResolvedStep, values: Arguments) -> None:
    """The values of a step can be made live; its errors get the place of the argument at fault."""
    arguments = step.body.get("arguments")
    if not isinstance(arguments, dict):
        return
    for key, value in arguments.items():
        if value == [] and makes_nothing(step, key):
            raise refuse(step, (step.kind, "arguments", key), f"the list `{key}` is empty: nothing would be made")
        if step.kind == "workflow":
            continue
        try:
            values.check({key: value})
        except InvalidInput as error:
            raise refuse(step, (step.kind, "arguments", key), error.message, error.hint) from error


# ---------------------------------------------------------------- pipelines


def _prepare_pipeline(
    step: ResolvedStep, source: Source, context: RunContext, earlier: Mapping[str, PreparedPipeline]
) -> PreparedPipeline:
    definition = _definition(step)
    for other in earlier.values():
        if _definition(other.step) == definition:
            # The same pipeline again: its files have been looked at in this run.
            _check_call(step, other.chosen)
            return dataclasses.replace(other, step=step)
    required = required_pipeline(step, source.folder, device=context.resources.device.type)
    check_sources(step, required, source.folder, context)
    try:
        chosen = pipeline_class(required, context.types)
    except UnknownWorkflow as error:
        path = ("pipeline", "from_pretrained_arguments", "workflow")
        raise refuse(step, path, error.message, error.hint) from error
    except InvalidInput as error:
        raise refuse(step, ("pipeline", "configuration", "component_type"), error.message, error.hint) from error
    required = exactly(required, chosen, step, source.folder)
    check_modular(step, chosen, required)
    check_loras(step, chosen, required.loras, is_automatic(chosen))
    check_ip_adapter(step, chosen, is_automatic(chosen))
    check_schedulers(step, step.body, context.types)
    if not is_automatic(chosen):
        check_weights(step, chosen)
    _check_call(step, chosen)
    configuration = step.body.get("configuration")
    settings = configuration if isinstance(configuration, dict) else {}
    device = settings.get("device")
    if isinstance(device, str):
        try:
            named_device(device, context.resources.device)
        except ValueError as error:
            raise refuse(step, ("pipeline", "configuration", "device"), str(error)) from error
    shared, reused = (_names(step, settings, key) for key in ("shared_components", "reused_components"))
    _check_parts(step, chosen, required, reused)
    return PreparedPipeline(step, chosen, required, shared, reused, source.folder)


def _check_parts(step: ResolvedStep, chosen: Any, required: RequiredPipeline, reused: Collection[str]) -> None:
    """The model has what the class needs: found out before the first of its parts is loaded."""
    if required.model is None or is_automatic(chosen) or is_modular(chosen):
        return
    needed = constructor_names(chosen)[0] - set(getattr(chosen, "_optional_components", ()))
    absent = missing_part(required, needed, reused)
    if absent is not None:
        raise lacks(step, required, chosen.__name__, absent)


def _definition(step: ResolvedStep) -> str:
    """All of a pipeline but its call."""
    if "definition" not in step.facts:
        step.facts["definition"] = canonical(
            {key: value for key, value in step.body.items() if key not in ("arguments", "chain", "seed")}
        )
    return str(step.facts["definition"])


def _check_call(step: ResolvedStep, chosen: Any) -> None:
    """The arguments are ones that the pipeline's call has."""
    arguments = step.body.get("arguments")
    if is_automatic(chosen) or not isinstance(arguments, dict) or (is_modular(chosen) and shape_of(chosen) is None):
        return
    check_output(step, chosen)
    known, anything = call_parameters(chosen)
    asked: dict[str, tuple[str, ...]] = {key: (step.kind, "arguments", key) for key in arguments}
    if (chain := chain_of(step)) is not None:
        # Found out before the first segment, which may take minutes.
        asked.setdefault(chain.argument, (step.kind, "chain", "segment_argument"))
        if chain.prompts:
            asked.setdefault("prompt", (step.kind, "chain", "prompts"))
    for key, path in asked.items():
        if key in known:
            continue
        close = difflib.get_close_matches(key, known, 1)
        advice = f"; did you mean {close[0]!r}?" if close else ""
        if anything:
            # The call takes any keyword, and would swallow a mistyped one without a word.
            logger.warning("%s names no argument %r, so it may have no effect%s", chosen.__name__, key, advice)
        else:
            message = f"{chosen.__name__} has no argument {key!r}{advice}"
            raise refuse(step, path, message, f"It has {', '.join(known)}.")


def _names(step: ResolvedStep, settings: Mapping[str, Value], key: str) -> frozenset[str]:
    found: set[str] = set()
    for value, path in (
        (step.body.get(key), ("pipeline", key)),
        (settings.get(key), ("pipeline", "configuration", key)),
    ):
        if value is None:
            continue
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise refuse(step, path, f"`{key}` should be a list of component names")
        found.update(str(name) for name in value)
    return frozenset(found)


def _check_reused(step: ResolvedStep, pipelines: Mapping[str, PreparedPipeline]) -> None:
    if not pipelines[step.name].reused:
        return
    inside = ("pipeline", "configuration", "reused_components")
    path = inside if inside in step.places else ("pipeline", "reused_components")
    # The last step that shares a name is the one that it is taken from.
    owners = {name: prepared for other, prepared in pipelines.items() if other != step.name for name in prepared.shared}
    for name in sorted(pipelines[step.name].reused):
        if name not in owners:
            hint = f"Add it to the `shared_components` of an earlier step; shared are {sorted(owners) or 'none'}."
            raise refuse(step, path, f"the component {name!r} is reused, but no earlier step shares it", hint)
        if not _may_have(owners[name], name):
            message = (
                f"the component {name!r} is reused, but step {owners[name].step.name!r}, which shares it, has none"
            )
            has = sorted(part.name for part in owners[name].required.parts)
            raise refuse(step, path, message, f"It has {', '.join(has) or 'none at all'}.")


def _may_have(owner: PreparedPipeline, name: str) -> bool:
    """Whether a pipeline has a component, as far as is known before its model is here and has been read."""
    required = owner.required
    unread = required.single_file is not None or (required.model_name is not None and required.model is None)
    return unread or name in owner.reused or required.part(name) is not None


def _check_reference(
    step: ResolvedStep, steps: Sequence[ResolvedStep], pipelines: Mapping[str, PreparedPipeline]
) -> None:
    name = step.body.get("reference_name")
    path = ("pipeline_reference", "reference_name")
    target = next((other for other in steps[: step.index] if other.name == name), None)
    if target is None or target.kind != "pipeline":
        raise refuse(
            step, path, f"{name!r} is no earlier pipeline step", f"There are {', '.join(pipelines) or 'none'}."
        )
    if target.release_pipeline:
        raise refuse(step, path, f"the pipeline of {name!r} is released after that step, so it cannot be called again")
    _check_call(step, pipelines[target.name].chosen)


# ---------------------------------------------------------------- tasks and called workflows


def _check_task(step: ResolvedStep) -> None:
    command, inputs = str(step.body.get("command")), step.body.get("inputs")
    arguments = step.body.get("arguments")
    if inputs is not None:
        if arguments is not None:
            raise refuse(step, ("task", "inputs"), "`arguments` and `inputs` rule each other out")
        if is_result(inputs):
            return
        if not isinstance(inputs, list):
            raise refuse(step, ("task", "inputs"), "`inputs` should be a list")
        if not inputs:
            raise refuse(
                step, ("task", "inputs"), f"the list `inputs` of step {step.name!r} is empty: nothing would run"
            )
        if command != "gather_inputs":
            for index, item in enumerate(inputs):
                _check_task_arguments(step, command, item, ("task", "inputs", index))
        return
    _check_task_arguments(step, command, {} if arguments is None else arguments, ("task", "arguments"))


def _check_task_arguments(step: ResolvedStep, command: str, value: Value, path: tuple[str | int, ...]) -> None:
    if not isinstance(value, dict):
        raise refuse(step, path, "arguments should be an object")
    pending = {str(place[len(path)]) for _, place in results_read(step) if place[: len(path)] == path}
    pending |= {
        name for name, item in value.items() if is_result(item) or name in ("images", "videos") or names_media(name)
    }
    problem = check_arguments(command, value, pending)
    if problem is not None:
        raise refuse(step, path if problem.name is None else (*path, problem.name), problem.message)


def _check_files(step: ResolvedStep, media: Media) -> None:
    """The files that a gathering task would read may be read; those of a pattern may still come into being."""
    arguments, command = step.body.get("arguments"), step.body.get("command")
    _check_sounds(step, media)
    if command not in ("gather_images", "gather_videos") or not isinstance(arguments, dict):
        return
    moving = command == "gather_videos"
    urls, pattern = arguments.get("urls"), arguments.get("glob")
    key = "urls"
    try:
        for url in urls if isinstance(urls, list) else []:
            if isinstance(url, str) and not is_result(url):
                media.check(url, "video" if moving else "image")
        key = "glob"
        if isinstance(pattern, str) and not is_result(pattern):
            media.find_videos(pattern) if moving else media.find(pattern)
    except InvalidInput as error:
        raise refuse(step, ("task", "arguments", key), error.message, error.hint) from error


def _check_sounds(step: ResolvedStep, media: Media) -> None:
    """The files of sound that a task would read may be read."""
    keys = sound_arguments(str(step.body.get("command")))
    for path, key, value in walk_values(step.body.get("arguments"), ("task", "arguments")):
        location = location_of(value) if key in keys else None
        if location is None:
            continue
        try:
            media.check(location, "sound")
        except InvalidInput as error:
            raise refuse(step, path, error.message, error.hint) from error


def _prepare_child(step: ResolvedStep, source: Source, context: RunContext) -> PreparedWorkflow | None:
    """A called workflow, checked with the values that are known already; `None` where nothing can be said without more.

    It is checked again when it is called, with all values.
    """
    child, arguments = read_child(step, source, context.allowed), arguments_of_call(step)
    later = frozenset(str(place[2]) for _, place in results_read(step))
    known = {name: value for name, value in arguments.items() if name not in later}
    try:
        workflow = understand_waiting(child, known, later)
        waiting = frozenset(map(handed_name, later))
        return None if workflow is None else prepare(child, workflow, context, waiting=waiting)
    except InvalidInput as error:
        raise error_in_child(error, child, step) from error
