"""Notes within the text: values of variables, the class that is called again, the last run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dw_lsp.analysis.code_lenses import code_lenses
from dw_lsp.analysis.inlay_hints import InlayHint, inlay_hints, tooltip_of
from dw_lsp.analysis.last_run import LastRun, StepRun
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.catalog.catalog import catalog_of
from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Range

WRITTEN = sorted((Path(__file__).resolve().parents[1] / "data" / "workflows").glob("*.dw.json"))
LAST = LastRun("succeeded", 14.0, {"draw": StepRun("reused", 0.1), "again": StepRun("ran", 4.25, 3_100_000_000)})


def flow(**variables: Any) -> str:
    pipeline = {
        "configuration": {"component_type": "FluxPipeline"},
        "from_pretrained_arguments": {"model_name": "a/b"},
        "arguments": {name: f"variable:{name}" for name in variables},
    }
    again = {"reference_name": "draw", "arguments": {}}
    steps = [{"name": "draw", "pipeline": pipeline}, {"name": "again", "pipeline_reference": again}]
    return json.dumps({"id": "x", "variables": variables, "steps": steps}, ensure_ascii=False)


def hints(text: str, last: LastRun | None = None) -> list[tuple[str, InlayHint]]:
    """Each hint with the text in front of it."""
    found = inlay_hints(Document("file:///x.dw.json", text), Range(0, len(text)), DiskWorkspace([]), last)
    return [(text[: hint.offset].rpartition('"')[0].rpartition('"')[2], hint) for hint in found]


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("a cat", "= a cat"),
        (3.5, "= 3.5"),
        (None, "= null"),
        ({"location": "https://example.com/x.png"}, "= https://example.com/x.png"),
        (["a"] * 30, "= […]"),
        ("x" * 60, "= " + "x" * 39 + "…"),
        ("two\nlines", "= two lines"),
    ],
)
def test_the_value_of_a_variable_stands_where_it_is_used(value: Any, label: str) -> None:
    (found,) = [hint for text, hint in hints(flow(prompt=value)) if text == "variable:prompt"]
    assert found.label == label
    assert bool(found.tooltip) == (label.endswith("…") or label == "= […]" or label == "= two lines")


def test_the_class_stands_behind_the_step_that_is_called_again() -> None:
    if catalog_of(None).installed:
        assert [hint.label for text, hint in hints(flow()) if text == "draw"] == ["FluxPipeline"]


def test_the_last_run_stands_behind_the_steps() -> None:
    labels = {(text, hint.label) for text, hint in hints(flow(), LAST)}
    assert {("draw", "reused"), ("again", "4.2 s, 3.1 GB")} <= labels


def test_only_what_is_seen_is_noted() -> None:
    text = flow(prompt="a cat")
    assert inlay_hints(Document("file:///x.dw.json", text), Range(0, 10), DiskWorkspace([]), LAST) == ()


def test_lenses_tell_of_the_last_run() -> None:
    titles = [lens.title for lens in code_lenses(Document("file:///x.dw.json", flow()), LAST)]
    assert titles == ["Run Workflow (ran 14 s, 1 of 2 reused)", "Run to here (reused)", "Run to here (4.2 s, 3.1 GB)"]


@pytest.mark.parametrize("text", ["", "{", '{"steps": [{"name": "a", "pipeline_reference": {"reference_name": "', "[]"])
def test_broken_documents_have_what_can_be_told(text: str) -> None:
    assert isinstance(hints(text, LAST), list)


def tooltip(text: str, behind: str) -> str:
    """What is told of the note behind a text."""
    offset = text.index(behind) + len(behind)
    return tooltip_of(Document("file:///x.dw.json", text), offset, DiskWorkspace([]))


def test_a_note_that_is_asked_about_tells_the_whole_value_and_the_default_of_the_argument() -> None:
    told = tooltip(flow(prompt="x" * 60, height=512), '"variable:prompt"')
    assert "x" * 60 in told
    if catalog_of(None).installed:
        assert "The prompt" in told and "int | None = None" in tooltip(flow(height=512), '"variable:height"')
        assert "FluxPipeline(prompt=None" in tooltip(flow(), '"reference_name": "draw"')


def test_where_there_is_no_note_nothing_is_told() -> None:
    text = flow(prompt="a cat")
    workspace = DiskWorkspace([])
    found = {
        offset for offset in range(-1, len(text) + 2) if tooltip_of(Document("x.dw.json", text), offset, workspace)
    }
    assert found <= {text.index('"variable:prompt"') + len('"variable:prompt"'), text.rindex('"draw"') + 6}


def test_a_variable_that_is_another_one_is_followed() -> None:
    (found,) = [hint for text, hint in hints(flow(prompt="variable:other", other=3)) if text == "variable:prompt"]
    assert found.label == "= 3"
    assert not [hint for text, hint in hints(flow(prompt="variable:prompt")) if text == "variable:prompt"]


@pytest.mark.parametrize("file", WRITTEN, ids=lambda file: file.name)
def test_every_document_may_be_cut_off_anywhere(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    for offset in range(0, len(text), 5):
        assert isinstance(hints(text[:offset], LAST), list)
