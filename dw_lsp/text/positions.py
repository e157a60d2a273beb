"""Offsets to lines and characters and back, in the three encodings that editors count in.

A line ends at \\n, \\r\\n or \\r and nowhere else: the other characters that Python takes for line ends stand in pasted
prompts, and editors do not count them. Offsets are code points.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

Encoding: TypeAlias = Literal["utf-8", "utf-16", "utf-32"]
_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, order=True)
class Position:
    """A place between two characters: line and character, both from 0; the character counts units of an encoding."""

    line: int
    character: int


class LineIndex:
    """The lines of a text. Arguments: the text."""

    def __init__(self, text: str):
        self._text = text
        self._starts = [0, *(match.end() for match in _LINE_END.finditer(text))]
        self._plain = text.isascii()

    def __len__(self) -> int:
        """How many lines there are; a text that ends with a line end has an empty last one."""
        return len(self._starts)

    def line_of(self, offset: int) -> int:
        """The line that an offset lies on."""
        return bisect.bisect_right(self._starts, max(offset, 0)) - 1

    def line_start(self, line: int) -> int:
        """The offset at which a line begins."""
        return self._starts[line]

    def line_text(self, line: int) -> str:
        """A line without its line end; empty beyond the last."""
        if not 0 <= line < len(self._starts):
            return ""
        end = self._starts[line + 1] if line + 1 < len(self._starts) else len(self._text)
        text = self._text[self._starts[line] : end]
        return text[:-2] if text.endswith("\r\n") else text.removesuffix("\n").removesuffix("\r")

    def position(self, offset: int, encoding: Encoding) -> Position:
        """The place of an offset; one outside the text is moved to its nearest end."""
        offset = min(max(offset, 0), len(self._text))
        line = self.line_of(offset)
        start = self._starts[line]
        if self._plain or encoding == "utf-32":
            return Position(line, offset - start)
        return Position(line, _units(self._text[start:offset], encoding))

    def offset(self, position: Position, encoding: Encoding) -> int:
        """The offset of a place. As LSP has it, a character beyond the end of its line means the end of that line.

        A place inside a character (between two halves of a surrogate pair) means the start of that character.
        """
        if position.line < 0:
            return 0
        if position.line >= len(self._starts):
            return len(self._text)
        start, text = self._starts[position.line], self.line_text(position.line)
        wanted = max(position.character, 0)
        if self._plain or encoding == "utf-32" or text.isascii():
            return start + min(wanted, len(text))
        return start + _characters(text, wanted, encoding)


def _units(text: str, encoding: Encoding) -> int:
    if text.isascii():
        return len(text)
    if encoding == "utf-16":
        return len(text) + sum(character > "\uffff" for character in text)
    return len(text.encode("utf-8", "surrogatepass"))


def _characters(text: str, units: int, encoding: Encoding) -> int:
    """How many whole characters fit into so many units."""
    count = 0
    for index, character in enumerate(text):
        count += _units(character, encoding)
        if count > units:
            return index
    return len(text)
