"""The lenses over a workflow and its steps."""

from __future__ import annotations

from dw_lsp.analysis.code_lenses import code_lenses
from dw_lsp.text.document import Document


def lenses(text: str, uri: str = "file:///flow.dw.json") -> list[tuple[str, str | None, str]]:
    return [
        (lens.title, lens.step, text[lens.range.start : lens.range.end]) for lens in code_lenses(Document(uri, text))
    ]


def test_one_over_the_document_and_one_over_each_named_step() -> None:
    text = '// note\n{ "steps": [{ "name": "a", "task": {} }, { "task": {} }, { "name": "b" }] }'
    assert lenses(text) == [("Run Workflow", None, "{"), ("Run to here", "a", '"a"'), ("Run to here", "b", '"b"')]


def test_a_broken_document_keeps_its_lenses() -> None:
    assert [title for title, _, _ in lenses('{ "steps": [{ "name": "a", "task": { ')] == ["Run Workflow", "Run to here"]


def test_what_is_no_workflow_has_none() -> None:
    assert lenses('{ "name": "package" }', "file:///package.json") == []
    assert lenses("[1]") == []
