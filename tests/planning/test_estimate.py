"""The need of a run: its most demanding step, by weights on the device and computing."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from dw_lsp.planning.estimate import PipelineCall, estimate, pipeline_calls
from dw_lsp.planning.placing import places_of
from dw_lsp.planning.requirements import required_pipeline
from dw_lsp.text.document import Document
from dw_lsp.workflow.substitution import resolve

MODEL = Path(__file__).resolve().parents[2] / "workflows" / "models" / "shapes"


def steps(*arguments: dict[str, Any], offload: str | None = None) -> Any:
    written = [
        {
            "name": f"step{number}",
            "pipeline": {
                "configuration": {"component_type": "StableDiffusionPipeline", "offload": offload or "none"},
                "from_pretrained_arguments": {"model_name": str(MODEL), "torch_dtype": "torch.float32"},
                "arguments": {"prompt": "a", **given},
            },
        }
        for number, given in enumerate(arguments)
    ]
    document = Document("file:///a.dw.json", json.dumps({"id": "a", "steps": written}), language_id="dw-workflow")
    return [PipelineCall(step, step, required_pipeline(step, None)) for step in resolve(document.root, {}).steps]


def test_the_most_demanding_step_counts_not_the_sum() -> None:
    small, large = estimate(steps({}), "cpu"), estimate(steps({"width": 512, "height": 512}), "cpu")
    both = estimate(steps({}, {"width": 512, "height": 512}, {}), "cpu")
    assert small and large and both == large and large.need > small.need
    assert large.weights == small.weights > 8_000_000 and large.need == large.weights + large.computing


def placed(**settings: Any) -> int:
    parts = {"unet": 60, "text_encoder": 30, "vae": 10}
    (call,) = steps({})
    body = {**call.step.body, "configuration": {"component_type": "StableDiffusionPipeline", **settings}}
    return places_of(dataclasses.replace(call.step, body=body), "cuda").on_device(parts.items())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 100),
        ({"offload": "model"}, 60),
        ({"offload": "sequential"}, 3),
        ({"offload": "other"}, 100),
        ({"group_offload": {"offload_type": "leaf_level"}}, 3),
        ({"components": {"unet": {"group_offload": {"offload_type": "leaf_level"}}}}, 43),
        ({"components": {"unet": {"residency": "on_demand"}, "vae": {"residency": "on_demand"}}}, 90),
        ({"components": {"text_encoder": {"device": "cpu"}}}, 70),
        ({"device": "cpu"}, 0),
        ({"device": "cpu", "components": {"unet": {"device": "cuda"}}}, 60),
    ],
)
def test_what_rests_elsewhere_leaves_less_on_the_device(settings: Any, expected: int) -> None:
    assert placed(**settings) == expected


def test_on_a_cpu_nothing_is_elsewhere() -> None:
    device, host = (estimate(steps({}, offload="model"), kind) for kind in ("cuda", "cpu"))
    assert device and host and device.weights < host.weights


def test_a_step_that_calls_another_ones_pipeline_needs_what_it_draws() -> None:
    defines = {"configuration": {"component_type": "StableDiffusionPipeline"}, "arguments": {"prompt": "a"}}
    calls = {"reference_name": "small", "arguments": {"prompt": "a", "width": 512, "height": 512}}
    loading = {"model_name": str(MODEL), "torch_dtype": "torch.float32"}
    written = [
        {"name": "small", "pipeline": {**defines, "from_pretrained_arguments": loading}},
        {"name": "large", "pipeline_reference": calls},
    ]
    document = Document("file:///a.dw.json", json.dumps({"id": "a", "steps": written}), language_id="dw-workflow")
    small, large = resolve(document.root, {}).steps
    found = list(pipeline_calls((small, large), {"small": (small, required_pipeline(small, None))}))
    assert [(call.step.name, call.definer.name) for call in found] == [("small", "small"), ("large", "small")]
    assert estimate(found, "cpu") == estimate(steps({"width": 512, "height": 512}), "cpu")


def test_without_pipelines_there_is_nothing_to_tell() -> None:
    assert estimate([], "cpu") is None
