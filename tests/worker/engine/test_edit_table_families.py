"""What an edit costs with pipelines of other families, made from configurations: the rows that depend on the models."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from dw_lsp.protocol import ClearMemory, MemoryReported, RunEnded

Edit = Callable[[dict[str, Any]], Any]
CLASSES = {
    "sdxl": ("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline"),
    "flux": ("FluxPipeline", "FluxImg2ImgPipeline"),
}
SIZES = {"width": 32, "height": 32, "num_inference_steps": 2, "output_type": "pil"}
NOTHING: frozenset[str] = frozenset()


@pytest.fixture
def folder(tmp_path: Path, families: dict[str, Path], worker: Any) -> Path:
    worker.send(ClearMemory(1))
    worker.wait_for(MemoryReported, lambda answer: answer.request_id == 1)
    for family in CLASSES:
        shutil.copytree(families[family], tmp_path / family)
        shutil.copytree(families[family] / "vae", tmp_path / f"{family}-vae")
        (weights,) = (tmp_path / f"{family}-vae").glob("*.safetensors")
        save_file({name: tensor * 0.9 for name, tensor in load_file(weights).items()}, weights, {"format": "pt"})
    Image.new("RGB", (32, 32), "red").save(tmp_path / "red.png")
    return tmp_path


def base(family: str, make: Any) -> dict[str, Any]:
    drawing: dict[str, Any] = {
        "name": "draw",
        "pipeline": {
            "configuration": {"component_type": CLASSES[family][0]},
            "from_pretrained_arguments": {"model_name": f"./{family}", "torch_dtype": "torch.float32"},
            "arguments": {"prompt": "a red circle", **SIZES},
        },
    }
    crop = make.task("crop", "crop_square", "image/png", image="previous_result:draw")
    work: dict[str, Any] = make.workflow(drawing, crop, seed=3)
    return work


def pipeline(work: dict[str, Any]) -> Any:
    return work["steps"][0]["pipeline"]


def argument(name: str, value: Any) -> Edit:
    return lambda work: pipeline(work)["arguments"].update({name: value})


def other_class(work: dict[str, Any]) -> None:
    family = pipeline(work)["from_pretrained_arguments"]["model_name"].removeprefix("./")
    pipeline(work)["configuration"]["component_type"] = CLASSES[family][1]
    arguments = pipeline(work)["arguments"]
    arguments.update(image="red.png", strength=0.8)


def other_vae(work: dict[str, Any]) -> None:
    family = pipeline(work)["from_pretrained_arguments"]["model_name"]
    pipeline(work)["vae"] = {
        "configuration": {"component_type": "AutoencoderKL"},
        "from_pretrained_arguments": {"model_name": f"{family}-vae", "torch_dtype": "torch.float32"},
    }


def scheduler(work: dict[str, Any]) -> None:
    option = {"beta_start": 0.001} if "sdxl" in json.dumps(work) else {"shift": 2.0}
    kind = "EulerDiscreteScheduler" if "sdxl" in json.dumps(work) else "FlowMatchEulerDiscreteScheduler"
    pipeline(work)["scheduler"] = {"configuration": {"scheduler_type": kind}, "from_config_args": option}


ROWS: dict[str, tuple[Edit, frozenset[str]]] = {
    "prompt": (argument("prompt", "a green star"), NOTHING),
    "steps": (argument("num_inference_steps", 3), NOTHING),
    "scheduler": (scheduler, NOTHING),
    "pipeline class": (other_class, NOTHING),
    "the vae's model": (other_vae, frozenset({"vae"})),
    "tiling": (lambda work: pipeline(work)["configuration"].update(vae={"enable_tiling": True}), NOTHING),
}


def run(worker: Any, work: dict[str, Any], folder: Path, **fields: Any) -> RunEnded:
    ended: RunEnded = worker.run(work, folder, **fields)
    assert ended.outcome == "succeeded", ended.error
    return ended


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("family", CLASSES)
def test_an_edit_loads_and_runs_what_it_must(family: str, row: str, worker: Any, make: Any, folder: Path) -> None:
    edit, must_load = ROWS[row]
    before = base(family, make)
    after = copy.deepcopy(before)
    edit(after)
    first = run(worker, before, folder)
    ended = run(worker, after, folder)
    assert sorted(part.name for part in ended.loaded) == sorted(must_load)
    assert ended.steps[0].outcome == "ran"
    undone = run(worker, before, folder, output_directory=str(folder / "elsewhere"))
    assert undone.loaded == ()
    assert [Path(str(each.path)).read_bytes() for each in undone.results] == [
        Path(str(each.path)).read_bytes() for each in first.results
    ]


def test_families_stay_beside_each_other(worker: Any, make: Any, folder: Path) -> None:
    """File A, then B, then A again: nothing is loaded the third time."""
    loaded = []
    for number, family in enumerate(("sdxl", "flux", "sdxl", "flux")):
        work = base(family, make)
        argument("prompt", f"a circle {number}")(work)
        ended = run(worker, work, folder, document_path=str(folder / f"{family}.dw.json"))
        loaded.append(len(ended.loaded))
    assert loaded[0] > 0 and loaded[2:] == [0, 0]
