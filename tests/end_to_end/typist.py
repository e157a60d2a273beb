"""Somebody who types at random: every change is told to the server as an editor would, and kept here.

Counts places by itself, not with the code under test.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

from client import Client

#: Texts do not grow beyond this.
LONGEST = 40_000
#: What is typed at once; words are typed letter by letter.
PIECES = (
    *'{}[]:,"\\/x0 \n\t.-', "\r\n", "\r", "é", "😀", "👩\u200d🚀", "\u2028", "\u0085", "\ufeff", "//", "/*", "*/",
    "null", '"a": 1,',
)  # fmt: skip
WORDS = (
    '"variable:', '"previous_result:', '"steps": [', '{ "name": "', '"configuration": { "component_type": "Fl',
    '"task": {"command": "', '"result": {"content_type": "image/', '"workflow": { "path": "./', "torch.", "constant:",
)  # fmt: skip
_UNIT = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2)}
_LINE_END = re.compile(r"\r\n|\n|\r")
_PAIRS = {"{": "}", "[": "]"}


class Typist:
    """Edits one document, here and in the server.

    Arguments: the session; `utf-8` or `utf-16`; the document's URI and text; the source of chance.
    """

    def __init__(self, session: Client, encoding: str, uri: str, text: str, source: random.Random):
        self.session, self.uri, self.text, self._source = session, uri, text, source
        self._codec, self._bytes = _UNIT[encoding]
        self.version, self._before = 1, [text]
        session.open(uri, text)

    # ------------------------------------------------------------ places

    def place(self, offset: int) -> dict[str, int]:
        """The position of an offset."""
        line, start = 0, 0
        for end in _LINE_END.finditer(self.text):
            if end.end() > offset:
                break
            line, start = line + 1, end.end()
        return {"line": line, "character": len(self.text[start:offset].encode(self._codec)) // self._bytes}

    def range(self, start: int, end: int) -> dict[str, Any]:
        """The range between two offsets."""
        return {"start": self.place(start), "end": self.place(end)}

    def any_place(self) -> int:
        """A random offset; never inside of CR LF, where no position is."""
        return self._before_pair(self._source.randrange(len(self.text) + 1))

    def _before_pair(self, offset: int) -> int:
        return offset - 1 if self.text[offset - 1 : offset + 1] == "\r\n" else offset

    # ------------------------------------------------------------ changes

    def edit(self) -> None:
        """Do something."""
        actions: list[tuple[Callable[[], str], int]] = [
            (self._typed, 30), (self._taken_out, 20), (self._line, 12), (self._block, 10), (self._bracket, 12),
            (self._line_end, 4), (self._undone, 12),
        ]  # fmt: skip
        if self._source.random() < 0.1:
            self._word()
            return
        chosen = self._source.choices([action for action, _ in actions], [often for _, often in actions])[0]
        self._send([self._change(chosen()) for _ in range(self._source.choice((1, 1, 1, 1, 2, 3)))])

    def _send(self, changes: list[dict[str, Any]]) -> None:
        self.version += 1
        self._before = [*self._before[-20:], self.text]
        document = {"uri": self.uri, "version": self.version}
        self.session.notify("textDocument/didChange", {"textDocument": document, "contentChanges": changes})

    def _change(self, text: str) -> dict[str, Any]:
        """The change that leads to a text; from here on it is the document's."""
        if len(text) > LONGEST:
            text = text[: LONGEST // 2]
        if self._source.random() < 0.02:
            self.text = text
            return {"text": text}
        shortest = min(len(text), len(self.text))
        start = next((at for at in range(shortest) if text[at] != self.text[at]), shortest)
        same = next((at for at in range(shortest - start) if text[-1 - at] != self.text[-1 - at]), shortest - start)
        start = self._before_pair(start)
        end = len(self.text) - same
        end += self.text[end - 1 : end + 1] == "\r\n"
        change = {"range": self.range(start, end), "text": text[start : len(text) - (len(self.text) - end)]}
        self.text = text
        return change

    def _word(self) -> None:
        """Type a word, letter by letter."""
        at, word = self.any_place(), self._source.choice(WORDS)
        for number, letter in enumerate(word):
            change = {"range": self.range(at + number, at + number), "text": letter}
            self.text = self.text[: at + number] + letter + self.text[at + number :]
            self._send([change])

    def _typed(self) -> str:
        at = self.any_place()
        return self.text[:at] + self._source.choice(PIECES) + self.text[at:]

    def _taken_out(self) -> str:
        at = self.any_place()
        return self.text[:at] + self.text[at + self._source.choice((1, 1, 1, 2, 5, 40)) :]

    def _line(self) -> str:
        """A line is taken out, doubled, or put elsewhere."""
        lines = re.split(r"(?<=\n)", self.text)
        at = self._source.randrange(len(lines))
        line = lines.pop(at)
        match self._source.randrange(3):
            case 0:
                lines.insert(self._source.randrange(len(lines) + 1), line)
            case 1:
                lines[at:at] = [line, line]
        return "".join(lines)

    def _block(self) -> str:
        """An object or a list is taken out, doubled, or put elsewhere."""
        starts = [match.start() for match in re.finditer(r"[\[{]", self.text)]
        if not starts:
            return self._typed()
        start = self._source.choice(starts)
        end = self._closing(start)
        block, rest = self.text[start:end], self.text[:start] + self.text[end:]
        at = self._source.choice((start, self._source.randrange(len(rest) + 1)))
        return rest[:at] + block * self._source.choice((0, 1, 1, 2)) + rest[at:]

    def _closing(self, start: int) -> int:
        depth, opening = 0, self.text[start]
        for at in range(start, len(self.text)):
            depth += (self.text[at] == opening) - (self.text[at] == _PAIRS[opening])
            if depth == 0:
                return at + 1
        return len(self.text)

    def _bracket(self) -> str:
        """A bracket, a quote, a colon or a comma is forgotten, or typed twice."""
        places = [match.start() for match in re.finditer(r'[][{}":,]', self.text)]
        if not places:
            return self._typed()
        at = self._source.choice(places)
        return self.text[:at] + self.text[at] * self._source.choice((0, 2)) + self.text[at + 1 :]

    def _line_end(self) -> str:
        """A line ends in another way."""
        ends = list(_LINE_END.finditer(self.text))
        if not ends:
            return self._typed()
        end = self._source.choice(ends)
        return self.text[: end.start()] + self._source.choice(("\r\n", "\r", "\n", "\u2028")) + self.text[end.end() :]

    def _undone(self) -> str:
        return self._before.pop() if self._before else self.text
