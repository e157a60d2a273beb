"""Where variables and steps are named."""

from __future__ import annotations

from dw_lsp.analysis.names import naming_at, namings, same_name, workflow_of
from dw_lsp.text.document import Document

TEXT = """{
  "description": "variable:a",
  "variables": { "a": 1, "b": "variable:a" },
  "steps": [
    { "name": "s", "task": { "command": "x", "arguments": { "variable:a": "previous_result:s.p", "c": "variable:a" } } }
  ]
}"""
DOCUMENT = Document("file:///flow.dw.json", TEXT)


def test_names_in_the_order_of_the_text() -> None:
    found = [(naming.kind, naming.name, naming.declares) for naming in namings(DOCUMENT)]
    assert found == [
        ("variable", "a", True),
        ("variable", "b", True),
        ("variable", "a", False),
        ("step", "s", True),
        ("step", "s", False),
        ("variable", "a", False),
    ]


def test_the_range_is_the_name_alone() -> None:
    assert {TEXT[naming.range.start : naming.range.end] for naming in namings(DOCUMENT)} == {"a", "b", "s"}


def test_texts_for_people_name_nothing() -> None:
    assert naming_at(DOCUMENT, TEXT.index("variable:a")) is None


def test_all_places_of_one_name() -> None:
    assert len(same_name(DOCUMENT, "variable", "a")) == 3


def test_the_model_is_made_once_for_a_version() -> None:
    assert workflow_of(DOCUMENT) is workflow_of(DOCUMENT)


def test_other_documents_name_nothing() -> None:
    assert namings(Document("file:///package.json", '{"variables": {"a": "variable:a"}}')) == ()
