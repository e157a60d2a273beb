"""Where components come from: single files, the hub's cache, components of a workflow's own, pickles."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image


@pytest.fixture
def own_vae(make: Any) -> dict[str, Any]:
    """The model's autoencoder as a component that the workflow defines, from the bare file of its weights."""
    return {
        "configuration": {"component_type": "AutoencoderKL"},
        "from_pretrained_arguments": {
            "from_single_file": str(make.model / "vae" / "diffusion_pytorch_model.safetensors"),
            "config": str(make.model),
            "subfolder": "vae",
            "torch_dtype": "torch.float32",
        },
    }


def pixels(ended: Any) -> bytes:
    assert ended.outcome == "succeeded", (ended.error, ended.error and ended.error.traceback)
    return Image.open(str(ended.results[0].path)).convert("RGB").tobytes()


def test_a_component_from_a_single_file(worker: Any, make: Any, own_vae: Any, tmp_path: Path) -> None:
    step = make.drawing(3)
    step["pipeline"]["vae"] = own_vae
    ended = worker.run(make.workflow(step, seed=1), tmp_path)
    assert pixels(ended) == pixels(worker.run(make.workflow(make.drawing(3), seed=1), tmp_path))
    assert worker.run(make.workflow(step, seed=1), tmp_path).loaded == ()


def test_a_pickle_is_not_loaded_unless_it_is_trusted(worker: Any, make: Any, own_vae: Any, tmp_path: Path) -> None:
    weights = torch.load(make.model, weights_only=True) if make.model.is_file() else {"a": torch.zeros(1)}
    torch.save(weights, tmp_path / "vae.ckpt")
    own_vae["from_pretrained_arguments"]["from_single_file"] = "vae.ckpt"
    step = make.drawing(1)
    step["pipeline"]["vae"] = own_vae
    ended = worker.run(make.workflow(step), tmp_path)
    assert (
        ended.error.type == "InvalidInput" and "any code" in ended.error.message and "allowPickle" in ended.error.hint
    )


def test_weights_of_a_folder_that_are_pickles(worker: Any, make: Any, tmp_path: Path) -> None:
    shutil.copytree(make.model, tmp_path / "model")
    (tmp_path / "model" / "vae" / "diffusion_pytorch_model.safetensors").rename(
        tmp_path / "model" / "vae" / "diffusion_pytorch_model.bin"
    )
    step = make.drawing(1)
    step["pipeline"]["from_pretrained_arguments"]["model_name"] = "./model"
    ended = worker.run(make.workflow(step), tmp_path)
    assert ended.outcome == "failed" and "any code" in ended.error.message


@pytest.mark.parametrize("explicit", [True, False])
def test_weights_that_do_not_fit(worker: Any, make: Any, tmp_path: Path, explicit: bool) -> None:
    shutil.copytree(make.model, tmp_path / "model")
    weights = tmp_path / "model" / "vae" / "diffusion_pytorch_model.safetensors"
    shutil.copyfile(make.model / "unet" / "diffusion_pytorch_model.safetensors", weights)
    step = make.drawing(1)
    if explicit:
        step["pipeline"]["vae"] = {
            "configuration": {"component_type": "AutoencoderKL"},
            "from_pretrained_arguments": {"model_name": "./model", "subfolder": "vae"},
        }
    else:
        step["pipeline"]["from_pretrained_arguments"]["model_name"] = "./model"
    work = json.dumps(make.workflow(step))
    error = worker.run(work, tmp_path).error
    assert error.type == "InvalidInput" and "do not fit AutoencoderKL" in error.message and error.step == "draw"
    assert '"./model"' in work[error.start : error.end]


def test_a_pipeline_of_components_alone(worker: Any, make: Any, tmp_path: Path) -> None:
    def part(kind: str, subfolder: str) -> dict[str, Any]:
        where = {"model_name": str(make.model), "subfolder": subfolder, "torch_dtype": "torch.float32"}
        return {"configuration": {"component_type": kind}, "from_pretrained_arguments": where}

    step = make.drawing(3)
    step["pipeline"].update(
        vae=part("AutoencoderKL", "vae"),
        unet=part("UNet2DConditionModel", "unet"),
        text_encoder=part("transformers.CLIPTextModel", "text_encoder"),
        tokenizer=part("transformers.CLIPTokenizer", "tokenizer"),
        scheduler={
            "configuration": {"scheduler_type": "DDIMScheduler"},
            "from_config_args": {"prediction_type": "v_prediction"},
        },
        from_pretrained_arguments={"requires_safety_checker": False},
    )
    ended = worker.run(make.workflow(step), tmp_path)
    assert ended.outcome == "succeeded", (ended.error, ended.error and ended.error.traceback)
    assert {record.name for record in (*ended.loaded, *ended.reused)} == {"vae", "unet", "text_encoder", "tokenizer"}


def test_a_component_that_nothing_gives(worker: Any, make: Any, tmp_path: Path) -> None:
    step = make.drawing(1, class_name="StableDiffusionControlNetPipeline")
    ended = worker.run(make.workflow(step), tmp_path)
    assert ended.outcome == "failed" and "needs the component 'controlnet'" in ended.error.message


def test_a_model_of_the_hubs_cache(start_worker: Any, make: Any, tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--someone--shapes"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc123")
    shutil.copytree(make.model, repository / "snapshots" / "abc123")
    step = make.drawing(3)
    step["pipeline"]["from_pretrained_arguments"]["model_name"] = "someone/shapes"
    worker = start_worker(HF_HUB_CACHE=str(tmp_path / "hub"))
    work = tmp_path / "work"
    work.mkdir()
    ended = worker.run(make.workflow(step, seed=1), work, roots=(str(work),))
    assert pixels(ended) and len(ended.loaded) == 4


def test_parts_that_are_null_are_left_out(worker: Any, make: Any, tmp_path: Path) -> None:
    step = make.drawing(1)
    step["pipeline"]["from_pretrained_arguments"].update(safety_checker=None, feature_extractor=None)
    assert worker.run(make.workflow(step), tmp_path).outcome == "succeeded"
    step["pipeline"]["from_pretrained_arguments"]["text_encoder"] = None
    ended = worker.run(make.workflow(step), tmp_path)
    assert ended.outcome == "failed" and "text_encoder" not in {part.name for part in ended.reused}


def test_a_damaged_file_is_told_with_its_model(worker: Any, make: Any, tmp_path: Path) -> None:
    shutil.copytree(make.model, tmp_path / "model")
    weights = tmp_path / "model" / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    step = make.drawing(1)
    step["pipeline"]["from_pretrained_arguments"]["model_name"] = "./model"
    ended = worker.run(make.workflow(step), tmp_path)
    assert ended.outcome == "failed" and ended.error.step == "draw"
    assert ended.error.message.startswith("StableDiffusionPipeline cannot be loaded")
    assert worker.run(make.workflow(make.drawing(1)), tmp_path).outcome == "succeeded"


def test_files_of_the_hubs_cache_are_known_by_the_names_of_their_links(
    worker: Any, make: Any, lora_files: Path, tmp_path: Path
) -> None:
    shutil.copyfile(lora_files / "unet0.safetensors", tmp_path / "0123abcd")
    (tmp_path / "lora.safetensors").symlink_to("0123abcd")
    step = make.drawing(1)
    step["pipeline"]["loras"] = [{"model_name": "./lora.safetensors"}]
    ended = worker.run(make.workflow(step), tmp_path)
    assert ended.outcome == "succeeded", ended.error
