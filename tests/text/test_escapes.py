"""Where parts of strings are written."""

from __future__ import annotations

import pytest

from dw_lsp.text.document import Document
from dw_lsp.text.escapes import content_range, part_range
from dw_lsp.text.syntax_tree import Object, String


def first(text: str) -> String:
    root = Document("", text).root
    assert isinstance(root, Object)
    value = root.members[0].value
    assert isinstance(value, String)
    return value


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ('{"a": "xyz"}', "xyz"),
        ('{"a": ""}', ""),
        ('{"a": "xyz\n}', "xyz"),
        ("{\"a\": 'xyz'}", "xyz"),
        ('{"a": "\n}', ""),
    ],
)
def test_the_content_leaves_out_the_quotes_that_are_there(text: str, content: str) -> None:
    where = content_range(text, first(text))
    assert text[where.start : where.end] == content


def test_a_key_without_quotes_is_all_content() -> None:
    text = "{abc: 1}"
    root = Document("", text).root
    assert isinstance(root, Object)
    where = content_range(text, root.members[0].key)
    assert text[where.start : where.end] == "abc"


@pytest.mark.parametrize(
    ("written", "start", "end", "part"),
    [
        ("variable:name", 9, 13, "name"),
        ("variable:n\\u0061me", 9, 13, "n\\u0061me"),
        ("\\ud83d\\ude00variable", 1, 9, "variable"),
        ("\U0001f600variable", 1, 9, "variable"),
        ('a\\"b', 1, 2, '\\"'),
        ("abc", 2, 9, "c"),
    ],
)
def test_a_part_is_found_behind_escapes(written: str, start: int, end: int, part: str) -> None:
    text = f'{{"a": "{written}"}}'
    where = part_range(text, first(text), start, end)
    assert text[where.start : where.end] == part
