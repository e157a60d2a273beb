"""Rules on results: content types, properties, steps without effect."""

from __future__ import annotations

import pytest

from dw_lsp.text.edits import apply_edits
from tests.analysis.conftest import findings_in

QR = '"task": { "command": "qr_code", "arguments": { "qr_code_contents": "x" } }'
TEXT = '"task": { "command": "text_generation", "arguments": { "prompt": "x" } }'
BORDER = '"task": { "command": "add_border_and_mask", "arguments": { "image": "https://x/a.png" } }'


def pipeline(name: str, arguments: str = "", configuration: str = "") -> str:
    return (
        f'"pipeline": {{ "configuration": {{ "component_type": "{name}"{configuration} }}, '
        f'"from_pretrained_arguments": {{ "model_name": "a/b" }}, "arguments": {{ {arguments} }} }}'
    )


def flow(*steps: str) -> str:
    return f'{{ "id": "flow", "steps": [{", ".join(steps)}] }}'


def saved(body: str, content_type: str) -> str:
    return flow(f'{{ "name": "a", {body}, "result": {{ "content_type": "{content_type}" }} }}')


def severities(text: str, code: str) -> list[tuple[str, str]]:
    found = [found for found in findings_in(text, elsewhere="hint") if found.code == code]
    return [(each.severity, text[each.range.start : each.range.end]) for each in found]


@pytest.mark.parametrize(
    "content_type",
    ["image/jepg", "image", "png", "video/mp5", "audio/mp9", "application/jsn", "text/html"],
)
def test_a_content_type_that_results_cannot_have_is_an_error(content_type: str) -> None:
    step = '"task": { "command": "gather_inputs", "arguments": { } }'
    assert severities(saved(step, content_type), "content-type") == [("error", f'"{content_type}"')]


@pytest.mark.parametrize(
    "content_type", ["image/png", "IMAGE/JPEG", "text/plain; charset=utf-8", "application/ld+json", "text/x-python"]
)
def test_a_content_type_that_results_can_have_is_let_pass(content_type: str) -> None:
    step = '"task": { "command": "gather_inputs", "arguments": { } }'
    assert severities(saved(step, content_type), "content-type") == []


def test_the_nearest_content_type_is_offered() -> None:
    text = saved(QR, "image/pgn")
    (found,) = findings_in(text)
    assert apply_edits(text, found.fixes[0].edits) == text.replace("pgn", "png")


def test_a_misspelt_kind_of_text_is_a_warning_because_it_would_be_written() -> None:
    assert severities(saved(TEXT, "text/plian"), "content-type") == [("warning", '"text/plian"')]


@pytest.mark.parametrize(
    ("step", "content_type"),
    [
        (QR, "video/mp4"),
        (QR, "text/plain"),
        (TEXT, "image/png"),
        (pipeline("FluxPipeline", '"prompt": "x"'), "video/mp4"),
        (pipeline("StableDiffusionXLPipeline", '"prompt": "x"'), "audio/wav"),
        (pipeline("WanPipeline", '"prompt": "x"'), "text/plain"),
    ],
)
def test_a_content_type_that_cannot_hold_the_result_is_a_warning(step: str, content_type: str) -> None:
    assert severities(saved(step, content_type), "content-type") == [("warning", f'"{content_type}"')]


@pytest.mark.parametrize(
    ("step", "content_type"),
    [
        (QR, "image/gif"),
        (TEXT, "application/json"),
        (pipeline("FluxPipeline", '"prompt": "x", "output_type": "{latent}"'), "application/json"),
        (pipeline("FluxPriorReduxPipeline", '"image": "https://x/a.png"'), "application/json"),
        (pipeline("StableVideoDiffusionPipeline", '"image": "https://x/a.png"'), "video/mp4"),
        (pipeline("LTX2Pipeline", '"prompt": "x"'), "audio/wav"),
        (pipeline("variable:which"), "text/plain"),
        (pipeline("FluxPipeline", "", ', "inversion": true'), "application/json"),
    ],
)
def test_in_doubt_a_content_type_is_let_pass(step: str, content_type: str) -> None:
    assert severities(saved(step, content_type), "content-type") == []


def test_an_image_command_may_be_handed_the_frames_of_a_video() -> None:
    frames = '{ "name": "f", "task": { "command": "video_frames", "arguments": { "video": "https://x/a.mp4" } } }'
    small = (
        '{ "name": "s", "task": { "command": "crop_square", "arguments": { "image": "previous_result:f" } }, '
        '"result": { "content_type": "video/mp4" } }'
    )
    assert severities(flow(frames, small), "content-type") == []
    image = f'{{ "name": "f", {QR} }}'
    assert severities(flow(image, small), "content-type") == [("warning", '"video/mp4"')]


@pytest.mark.parametrize(
    "clip",
    ['"https://x/a.mp4"', '{ "location": "https://x/a.MP4" }', '{ "media_type": "video", "location": "https://x/a" }'],
)
def test_an_image_command_may_be_handed_a_file_of_a_video(clip: str) -> None:
    small = f'"task": {{ "command": "crop_square", "arguments": {{ "image": {clip} }} }}'
    assert severities(saved(small, "video/mp4"), "content-type") == []


def test_a_content_type_is_checked_in_a_broken_document() -> None:
    text = saved(QR, "image/pgn")[:-3]
    assert severities(text, "content-type") == [("error", '"image/pgn"')]


def asking(first: str, asked: str) -> str:
    second = f'{{ "name": "b", "task": {{ "command": "gather_inputs", "inputs": ["previous_result:a{asked}"] }} }}'
    return flow(f'{{ "name": "a", {first} }}', second)


@pytest.mark.parametrize(
    ("step", "asked", "offered"),
    [
        (BORDER, "masks", "mask"),
        (BORDER, "width", None),
        (QR, "frames", None),
        (QR, "widht", "width"),
        (TEXT, "text", None),
        ('"task": { "command": "get_image_size", "arguments": { "image": "https://x/a" } }', "size", None),
        (pipeline("FluxPipeline", "", ', "inversion": true'), "latents", None),
        (pipeline("LTX2Pipeline"), "frame", "frames"),
        (pipeline("FluxPipeline"), "frames", None),
    ],
)
def test_a_property_that_the_results_cannot_have(step: str, asked: str, offered: str | None) -> None:
    text = asking(step, "." + asked)
    assert severities(text, "unknown-result-property") == [("warning", asked)]
    (found,) = [found for found in findings_in(text) if found.code == "unknown-result-property"]
    assert found.related
    if offered:
        assert apply_edits(text, found.fixes[0].edits) == text.replace(f"a.{asked}", f"a.{offered}")


@pytest.mark.parametrize(
    ("step", "asked"),
    [
        (BORDER, ".mask"),
        (BORDER, ""),
        (QR, ".width"),
        (pipeline("LTX2Pipeline"), ".frames"),
        (pipeline("FluxPipeline", "", ', "inversion": true'), ".inverted_latents"),
        (pipeline("ModularPipeline", '"output": ["videos", "prompt_embeds"]'), ".prompt_embeds"),
        ('"task": { "command": "gather_inputs", "arguments": { "x": 1 } }', ".x"),
        ('"task": { "command": "select", "arguments": { } }', ".frames"),
        ('"workflow": { "path": "variable:w" }', ".anything"),
    ],
)
def test_a_property_that_the_results_may_have_is_let_pass(step: str, asked: str) -> None:
    assert severities(asking(step, asked), "unknown-result-property") == []


def test_a_property_is_checked_in_a_broken_document() -> None:
    text = asking(BORDER, ".masks").replace('"name": "b",', '"name": "b"')
    assert severities(text, "unknown-result-property") == [("warning", "masks")]


SHARING = pipeline("FluxPipeline", "", ', "shared_components": ["vae"]')
LAST = '{ "name": "z", "task": { "command": "gather_inputs", "inputs": [1] } }'


def test_a_step_without_effect_is_told_at_its_name() -> None:
    assert severities(flow(f'{{ "name": "a", {QR} }}', LAST), "ineffective-step") == [("hint", '"a"')]
    unsaved = f'{{ "name": "a", {QR}, "result": {{ "content_type": "image/png", "save": false }} }}'
    assert severities(flow(unsaved, LAST), "ineffective-step") == [("hint", '"a"')]


@pytest.mark.parametrize(
    "step",
    [
        f'{{ "name": "a", {QR}, "result": {{ "content_type": "image/png" }} }}',
        f'{{ "name": "a", {QR}, "result": {{ "content_type": "image/png", "save": "variable:save" }} }}',
        f'{{ "name": "a", {QR}, "release_models": true }}',
        '{ "name": "a", "workflow": { "path": "variable:w" } }',
        f'{{ "name": "a", {SHARING} }}',
        '{ "name": "a" }',
    ],
)
def test_a_step_with_an_effect_is_let_be(step: str) -> None:
    assert severities(flow(step, LAST), "ineffective-step") == []


@pytest.mark.parametrize(
    "reader",
    [
        '"task": { "command": "gather_inputs", "inputs": ["previous_result:a.mask"] }',
        '"task": { "command": "gather_inputs", "inputs": ["gather:a"] }',
        '"task": { "command": "gather_inputs", "inputs": ["previous_result:a@first"] }',
        '"task": { "command": "batch_decode_post_process", "pipeline_reference": "a", "arguments": { } }',
        '"pipeline_reference": { "reference_name": "a", "arguments": { } }',
        '"task": { "command": "gather_inputs", "inputs": [{ "reference_type": "T", "from_previous_result": "a" }] }',
    ],
)
def test_a_step_that_is_read_has_an_effect(reader: str) -> None:
    assert severities(flow(f'{{ "name": "a", {QR} }}', f'{{ "name": "z", {reader} }}'), "ineffective-step") == []


def test_a_half_typed_step_is_not_called_ineffective() -> None:
    assert severities('{ "id": "x", "steps": [{ "name": "a", "task": { "command": "qr', "ineffective-step") == []
