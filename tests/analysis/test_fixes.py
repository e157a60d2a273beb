"""The fixes of the rules: the finding is gone, no other has come, and the text is what it should be."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from dw_lsp.analysis.diagnose import diagnose
from dw_lsp.analysis.findings import Finding, Fix
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.text.document import Document
from dw_lsp.text.edits import apply_edits
from dw_lsp.text.syntax_tree import to_value

TASK = '"task": { "command": "gather_inputs", "inputs": ["x"] }'
STEP = f'{{ "name": "a", {TASK}, "result": {{ "content_type": "text/plain" }} }}'


def flow(*steps: str, more: str = "") -> str:
    return f'{{\n  "id": "flow",{more}\n  "steps": [\n    ' + ",\n    ".join(steps or (STEP,)) + "\n  ]\n}\n"


def task(name: str, inputs: str = '"x"', result: str = "text/plain") -> str:
    body = f'"task": {{ "command": "gather_inputs", "inputs": [{inputs}] }}'
    return f'{{ "name": "{name}", {body}, "result": {{ "content_type": "{result}" }} }}'


def pipeline(name: str, configuration: str = "", arguments: str = "", more: str = "") -> str:
    return (
        f'{{ "name": "{name}",{more} "pipeline": {{ '
        f'"configuration": {{ "component_type": "DiffusionPipeline"{configuration} }},'
        f' "from_pretrained_arguments": {{ }}, "arguments": {{ {arguments} }} }},'
        ' "result": { "content_type": "image/png" } }'
    )


def findings_in(text: str) -> tuple[Finding, ...]:
    return diagnose(Document("file:///flow.dw.jsonc", text), DiskWorkspace([]), {})


def found_in(text: str, code: str) -> Finding:
    return next(found for found in findings_in(text) if found.code == code)


def mended(text: str, fix: Fix) -> str:
    return apply_edits(text, fix.edits)


def titles(text: str, code: str) -> list[str]:
    return [fix.title for fix in found_in(text, code).fixes]


CASES = {
    "unknown-property": flow(STEP.replace('"result"', '"reslut"')),
    "moved down": flow(pipeline("a", more=' "offload": "model",')),
    "moved up": flow(
        pipeline("a", arguments="").replace('"arguments": {  }', '"arguments": {  }, "release_pipeline": true')
    ),
    "moved into a new object": flow(f'{{ "name": "a", "content_type": "text/plain", {TASK} }}'),
    "missing id": flow().replace('"id": "flow",', ""),
    "missing steps": '{ "id": "flow" }',
    "missing name": flow(f"{{ {TASK} }}"),
    "missing nested": flow('{ "name": "a", "pipeline": { } }'),
    "missing one of": flow('{ "name": "a", "task": { "command": "gather_inputs" } }'),
    "duplicate-key": flow(more='\n  "seed": 1,\n  "seed": 2,'),
    "duplicate key thrice": '{ "seed": 1, "seed": 2, "id": "a", "seed": 3, "steps": [' + STEP + "] }",
    "unknown variable near": flow(task("a", '"variable:promt"'), more='\n  "variables": { "prompt": "x" },'),
    "unknown variable": flow(task("a", '"variable:x"')),
    "unknown variable among others": flow(task("a", '"variable:x", "variable:y"'), more='\n  "variables": { "y": 1 },'),
    "unknown variable in an empty block": flow(task("a", '"variable:x"'), more='\n  "variables": {},'),
    "unused-variable": flow(more='\n  "variables": {\n    "x": 1 // old\n  },'),
    "unknown-step": flow(task("first"), task("b", '"previous_result:frist.mask"')),
    "duplicate-step": flow(task("a"), task("a"), task("a_2")),
    "step-order": flow(task("a", '"previous_result:c"'), task("b"), task("c")),
    "exclusive-properties": flow(STEP.replace('"inputs"', '"arguments": {}, "inputs"')),
    "no kind": flow('{ "name": "a" }'),
    "two kinds": flow(
        pipeline("b"),
        STEP.replace('"result"', '"pipeline_reference": { "reference_name": "b", "arguments": {} }, "result"'),
    ),
    "invalid value": flow(pipeline("a", ', "offload": "modell"')),
    "too small": flow(more='\n  "seed": -1,'),
    "number as text": flow(more='\n  "seed": "20",'),
    "flag as text": flow(STEP.replace('"text/plain"', '"text/plain", "save": "True"')),
    "text as number": flow().replace('"flow"', "7"),
    "item as list": flow(pipeline("a", ', "shared_components": "vae"')),
    "comma": flow(task("a") + " " + task("b")),
    "python": flow(STEP.replace('"text/plain"', '"text/plain", "save": True')),
    "quotes": flow().replace('"flow"', "'flow'"),
    "bracket": flow()[:-3],
}


@pytest.mark.parametrize("name", CASES)
def test_a_fix_mends_its_finding_and_makes_no_other(name: str) -> None:
    text = CASES[name]
    before = findings_in(text)
    fixes = [(found, fix) for found in before for fix in found.fixes]
    assert fixes, [found.message for found in before]
    for found, fix in fixes:
        changed = mended(text, fix)
        after = Counter(one.code for one in findings_in(changed) if one.severity != "hint")
        codes = Counter(one.code for one in before)
        allowed = {"missing-property"} if found.code == "missing-property" and "nested" in name else set()
        assert set(after - codes) <= allowed, (fix.title, changed)
        assert Counter(one.code for one in findings_in(changed))[found.code] < codes[found.code]


@pytest.mark.parametrize("name", CASES)
def test_at_most_one_fix_is_preferred(name: str) -> None:
    for found in findings_in(CASES[name]):
        assert sum(fix.preferred for fix in found.fixes) <= 1


def test_a_key_moves_to_the_level_where_it_belongs() -> None:
    text = CASES["moved down"]
    (fix,) = found_in(text, "unknown-property").fixes
    assert fix.title == "Move `offload` to `configuration`"
    assert '{ "name": "a", "pipeline"' in mended(text, fix)
    assert '"component_type": "DiffusionPipeline", "offload": "model" }' in mended(text, fix)


def test_a_key_does_not_move_where_there_is_one_already() -> None:
    text = flow(pipeline("a", ', "offload": "model"', more=' "offload": "sequential",'))
    assert titles(text, "unknown-property") == []


def test_a_key_with_another_type_of_value_does_not_move() -> None:
    assert titles(flow(pipeline("a", more=' "offload": 5,')), "unknown-property") == []


def test_a_key_is_not_renamed_to_one_that_is_there() -> None:
    assert titles(flow(STEP.replace('"result"', '"reslut": 1, "result"')), "unknown-property") == []


def test_a_missing_key_comes_in_its_order_with_all_that_it_needs() -> None:
    (fix,) = found_in('{\n  "steps": [' + STEP + "]\n}", "missing-property").fixes
    assert mended('{\n  "steps": [' + STEP + "]\n}", fix).startswith('{\n  "id": "workflow",\n  "steps"')
    text = flow('{\n      "name": "a",\n      "task": {},\n      "result": {}\n    }')
    (found,) = [found for found in findings_in(text) if "content_type" in found.message]
    assert '"result": {\n        "content_type": "image/png"\n      }' in mended(text, found.fixes[0])


def test_a_step_gets_the_body_of_its_kind() -> None:
    text = flow(pipeline("load"), '{\n      "name": "again"\n    }')
    fixes = {fix.title: fix for fix in found_in(text, "step-kind").fixes}
    assert list(fixes) == ["Add `pipeline`", "Add `pipeline_reference`", "Add `task`", "Add `workflow`"]
    assert '"reference_name": "load"' in mended(text, fixes["Add `pipeline_reference`"])
    assert '"component_type": "DiffusionPipeline"' in mended(text, fixes["Add `pipeline`"]).split('"again"')[1]


def test_there_is_no_pipeline_reference_without_a_pipeline() -> None:
    assert "Add `pipeline_reference`" not in titles(CASES["no kind"], "step-kind")


@pytest.mark.parametrize(
    ("place", "default"),
    [
        ('"seed": "variable:x"', 0),
        ('"result": { "content_type": "image/png", "fps": "variable:x" }', 8),
        ('"result": { "content_type": "variable:x" }', "image/png"),
        ('"pipeline": { "arguments": { "prompt": "variable:x" } }', ""),
        ('"pipeline": { "arguments": { "width": "variable:x" } }', 1024),
        ('"pipeline": { "arguments": { "whatever": "variable:x" } }', None),
        ('"task": { "command": "resize_center_crop", "arguments": { "height": "variable:x" } }', 768),
        ('"task": { "command": "resize_center_crop", "arguments": { "image": "variable:x" } }', None),
        ('"pipeline": { "configuration": { "no_generator": "variable:x" } }', False),
    ],
)
def test_a_variable_is_declared_with_a_default_that_fits(place: str, default: object) -> None:
    text = flow(f'{{ "name": "a", {place} }}')
    (fix,) = found_in(text, "unknown-variable").fixes
    root = Document("", mended(text, fix)).root
    assert root is not None
    value = to_value(root)
    assert isinstance(value, dict) and list(value) == ["id", "variables", "steps"]
    assert json.dumps(value["variables"]) == json.dumps({"x": default})


def test_a_variable_that_another_one_needs_is_declared_before_it() -> None:
    text = flow(
        task("a", '"variable:y"'), more='\n  "variables": {\n    "z": 1,\n    "y": ["variable:x", "variable:z"]\n  },'
    )
    (fix,) = found_in(text, "unknown-variable").fixes
    assert '"z": 1,\n    "x": null,\n    "y"' in mended(text, fix)


def test_what_stands_behind_the_name_of_a_step_stays() -> None:
    (fix,) = found_in(CASES["unknown-step"], "unknown-step").fixes
    assert '"previous_result:first.mask"' in mended(CASES["unknown-step"], fix)


def test_a_step_moves_only_if_it_needs_nothing_from_there_on() -> None:
    assert titles(CASES["step-order"], "step-order") == ["Move the step `c` before this one"]
    needing = flow(task("a", '"previous_result:c"'), task("b"), task("c", '"previous_result:b"'))
    assert titles(needing, "step-order") == []
    assert titles(flow(task("a", '"previous_result:a"')), "step-order") == []


def test_a_step_gets_a_name_that_is_free() -> None:
    assert titles(CASES["duplicate-step"], "duplicate-step") == ["Rename to `a_3`"]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        (CASES["number as text"], True),
        (CASES["flag as text"], True),
        (CASES["duplicate-key"], True),
        (CASES["comma"], True),
        (CASES["python"], True),
        (flow(STEP.replace("content_type", "contentType")), True),
        (CASES["unknown-property"], False),
        (CASES["item as list"], False),
        (CASES["unused-variable"], False),
        (CASES["bracket"], False),
        (CASES["missing id"], False),
    ],
)
def test_only_what_is_certain_is_safe(text: str, safe: bool) -> None:
    fixes = [fix for found in findings_in(text) for fix in found.fixes if fix.preferred]
    assert fixes and any(fix.safe for fix in fixes) == safe


def test_a_number_that_is_not_allowed_is_not_made_of_a_text() -> None:
    assert titles(flow(more='\n  "seed": "-1",'), "wrong-type") == []
    assert titles(flow(more='\n  "seed": "1.5",'), "wrong-type") == []
    assert titles(flow(more='\n  "seed": "many",'), "wrong-type") == []
