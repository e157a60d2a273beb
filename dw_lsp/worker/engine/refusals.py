"""The errors for what a step asks for and cannot have, each with its place in the text."""

from __future__ import annotations

from collections.abc import Mapping

from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

PathPart = str | int


def refuse(step: ResolvedStep, path: tuple[PathPart, ...], message: str, hint: str | None = None) -> InvalidInput:
    """The error for something at a path inside a step."""
    return InvalidInput(message, step.place(*path), step.name, hint)


def not_yet(step: ResolvedStep, path: tuple[PathPart, ...], what: str) -> InvalidInput:
    return refuse(step, path, f"{what} is not carried out by this engine yet")


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
