"""Each rule: what it finds, at which token, and what it leaves alone. The documents are legal JSONC as they stand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dw_lsp.analysis.diagnose import diagnose
from dw_lsp.analysis.findings import Finding
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.text.document import Document

Check = Callable[[str], tuple[Finding, ...]]

SOUND = """{
  "id": "flow",
  "variables": { "prompt": "a cat", "count": 2, "off": null },
  "seed": 3,
  "steps": [
    { "name": "draw",
      "pipeline": {
        "configuration": { "component_type": "ModularPipeline", "offload": "model", "vae": { "anything": 1 } },
        "from_pretrained_arguments": { "model_name": "m", "torch_dtype": "torch.float16", "unheard_of": true },
        "processor": { "configuration": { "component_type": "X" }, "from_pretrained_arguments": { } },
        "loras": [{ "model_name": null, "scale": "0.5" }],
        "arguments": { "prompt": "variable:prompt", "num_images_per_prompt": "variable:count", "x": "variable:off" } },
      "result": { "content_type": "image/png", "fps": "variable:count" } },
    { "name": "a.b", "task": { "command": "gather_inputs", "inputs": ["previous_result:draw.images"] } },
    { "name": "last", "task": { "command": "gather_inputs", "arguments": { "image": "previous_result:a.b", "y": [
        { "reference_type": "T", "from_previous_result": "draw.frames" }] } } }
  ]
}"""


def test_a_sound_workflow_has_no_findings(check: Check) -> None:
    check(SOUND)


def test_syntax_is_told_at_the_token_and_the_rest_is_still_checked(check: Check) -> None:
    check(
        """{
  "id": "flow",
  "variables": { "prompt": tru },
//                         ^^^ syntax
  "steps": [
    { "name": "a", "task": { "command": "gather_inputs", "arguments": { "p": "variable:promt" "q": "variable:prompt" } } },
//                                                                           ^^^^^^^^^^^^^^^^ unknown-variable
//                                                                                          ^ syntax
    { "name": "b", "task": { "command": "gather_inputs", "arguments": { "p": "previous_result:c" } } }
//                                                                           ^^^^^^^^^^^^^^^^^^^ unknown-step
  ]
}"""
    )


def test_a_key_given_twice(check: Check) -> None:
    (found,) = check(
        """{ "id": "flow",
    "id": "again",
//  ^^^^ duplicate-key
  "steps": [{ "name": "a", "task": { "command": "gather_inputs", "arguments": { } } }]
}"""
    )
    assert found.related and found.related[0].range.start == 2


def test_required_keys_are_missed_at_the_key_of_their_object(check: Check) -> None:
    findings = check(
        """{ "id": "flow", "steps": [
    { "name": "a",
      "pipeline": { "configuration": { }, "arguments": { } },
//    ^^^^^^^^^^ missing-property
//                  ^^^^^^^^^^^^^^^ missing-property
      "result": { "save": true } },
//    ^^^^^^^^ missing-property
    { "task": { "command": "gather_inputs" } }
//  ^ missing-property
//    ^^^^^^ missing-property
] }"""
    )
    assert any("`from_pretrained_arguments`" in found.message for found in findings)
    assert any("`content_type`" in found.message for found in findings)


def test_a_workflow_without_id_and_steps_misses_them_at_its_bracket(check: Check) -> None:
    check('    { "description": "nothing" }\n//  ^ missing-property\n//  ^ missing-property')


def test_unknown_keys_are_told_with_the_name_or_the_level_that_was_meant(check: Check) -> None:
    findings = check(
        """{ "id": "flow", "discription": "x", "steps": [
//              ^^^^^^^^^^^^^ unknown-property
    { "name": "a", "offload": "model",
//                 ^^^^^^^^^ unknown-property
      "pipeline": { "configuration": { "component_type": "X", "ofload": "model" }, "from_pretrained_arguments": { },
//                                                            ^^^^^^^^ unknown-property
        "arguments": { "any_argument": 1 } },
      "result": { "content_type": "image/png", "never_heard_of": 1 } }
//                                             ^^^^^^^^^^^^^^^^ unknown-property
] }"""
    )
    messages = [found.message for found in findings]
    assert "`description`" in messages[0]
    assert "belongs in `configuration`" in messages[1]
    assert "`offload`" in messages[2]


def test_values_of_another_type(check: Check) -> None:
    check(
        """{ "id": 7, "variables": [1], "seed": 1.5, "steps": [
//      ^ wrong-type
//                      ^ wrong-type
//                                   ^^^ wrong-type
    { "name": "a", "release_models": "yes",
//                                   ^^^^^ wrong-type
      "pipeline": { "configuration": { "component_type": ["X"], "vae": true }, "from_pretrained_arguments": "m",
//                                                       ^ wrong-type
//                                                                     ^^^^ wrong-type
//                                                                                                          ^^^ wrong-type
        "arguments": { }, "loras": { } },
//                                 ^ wrong-type
      "result": { "content_type": "image/png", "fps": "eight" } }
//                                                    ^^^^^^^ wrong-type
] }"""
    )


def test_a_reference_fits_where_a_number_or_an_object_is_wanted(check: Check) -> None:
    check(
        """{ "id": "flow", "variables": { "v": null }, "seed": "variable:v", "steps": [
  { "name": "a", "seed": "variable:v", "task": { "command": "gather_inputs", "arguments": { } },
    "result": { "content_type": "variable:v", "fps": "item:rate", "save": "variable:v" } } ] }"""
    )


def test_values_outside_of_what_is_allowed(check: Check) -> None:
    findings = check(
        """{ "id": "flow", "seed": -1, "steps": [
//                      ^^ invalid-value
    { "name": "a",
      "pipeline": { "configuration": { "component_type": "X", "offload": "modell" }, "from_pretrained_arguments": { },
//                                                                       ^^^^^^^^ invalid-value
        "arguments": { } },
      "result": { "content_type": "audio/flac", "compression_level": 2, "fps": 0 } }
//                                                                   ^ invalid-value
//                                                                             ^ invalid-value
] }"""
    )
    assert "Did you mean `model`?" in findings[1].message


def test_a_workflow_without_steps_has_nothing_to_do(check: Check) -> None:
    check('{ "id": "flow", "steps": [] }\n//                       ^^ invalid-value')


def test_keys_that_rule_each_other_out(check: Check) -> None:
    findings = check(
        """{ "id": "flow", "steps": [
    { "name": "a", "task": { "command": "gather_inputs", "arguments": { }, "inputs": [1] } },
//                                                                         ^^^^^^^^ exclusive-properties
    { "name": "b", "pipeline": { "configuration": { "component_type": "X" }, "arguments": { },
      "from_pretrained_arguments": { "model_name": "m", "from_single_file": "f" } } }
//                                                      ^^^^^^^^^^^^^^^^^^ exclusive-properties
] }"""
    )
    assert all(found.related for found in findings)


def test_a_step_is_of_just_one_kind(check: Check) -> None:
    check(
        """{ "id": "flow", "steps": [
    { "name": "a" },
//            ^^^ step-kind
    { "name": "b", "task": { "command": "gather_inputs", "inputs": [1] }, "workflow": { "path": "p" } }
//                                                                        ^^^^^^^^^^ step-kind
] }"""
    )


def test_names_of_steps_are_unique(check: Check) -> None:
    (found,) = check(
        """{ "id": "flow", "steps": [
    { "name": "a", "task": { "command": "gather_inputs", "inputs": [1] } },
    { "name": "a", "task": { "command": "gather_inputs", "inputs": [1] } }
//            ^^^ duplicate-step
] }"""
    )
    assert found.related


def test_variables_are_declared_and_used(check: Check) -> None:
    findings = check(
        """{ "id": "flow", "variables": { "prompt": "a", "other": "variable:promt" }, "seed": "variable:see", "steps": [
//                                            ^^^^^^^ unused-variable
//                                                     ^^^^^^^^^^^^^^^^ unknown-variable
//                                                                                 ^^^^^^^^^^^^^^ unknown-variable
    { "name": "a", "task": { "command": "gather_inputs", "inputs": ["variable:prompt", "a variable: nothing is replaced"] } }
] }"""
    )
    assert findings[0].severity == "hint" and findings[0].tags == ("unnecessary",)
    assert "Did you mean `prompt`?" in findings[1].message


def test_variables_that_only_the_catalogue_names_are_used(check: Check) -> None:
    check(
        """{ "id": "flow", "variables": { "frames": 9, "width": 64, "height": 64 }, "cost_drivers": ["frames"],
  "vram_estimate": { "base_gb": 1, "bytes_per_voxel": 2, "voxel_variables": ["width"] },
  "variable_constraints": { "height": { "modulus": 8, "remainder": 0 } },
  "steps": [{ "name": "a", "task": { "command": "gather_inputs", "inputs": [1] } }] }"""
    )


def test_steps_see_the_results_of_earlier_steps(check: Check) -> None:
    findings = check(
        """{ "id": "flow", "steps": [
    { "name": "first", "task": { "command": "gather_inputs", "inputs": ["previous_result:first", "previous_result:second.mask"] } },
//                                                                      ^^^^^^^^^^^^^^^^^^^^^^^ step-order
//                                                                                               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ step-order
    { "name": "second", "pipeline_reference": { "reference_name": "frist", "arguments": { "i": "gather:nowhere" } } }
//                                                                ^^^^^^^ unknown-step
//                                                                                             ^^^^^^^^^^^^^^^^ unknown-step
] }"""
    )
    assert "this very step" in findings[0].message and "a later step" in findings[1].message
    assert "Did you mean `first`?" in findings[2].message


@pytest.mark.parametrize("text", ["", "[1, 2]", '"x"', "{", "nonsense"])
def test_a_document_that_only_calls_itself_a_workflow_is_told_so(text: str) -> None:
    findings = diagnose(Document("file:///flow.dw.json", text), DiskWorkspace([]), {})
    assert "error" in [found.severity for found in findings]
