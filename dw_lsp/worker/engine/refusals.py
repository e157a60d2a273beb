"""The errors for what a step asks for and cannot have, each with its place in the text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dw_lsp.catalog.nearest import nearest_names
from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.format.shapes import AnyOf, ListShape, MapShape, ObjectShape, Shape
from dw_lsp.workflow.format.step import STEP
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

PathPart = str | int

#: What to do about a key that is not carried out yet, besides removing it.
WAYS_OUT = {
    "components_manager": "Only modular pipelines have one; write `offload` instead.",
    "configs": "Only modular pipelines have them; use the call's arguments.",
    "enable_layerwise_casting": "Remove it, or quantize the component with `quantization_config`.",
    "generate": "Use a pipeline class, or an earlier step's text.",
    "inversion": "Begin from a picture with an image-to-image pipeline class instead.",
    "load_components": "Only modular pipelines have it; define the component with its own `quantization_config`.",
    "remote_text_encoder": "Remove it: the pipeline encodes the prompt itself.",
    "teacache": "Use `cache` with the type first_block instead.",
}


def refuse(step: ResolvedStep, path: tuple[PathPart, ...], message: str, hint: str | None = None) -> InvalidInput:
    """The error for something at a path inside a step."""
    return InvalidInput(message, step.place(*path), step.name, hint)


def not_yet(step: ResolvedStep, path: tuple[PathPart, ...], what: str) -> InvalidInput:
    """The error for something that the format has and the engine does not do, with what to do instead."""
    hint = WAYS_OUT.get(str(path[-1]), "Remove it to run the rest of the workflow.")
    return refuse(step, path, f"{what} is not carried out by this engine yet", hint)


def unknown(
    step: ResolvedStep, path: tuple[PathPart, ...], known: Iterable[str], of: str | None = None
) -> InvalidInput:
    """The error for a key that nobody knows. Arguments: `known` are those there are; `of` is what has them."""
    key = str(path[-1])
    near = nearest_names(key, sorted(known), 1)
    hint = f"Did you mean `{near[0]}`?" if near else "Remove it, or correct its name."
    return refuse(step, path, f"`{of or path[-2]}` has no key `{key}`", hint)


def only(step: ResolvedStep, value: Mapping[str, Value], known: frozenset[str], path: tuple[PathPart, ...]) -> None:
    """Raise `InvalidInput` for the first key of an object that is not among the known ones."""
    for key in value:
        if key in known:
            continue
        shape = _shape_at(path)
        planned = {} if shape is None else {each.name: each for each in shape.properties}
        if key not in planned:
            raise unknown(step, (*path, key), known | planned.keys())
        if value[key] is not None or planned[key].required:
            raise not_yet(step, (*path, key), f"`{key}` in `{path[-1]}`")


def _shape_at(path: tuple[PathPart, ...]) -> ObjectShape | None:
    """What the format has for the object at a path inside a step."""
    found: Shape | None = STEP
    for part in path:
        holder = _holder(found)
        if isinstance(holder, ObjectShape):
            listed = holder.property(str(part))
            found = holder.others if listed is None else listed.shape
        elif isinstance(holder, ListShape):
            found = holder.item
        else:
            found = None if holder is None else holder.value
    shape = _holder(found)
    return shape if isinstance(shape, ObjectShape) else None


def _holder(shape: Shape | None) -> ObjectShape | ListShape | MapShape | None:
    options = shape.options if isinstance(shape, AnyOf) else (shape,)
    return next((option for option in options if isinstance(option, (ObjectShape, ListShape, MapShape))), None)


def object_at(step: ResolvedStep, value: Value, path: tuple[PathPart, ...]) -> Mapping[str, Value]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refuse(step, path, f"`{path[-1]}` should be an object")
    return value
