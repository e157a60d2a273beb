"""Objects whose keys only a class, a command or another workflow knows, as shapes like those of the tables."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass

from dw_lsp.analysis.completion.scene import Scene
from dw_lsp.analysis.rules.fixes.placeholders import USUAL_ARGUMENTS, variable_default
from dw_lsp.catalog.annotations import Accepted, accepted_by
from dw_lsp.catalog.signatures import Parameter, Signature
from dw_lsp.text.cursor import Path, locate
from dw_lsp.text.syntax_tree import Boolean, Node, Null, Number, Object, String, Value, to_value
from dw_lsp.workflow.format.commands import COMMANDS
from dw_lsp.workflow.format.component import QUANTIZATION, SCHEDULER
from dw_lsp.workflow.format.pipeline import PIPELINE
from dw_lsp.workflow.format.shapes import (
    ANY,
    ARGUMENTS,
    FLAG,
    NUMBER,
    TEXT,
    TEXTS,
    WHOLE,
    AnyOf,
    ListShape,
    MediumShape,
    ObjectShape,
    Property,
    Shape,
    TextShape,
)
from dw_lsp.workflow.format.task import PIPELINE_REFERENCE, SUB_WORKFLOW, TASK
from dw_lsp.workflow.type_uses import names_type

#: Arguments that take objects of Python: nobody writes them in a workflow.
_OBJECTS = frozenset({"generator", "return_dict", "self", "callback_on_step_end", "callback_on_step_end_tensor_inputs"})
_NONE = "None"
#: What objects of arguments are called.
ARGUMENTS_NAME = "arguments"


@dataclass(frozen=True)
class Argument(Property):
    """A key that a class, a command or a workflow knows. `signature` is its type and default as they are written."""

    signature: str = ""
    rank: int = 3


def arguments_shape(scene: Scene, owner: ObjectShape, key: str, node: Node | None) -> ObjectShape | None:
    """What may stand in the object under a key, where that is not in the tables.

    Arguments: the shape of the object with that key, and the object.
    """
    if owner in (PIPELINE, PIPELINE_REFERENCE) and key == "arguments":
        return _of_call(scene)
    if not isinstance(node, Object):
        return None
    if owner is TASK and key == "arguments":
        return _of_command(scene, node)
    if owner is SUB_WORKFLOW and key == "arguments":
        return _of_workflow(scene)
    made = {SCHEDULER.name: ("scheduler_type", "from_config_args"), QUANTIZATION.name: ("config_type", "arguments")}
    type_key, arguments_key = made.get(owner.name, ("", ""))
    configuration = node.get("configuration")
    if key == arguments_key and isinstance(configuration, Object):
        return _of_signature(scene.constructor_of(configuration.get(type_key)))
    return None


def object_arguments(scene: Scene, node: Object) -> ObjectShape | None:
    """What may stand in `from_arguments` of an object that names a type."""
    types = [member.value for member in node.members if member.key.value.endswith("_type")]
    return _of_signature(scene.constructor_of(types[0])) if len(types) == 1 else None


def named(properties: Iterable[Property]) -> ObjectShape:
    """An object of arguments."""
    return ObjectShape(ARGUMENTS_NAME, "What is handed over.", tuple(properties), closed=False)


# ---------------------------------------------------------------- pipelines and classes


def _of_call(scene: Scene) -> ObjectShape | None:
    if scene.call is not None:
        return _of_signature(scene.call)
    if scene.pipeline is None:
        return None
    # The class is not known, or chooses another one: what nearly all pipelines take.
    return named(
        Argument(name, _of_value(value), "Most pipelines take it.", default=value)
        for name, value in USUAL_ARGUMENTS.items()
    )


def _of_signature(signature: Signature | None) -> ObjectShape | None:
    return None if signature is None else named(argument_of(parameter) for parameter in signature.parameters)


def argument_of(parameter: Parameter) -> Argument:
    """An argument as an entry of the tables."""
    name, accepted = parameter.name, accepted_by(parameter.annotation)
    written = parameter.annotation or ""
    if parameter.default is not None and parameter.default != "...":
        written += f" = {parameter.default}"
    certain = bool(accepted.kinds or accepted.items) or _is_medium(name) is not None or names_type(name)
    usual = name in USUAL_ARGUMENTS or name in ("image", "video")
    rank = 8 if name in _OBJECTS else (2 if usual else 3 if certain else 6) + parameter.documented
    return Argument(
        name,
        _is_medium(name) or _shape(accepted),
        parameter.text,
        required=parameter.required,
        default=_literal(parameter.default),
        signature=written,
        rank=rank,
    )


def _is_medium(name: str) -> MediumShape | None:
    if name == "image" or name.endswith("_image"):
        return MediumShape("image")
    return MediumShape("video") if name == "video" or name.endswith("_video") else None


def _shape(accepted: Accepted) -> Shape:
    """The shape of what an annotation takes."""
    scalars: dict[str, Shape] = {"flag": FLAG, "whole": WHOLE, "number": NUMBER, "object": ARGUMENTS}
    options: list[Shape] = [TextShape(accepted.choices)] if "text" in accepted.kinds else []
    options += [shape for kind, shape in scalars.items() if kind in accepted.kinds]
    if accepted.items is not None:
        options.append(ListShape(_shape(accepted.items)))
    if not options:
        return ANY
    return options[0] if len(options) == 1 else AnyOf(tuple(options))


def _literal(written: str | None) -> Value:
    """A default in a source as a JSON value; `None` for anything that is none."""
    if written is None or written == _NONE:
        return None
    try:
        value = ast.literal_eval(written)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, (bool, int, float, str)) else None


def _of_value(value: Value) -> Shape:
    if isinstance(value, bool):
        return FLAG
    if isinstance(value, int):
        return WHOLE
    return NUMBER if isinstance(value, float) else TEXT if isinstance(value, str) else ANY


# ---------------------------------------------------------------- commands and workflows


def _of_command(scene: Scene, task: Object) -> ObjectShape | None:
    name = task.get("command")
    command = COMMANDS.get(name.value) if isinstance(name, String) else None
    if command is None:
        return None
    more = [Argument("device", TEXT, "Device on which it runs.", rank=7)] if command.device else []
    return named([*command.arguments, *more])


def _of_workflow(scene: Scene) -> ObjectShape | None:
    called = scene.called_workflow()
    if called is None:
        return None
    return named(
        Argument(variable.name, _of_node(variable.member.value), "", default=to_value(variable.member.value))
        for variable in called.variables
    )


def _of_node(node: Node) -> Shape:
    if isinstance(node, Boolean):
        return FLAG
    if isinstance(node, Number):
        return NUMBER if isinstance(node.value, float) else WHOLE
    if isinstance(node, Object):
        return MediumShape("medium") if node.member("location") is not None else ARGUMENTS
    return TEXT if isinstance(node, String) else ANY if isinstance(node, Null) else TEXTS


# ---------------------------------------------------------------- names that the author gives


def names_in(scene: Scene, path: Path, key: str) -> list[Property]:
    """Keys that fit into an object whose keys are the author's. Arguments: its path, and the key under which it is."""
    if path == ("variables",):
        return _undeclared(scene)
    if path == ("variable_constraints",):
        return [Property(name, ANY, "A variable of this workflow.") for name in scene.variables]
    if key in ("components", "quantization_config", "torch_dtype", "dtype"):
        return [Property(name, ANY, "A component of the pipeline.") for name in scene.component_names()]
    return []


def _undeclared(scene: Scene) -> list[Property]:
    found: dict[str, Property] = {}
    for use in scene.workflow.uses:
        name = use.reference.name
        if use.reference.kind == "variable" and name not in scene.variables and name not in found:
            default = variable_default(scene.workflow.root, _path_to(scene, use.node) or ())
            found[name] = Property(name, _of_value(default), "Is referred to and not declared yet.", default=default)
    return list(found.values())


def _path_to(scene: Scene, wanted: Node) -> Path | None:
    """The path of a value inside of the document."""
    place = locate(scene.spot.document, wanted.range.start + 1)
    return place.path if place.node == wanted else None
