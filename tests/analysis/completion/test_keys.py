"""Keys: what an object may still get, what is needed first, and what is written behind each."""

from __future__ import annotations

import json

import pytest

from dw_lsp.text.syntax_tree import to_value
from tests.analysis.completion.conftest import Desk, drawing, step

TASK = '{ "name": "big", "task": { "command": "resize_rescale", "arguments": { "image": "variable:photo", | } } }'


def test_what_a_workflow_needs_comes_first(desk: Desk) -> None:
    assert desk.labels("{ | }")[:2] == ["id", "steps"]


def test_keys_that_are_there_are_left_out(desk: Desk) -> None:
    labels = desk.labels('{ "id": "x", | "steps": [] }')
    assert "id" not in labels and "steps" not in labels and "variables" in labels


def test_a_key_under_the_cursor_is_not_taken_for_one_that_is_there(desk: Desk) -> None:
    assert "steps" in desk.labels('{ "id": "x", "ste|ps": [] }')


def test_a_step_has_one_kind(desk: Desk) -> None:
    kinds = {"pipeline", "pipeline_reference", "task", "workflow"}
    assert kinds <= set(desk.labels(step('{ "name": "last", | }')))
    assert not kinds & set(desk.labels(step('{ "name": "last", "task": {}, | }')))


def test_exclusive_keys_are_left_out(desk: Desk) -> None:
    assert "inputs" not in desk.labels(step('{ "name": "x", "task": { "command": "depth", "arguments": {}, | } }'))
    loading = '{ "name": "x", "pipeline": { "from_pretrained_arguments": { "model_name": "a/b", | } } }'
    assert "from_single_file" not in desk.labels(step(loading)) and "torch_dtype" in desk.labels(step(loading))


def test_deprecated_keys_come_last_and_say_so(desk: Desk) -> None:
    marked = step('{ "name": "x", "result": { "content_type": "audio/wav", | } }')
    item = desk.item(marked, "samplerate")
    assert item.deprecated and desk.labels(marked)[-1] == "samplerate" and "sample_rate" in item.documentation


def test_a_key_says_what_it_is(desk: Desk) -> None:
    item = desk.item(step('{ "name": "x", "result": { | } }'), "save")
    assert item.detail == "true or false, default true" and item.documentation.startswith("Whether the results")


@pytest.mark.parametrize(
    ("marked", "label", "expected"),
    [
        ('{ "name": "last", | }', "task", '"task": { "command": "", "arguments": {} } }'),
        ('{ "name": "x", "result": { "content_type": "image/png", | } }', "save", '"image/png", "save": false }'),
        ('{ "name": "x", "result": { "content_type": "image/png", | } }', "embed_metadata", '"embed_metadata": true'),
        (TASK, "width", '"width": 768 }'),
    ],
)
def test_a_key_brings_its_value(desk: Desk, marked: str, label: str, expected: str) -> None:
    assert expected in desk.accept(step(marked), label)


def test_arguments_of_a_command_are_those_that_it_takes(desk: Desk) -> None:
    assert desk.labels(step(TASK)) == ["height", "width", "device"]
    needed = step('{ "name": "x", "task": { "command": "segment", "arguments": { | } } }')
    assert desk.labels(needed)[:2] == ["image", "prompt"]


def test_arguments_of_a_command_are_written_with_what_must_be_given(desk: Desk) -> None:
    text = desk.accept(step('{ "name": "x", "task": { "command": "canny_cv", | } }'), "arguments")
    assert '"arguments": { "image": "" }' in text


def test_arguments_of_a_pipeline_are_those_of_its_call(desk: Desk) -> None:
    marked = drawing("", '"prompt": "variable:prompt", |')
    item = desk.item(marked, "num_inference_steps")
    assert item.detail == "int = 50" and "denoising steps" in item.documentation
    assert '"num_inference_steps": 50 }' in desk.accept(marked, "num_inference_steps")
    assert desk.labels(marked).index("negative_prompt") < desk.labels(marked).index("generator")


def test_an_argument_takes_the_variable_of_its_name(desk: Desk) -> None:
    marked = drawing("", "|")
    assert '"prompt": "variable:prompt" }' in desk.accept(marked, "prompt")


def test_a_pipeline_that_is_called_again_takes_the_same_arguments(desk: Desk) -> None:
    marked = step('{ "name": "again", "pipeline_reference": { "reference_name": "draw", "arguments": { | } } }')
    assert {"prompt", "guidance_scale", "num_images_per_prompt"} <= set(desk.labels(marked))
    text = desk.accept_soundly(marked, "prompt")
    assert '"arguments": { "prompt": "variable:prompt" }' in text


def test_a_class_that_chooses_takes_what_most_take(desk: Desk) -> None:
    pipeline = '"configuration": { "component_type": "AutoPipelineForText2Image" }, "arguments": { | }'
    assert "num_inference_steps" in desk.labels(step(f'{{ "name": "x", "pipeline": {{ {pipeline} }} }}'))


def test_arguments_of_another_workflow_are_its_variables(desk: Desk) -> None:
    child = {"id": "child", "variables": {"subject": "a dog", "size": 64, "on": True}, "steps": []}
    (desk.folder / "child.dw.json").write_text(json.dumps(child))
    marked = step('{ "name": "x", "workflow": { "path": "child.dw.json", "arguments": { | } } }')
    assert desk.labels(marked) == ["subject", "size", "on"]
    assert '"size": 64 }' in desk.accept(marked, "size")


def test_settings_of_a_scheduler_are_those_of_its_class(desk: Desk) -> None:
    scheduler = '"scheduler": { "configuration": { "scheduler_type": "DDIMScheduler" }, "from_config_args": { | } }'
    marked = drawing(scheduler + ", ")
    assert "beta_schedule" in desk.labels(marked)
    assert '"num_train_timesteps": 1000 }' in desk.accept_soundly(marked, "num_train_timesteps")


def test_arguments_of_a_quantization_config_are_those_of_its_class(desk: Desk) -> None:
    config = '{ "configuration": { "config_type": "BitsAndBytesConfig" }, "arguments": { | } }'
    marked = drawing(f'"unet": {{ "quantization_config": {config} }}, ')
    assert "load_in_8bit" in desk.labels(marked)
    assert '"llm_int8_threshold": 6.0 }' in desk.accept(marked, "llm_int8_threshold")


def test_components_are_those_of_the_class(desk: Desk) -> None:
    marked = drawing("|\n        ")
    labels = desk.labels(marked)
    assert {"vae", "unet", "text_encoder", "safety_checker"} <= set(labels) and "transformer" not in labels
    text = desk.accept(marked, "vae")
    vae = to_value(desk.document(text).root)["steps"][0]["pipeline"]["vae"]  # type: ignore[index, call-overload]
    assert set(vae) == {"configuration", "from_pretrained_arguments"}


def test_settings_of_components_name_those_of_the_class(desk: Desk) -> None:
    marked = drawing("").replace('"StableDiffusionPipeline" }', '"StableDiffusionPipeline", "components": { | } }')
    assert {"vae", "unet"} <= set(desk.labels(marked))
    assert '"components": { "unet": {} }' in desk.accept(marked, "unet")


def test_variables_that_are_used_and_not_declared_are_proposed(desk: Desk) -> None:
    text = step('{ "name": "x", "task": { "command": "resize_rescale", "arguments": { "width": "variable:side" } } }')
    assert desk.labels(text.replace('"ratio": 0.5', '"ratio": 0.5, |')) == ["side"]
    assert '"side": 768 }' in desk.accept(text.replace('"ratio": 0.5', '"ratio": 0.5, |'), "side")


def test_an_adapter_has_its_keys(desk: Desk) -> None:
    marked = drawing('"loras": [{ "model_name": "a/b", | }], ')
    assert {"weight_name", "adapter_name", "scale"} <= set(desk.labels(marked))


def test_an_argument_object_says_where_it_comes_from(desk: Desk) -> None:
    arguments = '"prompt": "x", "conditions": [{ "condition_type": "LTXVideoCondition", | }]'
    marked = drawing("", arguments)
    assert desk.labels(marked) == ["from_file", "from_previous_result", "from_arguments"]


def test_a_medium_has_a_location(desk: Desk) -> None:
    marked = step('{ "name": "x", "task": { "command": "canny_cv", "arguments": { "image": { | } } } }')
    assert desk.labels(marked)[0] == "location"


def test_an_id_is_named_after_the_file(desk: Desk) -> None:
    assert desk.accept("{ | }", "id") == '{ "id": "flow" }'


def test_a_name_of_a_step_is_one_that_is_free(desk: Desk) -> None:
    marked = '{ "id": "x", "steps": [ { "name": "step" }, { | } ] }'
    assert '{ "name": "step_2" }' in desk.accept(marked, "name")


@pytest.mark.parametrize(
    "written",
    [
        '{ "nam| }',
        '{ "|" }',
        '{ "|',
        "{ na|",
        '{ "name": "x", "task": { "comm|',
        '{ "name": "x", "result": { "content_type": "image/png" "sa|" } }',
        '{ "name": "x", "result": { "con|": "image/png" } }',
    ],
)
def test_half_typed_keys_have_the_keys_of_their_object(desk: Desk, written: str) -> None:
    wanted = {"n": "name", "t": "command", "r": "save"}
    labels = desk.labels(step(written))
    assert set(labels) & {*wanted.values(), "content_type"}
