"""Lines out of a pipe: whole, in order, progress bars reduced to their last state, floods counted."""

from __future__ import annotations

import os
import time

import pytest

from dw_lsp.worker.printed import LINES_PER_SECOND, LONGEST_LINE, LogHandler, PrintedLines, level_name


class Collected:
    """What was handed out, with a wait for a number of lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, level: str, line: str) -> None:
        self.lines.append((level, line))

    def wait_for(self, count: int) -> list[str]:
        limit = time.monotonic() + 10
        while len(self.lines) < count and time.monotonic() < limit:
            time.sleep(0.005)
        return [line for _, line in self.lines]


def reading(level: str = "info") -> tuple[int, Collected, PrintedLines]:
    end, writing = os.pipe()
    collected = Collected()
    reader = PrintedLines(end, level, collected)
    reader.start()
    return writing, collected, reader


def test_lines_come_one_by_one_with_their_level() -> None:
    writing, collected, _ = reading("warning")
    os.write(writing, b"first\nsecond\r\n\n")
    collected.wait_for(2)
    assert collected.lines == [("warning", "first"), ("warning", "second")]


def test_a_progress_bar_leaves_its_last_state() -> None:
    writing, collected, _ = reading()
    for part in range(100):
        os.write(writing, f"\r{part}%".encode())
    os.write(writing, b"\r100%\ndone\n")
    assert collected.wait_for(2) == ["100%", "done"]


def test_bytes_that_are_no_text_do_not_stop_the_reader() -> None:
    writing, collected, _ = reading()
    os.write(writing, b"\xff\xfe broken\nnext\n")
    assert collected.wait_for(2)[1] == "next"


def test_an_endless_line_is_given_out_in_parts() -> None:
    writing, collected, _ = reading()
    os.write(writing, b"x" * (LONGEST_LINE + 1))
    assert len(collected.wait_for(1)[0]) == LONGEST_LINE


def test_a_flood_is_counted_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    second = [1000.0]
    monkeypatch.setattr("dw_lsp.worker.printed.time.monotonic", lambda: second[0])
    collected = Collected()
    reader = PrintedLines(0, "info", collected)
    for number in range(LINES_PER_SECOND + 50):
        reader._hand_out(f"{number}".encode())
    second[0] += 1
    reader._hand_out(b"after")
    lines = [line for _, line in collected.lines]
    assert len(lines) == LINES_PER_SECOND + 2
    assert lines[-2:] == ["50 more printed lines were left out", "after"]


def test_a_mark_is_told_and_not_handed_out() -> None:
    writing, collected, reader = reading()
    event = reader.expect("\0mark\0")
    os.write(writing, b"before\n\0mark\0\n")
    assert event.wait(10)
    assert [line for _, line in collected.lines] == ["before"]


def test_log_records_keep_their_level() -> None:
    import logging

    collected = Collected()
    logger = logging.getLogger("tests.printed")
    handler = LogHandler(collected)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.error("it %s", "broke")
    logger.info("it works")
    logger.removeHandler(handler)
    assert collected.lines == [("error", "it broke"), ("info", "it works")]
    assert level_name(logging.DEBUG) == "debug"
