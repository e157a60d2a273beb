"""Variables get their values; what keeps a workflow from being executed is told at its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dw_lsp.text.parser import parse
from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.resolved import InvalidInput, ResolvedWorkflow
from dw_lsp.workflow.substitution import resolve

TASK = {"name": "a", "task": {"command": "gather_inputs", "inputs": [1]}}


def text_of(*steps: Any, **members: Any) -> str:
    return json.dumps({"id": "flow", **members, "steps": list(steps) or [TASK]})


def resolved(text: str, **arguments: Value) -> ResolvedWorkflow:
    return resolve(parse(text).root, arguments)


def task(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "task": {"command": "x", "arguments": arguments}}


def refusal(text: str, **arguments: Value) -> tuple[str, str]:
    """The message, and the text at its place."""
    with pytest.raises(InvalidInput) as caught:
        resolved(text, **arguments)
    place = caught.value.range
    return caught.value.message, "" if place is None else text[place.start : place.end]


def test_a_variable_stands_for_its_value_of_any_type_at_any_depth() -> None:
    text = text_of(task("a", p="variable:v", q=[{"r": "variable:w"}], s="not variable:v"), variables={"v": 3, "w": [1]})
    assert resolved(text).steps[0].body["arguments"] == {"p": 3, "q": [{"r": [1]}], "s": "not variable:v"}


def test_the_callers_value_goes_before_the_default_and_takes_its_type() -> None:
    workflow = resolved(text_of(task("a", p="variable:v"), variables={"v": 3}), v="4")
    assert workflow.variables == {"v": 4} and workflow.steps[0].body["arguments"] == {"p": 4}


def test_variables_may_stand_after_the_steps() -> None:
    text = '{"id": "flow", "steps": [' + json.dumps(task("a", p="variable:v")) + '], "variables": {"v": 3}}'
    assert resolved(text).steps[0].body["arguments"] == {"p": 3}


def test_null_removes_its_key_but_where_it_means_something() -> None:
    text = text_of(task("a", p="variable:v", from_file="variable:v", q=["variable:v"]), variables={"v": None})
    assert resolved(text).steps[0].body["arguments"] == {"from_file": None, "q": [None]}


def test_null_removes_its_key_in_a_variable_too() -> None:
    text = text_of(
        task("a", p="variable:a"), variables={"a": {"k": "variable:c", "from_file": "variable:c", "n": None}, "c": None}
    )
    assert resolved(text).steps[0].body["arguments"] == {"p": {"from_file": None, "n": None}}


def test_variables_in_variables_are_resolved_and_circles_told() -> None:
    workflow = resolved(text_of(variables={"a": {"x": "variable:b"}, "b": ["variable:c"], "c": 1}))
    assert workflow.variables["a"] == {"x": [1]}
    message, place = refusal(text_of(variables={"a": "variable:b", "b": "variable:a"}))
    assert "circle" in message and place == '"variable:b"'


def test_the_seed_of_a_step_goes_before_the_workflows() -> None:
    workflow = resolved(
        text_of({**TASK, "name": "a", "seed": 5}, {**TASK, "name": "b"}, seed="variable:s", variables={"s": 7})
    )
    assert (workflow.seed, [step.seed for step in workflow.steps]) == (7, [5, 7])


def pipeline(**members: Any) -> dict[str, Any]:
    return {
        "name": "a",
        "pipeline": {"configuration": {}, "from_pretrained_arguments": {}, "arguments": {}, **members},
    }


@pytest.mark.parametrize("seed", ["12", True, -1, 2**70, 1.5])
def test_a_pipelines_seed_is_a_whole_number_like_any_other(seed: Any) -> None:
    message, place = refusal(text_of(pipeline(seed=seed)))
    assert "a whole number" in message and place == json.dumps(seed)


def test_a_seed_may_be_written_as_a_fraction_without_one() -> None:
    workflow = resolved(text_of(pipeline(seed=12.0), seed=7.0))
    assert (workflow.seed, workflow.steps[0].body["seed"]) == (7, 12)
    assert isinstance(workflow.steps[0].body["seed"], int)
    assert resolved(text_of(pipeline(seed=None))).steps[0].body["seed"] is None


def test_places_lead_to_the_text() -> None:
    text = text_of(task("a", p={"q": ["here"]}))
    step = resolved(text).steps[0]
    place = step.place("task", "arguments", "p", "q", 0)
    assert text[place.start : place.end] == '"here"'
    unknown = step.place("task", "arguments", "nowhere")
    assert text[unknown.start : unknown.end].startswith('{"p"')


@pytest.mark.parametrize(
    ("text", "told", "place"),
    [
        ("[1]", "an object", "[1]"),
        ('{"id": "x"}', "`steps`", ""),
        ('{"id": "x", "steps": []}', "at least one step", '"steps"'),
        ('{"steps": [' + json.dumps(TASK) + "]}", "`id`", ""),
        (text_of(7), "no object", "7"),
        (text_of({"task": {}}), "needs a `name`", "{"),
        (text_of({"name": "a"}), "does nothing", '"a"'),
        (text_of({**TASK, "workflow": {"path": "p"}}), "just one of", '"workflow"'),
        (text_of(TASK, TASK), "two steps", '"a"'),
        (text_of({"name": "a", "task": []}), "is an object", '"task"'),
        (text_of({"name": "a", "task": {"inputs": [1]}}), "needs `command`", '"task"'),
        (text_of({"name": "a", "task": {"command": "x"}}), "either `arguments` or `inputs`", '"task"'),
        (text_of({"name": "a", "pipeline": {"configuration": {}}}), "`from_pretrained_arguments`", '"pipeline"'),
        (text_of({**TASK, "for_each": [1]}), "`for_each`", '"for_each"'),
        (text_of({**TASK, "release_models": "yes"}), "true or false", '"release_models"'),
        (text_of({**TASK, "seed": "seven"}), "a whole number", '"seven"'),
        (text_of(seed=-1), "a whole number", "-1"),
        (text_of(variables=[1]), "`variables` is an object", "[1]"),
        (text_of(task("a", p="variable:promt"), variables={"prompt": 1}), "did you mean 'prompt'", '"variable:promt"'),
        (text_of(task("a", p="variable:v")), "declares no variables", '"variable:v"'),
    ],
)
def test_what_keeps_a_workflow_from_running_is_told_at_its_place(text: str, told: str, place: str) -> None:
    message, found = refusal(text)
    assert told in message and found == place


def test_an_argument_that_is_not_declared_is_refused_with_those_that_are() -> None:
    message, _ = refusal(text_of(variables={"prompt": "a", "steps": 1}), promt="x")
    assert "did you mean 'prompt'" in message and "prompt, steps" in message
    assert "declares no variables" in refusal(text_of(), prompt="x")[0]


def test_a_value_that_cannot_be_converted_is_refused_by_name() -> None:
    assert "'steps'" in refusal(text_of(variables={"steps": 1}), steps="many")[0]
