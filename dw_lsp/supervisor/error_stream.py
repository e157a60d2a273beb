"""What a worker writes to its standard error: lines for the log, and the last of them for whoever asks why it died."""

from __future__ import annotations

from collections import deque

TAIL_LINES = 40
#: So many are kept at all: the stacks of all threads of a worker are longer than a tail.
KEPT_LINES = 1000
LONGEST_LINE = 2000
#: More lines than this in one second are kept for the tail only, and counted.
LINES_PER_SECOND = 200


class ErrorStream:
    """Splits bytes into lines.

    A progress bar redraws its line after a carriage return: what stands there when the line ends counts.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._kept: deque[str] = deque(maxlen=KEPT_LINES)
        self._seen = 0
        self._second: int | None = None
        self._count = 0

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines, the unfinished one included."""
        return self.kept[-TAIL_LINES:]

    @property
    def kept(self) -> tuple[str, ...]:
        """All lines that are kept, the unfinished one included."""
        unfinished = _text(self._rest)
        return (*self._kept, unfinished) if unfinished else tuple(self._kept)

    @property
    def mark(self) -> int:
        """Where the stream is now, for `since`."""
        return self._seen

    def since(self, mark: int) -> tuple[str, ...]:
        """What is kept of the lines that came after the mark."""
        return tuple(self._kept)[-(self._seen - mark) :] if self._seen > mark else ()

    def feed(self, data: bytes, now: float) -> list[str]:
        """The lines that are whole now, to be logged. Arguments: what arrived; the time in seconds."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest.rpartition(b"\r")[2][-LONGEST_LINE:]
        told: list[str] = []
        for line in lines:
            text = _text(line)
            if text:
                self._seen += 1
                self._kept.append(text)
                told += self._allowed(text, int(now))
        return told

    def _allowed(self, line: str, second: int) -> list[str]:
        told = []
        if second != self._second:
            if self._count > LINES_PER_SECOND:
                told.append(f"{self._count - LINES_PER_SECOND} more lines were left out")
            self._second, self._count = second, 0
        self._count += 1
        if self._count <= LINES_PER_SECOND:
            told.append(line)
        return told


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "backslashreplace").rstrip()[:LONGEST_LINE]
