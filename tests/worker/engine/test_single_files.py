"""Pipelines out of one file: its content is kept by component, for all classes, beside what a step defines itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dw_lsp.planning.plan import plan
from dw_lsp.protocol import Evict, MemoryReported
from dw_lsp.text.parser import parse
from dw_lsp.workflow.substitution import resolve


@pytest.fixture
def folder(make: Any, tmp_path: Path) -> Path:
    """A folder with the denoiser of the shapes model as one file, and a picture."""
    shutil.copy(make.model / "unet" / "diffusion_pytorch_model.safetensors", tmp_path / "shapes.safetensors")
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    return tmp_path


def drawing(make: Any, class_name: str = "StableDiffusionPipeline", **arguments: Any) -> dict[str, Any]:
    """A step whose denoiser comes from the file, and whose encoders it defines itself."""
    step: dict[str, Any] = make.drawing(2, class_name=class_name, **arguments)
    step["pipeline"].update(
        from_pretrained_arguments={
            "from_single_file": "shapes.safetensors", "config": str(make.model), "torch_dtype": "torch.float32",
        },
        vae=part(make, "AutoencoderKL", "vae"),
        text_encoder=part(make, "transformers.CLIPTextModel", "text_encoder"),
    )  # fmt: skip
    return step


def part(make: Any, kind: str, subfolder: str) -> dict[str, Any]:
    where = {"model_name": str(make.model), "subfolder": subfolder, "torch_dtype": "torch.float32"}
    return {"configuration": {"component_type": kind}, "from_pretrained_arguments": where}


def succeeded(ended: Any) -> Any:
    assert ended.outcome == "succeeded", (ended.error, ended.error and ended.error.traceback)
    return ended


def pixels(ended: Any) -> bytes:
    with Image.open(str(succeeded(ended).results[0].path)) as picture:
        return picture.convert("RGB").tobytes()


def names(records: Any) -> set[str]:
    return {record.name for record in records}


def test_classes_share_what_is_in_a_file(own_worker: Any, make: Any, folder: Path) -> None:
    ended = own_worker.run(make.workflow(drawing(make), seed=1), folder)
    assert names(succeeded(ended).loaded) == {"unet", "vae", "text_encoder", "tokenizer"}
    whole = own_worker.run(make.workflow(make.drawing(2), seed=1), folder)
    assert pixels(ended) == pixels(whole)
    for class_name, more in (
        ("StableDiffusionPipeline", {"prompt": "a moon"}),
        ("StableDiffusionImg2ImgPipeline", {"image": "red.png", "strength": 0.9}),
        ("StableDiffusionInpaintPipeline", {"image": "red.png", "mask_image": "red.png", "strength": 0.9}),
    ):
        ended = own_worker.run(make.workflow(drawing(make, class_name, **more), seed=1), folder)
        assert succeeded(ended).loaded == ()
        assert names(ended.reused) == {"unet", "vae", "text_encoder", "tokenizer"}


def test_a_component_of_the_step_takes_the_place_of_the_files(own_worker: Any, make: Any, folder: Path) -> None:
    plain = pixels(own_worker.run(make.workflow(drawing(make), seed=1), folder))
    step = drawing(make)
    step["pipeline"]["unet"] = part(make, "UNet2DConditionModel", "unet")
    step["pipeline"]["unet"]["from_pretrained_arguments"]["torch_dtype"] = "torch.bfloat16"
    step["pipeline"]["vae"]["from_pretrained_arguments"]["torch_dtype"] = "torch.bfloat16"
    step["pipeline"]["text_encoder"]["from_pretrained_arguments"]["torch_dtype"] = "torch.bfloat16"
    ended = own_worker.run(make.workflow(step, seed=1), folder)
    assert names(succeeded(ended).loaded) == {"unet", "vae", "text_encoder"}
    assert pixels(ended) != plain


def test_what_has_left_memory_is_loaded_again_and_nothing_else(own_worker: Any, make: Any, folder: Path) -> None:
    first = own_worker.run(make.workflow(drawing(make), seed=1), folder)
    (unet,) = [record for record in (*first.loaded, *first.reused) if record.name == "unet"]
    own_worker.send(Evict(1, unet.key))
    own_worker.wait_for(MemoryReported)
    ended = own_worker.run(make.workflow(drawing(make, prompt="a moon"), seed=2), folder)
    assert names(succeeded(ended).loaded) == {"unet"}


def test_the_plan_knows_what_of_a_file_is_in_memory(own_worker: Any, make: Any, folder: Path) -> None:
    work = make.workflow(drawing(make), seed=1)
    workflow = resolve(parse(json.dumps(work)).root, {})
    ended = own_worker.run(work, folder)
    residency = {record.key: record for record in (*ended.loaded, *ended.reused)}
    planned = plan(workflow, folder, residency, folder / "outputs").components
    assert names(planned) == names(residency.values())
    assert {each.where for each in planned} == {"device"}
    before = plan(workflow, folder, {}, folder / "outputs").components
    assert [each.where for each in before] == ["disk"] * 3


@pytest.mark.parametrize("source", ["nowhere.safetensors", "https://example.org/a.safetensors"])
@pytest.mark.parametrize("of_component", [True, False])
def test_a_file_that_is_not_there(worker: Any, make: Any, folder: Path, source: str, of_component: bool) -> None:
    step = drawing(make)
    loading = {"from_single_file": source, "config": str(make.model), "subfolder": "vae"}
    (step["pipeline"]["vae"] if of_component else step["pipeline"])["from_pretrained_arguments"] = loading
    error = worker.run(make.workflow(step), folder).error
    assert error.type == "InvalidInput" and f"no file {source!r}" in error.message and error.step == "draw"
    assert error.hint


def test_a_file_of_the_hub_by_its_address(start_worker: Any, make: Any, folder: Path) -> None:
    repository = folder / "hub" / "models--someone--shapes"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc123")
    (repository / "snapshots" / "abc123").mkdir(parents=True)
    (folder / "shapes.safetensors").rename(repository / "snapshots" / "abc123" / "shapes.safetensors")
    step = drawing(make)
    address = "https://huggingface.co/someone/shapes/blob/main/shapes.safetensors"
    step["pipeline"]["from_pretrained_arguments"]["from_single_file"] = address
    worker = start_worker(HF_HUB_CACHE=str(folder / "hub"))
    assert names(succeeded(worker.run(make.workflow(step, seed=1), folder)).loaded) >= {"unet"}
    step["pipeline"]["from_pretrained_arguments"]["from_single_file"] = address.replace("shapes.s", "other.s")
    error = worker.run(make.workflow(step, seed=1), folder).error
    assert error.type == "InvalidInput" and "could not be downloaded" in error.message
