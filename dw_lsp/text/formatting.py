"""A document laid out again: only the white space between its tokens changes.

An object or a list of scalars that stands on one line stays there if it fits; every other one gets a line for each
element. A comment stays behind what it stands behind, or on a line of its own. Single empty lines are kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dw_lsp.text.brackets import CLOSER
from dw_lsp.text.document import Document
from dw_lsp.text.edits import Edit
from dw_lsp.text.lexer import lex
from dw_lsp.text.syntax_tree import Range
from dw_lsp.text.writing import WIDEST, style_of

_COMMENT = re.compile(r"(?P<line>//[^\r\n]*)|(?P<block>/\*.*?\*/)", re.DOTALL)
_LINE_END = re.compile(r"\r\n|\n|\r")
_COMMENTS = ("line", "block")


@dataclass(frozen=True)
class _Part:
    """A token or a comment; `lines` counts the line ends between it and the one before it."""

    kind: str
    start: int
    end: int
    lines: int


def format_document(document: Document, unit: str = "  ", within: Range | None = None) -> tuple[Edit, ...]:
    """The edits that lay a document out; none for one with syntax mistakes, whose structure is not certain.

    Arguments: `unit` is the indentation of one level; only gaps that touch `within` are changed, if it is given.
    """
    if document.parsed.problems or document.root is None:
        return ()
    text = document.text
    parts = _parts(text)
    gaps = _Layout(text, parts, unit).gaps()
    edits = []
    for index, wanted in enumerate(gaps):
        start = parts[index - 1].end if index else len(text) - len(text.lstrip("\ufeff"))
        end = parts[index].start
        touched = within is None or (start <= within.end and end >= within.start)
        if touched and text[start:end] != wanted:
            edits.append(_smallest(text, start, end, wanted))
    return tuple(edits)


def _smallest(text: str, start: int, end: int, wanted: str) -> Edit:
    """The edit without what both texts begin with; half of a \\r\\n is never left."""
    common = 0
    while common < min(end - start, len(wanted)) and text[start + common] == wanted[common]:
        common += 1
    if common and wanted[common - 1] == "\r":
        common -= 1
    return Edit(Range(start + common, end), wanted[common:])


def _parts(text: str) -> list[_Part]:
    """All tokens and comments, in the order of the text; the last is of kind `end`."""
    parts: list[_Part] = []
    at = 0
    for token in lex(text).tokens:
        for comment in _COMMENT.finditer(text, at, token.start):
            parts.append(_part(text, comment.lastgroup or "", at, *comment.span()))
            at = comment.end()
        parts.append(_part(text, token.kind, at, token.start, token.end))
        at = token.end
    return parts


def _part(text: str, kind: str, last_end: int, start: int, end: int) -> _Part:
    return _Part(kind, start, end, len(_LINE_END.findall(text, last_end, start)))


class _Layout:
    """Goes through the parts of a sound document. `_open` are the brackets around the current part: kind, on a line."""

    def __init__(self, text: str, parts: Sequence[_Part], unit: str):
        self._text, self._parts, self._unit = text, parts, unit
        self._newline = style_of(text).newline
        self._open: list[tuple[str, bool]] = []
        self._column = 0

    def gaps(self) -> list[str]:
        """The white space that belongs before each part."""
        gaps = []
        for index, part in enumerate(self._parts):
            gap = self._gap(index)
            gaps.append(gap)
            self._pass(gap)
            if part.kind in CLOSER:
                self._open.append((part.kind, self._stays_on_line(index)))
            elif part.kind in CLOSER.values():
                self._open.pop()
            self._pass(self._text[part.start : part.end])
        return gaps

    def _pass(self, written: str) -> None:
        last_line = re.split(r"[\r\n]", written)[-1] if written else ""
        self._column = len(last_line) + (0 if len(last_line) < len(written) else self._column)

    def _stays_on_line(self, index: int) -> bool:
        """Whether what the bracket opens is on one line, holds scalars only, and fits."""
        opener = self._parts[index].kind
        padding = int(opener == "{")
        width = self._column + padding
        for at in range(index + 1, len(self._parts)):
            part = self._parts[at]
            if part.kind == CLOSER[opener]:
                width += padding + 1 + (self._parts[at + 1].kind == ",")
                return at == index + 1 or (not part.lines and width <= WIDEST)
            if part.lines or part.kind in CLOSER or part.kind == "line" or width > WIDEST:
                return False
            width += part.end - part.start + (part.kind not in (",", ":"))
        return False

    # ------------------------------------------------------------ gaps

    def _gap(self, index: int) -> str:
        part = self._parts[index]
        last = self._parts[index - 1] if index else None
        if part.kind == "end":
            return self._newline
        if last is None:
            return ""
        if last.kind == "line":
            return self._line(part)
        if part.kind in _COMMENTS or last.kind == "block":
            return self._gap_at_comment(index, last, part)
        return self._gap_of_tokens(last, part)

    def _gap_of_tokens(self, last: _Part, part: _Part) -> str:
        if part.kind in (",", ":") or CLOSER.get(last.kind) == part.kind:
            return ""
        if last.kind == ":":
            return " "
        if self._on_line():
            edge = last.kind in CLOSER or part.kind in CLOSER.values()
            return "" if edge and self._open[-1][0] == "[" else " "
        return self._line(part, after_opener=last.kind in CLOSER)

    def _gap_at_comment(self, index: int, last: _Part, part: _Part) -> str:
        """Before a comment, or behind one of the kind that need not end its line."""
        if part.kind in (",", ":"):
            return ""
        if part.lines and not self._on_line():
            return self._line(part, after_opener=last.kind in CLOSER)
        if self._on_line() or not self._open:
            return " " if last.end > last.start else ""
        if part.kind in CLOSER.values():
            return self._line(part)
        begins = last.kind in CLOSER or last.kind == ","
        return self._line(part, after_opener=True) if begins and self._leads(index) else " "

    def _leads(self, index: int) -> bool:
        """Whether a comment stands before something on its line, so that it speaks of that."""
        following = index
        while self._parts[following].kind == "block":
            following += 1
            if self._parts[following].lines:
                return False
        return self._parts[following].kind not in ("line", *CLOSER.values())

    def _on_line(self) -> bool:
        return bool(self._open) and self._open[-1][1]

    def _line(self, part: _Part, after_opener: bool = False) -> str:
        """A new line for a part; an empty one before it stays, except at the edges of its container."""
        closes = part.kind in CLOSER.values()
        empty = part.lines > 1 and not closes and not after_opener
        return self._newline * (2 if empty else 1) + self._unit * (len(self._open) - closes)
