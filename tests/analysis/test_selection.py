"""Ever larger selections around a cursor."""

from __future__ import annotations

import itertools

import pytest

from dw_lsp.analysis.selection import selections
from dw_lsp.text.document import Document


def texts(marked: str) -> list[str]:
    offset = marked.index("|")
    text = marked[:offset] + marked[offset + 1 :]
    return [text[place.start : place.end] for place in selections(Document("file:///a.dw.json", text), offset)]


def test_from_a_name_to_everything() -> None:
    assert texts('{"steps": [{"a": "variable:na|me", "b": 1}]} ') == [
        "name",
        "variable:name",
        '"variable:name"',
        '"a": "variable:name"',
        '"a": "variable:name", "b": 1',
        '{"a": "variable:name", "b": 1}',
        '[{"a": "variable:name", "b": 1}]',
        '"steps": [{"a": "variable:name", "b": 1}]',
        '{"steps": [{"a": "variable:name", "b": 1}]}',
        '{"steps": [{"a": "variable:name", "b": 1}]} ',
    ]


def test_from_a_key() -> None:
    assert texts('{"a|b": [1, 2]}') == ["ab", '"ab"', '"ab": [1, 2]', '{"ab": [1, 2]}']


def test_from_an_item() -> None:
    assert texts('{"a": [1, 2|3]}') == ["", "23", "1, 23", "[1, 23]", '"a": [1, 23]', '{"a": [1, 23]}']


def test_from_a_gap() -> None:
    assert texts('{"a": 1, | "b": 2}') == ["", '"a": 1,  "b": 2', '{"a": 1,  "b": 2}']


@pytest.mark.parametrize("text", ['{"a": [1, {"b": "x"}], "c": "varia', '{"a": , "b": [1, ', '// x\n{"a": {}}', ""])
def test_each_selection_holds_the_cursor_and_the_smaller_one(text: str) -> None:
    for offset in range(len(text) + 1):
        found = selections(Document("file:///a.dw.json", text), offset)
        assert found[-1].start == 0 and found[-1].end == len(text)
        for smaller, larger in itertools.pairwise(found):
            assert larger.start <= smaller.start <= smaller.end <= larger.end and smaller != larger
        assert all(place.contains(offset) for place in found)
