"""Tokens of strings, numbers and words to nodes, with a problem for each mistake inside them."""

from __future__ import annotations

import math
import re
from typing import Protocol

from dw_lsp.text.edits import Edit
from dw_lsp.text.lexer import Token
from dw_lsp.text.problems import Mend, put_in, put_instead
from dw_lsp.text.syntax_tree import Boolean, Node, Null, Number, Range, String, Unknown
from dw_lsp.text.writing import quote

LONGEST_SHOWN = 40
_LITERALS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_FROM_PYTHON = {"True": "true", "False": "false", "None": "null", "nil": "null", "undefined": "null"}
_CONTROL = re.compile(r"[\x00-\x1f]")
_ESCAPE = re.compile(r'\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt]|(?P<wrong>u[0-9a-fA-F]{0,3}|[^\r\n]?))')
_ESCAPED = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_SURROGATE = re.compile("[\ud800-\udfff]")
_NUMBER_LIKE = re.compile(r"[-+.]?[0-9]")


class Tell(Protocol):
    """Takes a start, an end, what to do about the mistake that lies there, and edits that do it."""

    def __call__(self, start: int, end: int, message: str, mend: Mend | None = None) -> None:
        """Take note of it."""


def read_string(text: str, token: Token, tell: Tell) -> String:
    """The string of a token of kind `string` or `unclosed`, its escapes resolved; wrong ones stay as they stand."""
    start, end = token.start, token.end
    closed = token.kind == "string"
    if not closed:
        message = f"This text is not closed; a {text[start]} is missing."
        tell(start, end, message, put_in(text[start], end, certain=False))
    elif text[start] == "'":
        tell(start, end, "Text stands in double quotes in JSON.", _in_double_quotes(text, start, end))
    raw = text[start + 1 : end - closed]
    if "\\" not in raw and raw.isprintable():
        return String(Range(start, end), raw, closed)
    for control in _CONTROL.finditer(raw):
        place = start + 1 + control.start()
        escape = f"\\u{ord(control.group()):04x}"
        message = f"A control character in text is written {escape}."
        tell(place, place + 1, message, put_instead(Range(place, place + 1), escape))
    return String(Range(start, end), _unescaped(raw, start + 1, tell), closed)


def resolved(raw: str) -> str:
    """The text that stands between quotes, its escapes resolved. Arguments: text whose escapes are all sound."""
    return _unescaped(raw, 0, _nobody) if "\\" in raw else raw


def _nobody(start: int, end: int, message: str, mend: Mend | None = None) -> None:
    raise AssertionError(f"no sound escape at {start}: {message}")


def _in_double_quotes(text: str, start: int, end: int) -> Mend:
    """The text with other quotes; what was escaped stays as it is, but for quotes."""
    inner = re.sub(r'\\(.)|"', _requoted, text[start + 1 : end - 1])
    return Mend("Put it in double quotes", (Edit(Range(start, end), f'"{inner}"'),))


def _requoted(match: re.Match[str]) -> str:
    written = match.group()
    return "'" if written == "\\'" else '\\"' if written == '"' else written


def _unescaped(raw: str, start: int, tell: Tell) -> str:
    def resolve(escape: re.Match[str]) -> str:
        written = escape.group()
        if escape.group("wrong") is None:
            return chr(int(written[2:], 16)) if written[1] == "u" else _ESCAPED[written[1]]
        if written == "\\'":
            return "'"
        place = start + escape.start()
        message = f"{written} is no escape of JSON; a backslash itself is \\\\."
        tell(place, place + len(written), message, put_in("\\", place, certain=False))
        return written

    value = _ESCAPE.sub(resolve, raw)
    if _SURROGATE.search(value):
        # Characters beyond the first 65,536 are escaped as two halves; one half alone stays as it is.
        value = value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return value


def read_number(text: str, token: Token, tell: Tell) -> Number:
    """The number of a token of kind `number`; one that Python cannot hold is a mistake and counts as 0."""
    written, where = text[token.start : token.end], Range(token.start, token.end)
    if not any(mark in written for mark in ".eE"):
        try:
            return Number(where, int(written))
        except ValueError:
            tell(token.start, token.end, "This number has too many digits.")
            return Number(where, 0)
    value = float(written)
    if math.isinf(value):
        tell(token.start, token.end, "This number is too large.")
        value = 0.0
    return Number(where, value)


def read_word(text: str, token: Token, tell: Tell) -> Node:
    """true, false or null; anything else is a mistake."""
    written, where = text[token.start : token.end], Range(token.start, token.end)
    if written in _LITERALS:
        value = _LITERALS[written]
        return Null(where) if value is None else Boolean(where, value)
    shown = written if len(written) <= LONGEST_SHOWN else written[:LONGEST_SHOWN] + "..."
    if written in _FROM_PYTHON:
        meant = _FROM_PYTHON[written]
        tell(token.start, token.end, f"{shown} is no value of JSON; write {meant}.", put_instead(where, meant))
    elif _NUMBER_LIKE.match(written):
        tell(token.start, token.end, f"{shown} is no number of JSON, such as 1, -0.5 or 2e3.")
    else:
        message = f'{shown} is no value of JSON; text stands in double quotes: "{shown}".'
        mend = Mend("Put it in double quotes", (Edit(where, quote(written)),), certain=False)
        tell(token.start, token.end, message, mend)
    return Unknown(where, written)
