"""What is typed at a cursor: the text or the bare word that it is in, as its line alone tells."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dw_lsp.text.syntax_tree import Range

_PART = re.compile(
    r'(?P<text>"(?:\\.|[^"\\])*")|(?P<comment>//.*|/\*.*?(?:\*/|\Z))|(?P<open>"(?:\\.|[^"\\])*\\?\Z)|[^"/]+|/'
)
#: What may follow the last quote of a text: anything else was typed before that quote was meant to open another text.
_GLUED = re.compile(r"[\w./{$-]")
_WORD_BEFORE, _WORD_BEHIND = re.compile(r"[\w.-]*\Z"), re.compile(r"[\w.-]*")
_REST_OF_TEXT = re.compile(r'(?:[^\s"\]}\[{,:]|:(?=[\w./]))*')
_LINE_END = re.compile(r"[\r\n]")
_NO_WORD = frozenset({"true", "false", "null"})
_NUMBER = re.compile(r"-?\d[\d.eE+-]*\Z")
_QUOTES = ('"', "'")


@dataclass(frozen=True)
class Typed:
    """The text or the word that a cursor is in; `half`: its end is not typed yet.

    An empty range: the quotes of the line do not pair, and the cursor stands before one of them.
    """

    range: Range
    half: bool = True


def typed_at(text: str, offset: int) -> Typed | None:
    """The text or the bare word that a cursor is in, as its line alone tells."""
    start = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    found = _LINE_END.search(text, offset)
    end = found.start() if found else len(text)
    for part in _PART.finditer(text[start:end]):
        first, last = start + part.start(), start + part.end()
        if offset <= first:
            if offset == first and (
                part.lastgroup == "open" or (part.lastgroup == "text" and _GLUED.match(text, last))
            ):
                return Typed(Range(first, first), False)
            break
        if part.lastgroup == "text" and offset < last:
            glued = _GLUED.match(text, last) is not None
            return Typed(Range(first, _end_of_half(text, offset, end, last - 1) if glued else last), glued)
        if part.lastgroup == "open" and offset <= last:
            return Typed(Range(first, _end_of_half(text, offset, end, end)))
        if part.lastgroup in ("text", "comment") and offset <= last:
            return None
    word = _bare_word(text, start, offset, end)
    return None if word is None else Typed(word)


def _end_of_half(text: str, offset: int, line_end: int, limit: int) -> int:
    """Where what is half typed ends: at the end of the word, brackets and commas behind it left out."""
    rest = _REST_OF_TEXT.match(text, offset, min(line_end, limit))
    return rest.end() if rest else offset


def _bare_word(text: str, line_start: int, offset: int, line_end: int) -> Range | None:
    before, behind = _WORD_BEFORE.search(text, line_start, offset), _WORD_BEHIND.match(text, offset, line_end)
    if before is None or behind is None:
        return None
    word = before[0] + behind[0]
    if not before[0] or word in _NO_WORD or _NUMBER.match(word) or text[before.start() - 1 : before.start()] in _QUOTES:
        return None
    return None if text[behind.end() : behind.end() + 1] in _QUOTES else Range(before.start(), behind.end())
