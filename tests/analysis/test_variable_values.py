"""Values of variables, followed through those that are references."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dw_lsp.analysis.variable_values import resolved_values
from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import to_value
from dw_lsp.workflow.reader import read


@pytest.mark.parametrize(
    ("declared", "resolved"),
    [
        ({"a": 1}, {"a": 1}),
        ({"a": "variable:b", "b": "variable:c", "c": [1]}, {"a": [1], "b": [1], "c": [1]}),
        ({"a": "variable:a"}, {}),
        ({"a": "variable:b", "b": "variable:a"}, {}),
        ({"a": "variable:nowhere"}, {}),
        ({"a": "constant:x.Y"}, {"a": "constant:x.Y"}),
    ],
)
def test_references_are_followed_to_their_end(declared: dict[str, Any], resolved: dict[str, Any]) -> None:
    workflow = read(Document("file:///x", json.dumps({"variables": declared})).root)
    assert workflow is not None
    assert {name: to_value(node) for name, node in resolved_values(workflow).items()} == resolved
