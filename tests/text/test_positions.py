"""Lines and characters, as an editor counts them in each of the three encodings."""

from __future__ import annotations

import random

import pytest

from dw_lsp.text.positions import Encoding, LineIndex, Position

ENCODINGS: tuple[Encoding, ...] = ("utf-8", "utf-16", "utf-32")
#: "é" has 2 bytes and 1 unit, "😀" 4 bytes and 2 units.
TEXT = '{\n  "é": "😀 cat",\r\n  "b": 1\r}'


@pytest.mark.parametrize(("encoding", "character"), [("utf-8", 13), ("utf-16", 10), ("utf-32", 9)])
def test_accents_and_emoji_count_as_the_encoding_has_them(encoding, character) -> None:
    offset = TEXT.index(" cat")
    assert LineIndex(TEXT).position(offset, encoding) == Position(1, character)
    assert LineIndex(TEXT).offset(Position(1, character), encoding) == offset


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_place_between_two_characters_comes_back(encoding) -> None:
    lines = LineIndex(TEXT)
    inside_a_line_end = TEXT.index("\r\n") + 1
    for offset in range(len(TEXT) + 1):
        if offset != inside_a_line_end:
            assert lines.offset(lines.position(offset, encoding), encoding) == offset


@pytest.mark.parametrize(
    ("text", "count"), [("", 1), ("a", 1), ("a\n", 2), ("a\r\nb", 2), ("a\rb", 2), ("a\n\rb", 3), ("\n\n", 3)]
)
def test_lines_end_as_editors_say(text, count) -> None:
    assert len(LineIndex(text)) == count


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x0b", "\x0c", "\x85", "\x1c"])
def test_what_only_python_takes_for_a_line_end_is_none(character) -> None:
    lines = LineIndex(f"a{character}b\nc")
    assert len(lines) == 2
    assert lines.line_text(0) == f"a{character}b"
    assert lines.position(2, "utf-16") == Position(0, 2)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_character_beyond_its_line_means_the_end_of_the_line(encoding) -> None:
    lines = LineIndex("é😀\r\nab\n")
    assert lines.offset(Position(0, 999), encoding) == 2
    assert lines.offset(Position(1, 999), encoding) == 6
    assert lines.offset(Position(2, 999), encoding) == 7


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_places_outside_the_text_are_moved_into_it(encoding) -> None:
    lines = LineIndex("ab\ncd")
    assert lines.offset(Position(99, 0), encoding) == 5
    assert lines.offset(Position(-1, 5), encoding) == 0
    assert lines.offset(Position(1, -5), encoding) == 3
    assert lines.position(99, encoding) == Position(1, 2)
    assert lines.position(-1, encoding) == Position(0, 0)


def test_a_place_inside_a_character_means_its_start() -> None:
    lines = LineIndex("a😀b")
    assert lines.offset(Position(0, 2), "utf-16") == 1
    assert [lines.offset(Position(0, inside), "utf-8") for inside in (2, 3, 4)] == [1, 1, 1]


def test_half_a_character_is_counted() -> None:
    lines = LineIndex("a\ud83db")
    assert lines.position(2, "utf-16") == Position(0, 2)
    assert lines.position(2, "utf-8") == Position(0, 4)


def test_the_text_of_a_line_has_no_line_end() -> None:
    lines = LineIndex("a\r\nb\rc\nd")
    assert [lines.line_text(line) for line in range(-1, 5)] == ["", "a", "b", "c", "d", ""]


def test_the_line_of_an_offset() -> None:
    lines = LineIndex("ab\ncd")
    assert [lines.line_of(offset) for offset in (-1, 0, 2, 3, 5, 99)] == [0, 0, 0, 1, 1, 1]
    assert lines.line_start(1) == 3


@pytest.mark.parametrize("seed", range(40))
def test_units_are_those_of_the_encoders(seed) -> None:
    chance = random.Random(seed)
    text = "".join(chance.choices("a é😀\u2028漢\n\r", k=60))
    lines = LineIndex(text)
    for _ in range(20):
        offset = chance.randrange(len(text) + 1)
        start = lines.line_start(lines.line_of(offset))
        before = text[start:offset]
        assert lines.position(offset, "utf-8").character == len(before.encode("utf-8"))
        assert lines.position(offset, "utf-16").character == len(before.encode("utf-16-le")) // 2
        assert lines.position(offset, "utf-32").character == len(before)
