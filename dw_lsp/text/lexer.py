"""Text to tokens of JSON with comments. Never fails: what is no token of JSON becomes a `word` or an `unclosed` string.

A sound document has one reading. For one that is not, other readings guess where forgotten quotes belong; which of them
explains the text best is for the parser to judge.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

#: "plain" takes the text as it stands; "quotes" looks for values and keys that lack one; "brackets" also takes brackets
#: at the end of an unclosed string for brackets.
Reading: TypeAlias = Literal["plain", "quotes", "brackets"]


class Token(NamedTuple):
    """One token: `kind` is a bracket, colon or comma itself, or string, unclosed, half, number, word, end.

    An `unclosed` string lacks its last quote and goes to the end of its line; a `half` one lacks either quote, or has
    quotes inside. A token without length was put in.
    """

    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Lexed:
    """The tokens that count, closed by one of kind `end`; and the comments that were never closed, as offsets."""

    tokens: list[Token]
    open_comments: list[int]


# A string ends at its quote or, when that is missing, at the end of the line: the rest of the document stays readable.
_PLAIN = r"""
      (?P<space>[ \t\r\n\ufeff]+ | //[^\r\n]*)
    | (?P<mark>[{}\[\]:,])
    | (?P<string>"[^"\\\r\n]*(?:\\[^\r\n][^"\\\r\n]*)*" | '[^'\\\r\n]*(?:\\[^\r\n][^'\\\r\n]*)*')
    | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?(?![^\s{}\[\]:,/]))
    | (?P<unclosed>["'][^\r\n]*)
    | (?P<comment>/\*)
    | (?P<word>(?:[^\s{}\[\]:,"'/]|/(?![/*]))+ | .)
"""
# A key or a value without its first quote, a key without its last, a value with quotes inside: else what lies between
# two quotes that have nothing to do with each other looks like a string. The bounds keep hostile lines linear.
_HALF = r"""
      (?P<half>[A-Za-z_][\w.-]*"(?=[ \t]*:)
      | (?<=:[ ])[A-Za-z_][^"\\\r\n]{0,400}"(?=[ \t]*[\]},]*[ \t]*(?:[\r\n]|\Z))
      | (?<=:[ ])"[^"\\\r\n]*(?:"(?![ \t]*[\]}:,\r\n])[^"\\\r\n]*){1,20}"(?=[ \t]*[\]},]*[ \t]*(?:[\r\n]|\Z))
      | "[A-Za-z_][\w.-]*(?=[ \t]*:[ \t]*(?:
            (?: "[^"\\\r\n]*" | [-\w.+]+ )[ \t]*[\]},]*[ \t]* | [\[{][^"\r\n]*)(?=[\r\n]|\Z))
      | "[A-Za-z_][\w.-]*(?=[ \t]*:[ \t]*[\[{]?[ \t]*"[^"\\\r\n]{0,400}"[ \t]*[]},:])
      | "[^"\\\r\n]{0,400}?(?=,[ \t]*"[^"\\\r\n]{0,400}"[ \t]*[]},:]))
    |
"""
_LINE_END = re.compile(r"[\r\n]")
_TOKEN = re.compile(_PLAIN, re.VERBOSE)
_TOKEN_OR_HALF = re.compile(_HALF + _PLAIN, re.VERBOSE)
_BRACKETS = re.compile(r"[\]}\[{,:\s]*\Z")


def lex(text: str, reading: Reading = "plain") -> Lexed:
    """The tokens of the text, white space and comments left out."""
    tokens: list[Token] = []
    open_comments: list[int] = []
    pattern = _TOKEN if reading == "plain" else _TOKEN_OR_HALF
    last_comment_end = text.rfind("*/")
    at: int | None = 0
    while at is not None:
        at = _lex_until_comment(text, at, pattern, reading, tokens)
        if at is None:
            break
        if at + 2 <= last_comment_end:
            at = text.index("*/", at + 2) + 2
        else:
            open_comments.append(at)
            line_end = _LINE_END.search(text, at)
            at = line_end.start() if line_end else len(text)
    tokens.append(Token("end", len(text), len(text)))
    return Lexed(tokens, open_comments)


def _lex_until_comment(
    text: str, at: int, pattern: re.Pattern[str], reading: Reading, tokens: list[Token]
) -> int | None:
    """Add the tokens up to the next /* comment. Returns where that begins, or `None` at the end of the text."""
    for match in pattern.finditer(text, at):
        kind = match.lastgroup
        if kind == "space":
            continue
        start, end = match.span()
        if kind == "mark":
            kind = text[start]
        elif kind == "comment":
            return start
        elif kind == "unclosed":
            tokens += _unclosed(text, start, end, reading)
            continue
        tokens.append(Token(kind or "word", start, end))
    return None


def _unclosed(text: str, start: int, end: int, reading: Reading) -> list[Token]:
    """A string up to the end of its line, without what most likely was meant to follow it: a comma, or brackets."""
    raw = text[start:end].rstrip()
    if reading == "brackets":
        raw = raw[0] + _BRACKETS.sub("", raw[1:])
    elif len(raw) > 1:
        raw = raw.removesuffix(",")
    inner_end = start + len(raw)
    marks = [Token(text[place], place, place + 1) for place in range(inner_end, end) if text[place] in "]}[{,:"]
    return [Token("unclosed", start, inner_end), *marks]
