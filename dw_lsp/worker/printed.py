"""What libraries print: moved off the transport before anything heavy is imported, and read back line by line.

Descriptor 1 becomes a pipe, so a `print` and a C `printf` alike are log, never protocol. Python's `sys.stderr` becomes
another pipe, while descriptor 2 stays what it was: what native code says when it crashes must reach whoever started
this process even when no thread of ours gets to run any more.
"""

from __future__ import annotations

import ctypes
import io
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

#: A line is given out at this length even if it has not ended.
LONGEST_LINE = 8192
#: More lines than this in one second are counted, not sent.
LINES_PER_SECOND = 200
PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031

#: Receives a level (debug, info, warning, error) and a line.
LineSink = Callable[[str, str], None]


@dataclass(frozen=True)
class Transport:
    """The descriptors that the protocol speaks over, private copies of what stdin, stdout and stderr were."""

    incoming: int
    outgoing: int
    errors: int


def take_over_standard_streams() -> tuple[Transport, int, int]:
    """Keep the transport aside and put pipes in its place.

    Returns the transport and the reading ends for what is printed to stdout and to Python's stderr. Afterwards reading
    stdin gives its end at once, for libraries that would ask a question there.
    """
    transport = Transport(os.dup(0), os.dup(1), os.dup(2))
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(transport.incoming, os.O_BINARY)
        msvcrt.setmode(transport.outgoing, os.O_BINARY)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    printed, printing = _large_pipe()
    os.dup2(printing, 1)
    os.close(printing)
    complained, complaining = _large_pipe()
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = _lines_to(1, closefd=False)
    sys.stderr = _lines_to(complaining, closefd=True)
    return transport, printed, complained


def _large_pipe() -> tuple[int, int]:
    """A pipe with room to spare: native code that prints while it holds the interpreter's lock must not block on us."""
    reading, writing = os.pipe()
    if sys.platform == "linux":
        import fcntl

        try:
            fcntl.fcntl(writing, _F_SETPIPE_SZ, PIPE_BYTES)
        except OSError:
            return reading, writing  # The system's limit is lower: the usual size has to do.
    return reading, writing


def _lines_to(descriptor: int, closefd: bool) -> io.TextIOWrapper:
    return os.fdopen(descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=closefd)


class PrintedLines:
    """Reads one pipe on a thread of its own and hands out its lines.

    A progress bar redraws its line after a carriage return: only what stands when the line ends is handed out.
    """

    def __init__(self, reading: int, level: str, sink: LineSink):
        self._reading, self._level, self._sink = reading, level, sink
        self._marks: dict[bytes, threading.Event] = {}
        self._second, self._count = 0, 0
        self._thread = threading.Thread(target=self._read, name=f"printed-{level}", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def expect(self, mark: str) -> threading.Event:
        """An event that is set once a line that says just `mark` has come through; that line is not handed out."""
        event = self._marks[mark.encode()] = threading.Event()
        return event

    def _read(self) -> None:
        rest = b""
        while True:
            try:
                part = os.read(self._reading, 65536)
            except OSError:
                return
            if not part:
                return
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                self._hand_out(line)
            rest = rest.rpartition(b"\r")[2]
            if len(rest) > LONGEST_LINE:
                self._hand_out(rest)
                rest = b""

    def _hand_out(self, line: bytes) -> None:
        line = line.rstrip(b"\r").rpartition(b"\r")[2]
        event = self._marks.pop(line, None)
        if event is not None:
            event.set()
            return
        text = line.decode("utf-8", "replace").rstrip()
        if not text:
            return
        now = int(time.monotonic())
        if now != self._second:
            if self._count > LINES_PER_SECOND:
                self._sink("warning", f"{self._count - LINES_PER_SECOND} more printed lines were left out")
            self._second, self._count = now, 0
        self._count += 1
        if self._count <= LINES_PER_SECOND:
            self._sink(self._level, text[:LONGEST_LINE])


class Printed:
    """Both pipes, read; `settle` waits until all that was printed so far has been handed out."""

    def __init__(self, printed: int, complained: int, sink: LineSink):
        # A library may close or replace the streams; the descriptors behind them stay ours.
        self._readers = {
            1: PrintedLines(printed, "info", sink),
            sys.stderr.fileno(): PrintedLines(complained, "warning", sink),
        }
        self._settled = 0
        for reader in self._readers.values():
            reader.start()

    def settle(self, seconds: float = 0.5) -> None:
        """Wait, not longer than `seconds`, until everything that was printed before this call has been handed out."""
        self._settled += 1
        mark = f"\0dw-lsp {os.getpid()} {self._settled}\0"
        flush_native_output()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
        for descriptor, reader in self._readers.items():
            through = reader.expect(mark)
            os.write(descriptor, f"\n{mark}\n".encode())
            through.wait(seconds)


def flush_native_output() -> None:
    """Flush C's own buffers: a `printf` into a pipe otherwise stays there until the process ends."""
    library = "ucrtbase" if sys.platform == "win32" else None
    try:
        ctypes.CDLL(library).fflush(None)
    except (OSError, AttributeError, TypeError):
        logging.getLogger(__name__).debug("the C library's buffers cannot be flushed on this system")


class LogHandler(logging.Handler):
    """Hands records of Python's logging to a sink, with their level."""

    def __init__(self, sink: LineSink):
        super().__init__(logging.INFO)
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception:
            self.handleError(record)
            return
        self._sink(level_name(record.levelno), text[:LONGEST_LINE])


def level_name(number: int) -> str:
    """The protocol's name for a level of Python's logging."""
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"
