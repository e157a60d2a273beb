"""What is taken for a workflow, and what is left alone."""

from __future__ import annotations

import pytest

from dw_lsp.text.parser import parse
from dw_lsp.workflow.recognition import is_workflow

STEPS = '{"steps": [{"name": "a", "task": {}}]}'


@pytest.mark.parametrize(
    ("text", "name", "language", "expected"),
    [
        (STEPS, "file:///any.json", "json", True),
        ("{", "file:///flow.dw.json", "json", True),
        ("{}", "file:///FLOW.DW.JSONC", "json", True),
        ("{}", "file:///any.json", "dw-workflow", True),
        ("{}", "file:///any.json", "json", False),
        ('{"steps": [1, {"name": "a"}]}', "file:///any.json", "json", False),
        ('{"steps": {"pipeline": 1}}', "file:///any.json", "json", False),
        ('{"steps": [1, {"pipeline_reference": 1}]}', "file:///any.json", "json", True),
        ("[1]", "file:///any.json", "json", False),
        ("", "file:///any.json", "json", False),
    ],
)
def test_recognition(text: str, name: str, language: str, expected: bool) -> None:
    assert is_workflow(parse(text).root, name, language) is expected
