"""The one object that a command takes, checked by hand so that an error names the field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pygls.exceptions import JsonRpcInvalidParams


@dataclass(frozen=True)
class Field:
    """A field of a command's argument: its name, its JSON type, and whether it must be there."""

    name: str
    kind: type
    required: bool = False


URI = Field("uri", str, required=True)
RUN = (
    URI,
    Field("arguments", dict),
    Field("step", str),
    Field("seed", int),
    Field("outputDir", str),
    #: Runs in place of the document's own: an earlier version of it, from the history of results.
    Field("text", str),
)
#: Every command, with the fields of its argument.
COMMANDS: Mapping[str, tuple[Field, ...]] = {
    "dw.run": RUN,
    "dw.plan": RUN,
    "dw.cancel": (Field("runId", str),),
    "dw.memory": (),
    "dw.clear": (),
    "dw.ping": (),
    "dw.status": (),
    "dw.restart": (),
    "dw.shutdown": (),
    "dw.evict": (Field("component", str, required=True),),
}
#: Levels of objects and lists in a command's argument; deeper ones could not be passed on to the worker.
DEEPEST = 100
_WORDS = {str: "text", int: "a whole number", dict: "an object"}


def check_argument(command: str, arguments: Sequence[Any]) -> dict[str, Any]:
    """The argument of a command; fields that are null count as absent.

    Raises `JsonRpcInvalidParams` whose message names the command and the field.
    """
    fields = COMMANDS[command]
    if len(arguments) > 1:
        raise JsonRpcInvalidParams(f"{command} takes one object, not {len(arguments)} arguments")
    given = arguments[0] if arguments and arguments[0] is not None else {}
    if not isinstance(given, dict):
        raise JsonRpcInvalidParams(f"{command} takes an object, not {_found(given)}")
    known = {field.name: field for field in fields}
    for name in given:
        if name not in known:
            wanted = f"; it has {', '.join(repr(other) for other in known)}" if known else "; it takes none"
            raise JsonRpcInvalidParams(f"{command}: unknown field {name!r}{wanted}")
    values = {name: value for name, value in given.items() if value is not None}
    for field in fields:
        if field.required and field.name not in values:
            raise JsonRpcInvalidParams(f"{command}: the field {field.name!r} is missing")
        if field.name in values and not _fits(values[field.name], field.kind):
            found = _found(values[field.name])
            raise JsonRpcInvalidParams(f"{command}: {field.name!r} must be {_WORDS[field.kind]}, not {found}")
    if (deep := next((name for name, value in values.items() if _depth(value) > DEEPEST), None)) is not None:
        raise JsonRpcInvalidParams(f"{command}: {deep!r} is nested more than {DEEPEST} levels deep")
    return values


def _depth(value: Any) -> int:
    """How deep objects and lists lie in one another, counted without recursion."""
    depth, level = 0, [value]
    while level := [item for outer in level if isinstance(outer, (dict, list)) for item in _items(outer)]:
        depth += 1
    return depth


def _items(outer: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return outer.values() if isinstance(outer, dict) else outer


def _fits(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def _found(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"
