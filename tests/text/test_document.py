"""A document: changes make a new one, equal to one made anew from the whole text."""

from __future__ import annotations

import random

import pytest

from dw_lsp.text.document import Change, Document
from dw_lsp.text.positions import Encoding, LineIndex, Position
from dw_lsp.text.syntax_tree import to_value

EMPTY = Document("file:///a.dw.json", "")


def changed(text: str, *changes: Change, encoding: Encoding = "utf-16") -> Document:
    """The text with the changes, as version 2."""
    return Document("file:///a.dw.json", text, 1, "dw-workflow").apply(changes, encoding, 2)


def test_a_change_makes_a_new_document_and_leaves_the_old_one() -> None:
    before = Document("file:///a.dw.json", "[1]", 1, "dw-workflow")
    after = before.apply([Change(Position(0, 1), Position(0, 2), "23")], "utf-16", 2)
    assert (before.text, before.version) == ("[1]", 1)
    assert after == Document("file:///a.dw.json", "[23]", 2, "dw-workflow")


def test_tree_and_lines_are_those_of_the_new_text() -> None:
    document = Document("u", "[1]")
    assert (len(document.lines), document.root and to_value(document.root)) == (1, [1])
    after = document.apply([Change(Position(0, 2), Position(0, 2), ",\n2")], "utf-16", 2)
    assert (len(after.lines), after.root and to_value(after.root)) == (2, [1, 2])


def test_tree_and_lines_are_made_once() -> None:
    document = Document("u", "[1]")
    assert document.parsed is document.parsed
    assert document.lines is document.lines


def test_an_empty_document_has_no_tree() -> None:
    assert EMPTY.root is None
    assert len(EMPTY.parsed.problems) == 1


def test_without_a_place_everything_is_replaced() -> None:
    assert changed("abc", Change(None, None, "x")).text == "x"


def test_each_change_counts_in_what_the_one_before_left() -> None:
    first = Change(Position(0, 0), Position(0, 0), "a\n")
    second = Change(Position(1, 0), Position(1, 1), "")
    assert changed("xy", first, second).text == "a\ny"


@pytest.mark.parametrize(("encoding", "character"), [("utf-8", 4), ("utf-16", 2), ("utf-32", 1)])
def test_places_count_in_the_clients_encoding(encoding, character) -> None:
    change = Change(Position(0, character), Position(0, character + 1), "!")
    assert changed("😀cat", change, encoding=encoding).text == "😀!at"


def test_a_change_may_reach_over_line_ends() -> None:
    assert changed("a\r\nb\rc\nd", Change(Position(0, 1), Position(3, 0), "-")).text == "a-d"


def test_a_change_beyond_the_end_is_made_at_the_end() -> None:
    assert changed("ab\n", Change(Position(9, 9), Position(9, 9), "c")).text == "ab\nc"


def test_an_end_before_its_start_replaces_nothing() -> None:
    assert changed("abc", Change(Position(0, 2), Position(0, 1), "-")).text == "ab-c"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
@pytest.mark.parametrize("seed", range(30))
def test_many_edits_come_to_what_a_plain_string_comes_to(seed, encoding) -> None:
    chance = random.Random(seed)
    alphabet = 'ab é😀\u2028{}[]:,"\n\r\n'
    text = "".join(chance.choices(alphabet, k=200))
    document = Document("u", text)
    for version in range(1, 40):
        start, end = sorted(chance.randrange(len(text) + 1) for _ in range(2))
        end = min(end, start + 20)
        if any(text[place - 1 : place + 1] == "\r\n" for place in (start, end)):
            # No editor can name the place between the two characters of a line end.
            continue
        new = "".join(chance.choices(alphabet, k=chance.randrange(6)))
        lines = LineIndex(text)
        change = Change(lines.position(start, encoding), lines.position(end, encoding), new)
        text = text[:start] + new + text[end:]
        document = document.apply([change], encoding, version)
        assert document.text == text
    assert document.parsed == Document("u", text).parsed
