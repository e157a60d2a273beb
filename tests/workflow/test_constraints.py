"""Numbers that the constraint of a variable allows: rounded up where it says so, else refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dw_lsp.planning.chains import chain_of
from dw_lsp.text.parser import parse
from dw_lsp.workflow.resolved import InvalidInput, ResolvedWorkflow
from dw_lsp.workflow.substitution import resolve

GRID = {"modulus": 8, "remainder": 1}


def resolved(rule: Any, default: Any = 49, step: Any = None, **arguments: Any) -> ResolvedWorkflow:
    return resolve(parse(text_of(rule, default, step)).root, arguments)


def text_of(rule: Any, default: Any = 49, step: Any = None) -> str:
    step = step or {"name": "a", "task": {"command": "x", "arguments": {"n": "variable:n"}}}
    members = {"variables": {"n": default, "m": "variable:n"}, "variable_constraints": {"n": rule}}
    return json.dumps({"id": "flow", **members, "steps": [step]})


@pytest.mark.parametrize(
    ("rule", "given", "used"),
    [
        ({**GRID, "snap": "up"}, 50, 57),
        ({**GRID, "snap": "up"}, 49, 49),
        ({**GRID, "snap": "up"}, "50", 57),
        ({**GRID, "snap": "up", "min_frames": 20}, 3, 25),
        ({**GRID, "snap": "up", "max_frames": 57}, 50, 57),
        (GRID, 57, 57),
        ({"min_frames": 4, "max_frames": 9}, 9, 9),
    ],
)
def test_what_a_constraint_makes_of_a_number(rule: Any, given: Any, used: int) -> None:
    workflow = resolved(rule, n=given)
    assert workflow.variables["n"] == used and workflow.steps[0].body["arguments"] == {"n": used}


@pytest.mark.parametrize(
    ("rule", "given", "told"),
    [
        ({**GRID, "reason": "the model packs eight frames"}, 50, "not allow: the model packs eight frames"),
        ({**GRID, "snap": "up", "max_frames": 56}, 50, "variable 'n' is 50"),
        ({"min_frames": 4}, 3, "variable 'n' is 3"),
        ({"max_frames": 4}, 5, "variable 'n' is 5"),
    ],
)
def test_what_a_constraint_refuses(rule: Any, given: Any, told: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        resolved(rule, n=given)
    assert told in refused.value.message and refused.value.range is None
    assert "Allowed are" in str(refused.value.hint)


def test_a_default_that_is_not_allowed_is_told_at_its_place() -> None:
    text = text_of(GRID, 50)
    with pytest.raises(InvalidInput) as refused:
        resolve(parse(text).root, {})
    place = refused.value.range
    assert place is not None and text[place.start : place.end] == "50"
    assert refused.value.hint == "Allowed are 8 x n + 1; the nearest are 49 and 57."


def test_null_and_results_are_let_be() -> None:
    assert resolved(GRID, None).variables["n"] is None
    assert resolved(GRID, None, n="previous_result:count").variables["n"] == "previous_result:count"


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (8, "is an object"),
        ({"modulus": 8}, "go together"),
        ({"modulus": 0, "remainder": 0}, "from 1"),
        ({"min_frames": "4"}, "whole number"),
        ({**GRID, "snap": "down"}, "`snap`"),
        ({"modulos": 8}, "`modulos`"),
    ],
)
def test_a_constraint_that_says_nothing(rule: Any, told: str) -> None:
    with pytest.raises(InvalidInput, match="constraint of 'n'") as refused:
        resolved(rule)
    assert told in refused.value.message


def test_what_is_no_number_cannot_be_constrained() -> None:
    with pytest.raises(InvalidInput, match="no number"):
        resolved(GRID, "many")


def chained(snap: Any) -> dict[str, Any]:
    body = {"reference_name": "z", "arguments": {"num_frames": 49}, "chain": {"segments": 2, "frame_snap": snap}}
    return {"name": "a", "pipeline_reference": body}


def test_a_chain_takes_its_numbers_from_a_constraint() -> None:
    chain = chain_of(resolved({**GRID, "min_frames": 9}, step=chained("constraint:n")).steps[0])
    assert chain is not None and (chain.modulus, chain.remainder, chain.least) == (8, 1, 9)


def test_a_chain_that_refers_to_no_constraint() -> None:
    with pytest.raises(InvalidInput, match="constraint:x") as refused:
        resolved(GRID, step=chained("constraint:x"))
    assert refused.value.range is not None and refused.value.step == "a"
    assert refused.value.hint == "There are constraints for n."
