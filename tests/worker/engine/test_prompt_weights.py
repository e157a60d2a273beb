"""Weights in prompts: read, and obeyed by FLUX pipelines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from dw_lsp.planning.plan import plan
from dw_lsp.planning.step_store import StepStore
from dw_lsp.protocol import RunEnded
from dw_lsp.text.parser import parse
from dw_lsp.worker.engine.prompt_weights import read_weights, weighing
from dw_lsp.workflow.substitution import resolve
from tests.worker.engine.conftest import tiny_flux


def spans(prompt: str) -> list[tuple[str, float]]:
    """The text in stretches of equal weight."""
    read, found = read_weights(prompt), []
    for letter, weight in zip(read.text, read.weights, strict=True):
        if found and found[-1][1] == weight:
            found[-1] = (found[-1][0] + letter, weight)
        else:
            found.append((letter, weight))
    return [(text, round(weight, 4)) for text, weight in found]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a cat", [("a cat", 1)]),
        ("", []),
        ("a (red:1.3) cat", [("a ", 1), ("red", 1.3), (" cat", 1)]),
        ("(red)", [("red", 1.1)]),
        ("[red] cat", [("red", 0.9091), (" cat", 1)]),
        ("((red):1.5)", [("red", 1.65)]),
        ("(a (red: .5 ) cat:2)", [("a ", 2), ("red", 1), (" cat", 2)]),
        (r"a \(red\) cat", [("a (red) cat", 1)]),
        ("a (red cat", [("a (red cat", 1)]),
        ("a red) cat", [("a red) cat", 1)]),
        ("(red]", [("(red]", 1)]),
        ("at 9:30 (half:past)", [("at 9:30 ", 1), ("half:past", 1.1)]),
        ("red:1.3)", [("red:1.3)", 1)]),
        ("(white:-1)", [("white", -1)]),
        ("a\\", [("a\\", 1)]),
    ],
)
def test_weights_are_read(prompt: str, expected: list[tuple[str, float]]) -> None:
    assert spans(prompt) == expected


def drawing(make: Any, model: Path, prompt: str, weighting: bool = True) -> dict[str, Any]:
    step = {
        "name": "draw",
        "pipeline": {
            "configuration": {"component_type": "FluxPipeline", "prompt_weighting": weighting},
            "from_pretrained_arguments": {"model_name": str(model)},
            "arguments": {"prompt": prompt, "width": 32, "height": 32, "num_inference_steps": 1},
        },
        "result": {"content_type": "image/png"},
    }
    work: dict[str, Any] = make.workflow(step, seed=3)
    return work


def pixels(ended: RunEnded) -> bytes:
    assert ended.outcome == "succeeded", ended.error
    with Image.open(str(ended.results[0].path)) as image:
        return image.tobytes()


def test_weights_are_obeyed_where_the_step_says_so(
    worker: Any, make: Any, families: dict[str, Path], tmp_path: Path
) -> None:
    model = families["flux"]

    def drawn(prompt: str, weighting: bool = True) -> bytes:
        return pixels(worker.run(drawing(make, model, prompt, weighting), tmp_path, roots=(str(tmp_path), str(model))))

    plain = drawn("a red circle", weighting=False)
    assert drawn("a red circle") == drawn("a (red:1.0) circle") == plain
    assert drawn("a (red:1.0) circle", weighting=False) != plain  # The brackets count as text there.


def test_what_a_token_is_encoded_to_is_multiplied(make: Any) -> None:
    pipeline = tiny_flux(make.model)
    with torch.no_grad():
        plain, pooled, _ = pipeline.encode_prompt(["a red circle", "a cat"], None, num_images_per_prompt=2)
        weighted, same, _ = weighing(pipeline)(["a (red:3) circle", "a cat"], None, num_images_per_prompt=2)
        given = weighing(pipeline)(prompt="(red:3)", prompt_embeds=plain, pooled_prompt_embeds=pooled)[0]
    expected = plain.clone()
    expected[:2, 2] *= 3  # Behind the token that begins each text, "a" and "red".
    assert torch.equal(weighted, expected) and torch.equal(same, pooled) and torch.equal(given, plain)


def test_other_pipelines_have_no_such_thing(worker: Any, make: Any, tmp_path: Path) -> None:
    step = make.drawing(1)
    step["pipeline"]["configuration"]["prompt_weighting"] = True
    ended = worker.run(make.workflow(step), tmp_path)
    assert ended.outcome == "failed" and "is for FLUX pipelines, not for StableDiffusionPipeline" in ended.error.message
    assert not ended.loaded


def test_a_reference_has_weights_in_its_prompt_only_where_it_asks_for_them(
    worker: Any, make: Any, families: dict[str, Path], tmp_path: Path
) -> None:
    """A call is remembered as that of the step that calls, not of the one that defines the pipeline."""
    model = families["flux"]
    work = drawing(make, model, "a (red:1.8) circle")
    (defined,) = work["steps"]
    again = {
        "name": "again",
        "pipeline_reference": {"reference_name": "draw", "arguments": defined["pipeline"]["arguments"]},
        "result": defined["result"],
    }
    work["steps"].append(again)
    ended = worker.run(work, tmp_path, roots=(str(tmp_path), str(model)))
    assert [step.outcome for step in ended.steps] == ["ran", "ran"]
    with Image.open(str(ended.results[0].path)) as one, Image.open(str(ended.results[1].path)) as other:
        assert one.tobytes() != other.tobytes()
    defined["pipeline"]["configuration"]["prompt_weighting"] = False
    store, workflow = StepStore(tmp_path / "outputs"), resolve(parse(json.dumps(work)).root, {})
    assert [step.outcome for step in plan(workflow, tmp_path, {}, tmp_path, None, store, 3).steps] == ["reuse"] * 2
