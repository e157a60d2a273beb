"""Rules on shared parts, what is deprecated, references in text, and the types of variables."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dw_lsp.analysis.findings import Finding
from dw_lsp.text.edits import apply_edits
from tests.analysis.conftest import findings_in

Check = Callable[[str], tuple[Finding, ...]]
TAKE = '"task": { "command": "gather_inputs", "inputs": [1] }'


def pipeline(more: str = "", configuration: str = "", arguments: str = "") -> str:
    return (
        f'"pipeline": {{ "configuration": {{ "component_type": "ModularPipeline"{configuration} }}, '
        f'"from_pretrained_arguments": {{ }}, "arguments": {{ {arguments} }}{more} }}'
    )


def flow(*steps: str, top: str = "") -> str:
    numbered = [f'{{ "name": "s{index}", {step} }}' for index, step in enumerate(steps)]
    return f'{{ "id": "flow", {top}"steps": [{", ".join(numbered)}] }}'


def found(text: str, code: str) -> list[Finding]:
    return [one for one in findings_in(text) if one.code == code]


def places(text: str, code: str) -> list[str]:
    return [text[one.range.start : one.range.end] for one in found(text, code)]


# ---------------------------------------------------------------- shared components, released pipelines


def test_a_component_is_reused_that_nobody_shares() -> None:
    text = flow(pipeline(', "shared_components": ["unet"]'), pipeline(configuration=', "reused_components": ["unnet"]'))
    (one,) = found(text, "unshared-component")
    assert text[one.range.start : one.range.end] == '"unnet"' and "Did you mean `unet`?" in one.message
    assert apply_edits(text, one.fixes[0].edits) == text.replace("unnet", "unet")


def test_a_component_is_reused_before_it_is_shared() -> None:
    text = flow(pipeline(', "reused_components": ["vae"]'), pipeline(', "shared_components": ["vae"]'))
    (one,) = found(text, "unshared-component")
    assert one.related[0].range.start == text.rindex('"vae"')


@pytest.mark.parametrize(
    "steps",
    [
        (pipeline(', "shared_components": ["vae"]'), pipeline(', "reused_components": ["vae"]')),
        (pipeline(configuration=', "shared_components": ["vae"]'), TAKE, pipeline(', "reused_components": ["vae"]')),
        (pipeline(', "shared_components": "variable:names"'), pipeline(', "reused_components": ["vae"]')),
        (pipeline(), pipeline(', "reused_components": ["variable:name"]')),
        ('"workflow": { "path": "variable:w" }', pipeline(', "reused_components": ["vae"]')),
    ],
)
def test_a_component_that_is_or_may_be_shared_is_let_pass(steps: tuple[str, ...]) -> None:
    assert found(flow(*steps), "unshared-component") == []


REFER = '"pipeline_reference": { "reference_name": "s0", "arguments": { } }'


def test_a_pipeline_is_referred_to_after_its_release() -> None:
    text = flow(pipeline() + ', "release_pipeline": true', REFER)
    (one,) = found(text, "released-pipeline")
    assert text[one.range.start : one.range.end] == '"s0"'
    assert text[one.related[0].range.start : one.related[0].range.end] == '"release_pipeline"'


@pytest.mark.parametrize("release", ["", ', "release_pipeline": false', ', "release_models": true'])
def test_a_pipeline_that_is_not_released_can_be_called_again(release: str) -> None:
    assert found(flow(pipeline() + release, REFER), "released-pipeline") == []


def test_a_step_without_a_pipeline_cannot_be_called_again() -> None:
    assert places(flow(TAKE, REFER), "unknown-step") == ['"s0"']
    assert found(flow(pipeline(), REFER), "unknown-step") == []


def test_shared_and_released_parts_are_checked_in_a_broken_document() -> None:
    text = flow(pipeline() + ', "release_pipeline": true', REFER, pipeline(', "reused_components": ["x"]'))[:-6]
    assert places(text, "released-pipeline") == ['"s0"']
    assert places(text, "unshared-component") == ['"x"']


# ---------------------------------------------------------------- deprecated


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (flow(pipeline(configuration=', "teacache": { "rel_l1_thresh": 0.4 }')), '"teacache"'),
        (flow(pipeline(configuration=', "do_not_send_to_device": true')), '"do_not_send_to_device"'),
        (flow(TAKE + ', "result": { "content_type": "audio/wav", "samplerate": 8000 }'), '"samplerate"'),
        (flow(pipeline().replace("ModularPipeline", "transformers.pipeline")), '"transformers.pipeline"'),
        (flow('"workflow": { "path": "builtin:describe_image.json" }'), '"builtin:describe_image.json"'),
        (flow('"workflow": { "path": "builtin:augment_prompt.json" }')[:-4], '"builtin:augment_prompt.json"'),
        (
            flow(
                pipeline(),
                '"task": { "command": "batch_decode_post_process", "pipeline_reference": "s0", '
                '"arguments": { "task": "x", "generated_ids": "previous_result:s0" } }',
            ),
            '"pipeline_reference"',
        ),
    ],
)
def test_what_one_dialect_has_removed_is_a_warning(text: str, place: str) -> None:
    (one,) = found(text, "deprecated-property")
    assert (text[one.range.start : one.range.end], one.severity, one.tags) == (place, "warning", ("deprecated",))


def test_a_key_with_a_new_name_can_be_renamed() -> None:
    text = flow(TAKE + ', "result": { "content_type": "audio/wav", "samplerate": 8000 }')
    (one,) = found(text, "deprecated-property")
    assert apply_edits(text, one.fixes[0].edits) == text.replace("samplerate", "sample_rate")


def test_what_both_dialects_have_is_not_deprecated() -> None:
    text = flow(pipeline(configuration=', "cache": { "type": "mag" }'), '"workflow": { "path": "builtin:test.json" }')
    assert found(text, "deprecated-property") == []


# ---------------------------------------------------------------- references in text


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a photo of variable:v", "variable:v"),
        ("variables: variable:other, and more", "variable:other"),
        ("(previous_result:s0.mask)", "previous_result:s0"),
        ("see constant:a.b.C here", "constant:a.b.C"),
        ("Variable:v", '"Variable:v"'),
    ],
)
def test_a_reference_inside_of_text_is_a_warning(text: str, place: str) -> None:
    document = flow(TAKE, f'"task": {{ "command": "gather_inputs", "inputs": ["{text}", "variable:v"] }}',
                    top='"variables": { "v": "cat" }, ')  # fmt: skip
    (one,) = [one for one in findings_in(document) if one.severity != "hint"]
    assert (one.code, one.severity, document[one.range.start : one.range.end]) == (
        "reference-in-text",
        "warning",
        place,
    )


def test_words_behind_a_reference_are_an_error_since_all_is_taken_for_the_name() -> None:
    document = flow(
        '"task": { "command": "gather_inputs", "inputs": ["variable:v, in oils", "variable:v"] }',
        top='"variables": { "v": "cat" }, ',
    )
    (one,) = findings_in(document)
    assert (one.code, one.severity) == ("reference-in-text", "error")


@pytest.mark.parametrize(
    "text",
    [
        "a variable: something that varies",
        "item: a sword, prompt: a knight",
        "constant:pi",
        "http://x/variable:v",
        "output:text and gather:round",
        "variable",
        "my_variable:v",
    ],
)
def test_prose_with_colons_is_let_be(text: str) -> None:
    document = flow(
        f'"task": {{ "command": "gather_inputs", "arguments": {{ "p": "{text}", "q": "variable:v" }} }}',
        top='"description": "set variable:v first", "variables": { "v": "cat" }, ',
    )
    assert findings_in(document) == ()


def test_a_step_whose_name_has_spaces_can_be_referred_to() -> None:
    text = (
        f'{{ "id": "flow", "steps": [{{ "name": "the first one", {TAKE} }}, '
        '{ "name": "b", "task": { "command": "gather_inputs", "inputs": ["previous_result:the first one"] } }] }'
    )
    assert findings_in(text) == ()
    assert places(text.replace("result:the first one", "result:the frist one"), "unknown-step")


def test_a_reference_in_text_is_found_in_a_broken_document() -> None:
    text = flow('"task": { "command": "gather_inputs", "inputs": ["of variable:v" "x"] }')
    assert places(text, "reference-in-text") == ["variable:v"]


# ---------------------------------------------------------------- types of variables


def uses(default: str, step: str) -> str:
    return flow(step, top=f'"variables": {{ "v": {default} }}, ')


LORA = pipeline(', "loras": [{ "model_name": "a/b", "scale": "variable:v" }]')
STEPS = pipeline(arguments='"num_inference_steps": "variable:v"')
WIDTH = '"task": { "command": "resize_rescale", "arguments": { "image": "asset:a", "width": "variable:v" } }'
GRADE = '"task": { "command": "grade", "arguments": { "media": "asset:a", "exposure": "variable:v" } }'


@pytest.mark.parametrize(
    ("default", "step", "mended"),
    [
        ("1", LORA, "1.0"),
        ("1", pipeline(arguments='"strength": "variable:v"'), "1.0"),
        ("1", GRADE, "1.0"),
        ('"20"', STEPS, "20"),
        ("20.5", STEPS, None),
        ("true", STEPS, None),
        ('"many"', STEPS, None),
        ('"512"', WIDTH, "512"),
        ("[1]", WIDTH, None),
        ("5", pipeline(configuration=', "offload": "variable:v"'), None),
        ('"yes"', TAKE + ', "result": { "content_type": "image/png", "save": "variable:v" }', None),
    ],
)
def test_a_default_that_does_not_serve_its_use(default: str, step: str, mended: str | None) -> None:
    text = uses(default, step)
    (one,) = found(text, "variable-type")
    assert text[one.range.start : one.range.end].startswith(default[0])
    assert one.severity == "warning" and text[one.related[0].range.start :].startswith('"variable:v"')
    assert [apply_edits(text, fix.edits) for fix in one.fixes] == ([uses(mended, step)] if mended else [])


@pytest.mark.parametrize(
    ("default", "step"),
    [
        ("0.8", LORA),
        ('"0.8"', LORA),
        ("null", STEPS),
        ("20", STEPS),
        ("512", WIDTH),
        ('"variable:w"', WIDTH),
        ("4", pipeline(arguments='"guidance_scale": "variable:v"')),
        ("24", TAKE + ', "result": { "content_type": "video/mp4", "fps": "variable:v" }'),
        ('{ "location": "https://x/a.png" }', WIDTH.replace('"asset:a"', '"variable:v"')),
        ("5", pipeline(arguments='"anything": "variable:v"')),
        ('"a/b"', pipeline().replace('arguments": { }', 'arguments": { "model_name": "variable:v" }', 1)),
    ],
)
def test_a_default_that_serves_its_use_is_let_pass(default: str, step: str) -> None:
    assert found(uses(default, step), "variable-type") == []


def test_a_constraint_holds_for_numbers_only() -> None:
    top = (
        '"variables": { "n": "many", "m": 9 }, '
        '"variable_constraints": { "n": { "max_frames": 9 }, "m": { "max_frames": 9 }, "x": { } }, '
    )
    assert places(flow(TAKE, top=top), "variable-type") == ['"many"']


def test_the_types_of_variables_are_checked_in_a_broken_document() -> None:
    assert places(uses('"20"', STEPS).replace('"id": "flow",', '"id": "flow"'), "variable-type") == ['"20"']
