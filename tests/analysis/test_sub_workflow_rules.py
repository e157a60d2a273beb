"""Rules on the arguments of other workflows: what they declare is read from their files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dw_lsp.analysis.diagnose import diagnose
from dw_lsp.analysis.findings import Finding
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.text.document import Document
from dw_lsp.text.edits import apply_edits

TAKE = '{ "name": "a", "task": { "command": "gather_inputs", "inputs": ["variable:subject"] } }'
CHILD = f'{{ "id": "child", "variables": {{ "subject": "x", "steps": 20, "scale": 0.5 }}, "steps": [{TAKE}] }}'


def caller(arguments: str, path: str = "./child.json", top: str = "") -> str:
    step = f'{{ "name": "a", "workflow": {{ "path": "{path}", "arguments": {arguments} }} }}'
    return f'{{ "id": "caller", {top}"steps": [{step}] }}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the workflow that is called."""
    (tmp_path / "child.json").write_text(CHILD, encoding="utf-8")
    return tmp_path


def findings(folder: Path, text: str) -> list[Finding]:
    document = Document((folder / "caller.dw.json").as_uri(), text)
    return [one for one in diagnose(document, DiskWorkspace([folder]), {}) if one.severity != "hint"]


def test_an_argument_that_the_workflow_does_not_declare(folder: Path) -> None:
    text = caller('{ "subjct": "a boat" }')
    (one,) = findings(folder, text)
    assert (one.code, one.severity, text[one.range.start : one.range.end]) == ("unknown-argument", "error", '"subjct"')
    assert "Did you mean `subject`?" in one.message
    assert apply_edits(text, one.fixes[0].edits) == text.replace("subjct", "subject")


def test_the_place_where_its_variables_are_lies_in_the_other_file(folder: Path) -> None:
    (one,) = findings(folder, caller('{ "mood": "calm" }'))
    related = one.related[0]
    assert related.document is not None and related.document.uri == (folder / "child.json").as_uri()
    assert CHILD[related.range.start : related.range.end] == '"variables"'


def test_arguments_that_it_declares_are_let_pass(folder: Path) -> None:
    assert findings(folder, caller('{ "subject": "a boat", "steps": "12", "scale": 1 }')) == []
    assert findings(folder, caller('{ "steps": "variable:n" }', top='"variables": { "n": 1 }, ')) == []


@pytest.mark.parametrize(
    ("name", "value"), [("steps", '"many"'), ("steps", "1.5"), ("subject", "[1]"), ("scale", "true")]
)
def test_a_value_that_its_variable_cannot_be(folder: Path, name: str, value: str) -> None:
    text = caller(json.dumps({name: 0}).replace("0", value))
    (one,) = findings(folder, text)
    assert (one.code, one.severity) == ("argument-type", "warning")
    assert text[one.range.start :].startswith(value[0]) and one.related[0].document is not None


def test_a_workflow_that_a_variable_names_may_be_another_one(folder: Path) -> None:
    text = caller('{ "mood": "calm" }', "variable:which", '"variables": { "which": "./child.json" }, ')
    (one,) = findings(folder, text)
    assert (one.code, one.severity) == ("unknown-argument", "warning")


@pytest.mark.parametrize("path", ["./nowhere.json", "builtin:test.json", "asset:child.json", ""])
def test_what_cannot_be_read_declares_nothing_wrong(folder: Path, path: str) -> None:
    assert "unknown-argument" not in [one.code for one in findings(folder, caller('{ "mood": 1 }', path))]


def test_a_broken_file_is_not_held_against_its_callers(folder: Path) -> None:
    (folder / "child.json").write_text(CHILD.replace('"x",', '"x"'), encoding="utf-8")
    assert findings(folder, caller('{ "mood": "calm" }')) == []


def test_a_workflow_without_variables_takes_no_arguments(folder: Path) -> None:
    (folder / "child.json").write_text('{ "id": "child", "steps": [] }', encoding="utf-8")
    (one,) = findings(folder, caller('{ "mood": "calm" }'))
    assert (one.code, one.severity) == ("unknown-argument", "warning") and "declares none" in one.message


def test_the_arguments_are_checked_in_a_broken_document(folder: Path) -> None:
    text = caller('{ "mood": "calm" "subject": "x" }')
    assert [one.code for one in findings(folder, text)] == ["unknown-argument", "syntax"]
