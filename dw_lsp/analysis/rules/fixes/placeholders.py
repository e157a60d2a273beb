"""Values that stand for those that an author has yet to write: as valid as the format's tables can tell."""

from __future__ import annotations

from collections.abc import Sequence

from dw_lsp.text.syntax_tree import Node, String, Value, at_path
from dw_lsp.workflow.format.commands import COMMANDS
from dw_lsp.workflow.format.shapes import (
    ANY,
    AnyOf,
    FlagShape,
    ListShape,
    MapShape,
    MediumShape,
    NumberShape,
    ObjectShape,
    Property,
    Shape,
    TextShape,
)
from dw_lsp.workflow.format.step import STEP
from dw_lsp.workflow.format.workflow import WORKFLOW
from dw_lsp.workflow.resolved import StepKind

#: What the tables cannot know: classes that load any model, names.
_BY_KEY: dict[str, Value] = {
    "id": "workflow",
    "name": "step",
    "command": "gather_inputs",
    "config_type": "BitsAndBytesConfig",
    "storage_dtype": "torch.float8_e4m3fn",
    "compute_dtype": "torch.bfloat16",
}
#: Classes that load whatever a model names, by the object that names them.
_CLASSES = {"configuration": "DiffusionPipeline", "component configuration": "AutoModel"}
#: Usual values of the arguments of calls.
USUAL_ARGUMENTS: dict[str, Value] = {
    "prompt": "",
    "negative_prompt": "",
    "width": 1024,
    "height": 1024,
    "num_inference_steps": 25,
    "guidance_scale": 7.5,
    "num_images_per_prompt": 1,
    "num_videos_per_prompt": 1,
    "num_frames": 25,
    "strength": 0.8,
    "max_sequence_length": 512,
}


def placeholder(needed: Property, holder: ObjectShape | None = None) -> Value:
    """A value for a key. Required keys inside of it have theirs. Arguments: `holder` is the object that has the key."""
    if needed.name == "component_type" and holder is not None:
        return _CLASSES.get(holder.name, "")
    if needed.default is not None:
        return needed.default
    if needed.name in _BY_KEY and isinstance(needed.shape, TextShape):
        return _BY_KEY[needed.name]
    return _of_shape(needed.shape)


def _of_shape(shape: Shape) -> Value:
    if isinstance(shape, AnyOf):
        return _of_shape(shape.options[0])
    if isinstance(shape, TextShape):
        return next(iter((*shape.choices, *shape.suggestions)), "")
    if isinstance(shape, NumberShape):
        return _number(shape)
    if isinstance(shape, FlagShape):
        return False
    if isinstance(shape, ListShape):
        return [_of_shape(shape.item) for _ in range(shape.at_least)]
    if isinstance(shape, MapShape):
        return {}
    if shape is STEP:
        return {"name": "step", "task": skeleton("task")}
    if isinstance(shape, ObjectShape):
        return _object(shape)
    return "" if shape is not ANY else None


def _number(shape: NumberShape) -> Value:
    if shape.least is not None:
        return int(shape.least) if shape.least == int(shape.least) else shape.least
    return 0 if shape.above is None else int(shape.above) + 1


def _object(shape: ObjectShape) -> Value:
    wanted = [needed for needed in shape.properties if needed.required]
    first = [needed for group in shape.one_of if (needed := shape.property(group[0])) is not None]
    return {needed.name: placeholder(needed, shape) for needed in [*wanted, *first]}


def skeleton(kind: StepKind) -> Value:
    """The body of a step of a kind, with what it must have."""
    needed = STEP.property(kind)
    return {} if needed is None else _of_shape(needed.shape)


def variable_default(root: Node, path: Sequence[str | int]) -> Value:
    """A default for a variable. Arguments: the path of the place where it is used; null fits where nothing is known."""
    argument = _task_argument(root, path)
    if argument is not None:
        return None if isinstance(argument.shape, MediumShape) else placeholder(argument)
    shape: Shape | None = WORKFLOW
    last: Property | None = None
    for part in path:
        shape, last = _inside(shape, part)
    if last is not None and last.shape is not ANY:
        return placeholder(last)
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    return USUAL_ARGUMENTS.get(key) if isinstance(path[-1] if path else "", str) else None


def _task_argument(root: Node, path: Sequence[str | int]) -> Property | None:
    """The argument of a task command that a path leads to."""
    if len(path) != 5 or path[2] != "task" or path[3] != "arguments":
        return None
    command = at_path(root, (*path[:3], "command"))
    known = COMMANDS.get(command.value) if isinstance(command, String) else None
    return None if known is None else known.argument(str(path[4]))


def _inside(shape: Shape | None, part: str | int) -> tuple[Shape | None, Property | None]:
    """What the tables know of a member or an item."""
    for option in shape.options if isinstance(shape, AnyOf) else (shape,):
        if isinstance(option, ObjectShape) and isinstance(part, str):
            known = option.property(part)
            return (known.shape, known) if known is not None else (option.others, None)
        if isinstance(option, ListShape) and isinstance(part, int):
            return option.item, None
        if isinstance(option, MapShape) and isinstance(part, str):
            return option.value, None
    return None, None
