"""`dw-lsp schema`: what other tools get of the format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

WORKFLOWS = sorted((Path(__file__).resolve().parents[2] / "workflows").glob("*.dw.json"))


@pytest.fixture
def schema(program):
    """The schema that the program prints."""
    done = program("schema")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_it_is_a_schema_of_the_draft_that_it_names(schema) -> None:
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


def test_it_accepts_the_workflows_that_come_along(schema) -> None:
    validator = Draft202012Validator(schema)
    assert len(WORKFLOWS) >= 3
    for path in WORKFLOWS:
        assert list(validator.iter_errors(json.loads(path.read_text(encoding="utf-8")))) == [], path.name


def test_it_refuses_a_step_that_does_nothing(schema) -> None:
    workflow = json.loads(WORKFLOWS[0].read_text(encoding="utf-8"))
    workflow["steps"][0] = {"name": "idle"}
    assert not Draft202012Validator(schema).is_valid(workflow)
