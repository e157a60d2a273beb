"""The model of a document: everything with its place, however broken the rest is."""

from __future__ import annotations

from dw_lsp.text.parser import parse
from dw_lsp.workflow.model import Workflow
from dw_lsp.workflow.reader import read


def model(text: str) -> Workflow:
    workflow = read(parse(text).root)
    assert workflow is not None
    return workflow


def test_steps_variables_and_uses_are_read() -> None:
    workflow = model(
        '{"variables": {"v": 1}, "seed": "variable:v", "steps": ['
        '{"name": "a", "pipeline": {"x": ["variable:v"]}}, 7,'
        '{"name": "b", "pipeline_reference": {"reference_name": "a", "arguments": {"i": "previous_result:a.mask"}}}]}'
    )
    assert [variable.name for variable in workflow.variables] == ["v"]
    assert [(step.index, step.name and step.name.value, step.kind) for step in workflow.steps] == [
        (0, "a", "pipeline"),
        (2, "b", "pipeline_reference"),
    ]
    uses = [(use.reference.kind, use.reference.target, use.step, use.bare) for use in workflow.uses]
    assert uses == [
        ("variable", "v", None, False),
        ("variable", "v", 0, False),
        ("previous_result", "a", 2, True),
        ("previous_result", "a.mask", 2, False),
    ]


def test_prose_is_no_reference() -> None:
    workflow = model('{"description": "variable:x", "steps": [{"name": "variable:y", "task": {"a": "b"}}]}')
    assert workflow.uses == ()


def test_what_is_half_typed_is_read_as_far_as_it_goes() -> None:
    workflow = model('{"variables": {"v": }, "steps": [{"name": "a", "task": {"p": "variable:v')
    assert [variable.name for variable in workflow.variables] == ["v"]
    assert workflow.steps[0].kind == "task" and workflow.uses[0].reference.name == "v"


def test_a_document_without_an_object_has_no_model() -> None:
    assert read(parse("[1]").root) is None and read(None) is None
