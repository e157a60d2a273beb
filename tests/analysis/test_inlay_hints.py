"""Notes within the text: values of variables, the class that is called again, the last run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dw_lsp.analysis.code_lenses import code_lenses
from dw_lsp.analysis.inlay_hints import InlayHint, inlay_hints
from dw_lsp.analysis.last_run import LastRun, StepRun
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.catalog.catalog import catalog_of
from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Range

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
