"""A sound JSON document to its tree, in one pass and half the time of tokens; anything else is left to the parser.

Must agree with the parser on every document that it reads, and gives up at the first sign of a comment or a mistake.
What stands before an edit is taken over from the tree of the text before it.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from dw_lsp.text.scalars import resolved
from dw_lsp.text.syntax_tree import Array, Boolean, Member, Node, Null, Number, Object, Range, String

#: Digits above which a number may be more than Python reads or holds.
_LONGEST_NUMBER = 300
_BLANK = r"[ \t\r\n]*"
_PLAIN = r'[^"\\\x00-\x1f]*'
_TEXT = rf'"({_PLAIN}(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{{4}}){_PLAIN})*)"'
_KEY = re.compile(_TEXT + _BLANK + ":" + _BLANK).match
_STRING = re.compile(_TEXT).match
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?(?![^\s{}\[\]:,/])").match
_WORD = re.compile(r"(?:true|false|null)(?![^\s{}\[\]:,/])").match
_BLANKS = re.compile(_BLANK).match
#: What stands behind a member or an item, with the blanks around it.
_NEXT = re.compile(_BLANK + r"([,}\]])" + _BLANK).match
_START = re.compile(r"[ \t\r\n\ufeff]*").match


#: What a container has: members or items.
Part = TypeVar("Part", Member, Node)


class _Unsound(Exception):
    """The document is not for this reader."""


@dataclass(frozen=True)
class Former:
    """The tree of a sound document that began with the same characters. `same`: how many of them."""

    root: Node
    same: int


def read_sound(text: str, deepest: int, former: Former | None = None) -> Node | None:
    """The tree of a sound document; `None` for one with comments, mistakes or no value.

    Arguments: `deepest` is how many containers may lie in each other; `former`: what may be taken over.
    """
    known, same = (None, 0) if former is None else (former.root, former.same)
    try:
        start = _end(_START(text))
        node, at = _value(text, start, deepest, known, same)
        return node if _end(_START(text, at)) == len(text) else None
    except (_Unsound, IndexError):
        return None


def same_length(former: str, text: str) -> int:
    """With how many same characters two texts begin."""
    least, most = 0, min(len(former), len(text))
    while least < most:
        middle = (least + most + 1) // 2
        if former[least:middle] == text[least:middle]:
            least = middle
        else:
            most = middle - 1
    return least


def _end(match: re.Match[str] | None) -> int:
    assert match is not None, "a pattern of blanks always matches"
    return match.end()


def _value(text: str, at: int, deepest: int, former: Node | None = None, same: int = 0) -> tuple[Node, int]:
    """The value at an offset, and the offset behind it. Arguments: `former` stood at this place before."""
    first = text[at]
    if first == '"':
        found = _STRING(text, at)
        if found is None:
            raise _Unsound
        end = found.end()
        return String(Range(at, end), resolved(found[1])), end
    if first == "{":
        return _object(text, at, deepest, former, same)
    if first == "[":
        return _array(text, at, deepest, former, same)
    return _scalar(text, at)


def _scalar(text: str, at: int) -> tuple[Node, int]:
    if (found := _NUMBER(text, at)) is not None:
        written, end = found[0], found.end()
        if found[1] is None and found[2] is None and len(written) < _LONGEST_NUMBER:
            return Number(Range(at, end), int(written)), end
        value = float(written)
        if math.isfinite(value) and len(written) < _LONGEST_NUMBER:
            return Number(Range(at, end), value), end
    elif (found := _WORD(text, at)) is not None:
        word, end = found[0], found.end()
        return (Null(Range(at, end)) if word == "null" else Boolean(Range(at, end), word == "true")), end
    raise _Unsound


def _object(text: str, opener: int, deepest: int, former: Node | None, same: int) -> tuple[Node, int]:
    if not deepest:
        raise _Unsound
    at = _end(_BLANKS(text, opener + 1))
    if text[at] == "}":
        return Object(Range(opener, at + 1)), at + 1
    members: list[Member] = []
    if isinstance(former, Object) and former.range.start == opener < same:
        members, changed = _taken_over(former.members, same)
        former = None if changed is None else changed.value
    behind = members[-1].range.end if members else 0
    while True:
        if behind:
            following = _NEXT(text, behind)
            if following is None:
                raise _Unsound
            at = following.end()
            mark = following[1]
            if mark == "}":
                end = following.end(1)
                return Object(Range(opener, end), tuple(members)), end
            if mark == "]":
                raise _Unsound
        key = _KEY(text, at)
        if key is None:
            raise _Unsound
        value, behind = _value(text, key.end(), deepest - 1, former, same)
        former = None
        where = Range(at, key.end(1) + 1)
        members.append(Member(Range(at, behind), String(where, resolved(key[1])), value))


def _array(text: str, opener: int, deepest: int, former: Node | None, same: int) -> tuple[Node, int]:
    if not deepest:
        raise _Unsound
    at = _end(_BLANKS(text, opener + 1))
    if text[at] == "]":
        return Array(Range(opener, at + 1)), at + 1
    items: list[Node] = []
    if isinstance(former, Array) and former.range.start == opener < same:
        items, former = _taken_over(former.items, same)
    behind = items[-1].range.end if items else 0
    while True:
        if behind:
            following = _NEXT(text, behind)
            if following is None:
                raise _Unsound
            at = following.end()
            mark = following[1]
            if mark == "]":
                end = following.end(1)
                return Array(Range(opener, end), tuple(items)), end
            if mark == "}":
                raise _Unsound
        item, behind = _value(text, at, deepest - 1, former, same)
        former = None
        items.append(item)


def _taken_over(parts: Sequence[Part], same: int) -> tuple[list[Part], Part | None]:
    """The parts of a container that end before the first changed character, and the one behind them."""
    # What a part ends with must be followed by what it was followed by: a number could go on.
    count = bisect_left(parts, same, key=lambda part: part.range.end)
    return list(parts[:count]), parts[count] if count < len(parts) else None
