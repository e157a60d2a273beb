"""The errors for what a step asks for and cannot have, each with its place in the text."""

from __future__ import annotations

from collections.abc import Mapping

from dw_lsp.text.syntax_tree import Value
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


def only(step: ResolvedStep, value: Mapping[str, Value], known: frozenset[str], path: tuple[PathPart, ...]) -> None:
    for key in value:
        if key not in known:
            raise not_yet(step, (*path, key), f"`{key}` in `{path[-1]}`")


def object_at(step: ResolvedStep, value: Value, path: tuple[PathPart, ...]) -> Mapping[str, Value]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refuse(step, path, f"`{path[-1]}` should be an object")
    return value
