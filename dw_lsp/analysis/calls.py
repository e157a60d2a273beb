"""What each step calls: the class behind it, the method, and so the arguments that it takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dw_lsp.analysis.workspace import Workspace
from dw_lsp.catalog.catalog import Catalog
from dw_lsp.catalog.classes import ClassEntry
from dw_lsp.catalog.models import MODEL_INDEX, find_folder
from dw_lsp.catalog.signatures import Signature
from dw_lsp.text.syntax_tree import Boolean, Node, Object, String, to_value
from dw_lsp.workflow.model import Step, Workflow
from dw_lsp.workflow.references import parse_reference
from dw_lsp.workflow.type_uses import is_type_name

#: Classes that load whatever pipeline a model says it is, and the file in which it does.
_CHOOSERS = {"DiffusionPipeline": MODEL_INDEX, "ModularPipeline": "modular_model_index.json"}


@dataclass(frozen=True)
class Call:
    """A call whose arguments a workflow writes down.

    `name` says what is called; `place` is the text that names it, `arguments` the object with the arguments.
    `entry` and `signature` are `None` where they cannot be told; `lenient`: other keywords may be meant for something
    behind it. `fills_in`: arguments that others than the author give (a chain, a remote encoder).
    """

    name: str
    place: String | None
    arguments: Object
    entry: ClassEntry | None
    signature: Signature | None
    lenient: bool = False
    fills_in: bool = False


def calls_of(workflow: Workflow, workspace: Workspace, folder: Path | None) -> Iterator[Call]:
    """Every call of a workflow's steps: of pipelines, and of the classes inside of them."""
    for step in workflow.steps:
        call = step_call(workflow, step, workspace, folder)
        if call is not None:
            yield call
    yield from _inner_calls(workflow, workspace.catalog)


def step_call(workflow: Workflow, step: Step, workspace: Workspace, folder: Path | None) -> Call | None:
    """The call of a pipeline step, or of one that calls an earlier step's pipeline again."""
    pipeline = loaded_pipeline(workflow, step)
    arguments = step.body.get("arguments") if isinstance(step.body, Object) else None
    if pipeline is None or not isinstance(step.body, Object) or not isinstance(arguments, Object):
        return None
    entry, place = pipeline_class(workflow, pipeline, workspace, folder)
    chained = step.body.member("chain") is not None or pipeline.member("remote_text_encoder") is not None
    method = _method(pipeline) if step.kind == "pipeline" else "__call__"
    if method == "__call__" and entry is None and place is not None and _chooses(place.value, pipeline):
        return Call(place.value, place, arguments, None, workspace.catalog.any_pipeline, lenient=True, fills_in=True)
    signature = None if entry is None or method is None else workspace.catalog.signature(entry, method)
    name = "" if entry is None else entry.name
    return Call(name, place, arguments, entry, signature, "ModularPipeline" in name, chained)


def _chooses(name: str, pipeline: Object) -> bool:
    """Whether a class is one that loads a pipeline of diffusers' own, nobody knows yet which."""
    return (name in _CHOOSERS or name.startswith("AutoPipeline")) and not runs_foreign_code(pipeline)


def step_signature(workflow: Workflow, step: Step, workspace: Workspace, folder: Path | None) -> Signature | None:
    """What the call of a step takes, whether or not its arguments are written down yet."""
    pipeline = loaded_pipeline(workflow, step)
    entry = None if pipeline is None else pipeline_class(workflow, pipeline, workspace, folder)[0]
    method = None if pipeline is None else _method(pipeline) if step.kind == "pipeline" else "__call__"
    return None if entry is None or method is None else workspace.catalog.signature(entry, method)


def loaded_pipeline(workflow: Workflow, step: Step) -> Object | None:
    """The pipeline that a step calls: its own, or the one that an earlier step has loaded."""
    if step.kind not in ("pipeline", "pipeline_reference"):
        return None
    source = step if step.kind == "pipeline" else _referred(workflow, step)
    return source.body if source is not None and isinstance(source.body, Object) else None


def pipeline_class(
    workflow: Workflow, pipeline: Object, workspace: Workspace, folder: Path | None
) -> tuple[ClassEntry | None, String | None]:
    """The class of a pipeline, and the text that names it. A class that only chooses gives that of the local model."""
    configuration = pipeline.get("configuration")
    named = configuration.get("component_type") if isinstance(configuration, Object) else None
    if not isinstance(named, String) or not is_type_name(named.value) or runs_foreign_code(pipeline):
        return None, named if isinstance(named, String) else None
    entry = workspace.catalog.resolve(named.value).entry
    if entry is not None and entry.name in _CHOOSERS:
        chosen = _class_of_model(pipeline, folder, _CHOOSERS[entry.name])
        entry = None if chosen is None else workspace.catalog.resolve(chosen).entry
    if entry is not None and (entry.name.startswith("AutoPipeline") or entry.name == "ModularPipeline"):
        return None, named
    return entry, named


def runs_foreign_code(pipeline: Object) -> bool:
    """Whether a pipeline's code comes with its model, so that nobody here can know what it takes."""
    loading = pipeline.get("from_pretrained_arguments")
    named = (
        [loading.get(key) for key in ("custom_pipeline", "trust_remote_code")] if isinstance(loading, Object) else []
    )
    return any(node is not None and to_value(node) not in (None, False) for node in named)


def _class_of_model(pipeline: Object, folder: Path | None, file: str) -> str | None:
    loading = pipeline.get("from_pretrained_arguments")
    name = loading.get("model_name") if isinstance(loading, Object) else None
    if not isinstance(name, String) or parse_reference(name.value) is not None:
        return None
    model = find_folder(name.value, folder)
    try:
        index = json.loads((model / file).read_bytes()) if model is not None else None
    except (OSError, ValueError):
        return None
    chosen = index.get("_class_name") if isinstance(index, dict) else None
    return chosen if isinstance(chosen, str) else None


def _referred(workflow: Workflow, step: Step) -> Step | None:
    """The earlier pipeline step that a step calls again."""
    name = step.body.get("reference_name") if isinstance(step.body, Object) else None
    if not isinstance(name, String):
        return None
    for earlier in workflow.steps[: step.index]:
        if earlier.name is not None and earlier.name.value == name.value and earlier.kind == "pipeline":
            return earlier
    return None


def _method(pipeline: Object) -> str | None:
    configuration = pipeline.get("configuration")
    if not isinstance(configuration, Object):
        return "__call__"
    if _is_on(configuration.get("generate")):
        return None  # What a model takes to generate depends on its configuration.
    return "invert" if _is_on(configuration.get("inversion")) else "__call__"


def _is_on(node: Node | None) -> bool:
    return isinstance(node, Boolean) and node.value


def _inner_calls(workflow: Workflow, catalog: Catalog) -> Iterator[Call]:
    """The classes that are made from arguments inside of steps: schedulers, quantization configs, argument objects."""
    for owner, member in workflow.members.get("configuration", ()):
        for key, arguments_key in (("scheduler_type", "from_config_args"), ("config_type", "arguments")):
            named = member.value.get(key) if isinstance(member.value, Object) else None
            arguments = owner.get(arguments_key)
            if isinstance(named, String) and isinstance(arguments, Object):
                yield from _constructed(named, arguments, catalog, lenient=key == "config_type")
    for owner, member in workflow.members.get("from_arguments", ()):
        types = [other.value for other in owner.members if other.key.value.endswith("_type")]
        if isinstance(member.value, Object) and len(types) == 1 and isinstance(named := types[0], String):
            yield from _constructed(named, member.value, catalog)


def _constructed(named: String, arguments: Object, catalog: Catalog, lenient: bool = False) -> Iterator[Call]:
    if is_type_name(named.value):
        entry = catalog.resolve(named.value).entry
        signature = None if entry is None else catalog.signature(entry, "__init__")
        yield Call(named.value.rpartition(".")[2], named, arguments, entry, signature, lenient)
