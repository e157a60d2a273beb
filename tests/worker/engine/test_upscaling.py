"""Enlarging by diffusion: a task in the file, a pipeline in the engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image

from dw_lsp.planning.plan import plan
from dw_lsp.protocol import RunEnded
from dw_lsp.text.parser import parse
from dw_lsp.workflow.substitution import resolve
from tests.worker.engine.conftest import tiny_text


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory: pytest.TempPathFactory, make: Any) -> Path:
    """A tiny model that makes a picture four times as wide and high."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("upscaler")
    tokenizer, text_encoder = tiny_text(make.model)
    vae = diffusers.AutoencoderKL(
        block_out_channels=(16, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        scaling_factor=0.08333,
        norm_num_groups=8,
    )
    unet = diffusers.UNet2DConditionModel(
        in_channels=7,
        out_channels=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=text_encoder.config.hidden_size,
        attention_head_dim=8,
        norm_num_groups=8,
        num_class_embeds=400,
    )
    diffusers.StableDiffusionUpscalePipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        low_res_scheduler=diffusers.DDPMScheduler(),
        scheduler=diffusers.DDIMScheduler(prediction_type="v_prediction"),
        max_noise_level=350,
    ).save_pretrained(folder)
    return folder


def enlarging(make: Any, upscaler: Path, folder: Path, **arguments: Any) -> dict[str, Any]:
    Image.new("RGB", (16, 24), "orange").save(folder / "small.png")
    given = {"image": "./small.png", "model_name": str(upscaler), "num_inference_steps": 2, **arguments}
    work: dict[str, Any] = make.workflow(make.task("enlarge", "diffusion_upscale", "image/png", **given))
    return work


def run(worker: Any, work: dict[str, Any], folder: Path, upscaler: Path) -> RunEnded:
    ended: RunEnded = worker.run(work, folder, roots=(str(folder), str(upscaler)))
    return ended


def test_a_picture_becomes_four_times_as_large(worker: Any, make: Any, upscaler: Path, tmp_path: Path) -> None:
    work = enlarging(make, upscaler, tmp_path, seed=4, prompt="a star")
    planned = plan(resolve(parse(json.dumps(work)).root, {}), tmp_path, {}, tmp_path)
    first = run(worker, work, tmp_path, upscaler)
    assert first.outcome == "succeeded", first.error
    with Image.open(str(first.results[0].path)) as image:
        assert image.size == (64, 96)
    assert {part.key for part in planned.components} == {part.key for part in (*first.loaded, *first.reused)}
    assert planned.steps[0].outcome == "run"
    again = run(worker, work, tmp_path, upscaler)
    assert (again.steps[0].outcome, again.loaded) == ("reused", ())
    edited = run(worker, enlarging(make, upscaler, tmp_path, seed=4, noise_level=5), tmp_path, upscaler)
    assert (edited.steps[0].outcome, edited.loaded) == ("ran", ())


@pytest.mark.parametrize(
    ("arguments", "message", "place"),
    [
        ({"mode": "x8"}, "one of x4, x2", '"x8"'),
        ({"wings": 2}, "wings", "2"),
        ({"model_name": "./none"}, "'./none' does not exist", '"./none"'),
        ({"device": "moon"}, "moon", '"moon"'),
    ],
)
def test_mistakes_are_told_at_the_task(
    worker: Any, make: Any, upscaler: Path, tmp_path: Path, arguments: Any, message: str, place: str
) -> None:
    work = enlarging(make, upscaler, tmp_path, **arguments)
    text = json.dumps(work, indent=2)
    ended = worker.run(text, tmp_path, roots=(str(tmp_path), str(upscaler)))
    assert ended.outcome == "failed" and message in ended.error.message
    assert ended.error is not None and text[ended.error.start : ended.error.end] == place


def test_the_other_mode_is_another_pipeline() -> None:
    task = {"command": "diffusion_upscale", "arguments": {"image": "a.png", "mode": "x2", "noise_level": 3}}
    work = {"id": "larger", "steps": [{"name": "enlarge", "task": task}]}
    (step,) = resolve(parse(json.dumps(work)).root, {}).steps
    assert step.kind == "pipeline"
    assert step.body["configuration"] == {"component_type": "StableDiffusionLatentUpscalePipeline"}
    assert step.body["arguments"] == {
        "image": "a.png", "prompt": "", "num_inference_steps": 25, "guidance_scale": 9.0,
    }  # fmt: skip
