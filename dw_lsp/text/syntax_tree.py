"""The tree of a JSON document, as far as it could be understood. Every node knows its place; nothing here parses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias, Union

# The constructors below do what a frozen dataclass' own would, in less than half the time: those set each field by a
# call, and a document of 2,000 lines has 12,000 of these at each key stroke.


@dataclass(frozen=True, init=False)
class Range:
    """A stretch of the text: code-point offsets, `end` exclusive."""

    start: int
    end: int

    def __init__(self, start: int, end: int) -> None:
        fields = self.__dict__
        fields["start"] = start
        fields["end"] = end

    def contains(self, offset: int) -> bool:
        """Whether a cursor at the offset touches this stretch (both ends count, as for a cursor)."""
        return self.start <= offset <= self.end


@dataclass(frozen=True, init=False)
class String:
    """A string: `value` has its escapes resolved, `range` includes the quotes; `closed`: the last one is there."""

    range: Range
    value: str
    closed: bool = True

    def __init__(self, range: Range, value: str, closed: bool = True) -> None:
        fields = self.__dict__
        fields["range"] = range
        fields["value"] = value
        fields["closed"] = closed


@dataclass(frozen=True)
class Number:
    """A number; whole numbers are `int`, those with a fraction or an exponent `float`."""

    range: Range
    value: int | float


@dataclass(frozen=True)
class Boolean:
    range: Range
    value: bool


@dataclass(frozen=True)
class Null:
    range: Range


@dataclass(frozen=True)
class Missing:
    """The empty place where a value should stand; its range is empty and lies where one would type."""

    range: Range


@dataclass(frozen=True)
class Unknown:
    """Something that is no JSON value, such as a bare word; a syntax error tells of it."""

    range: Range
    text: str


@dataclass(frozen=True, init=False)
class Member:
    """One `"key": value` of an object; `range` covers both."""

    range: Range
    key: String
    value: Node

    def __init__(self, range: Range, key: String, value: Node) -> None:
        fields = self.__dict__
        fields["range"] = range
        fields["key"] = key
        fields["value"] = value


@dataclass(frozen=True, init=False)
class Object:
    """An object; members in the order of the text, a repeated key included each time it stands there."""

    range: Range
    members: tuple[Member, ...] = ()
    closed: bool = True
    _by_name: dict[str, Member] = field(init=False, repr=False, compare=False)

    def __init__(self, range: Range, members: tuple[Member, ...] = (), closed: bool = True) -> None:
        fields = self.__dict__
        fields["range"] = range
        fields["members"] = members
        fields["closed"] = closed
        fields["_by_name"] = {member.key.value: member for member in members}

    @property
    def has_repeated_key(self) -> bool:
        """Whether two members have one key."""
        return len(self._by_name) < len(self.members)

    def member(self, name: str) -> Member | None:
        """The member of that name; of a repeated key the last, as JSON readers take it."""
        return self._by_name.get(name)

    def get(self, name: str) -> Node | None:
        """The value of the member of that name."""
        member = self._by_name.get(name)
        return None if member is None else member.value


@dataclass(frozen=True)
class Array:
    range: Range
    items: tuple[Node, ...] = ()
    closed: bool = True


Node: TypeAlias = Object | Array | String | Number | Boolean | Null | Missing | Unknown

#: Any JSON value as Python has it.
Value: TypeAlias = Union[dict[str, "Value"], list["Value"], str, int, float, bool, None]  # noqa: UP007 (recursive)


def to_value(node: Node) -> Value:
    """The plain value of a node; missing and unknown values become `None`, of a repeated key the last value stays."""
    if isinstance(node, Object):
        return {member.key.value: to_value(member.value) for member in node.members}
    if isinstance(node, Array):
        return [to_value(item) for item in node.items]
    if isinstance(node, (String, Number, Boolean)):
        return node.value
    return None


def walk(node: Node) -> Iterator[Node]:
    """The node and everything inside it, in the order of the text."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        if type(node) is Object:
            waiting.extend([member.value for member in reversed(node.members)])
        elif type(node) is Array:
            waiting.extend(reversed(node.items))


def at_path(node: Node, path: tuple[str | int, ...]) -> Node | None:
    """The node that a path of keys and indices leads to, or `None`."""
    for part in path:
        following: Node | None = None
        if isinstance(node, Object) and isinstance(part, str):
            following = node.get(part)
        elif isinstance(node, Array) and isinstance(part, int) and 0 <= part < len(node.items):
            following = node.items[part]
        if following is None:
            return None
        node = following
    return node
