"""The tables of the format are consistent, and the schema made from them judges as we do."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dw_lsp.workflow.format.shapes import AnyOf, ListShape, MapShape, ObjectShape, Shape
from dw_lsp.workflow.format.workflow import WORKFLOW
from dw_lsp.workflow.json_schema import json_schema

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(os.environ.get("DW_TEST_CORPUS", ROOT.parent / "shared" / "corpus"))
FILES = [*sorted((ROOT / "workflows").glob("*.dw.json")), *sorted(CORPUS.rglob("*.json"))]


def objects(shape: Shape) -> Iterator[ObjectShape]:
    """All object shapes inside a shape."""
    if isinstance(shape, ObjectShape):
        yield shape
        for known in shape.properties:
            yield from objects(known.shape)
        if shape.others is not None:
            yield from objects(shape.others)
    elif isinstance(shape, AnyOf):
        for option in shape.options:
            yield from objects(option)
    elif isinstance(shape, ListShape):
        yield from objects(shape.item)
    elif isinstance(shape, MapShape):
        yield from objects(shape.value)


ALL = list({id(shape): shape for shape in objects(WORKFLOW)}.values())


@pytest.mark.parametrize("shape", ALL, ids=lambda shape: shape.name)
def test_each_object_is_well_described(shape: ObjectShape) -> None:
    names = [known.name for known in shape.properties]
    assert len(names) == len(set(names))
    for known in shape.properties:
        assert (known.meaning.endswith(".") and known.meaning[0].isupper()) or known.meaning[0] in "`i", known.name
    for group in (*shape.exclusive, *shape.one_of):
        assert set(group) <= set(names)


def test_one_name_means_one_object() -> None:
    by_name = {shape.name: shape for shape in ALL}
    assert len(by_name) == len(ALL), "the schema's definitions would take each other's place"


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_real_workflows_fit_the_schema(validator: Any, file: Path) -> None:
    problems = [error.message for error in validator.iter_errors(json.loads(file.read_text(encoding="utf-8")))]
    assert problems == []


STEP = {"name": "a", "task": {"command": "x", "inputs": [1]}}


@pytest.mark.parametrize(
    "broken",
    [
        [],
        {"steps": [STEP]},
        {"id": "x"},
        {"id": "x", "steps": []},
        {"id": "x", "steps": [STEP], "surprise": 1},
        {"id": "x", "steps": [{**STEP, "workflow": {"path": "p"}}]},
        {"id": "x", "steps": [{"name": "a"}]},
        {"id": "x", "steps": [{"name": "a", "task": {"command": "x"}}]},
        {"id": "x", "steps": [{**STEP, "result": {"save": True}}]},
        {"id": "x", "steps": [{**STEP, "result": {"content_type": "image/png", "fps": "eight"}}]},
        {"id": 5, "steps": [STEP]},
        {"id": "x", "seed": -1, "steps": [STEP]},
    ],
)
def test_the_schema_refuses_what_the_analysis_refuses(validator: Any, broken: Any) -> None:
    from dw_lsp.analysis.diagnose import diagnose
    from dw_lsp.analysis.workspace import DiskWorkspace
    from dw_lsp.text.document import Document

    assert list(validator.iter_errors(broken))
    findings = diagnose(Document("file:///x.dw.json", json.dumps(broken)), DiskWorkspace([]), {})
    assert "error" in [finding.severity for finding in findings]


def test_the_schema_stands_alone() -> None:
    text = json.dumps(json_schema())
    assert text.count('"$ref": "#/$defs/') == text.count('"$ref"') > 20
