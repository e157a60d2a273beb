"""Standard error: lines for the log, the last of them for whoever asks why it died."""

from __future__ import annotations

from dw_lsp.supervisor.error_stream import LINES_PER_SECOND, LONGEST_LINE, TAIL_LINES, ErrorStream


def test_lines_are_told_when_they_are_whole() -> None:
    stream = ErrorStream()
    assert stream.feed(b"one\ntw", 0.0) == ["one"]
    assert stream.feed(b"o\n", 0.0) == ["two"]


def test_the_tail_has_the_unfinished_line_too() -> None:
    stream = ErrorStream()
    stream.feed(b"one\nlast words", 0.0)
    assert stream.tail == ("one", "last words")


def test_the_tail_is_short() -> None:
    stream = ErrorStream()
    stream.feed(b"".join(b"line %d\n" % number for number in range(1000)), 0.0)
    assert len(stream.tail) == TAIL_LINES
    assert stream.tail[-1] == "line 999"


def test_the_tail_is_short_with_an_unfinished_line() -> None:
    stream = ErrorStream()
    stream.feed(b"line\n" * 100 + b"end", 0.0)
    assert len(stream.tail) == TAIL_LINES


def test_a_progress_bar_is_one_line() -> None:
    stream = ErrorStream()
    assert stream.feed(b"10%\r50%\r100%\n", 0.0) == ["100%"]


def test_windows_line_ends_are_no_progress_bar() -> None:
    assert ErrorStream().feed(b"one\r\ntwo\r\n", 0.0) == ["one", "two"]


def test_empty_lines_say_nothing() -> None:
    assert ErrorStream().feed(b"\n\n  \n", 0.0) == []


def test_bytes_that_are_no_text_are_shown() -> None:
    assert ErrorStream().feed(b"caf\xe9\n", 0.0) == ["caf\\xe9"]


def test_a_line_without_end_takes_no_memory_without_end() -> None:
    stream = ErrorStream()
    for _ in range(100):
        stream.feed(b"x" * 100_000, 0.0)
    assert len(stream.tail[0]) == LONGEST_LINE


def test_a_flood_is_cut_and_counted() -> None:
    stream = ErrorStream()
    told = stream.feed(b"line\n" * (LINES_PER_SECOND + 300), 0.2)
    assert len(told) == LINES_PER_SECOND
    assert stream.feed(b"later\n", 1.1) == ["300 more lines were left out", "later"]
