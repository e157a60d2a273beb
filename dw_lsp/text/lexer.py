"""Text to tokens of JSON with comments. Never fails: what is no token of JSON becomes a `word`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple


class Token(NamedTuple):
    """One token: `kind` is a bracket, colon or comma itself, or one of string, number, word, end."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Lexed:
    """The tokens that count, closed by one of kind `end`; and the comments that were never closed, as offsets."""

    tokens: list[Token]
    open_comments: list[int]


# A string ends at its quote or, when that is missing, at the end of the line: the rest of the document stays readable.
_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\r\n\ufeff]+ | //[^\r\n]*)
    | (?P<comment>/\*(?:[^*]|\*(?!/))*(?P<closed>\*/)?)
    | (?P<mark>[{}\[\]:,])
    | (?P<string>"[^"\\\r\n]*(?:\\.[^"\\\r\n]*)*(?:"|\\?(?=[\r\n]|\Z))
                |'[^'\\\r\n]*(?:\\.[^'\\\r\n]*)*(?:'|\\?(?=[\r\n]|\Z)))
    | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?(?![\w.+-]))
    | (?P<word>(?:[^\s{}\[\]:,"'/]|/(?![/*]))+ | .)
    """,
    re.VERBOSE,
)


def lex(text: str) -> Lexed:
    """The tokens of the text, white space and comments left out."""
    tokens: list[Token] = []
    open_comments: list[int] = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "space":
            continue
        if kind == "mark":
            kind = match.group()
        elif kind == "comment":
            if match.group("closed") is None:
                open_comments.append(match.start())
            continue
        tokens.append(Token(kind or "word", match.start(), match.end()))
    tokens.append(Token("end", len(text), len(text)))
    return Lexed(tokens, open_comments)
