"""What a worker writes to its standard error: lines for the log, and the last of them for whoever asks why it died."""

from __future__ import annotations

from collections import deque

TAIL_LINES = 40
LONGEST_LINE = 2000
#: More lines than this in one second are kept for the tail only, and counted.
LINES_PER_SECOND = 200


class ErrorStream:
    """Splits bytes into lines.

    A progress bar redraws its line after a carriage return: what stands there when the line ends counts.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._second: int | None = None
        self._count = 0

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines, the unfinished one included."""
        unfinished = _text(self._rest)
        return (*self._tail, unfinished)[-TAIL_LINES:] if unfinished else tuple(self._tail)

    def feed(self, data: bytes, now: float) -> list[str]:
        """The lines that are whole now, to be logged. Arguments: what arrived; the time in seconds."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest.rpartition(b"\r")[2][-LONGEST_LINE:]
        told: list[str] = []
        for line in lines:
            text = _text(line)
            if text:
                self._tail.append(text)
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
