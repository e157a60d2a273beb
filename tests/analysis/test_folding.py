"""What can be folded."""

from __future__ import annotations

import pytest

from dw_lsp.analysis.folding import folds
from dw_lsp.text.document import Document


def lines(text: str) -> list[tuple[int, int, bool]]:
    return [(fold.first, fold.last, fold.comment) for fold in folds(Document("", text))]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ('{"a": 1}', []),
        ('{\n  "a": 1\n}', [(0, 1, False)]),
        ('{\n  "a": [\n    1\n  ],\n  "b": 2\n}', [(0, 4, False), (1, 2, False)]),
        ('{ "a": [\n    1\n  ] }', [(0, 1, False)]),
        ('{\n  "a": [1,\n    2]\n}', [(0, 2, False), (1, 2, False)]),
        ('{\n  "a": [\n    1\n', [(0, 2, False), (1, 2, False)]),
        ("/* a\n b */\n{}", [(0, 1, True)]),
        ("// a\n// b\n\n// c\n{}", [(0, 1, True)]),
        ('{ // a\n  // b\n  // c\n  "x": 1\n}', [(0, 3, False), (1, 2, True)]),
        ('{\n  "a": "/* no",\n  "b": "*/ // no"\n}', [(0, 2, False)]),
        ('{\r\n  "a": 1\r\n}', [(0, 1, False)]),
    ],
)
def test_lines_that_fold(text: str, found: list[tuple[int, int, bool]]) -> None:
    assert lines(text) == found
