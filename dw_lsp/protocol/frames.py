"""How a message travels: one JSON object behind a four-byte length (big-endian)."""

from __future__ import annotations

import dataclasses
import functools
import json
import struct
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Union

from dw_lsp.protocol import messages
from dw_lsp.protocol.messages import Message

HEADER = struct.Struct(">I")
LARGEST_FRAME = 64 * 1024 * 1024
#: The variable in which a worker finds the supervisor's process id: a worker whose parent is another has a wrapper.
SUPERVISOR = "DW_SUPERVISOR"


class MalformedMessage(Exception):
    """What arrived is no message of this protocol: the counterpart is broken or of another version."""


_KINDS: dict[str, type] = {kind.__name__: kind for kind in typing.get_args(Message)}
_SHAPES = frozenset(kind for kind in vars(messages).values() if dataclasses.is_dataclass(kind))


def encode(message: Message) -> bytes:
    """The message as one frame: length, then JSON.

    Raises `ValueError` when the frame would be larger than `LARGEST_FRAME`.
    """
    body = _TO_JSON({"kind": type(message).__name__, **vars(message)})
    data = body.encode("utf-8", "surrogatepass")
    if len(data) > LARGEST_FRAME:
        raise ValueError(
            f"a {type(message).__name__} of {len(data)} bytes is larger than a frame may be ({LARGEST_FRAME})"
        )
    return HEADER.pack(len(data)) + data


def _plain(value: object) -> object:
    """What JSON cannot express: the fields of a dataclass; else a text that tells of it."""
    return value.__dict__ if type(value) in _SHAPES else str(value)


_TO_JSON = json.JSONEncoder(ensure_ascii=False, default=_plain).encode


def frame_length(header: bytes) -> int:
    """How many bytes follow a frame's header. Raises `MalformedMessage` when no frame is that long."""
    length: int = HEADER.unpack(header)[0]
    if length > LARGEST_FRAME:
        raise MalformedMessage(f"a frame of {length} bytes was announced; the largest is {LARGEST_FRAME}")
    return length


def decode(body: bytes) -> Message:
    """The message in a frame's body. Raises `MalformedMessage`, saying which field is at fault."""
    try:
        data = json.loads(body.decode("utf-8", "surrogatepass"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise MalformedMessage(f"a frame is not JSON: {error}") from error
    kind = data.pop("kind", None) if isinstance(data, dict) else None
    if kind not in _KINDS:
        raise MalformedMessage(f"a frame of unknown kind {kind!r}")
    return typing.cast(Message, _build(_KINDS[kind], data, kind))


def _build(kind: type, data: Mapping[str, Any], place: str) -> Any:
    hints = _hints(kind)
    known = {name: _convert(hints[name], value, f"{place}.{name}") for name, value in data.items() if name in hints}
    try:
        return kind(**known)
    except TypeError as error:
        raise MalformedMessage(f"{place}: {error}") from error


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


_JSON_TYPES: dict[Any, tuple[type, ...]] = {str: (str,), int: (int,), float: (int, float), bool: (bool,)}


def _convert(hint: Any, value: Any, place: str) -> Any:
    """The value as the type hint has it: tuples from lists, dataclasses from objects, the rest checked."""
    origin = typing.get_origin(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _convert_union(typing.get_args(hint), value, place)
    if origin is tuple and isinstance(value, list):
        item = typing.get_args(hint)[0]
        return tuple(_convert(item, part, f"{place}[{index}]") for index, part in enumerate(value))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, dict):
        return _build(hint, value, place)
    if origin is dict and isinstance(value, dict):
        return value
    if origin is Literal and value in typing.get_args(hint):
        return value
    if hint in _JSON_TYPES and isinstance(value, _JSON_TYPES[hint]) and (hint is bool or not isinstance(value, bool)):
        return value
    raise MalformedMessage(f"{place} is {type(value).__name__} {str(value)[:80]!r}, which does not fit {hint}")


def _convert_union(options: tuple[Any, ...], value: Any, place: str) -> Any:
    if value is None and type(None) in options:
        return None
    problems = []
    for option in (option for option in options if option is not type(None)):
        try:
            return _convert(option, value, place)
        except MalformedMessage as error:
            problems.append(error)
    raise problems[-1]
