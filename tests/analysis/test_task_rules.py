"""Rules on tasks: the command and its arguments."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dw_lsp.analysis.findings import Finding
from dw_lsp.text.edits import apply_edits
from tests.analysis.conftest import findings_in

Check = Callable[[str], tuple[Finding, ...]]


def task(body: str) -> str:
    return f'{{ "id": "flow", "steps": [{{ "name": "a", "task": {{ {body} }} }}] }}'


def codes(text: str) -> list[tuple[str, str]]:
    return [(found.code, text[found.range.start : found.range.end]) for found in findings_in(text)]


def mended(text: str) -> str:
    """The text after the first fix of its only finding."""
    (found,) = findings_in(text)
    return apply_edits(text, found.fixes[0].edits)


def test_a_command_that_does_not_exist_is_told_with_the_nearest_name() -> None:
    text = task('"command": "resize_recale", "arguments": { "image": "a.png", "anything": 1 }')
    (found,) = [found for found in findings_in(text) if found.code == "unknown-task"]
    assert found.severity == "error" and "Did you mean `resize_rescale`?" in found.message
    assert apply_edits(text, found.fixes[0].edits) == text.replace("recale", "rescale")


@pytest.mark.parametrize("command", ['"variable:which"', '"canny', "5", ""])
def test_a_command_that_cannot_be_read_is_none_that_does_not_exist(command: str) -> None:
    assert "unknown-task" not in [code for code, _ in codes(task(f'"command": {command}, "arguments": {{ }}'))]


def test_arguments_that_a_command_does_not_have() -> None:
    text = task('"command": "canny_cv", "arguments": { "image": "previous_result:b", "low_treshold": 80 }')
    findings = findings_in(text)
    (found,) = [found for found in findings if found.code == "unknown-argument"]
    assert text[found.range.start : found.range.end] == '"low_treshold"' and found.severity == "error"
    assert "Did you mean `low_threshold`?" in found.message


def test_what_is_ignored_is_only_a_warning() -> None:
    text = task('"command": "text_generation", "arguments": { "prompt": "x", "mood": "calm" }')
    (found,) = findings_in(text)
    assert (found.code, found.severity) == ("unknown-argument", "warning") and "ignored" in found.message


@pytest.mark.parametrize(
    "body",
    [
        '"command": "openpose", "arguments": { "image": "https://x/a.png", "hand_and_face": true }',
        '"command": "gather_inputs", "arguments": { "whatever": 1 }',
        '"command": "qr_code", "arguments": { "qr_code_contents": "x", "device": "cpu" }',
        '"command": "film_grain", "arguments": { "media": "https://x/a.png", "seed": 3 }',
        '"command": "canny_cv", "arguments": "item:arguments"',
        '"command": "canny_cv", "inputs": [{ "image": "https://x/a.png" }]',
        '"command": "resize_rescale", "arguments": { "image": { "location": "https://x/a.png" }, "width": null }',
        '"command": "resize_rescale", "arguments": { "image": ["https://x/a.png"], "width": { "item": "w" } }',
        '"command": "gather_images", "arguments": { "urls": ["https://x/a.png", "output:x/latest/a.png"] }',
        '"command": "apply_lut", "arguments": { "media": "asset:a.png", "strength": 1 }',
        '"command": "interpolate_frames", "arguments": { "video": "asset:a.mp4", "multiplier": 4 }',
        '"command": "add_watermark", "arguments": { "image": "asset:a.png", "color": [255, 0, 0] }',
        '"command": "depth_estimator", "arguments": { "image": "asset:a.png", "dtype": "torch.float16" }',
    ],
)
def test_what_a_command_takes_is_let_pass(body: str) -> None:
    assert codes(task(body)) == []


def test_a_missing_argument_is_told_at_the_command() -> None:
    text = task('"command": "qr_code", "arguments": { "width": 512 }')
    assert codes(text) == [("missing-argument", '"qr_code"')]
    assert mended(text) == text.replace('"width": 512 }', '"width": 512, "qr_code_contents": "" }')


def test_a_misspelt_argument_is_one_mistake_not_two() -> None:
    text = task('"command": "qr_code", "arguments": { "qr_code_content": "x" }')
    assert codes(text) == [("unknown-argument", '"qr_code_content"')]
    assert mended(text) == text.replace("qr_code_content", "qr_code_contents")


@pytest.mark.parametrize("arguments", ['{ "width": 512, "qr', '{ "width": 512 "x": 1 }', "{ oops }"])
def test_nothing_is_missed_in_arguments_that_could_not_be_read(arguments: str) -> None:
    assert "missing-argument" not in [
        code for code, _ in codes(task(f'"command": "qr_code", "arguments": {arguments}'))
    ]


@pytest.mark.parametrize(
    ("body", "code", "place"),
    [
        (
            '"command": "resize_rescale", "arguments": { "image": "asset:a", "width": "w" }',
            "argument-type",
            '"w"',
        ),
        ('"command": "resize_rescale", "arguments": { "image": "asset:a.b", "width": 1.5 }', "argument-type", "1.5"),
        ('"command": "resize_rescale", "arguments": { "image": 5 }', "argument-type", "5"),
        ('"command": "compose_text", "arguments": { "parts": "x" }', "argument-type", '"x"'),
        ('"command": "compose_text", "arguments": { "parts": ["x"], "skip_empty": 1 }', "argument-type", "1"),
        ('"command": "extract_sections", "arguments": { "text": "x", "sections": [1] }', "argument-type", "1"),
        ('"command": "compose_text", "arguments": { "parts": [] }', "invalid-value", "[]"),
        ('"command": "resize_rescale", "arguments": { "image": "asset:a.b", "width": 0 }', "invalid-value", "0"),
        ('"command": "grade", "arguments": { "media": "asset:a.b", "tint": -1.5 }', "invalid-value", "-1.5"),
        (
            '"command": "diffusion_upscale", "arguments": { "image": "asset:a.b", "mode": "x8" }',
            "invalid-value",
            '"x8"',
        ),
        (
            '"command": "interpolate_frames", "arguments": { "video": "asset:a.b", "multiplier": 3 }',
            "invalid-value",
            "3",
        ),
    ],
)
def test_a_value_that_an_argument_cannot_be(body: str, code: str, place: str) -> None:
    assert codes(task(body)) == [(code, place)]


def test_the_arguments_are_checked_beside_a_mistake_in_the_text(check: Check) -> None:
    check(
        """{ "id": "flow", "steps": [
    { "name": "a", "task": { "command": "qr_code" "arguments": { "qr_code_contents": "x", "width": "wide" } } },
//                                              ^ syntax
//                                                                                                 ^^^^^^ argument-type
    { "name": "b", "task": { "command": "qr_cod", "arguments": { } } }
//                                      ^^^^^^^^ unknown-task
] }"""
    )
