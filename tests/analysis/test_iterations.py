"""How often steps run, as far as the text tells."""

from __future__ import annotations

import json
from typing import Any

from dw_lsp.analysis.iterations import StepCounts, step_counts
from dw_lsp.text.document import Document


def counts(variables: dict[str, Any], **steps: dict[str, Any]) -> dict[str, StepCounts]:
    listed = [{"name": name, "task": {"command": "crop_square", "arguments": each}} for name, each in steps.items()]
    text = json.dumps({"id": "x", "variables": variables, "steps": listed})
    return dict(step_counts(Document("file:///x.dw.json", text)))


def test_a_step_runs_once_for_each_combination_of_results() -> None:
    gathered = {"name": "all", "task": {"command": "gather_images", "arguments": {"urls": ["a.png", "b.png"]}}}
    used = {"image": "previous_result:all", "mask": "previous_result:all"}
    steps = [gathered, {"name": "each", "task": {"command": "crop_square", "arguments": used}}]
    found = step_counts(Document("file:///x.dw.json", json.dumps({"id": "x", "steps": steps})))
    assert dict(found) == {"all": StepCounts(1, 2), "each": StepCounts(4, 4)}


def test_what_an_unknown_number_of_results_makes_is_unknown() -> None:
    calls = {"name": "call", "workflow": {"path": "a.json"}}
    used = {"name": "b", "task": {"command": "crop_square", "arguments": {"image": "previous_result:call"}}}
    found = step_counts(Document("file:///x.dw.json", json.dumps({"id": "x", "steps": [calls, used]})))
    assert found["b"] == StepCounts(None, None)


def test_variables_are_put_in() -> None:
    assert counts({"seed": 3}, a={"image": "variable:seed"}) == {"a": StepCounts(1, 1)}


def test_a_workflow_that_cannot_be_run_has_no_counts() -> None:
    assert counts({}, a={"image": "variable:nowhere"}) == {}
    assert step_counts(Document("file:///x.dw.json", '{"steps": [')) == {}
