"""Plans of workflows that call others: what is wrong there is told at the call, what is open is left open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dw_lsp.planning.plan import Plan, plan
from dw_lsp.text.parser import parse
from dw_lsp.workflow.resolved import InvalidInput
from dw_lsp.workflow.substitution import resolve

WORDS = {"name": "words", "task": {"command": "gather_inputs", "inputs": ["./tiny", "./tiny"]}}


def draw(**changes: Any) -> dict[str, Any]:
    pipeline: dict[str, Any] = {
        "configuration": {"component_type": "StableDiffusionPipeline"},
        "from_pretrained_arguments": {"model_name": "./tiny"},
        "arguments": {"prompt": "a cat"},
    }
    return {"name": "draw", "pipeline": {**pipeline, **changes}, "result": {"content_type": "image/png"}}


def child(folder: Path, *steps: Any, **variables: Any) -> None:
    text = json.dumps({"id": "child", "variables": variables, "steps": list(steps)})
    (folder / "child.json").write_text(text, encoding="utf-8")


def call(**arguments: Any) -> dict[str, Any]:
    return {"name": "call", "workflow": {"path": "child", "arguments": arguments}}


def planned(folder: Path, *steps: Any, **options: Any) -> Plan:
    text = json.dumps({"id": "flow", "steps": list(steps)})
    return plan(resolve(parse(text).root, {}), folder, {}, Path("outputs"), **options)


def test_the_components_steps_and_files_of_a_called_workflow_are_the_callers(folder: Path) -> None:
    child(folder, draw())
    seen = planned(folder, call(), seed=3)
    assert [part.name for part in seen.components] == ["unet"]
    assert [Path(name).name for name in seen.writes] == ["call.child-draw.0-0.0.png"]
    assert seen.to_json()["steps"] == [
        {
            "name": "call",
            "kind": "workflow",
            "iterations": 1,
            "outcome": "run",
            "seed": 3,
            "steps": [{"name": "draw", "kind": "pipeline", "iterations": 1, "outcome": "run", "seed": 3}],
        }
    ]


def test_a_seed_of_its_own_goes_before_the_callers(folder: Path) -> None:
    child(folder, {**draw(), "seed": 8})
    assert planned(folder, call(), seed=3).steps[0].steps[0].seed == 8


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ([draw(from_pretrained_arguments={"model_name": "./none"})], "child.json line 1: the model folder './none'"),
        ([{"name": "x"}], "child.json line 1: step 'x' does nothing"),
        ([{"name": "me", "workflow": {"path": "child.json"}}], "circle never end: child.json -> child.json"),
        ([{"name": "me", "workflow": {"path": "nowhere"}}], "there is no workflow file 'nowhere'"),
        (["variable:nothing"], "step 1 is no object"),
    ],
)
def test_what_is_wrong_in_a_called_workflow_is_told_where_it_is_called(
    folder: Path, broken: list[Any], told: str
) -> None:
    child(folder, *broken)
    text = json.dumps({"id": "flow", "steps": [call()]})
    with pytest.raises(InvalidInput) as caught:
        plan(resolve(parse(text).root, {}), folder, {}, Path("outputs"))
    assert told in caught.value.message and caught.value.range is not None
    assert text[caught.value.range.start : caught.value.range.end] == '"child"'


def test_a_value_without_a_variable_is_told_though_it_is_not_known_yet(folder: Path) -> None:
    child(folder, draw(), prompt="x")
    for value in ("a cat", "previous_result:words"):
        with pytest.raises(InvalidInput, match="there is no variable 'promt'"):
            planned(folder, WORDS, call(promt=value))


@pytest.mark.parametrize(
    ("step", "default"),
    [
        (draw(from_pretrained_arguments={"model_name": "variable:it"}), "./none"),
        ({**draw(), "seed": "variable:it"}, None),
        (draw(configuration={"component_type": "variable:it"}), "P"),
        ({"name": "in", "workflow": {"path": "variable:it"}}, "nowhere"),
        ({**draw(), "result": "variable:it"}, {"content_type": "image/png"}),
        ({**draw(), "release_pipeline": "variable:it"}, False),
    ],
)
def test_what_depends_on_values_that_are_not_known_is_left_open(folder: Path, step: Any, default: Any) -> None:
    child(folder, step, it=default)
    seen = planned(folder, WORDS, call(it="previous_result:words"))
    assert seen.estimate.device_bytes is None and seen.estimate.disk_bytes is None and seen.writes == ()
    assert [(each.name, each.iterations) for each in seen.steps] == [("words", 2), ("call", 2)]


@pytest.mark.parametrize("default", [None, True, 3, 0.5, "x", [1], {"location": "nowhere.png"}])
def test_an_argument_of_a_call_that_is_not_known_leaves_nothing_open(folder: Path, default: Any) -> None:
    child(folder, draw(arguments={"prompt": "variable:it"}), it=default)
    seen = planned(folder, WORDS, call(it="previous_result:words"))
    assert [part.name for part in seen.components] == ["unet"] and seen.estimate.device_bytes is not None
    assert [Path(name).name for name in seen.writes] == [
        "call.child-draw.0-0.0.png",
        "call.child-draw.0-0.0-2.png",
    ]


def test_steps_that_read_a_called_workflow_are_counted(folder: Path) -> None:
    child(folder, draw(arguments={"prompt": ["a", "b"]}))
    crop = {"command": "crop_square", "arguments": {"image": "previous_result:call"}}
    seen = planned(folder, WORDS, call(), {"name": "crop", "task": crop, "result": {"content_type": "image/png"}})
    assert seen.steps[-1].iterations == 2 and len(seen.writes) == 4
