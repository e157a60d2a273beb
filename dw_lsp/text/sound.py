"""A sound JSON document to its tree, in one pass and half the time of tokens; anything else is left to the parser.

Must agree with the parser on every document that it reads, and gives up at the first sign of a comment or a mistake.
"""

from __future__ import annotations

import math
import re

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


class _Unsound(Exception):
    """The document is not for this reader."""


def read_sound(text: str, deepest: int) -> Node | None:
    """The tree of a sound document; `None` for one with comments, mistakes or no value.

    Arguments: `deepest` is how many containers may lie in each other.
    """
    try:
        start = _end(_START(text))
        node, at = _value(text, start, deepest)
        return node if _end(_START(text, at)) == len(text) else None
    except (_Unsound, IndexError):
        return None


def _end(match: re.Match[str] | None) -> int:
    assert match is not None, "a pattern of blanks always matches"
    return match.end()


def _value(text: str, at: int, deepest: int) -> tuple[Node, int]:
    """The value at an offset, and the offset behind it."""
    first = text[at]
    if first == '"':
        found = _STRING(text, at)
        if found is None:
            raise _Unsound
        end = found.end()
        return String(Range(at, end), resolved(found[1])), end
    if first == "{":
        return _object(text, at, deepest)
    if first == "[":
        return _array(text, at, deepest)
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


def _object(text: str, opener: int, deepest: int) -> tuple[Node, int]:
    if not deepest:
        raise _Unsound
    at = _end(_BLANKS(text, opener + 1))
    if text[at] == "}":
        return Object(Range(opener, at + 1)), at + 1
    members: list[Member] = []
    while True:
        key = _KEY(text, at)
        if key is None:
            raise _Unsound
        value, behind = _value(text, key.end(), deepest - 1)
        where = Range(at, key.end(1) + 1)
        members.append(Member(Range(at, behind), String(where, resolved(key[1])), value))
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


def _array(text: str, opener: int, deepest: int) -> tuple[Node, int]:
    if not deepest:
        raise _Unsound
    at = _end(_BLANKS(text, opener + 1))
    if text[at] == "]":
        return Array(Range(opener, at + 1)), at + 1
    items: list[Node] = []
    while True:
        item, behind = _value(text, at, deepest - 1)
        items.append(item)
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
