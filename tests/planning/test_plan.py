"""What a run would do, told before it does it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dw_lsp.planning.plan import Plan, plan, steps_until
from dw_lsp.protocol import Component
from dw_lsp.text.parser import parse
from dw_lsp.workflow.resolved import InvalidInput, ResolvedWorkflow
from dw_lsp.workflow.substitution import resolve


def task(name: str, command: str, **members: Any) -> dict[str, Any]:
    step: dict[str, Any] = {"name": name, "task": {"command": command, **members.pop("task")}}
    return {**step, **members}


def workflow(*steps: dict[str, Any]) -> ResolvedWorkflow:
    return resolve(parse(json.dumps({"id": "flow", "steps": list(steps)})).root, {})


def planned(*steps: dict[str, Any], folder: Path | None = None, **options: Any) -> Plan:
    return plan(workflow(*steps), folder, options.pop("residency", {}), Path("outputs"), **options)


def draw(model: str = "./tiny", **arguments: Any) -> dict[str, Any]:
    return {
        "name": "draw",
        "pipeline": {
            "configuration": {"component_type": "StableDiffusionPipeline"},
            "from_pretrained_arguments": {"model_name": model},
            "arguments": {"prompt": "a cat", **arguments},
        },
        "result": {"content_type": "image/png"},
    }


def test_a_list_of_inputs_is_an_iteration_each_and_so_are_their_readers(folder: Path) -> None:
    gather = task("words", "gather_inputs", task={"inputs": ["a", "b", "c"]})
    seen = planned(gather, draw(prompt="previous_result:words"), folder=folder)
    assert [step.iterations for step in seen.steps] == [3, 3]
    assert [Path(name).name for name in seen.writes] == [f"flow-draw.1-{number}.0.png" for number in range(3)]


def test_two_references_make_every_combination(folder: Path) -> None:
    three = task("three", "gather_inputs", task={"inputs": [1, 2, 3]})
    two = task("two", "gather_inputs", task={"inputs": [1, 2]})
    both = task("both", "compose_text", task={"arguments": {"parts": ["previous_result:three", "previous_result:two"]}})
    assert planned(three, two, both).steps[-1].iterations == 6


def test_what_depends_on_a_result_is_not_guessed() -> None:
    gather = task("files", "gather_images", task={"arguments": {"glob": "*.png"}})
    crop = task("crop", "crop_square", task={"arguments": {"image": "previous_result:files"}})
    seen = planned(gather, crop)
    assert [step.iterations for step in seen.steps] == [1, None]


def test_several_images_of_one_call_are_several_files(folder: Path) -> None:
    seen = planned(draw(num_images_per_prompt=2), folder=folder)
    assert [Path(name).name for name in seen.writes] == ["flow-draw.0-0.0.png", "flow-draw.0-0.1.png"]


def test_a_result_that_is_not_saved_writes_nothing() -> None:
    code = task("code", "qr_code", task={"arguments": {"qr_code_contents": "x"}}, result={"content_type": "image/png"})
    assert len(planned(code).writes) == 1
    code["result"]["save"] = False
    assert planned(code).writes == ()


def test_a_component_in_memory_is_on_the_device_and_costs_no_reading(folder: Path) -> None:
    cold = planned(draw(), folder=folder)
    (part,) = cold.components
    assert part.where == "disk"
    live = Component(part.key, "unet", "UNet", 1234, "cpu", 0.5)
    warm = planned(draw(), folder=folder, residency={part.key: live})
    assert (warm.components[0].where, warm.components[0].bytes) == ("device", 1234)
    assert warm.estimate.disk_bytes == 0


def test_what_is_parked_beside_a_device_is_in_host_memory(folder: Path) -> None:
    (part,) = planned(draw(), folder=folder).components
    for place, where in (("cpu", "host"), ("cuda:0", "device")):
        live = Component(part.key, "unet", "UNet", 1234, place, 0.5)
        assert planned(draw(), folder=folder, residency={part.key: live}, device="cuda").components[0].where == where


def test_a_model_that_is_not_here_leaves_the_sizes_open(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(folder / "cache"))
    seen = planned(draw("owner/name"), folder=folder)
    assert seen.components[0].where == "download"
    assert seen.estimate.device_bytes is None and seen.estimate.download_bytes is None


def test_the_decode_needs_memory_for_its_pixels(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DW_CACHE", str(folder / "cache"))
    (folder / "tiny" / "unet" / "config.json").write_text('{"block_out_channels": [8], "sample_size": 8}')
    small, large = (planned(draw(width=size, height=size), folder=folder).estimate for size in (64, 128))
    assert small.device_bytes is not None and large.device_bytes is not None
    assert large.device_bytes > small.device_bytes > 0


def test_what_several_models_keep_is_no_need_of_one_moment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DW_CACHE", str(folder / "cache"))
    for name, size in (("tiny", 1000), ("other", 3000)):
        unet = folder / name / "unet"
        unet.mkdir(parents=True, exist_ok=True)
        (folder / name / "model_index.json").write_text(json.dumps({"_class_name": "P", "unet": ["diffusers", "UNet"]}))
        (unet / "config.json").write_text("{}")
        (unet / "diffusion_pytorch_model.safetensors").write_bytes(safetensors(size))
    first, second = draw(), {**draw("./other"), "name": "again"}
    both = planned(first, second, folder=folder)
    assert sorted(part.bytes or 0 for part in both.components) == [4000, 12000]
    assert both.estimate.device_bytes == 12000 == planned(second, folder=folder).estimate.device_bytes


def safetensors(elements: int) -> bytes:
    """A file of so many numbers of four bytes."""
    header = json.dumps({"weight": {"dtype": "F32", "shape": [elements], "data_offsets": [0, 4 * elements]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(4 * elements)


def test_up_to_a_step_leaves_out_what_follows() -> None:
    first = task("first", "gather_inputs", task={"inputs": [1]})
    second = task("second", "gather_inputs", task={"inputs": [1]})
    assert [step.name for step in planned(first, second, last_step="first").steps] == ["first"]


def test_an_unknown_last_step_is_told_with_those_there_are() -> None:
    with pytest.raises(InvalidInput, match=r"'nowhere'.*'first'"):
        steps_until(workflow(task("first", "gather_inputs", task={"inputs": [1]})), "nowhere")


def test_the_plan_is_written_as_the_contract_has_it(folder: Path) -> None:
    seen = planned(draw(), folder=folder).to_json()
    assert set(seen) == {"steps", "components", "estimate", "writes", "seed"}
    assert set(seen["steps"][0]) == {"name", "kind", "iterations", "outcome", "seed"}
    assert {"key", "name", "class", "bytes", "device", "seconds", "where"} == set(seen["components"][0])
    sizes = {"deviceBytes", "hostBytes", "diskBytes", "downloadBytes", "activationBytes"}
    assert set(seen["estimate"]) == {*sizes, "measured"}
