"""Values that may stand at a place: names that it asks for, what its shape allows, references."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

from dw_lsp.analysis.completion.classes import class_candidates
from dw_lsp.analysis.completion.expected import Expected, expected_at
from dw_lsp.analysis.completion.items import Candidate
from dw_lsp.analysis.completion.paths import path_candidates
from dw_lsp.analysis.completion.references import references, step_names
from dw_lsp.analysis.completion.scene import Scene
from dw_lsp.analysis.completion.skeletons import Blank
from dw_lsp.analysis.completion.trees import content_types, shape_tree, step_trees
from dw_lsp.catalog.attention import attention_backends
from dw_lsp.text.syntax_tree import Array, Node, Object, String
from dw_lsp.workflow.format.commands import COMMANDS
from dw_lsp.workflow.format.shapes import (
    FlagShape,
    ListShape,
    MapShape,
    MediumShape,
    NullShape,
    NumberShape,
    ObjectShape,
    Shape,
    TextShape,
)
from dw_lsp.workflow.format.step import STEP
from dw_lsp.workflow.format.task import PIPELINE_REFERENCE, TASK
from dw_lsp.workflow.type_uses import names_type

_OBJECT, _LIST = "{ … }", "[ … ]"
_DEVICES = ("cuda", "cpu", "mps")
_STEP_TITLES = {
    "pipeline": "Loads a pipeline and calls it.",
    "pipeline_reference": "Calls the pipeline of an earlier step.",
    "task": "Calls a built-in command.",
    "workflow": "Runs another workflow file.",
}
_COMPONENT_LISTS = frozenset(
    {"shared_components", "exclude_from_cpu_offload", "sdnq_optimize", "names", "reused_components"}
)
_VARIABLE_LISTS = frozenset({"cost_drivers", "voxel_variables"})


def value_candidates(scene: Scene) -> list[Candidate]:
    """The values that may be written at the spot."""
    wanted = expected_at(scene, scene.path)
    if wanted.shape is STEP:
        return list(_steps(scene))
    found = class_candidates(scene, wanted)
    if found is None:
        found = path_candidates(scene, wanted)
    if found is None:
        found = _named(scene, wanted)
    found = list(found) if found is not None else []
    there = {candidate.label for candidate in found}
    for candidate in (*_of_default(wanted), *_of_shapes(scene, wanted)):
        if candidate.label not in there:
            there.add(candidate.label)
            found.append(candidate)
    return [*_without_siblings(scene, found), *references(scene, wanted)]


def _steps(scene: Scene) -> Iterator[Candidate]:
    for kind, tree in step_trees(scene):
        yield Candidate(f"{kind} step", "skeleton", tree, "a new step", _STEP_TITLES[kind], rank=1)


def _without_siblings(scene: Scene, found: Iterable[Candidate]) -> Iterator[Candidate]:
    """Without the texts that stand in the same list already."""
    place = scene.spot.place
    items = place.container.items if isinstance(place.container, Array) else ()
    there = {item.value for item in items if isinstance(item, String) and item is not place.node}
    return (candidate for candidate in found if candidate.label not in there)


# ---------------------------------------------------------------- names that a key asks for


def _named(scene: Scene, wanted: Expected) -> list[Candidate] | None:
    """What a key asks for by name: commands, steps, components, content types; `None` for any other."""
    provider = _PROVIDERS.get(wanted.key)
    if provider is not None:
        return list(provider(scene, wanted))
    if wanted.key in _COMPONENT_LISTS and wanted.is_item:
        return list(_component_names(scene, wanted))
    if wanted.key in _VARIABLE_LISTS or (wanted.key == "variable" and wanted.outer == "per_entry"):
        return [Candidate(name, "variable", name, rank=1) for name in scene.variables]
    return None


def _commands(scene: Scene, wanted: Expected) -> Iterator[Candidate]:
    if wanted.within is TASK:
        for command in COMMANDS.values():
            detail = command.kind if command.gives == "any" else f"{command.kind}, gives {command.gives}"
            rank = 2 if command.dialect == "AB" else 3
            yield Candidate(command.name, "command", command.name, detail, command.meaning, rank=rank)


def _loaded_steps(scene: Scene, wanted: Expected) -> Iterator[Candidate]:
    if wanted.within in (PIPELINE_REFERENCE, TASK):
        yield from step_names(
            scene, [step for step in scene.earlier if step.kind == "pipeline" and _is_kept(step.node)]
        )


def _is_kept(step: Object) -> bool:
    return step.member("release_pipeline") is None


def _result_steps(scene: Scene, wanted: Expected) -> Iterator[Candidate]:
    yield from step_names(scene, scene.earlier, with_properties=True)


def _content_types(scene: Scene, wanted: Expected) -> Iterator[Candidate]:
    for rank, kind in enumerate(content_types(scene)):
        yield Candidate(kind, "choice", kind, rank=0 if rank == 0 else 1)


def _call_arguments(scene: Scene, wanted: Expected) -> Iterator[Candidate]:
    for parameter in scene.call.parameters if scene.call is not None else ():
        rank = 1 if parameter.name in ("image", "video", "last_image") else 3
        yield Candidate(parameter.name, "argument", parameter.name, parameter.annotation or "", parameter.text, rank)


def _devices(scene: Scene, wanted: Expected) -> Iterator[Candidate]:
    yield from (Candidate(name, "choice", name, rank=index) for index, name in enumerate(_DEVICES))


def _attention_backends(scene: Scene, wanted: Expected) -> Iterator[Candidate]:
    for name in attention_backends(scene.workspace.catalog.environment):
        # Those that begin with an underscore need hardware or packages that few have.
        yield Candidate(name, "choice", name, "attention implementation", rank=2 if name.startswith("_") else 1)


_PROVIDERS: dict[str, Callable[[Scene, Expected], Iterator[Candidate]]] = {
    "command": _commands,
    "reference_name": _loaded_steps,
    "pipeline_reference": _loaded_steps,
    "from_previous_result": _result_steps,
    "content_type": _content_types,
    "segment_argument": _call_arguments,
    "attention_backend": _attention_backends,
    "device": _devices,
    "onload_device": _devices,
    "offload_device": _devices,
    "quantization_device": _devices,
    "return_device": _devices,
}


def _component_names(scene: Scene, wanted: Expected) -> Iterator[Candidate]:
    names = list(scene.component_names())
    if wanted.key == "reused_components":
        names = [name for step in scene.earlier for name in _shared(step.body)]
    yield from (Candidate(name, "choice", name, "component", rank=1) for name in dict.fromkeys(names))


def _shared(body: Node | None) -> Iterator[str]:
    """The components that a step shares."""
    configuration = body.get("configuration") if isinstance(body, Object) else None
    for holder in (body, configuration):
        listed = holder.get("shared_components") if isinstance(holder, Object) else None
        for item in listed.items if isinstance(listed, Array) else ():
            if isinstance(item, String):
                yield item.value


# ---------------------------------------------------------------- what a shape allows


def _of_default(wanted: Expected) -> Iterator[Candidate]:
    known = wanted.known or (wanted.within.property(wanted.key) if wanted.within is not None else None)
    if known is None or (names_type(known.name) and isinstance(known.default, str)):
        return  # Text under such a key would be taken for a type.
    if known.default is not None and not isinstance(known.default, (bool, dict, list)):
        yield _literal(known.default, "default", 1)


def _literal(value: str | int | float | bool | None, detail: str = "", rank: int = 2) -> Candidate:
    text = isinstance(value, str)
    label = value if isinstance(value, str) and value else json.dumps(value)
    return Candidate(label, "choice" if text else "value", value, detail, rank=rank)


def _of_shapes(scene: Scene, wanted: Expected) -> Iterator[Candidate]:
    seen: set[str] = set()
    for option in wanted.options():
        for candidate in _of_shape(scene, option, wanted):
            if candidate.label not in seen:
                seen.add(candidate.label)
                yield candidate


def _of_shape(scene: Scene, shape: Shape, wanted: Expected) -> Iterator[Candidate]:
    if isinstance(shape, TextShape):
        yield from (_literal(choice) for choice in shape.choices or shape.suggestions)
    elif isinstance(shape, FlagShape):
        first = not (wanted.known is not None and wanted.known.default)
        yield from (_literal(first, rank=1), _literal(not first))
    elif isinstance(shape, NumberShape):
        yield from (_literal(choice) for choice in shape.choices)
    elif isinstance(shape, NullShape):
        yield _literal(None, rank=8)
    elif isinstance(shape, MediumShape):
        yield Candidate(_OBJECT, "skeleton", {"location": Blank("")}, "a medium", rank=6)
    elif isinstance(shape, ListShape):
        yield Candidate(_LIST, "skeleton", shape_tree(scene, shape), "a list", rank=3)
    elif isinstance(shape, (ObjectShape, MapShape)):
        name = shape.name if isinstance(shape, ObjectShape) else "an object"
        yield Candidate(_OBJECT, "skeleton", shape_tree(scene, shape), name, rank=3)
