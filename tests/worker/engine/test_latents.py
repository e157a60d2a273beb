"""A decode that fails does not cost the denoising before it: not in this worker, nor after it has died."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image

from dw_lsp.protocol import Ready, StepProgress
from dw_lsp.worker.engine.latents import DoesNotFit, KeptLatents
from dw_lsp.worker.engine.remembering import StepMemory

pytestmark = pytest.mark.filterwarnings("ignore")  # Of diffusers and transformers about each other.
KEY = "0" * 32
SIZES: dict[str, dict[str, Any]] = {
    "sd": {},
    "sdxl": {"width": 32, "height": 32},
    "flux": {"width": 32, "height": 32, "max_sequence_length": 16},
    "video": {"width": 16, "height": 16, "num_frames": 5, "max_sequence_length": 16},
}


class OutOfMemory(RuntimeError):
    """Raised in the middle of a decode."""


class Drawn:
    """A pipeline that draws with its latents kept, how often it has denoised, and whether its decoder works."""

    def __init__(self, folder: Path, family: str, memory: StepMemory):
        self.pipe = diffusers.DiffusionPipeline.from_pretrained(str(folder), torch_dtype=torch.float32)
        self.pipe.set_progress_bar_config(disable=True)
        self.family, self.memory, self.denoised, self.broken = family, memory, 0, False
        denoiser = self.pipe.unet if hasattr(self.pipe, "unet") else self.pipe.transformer
        next(denoiser.children()).register_forward_hook(self._count)
        self.pipe.vae.decoder.register_forward_hook(self._fail)

    def _count(self, *_: Any) -> None:
        self.denoised += 1

    def _fail(self, *_: Any) -> None:
        if self.broken:
            raise OutOfMemory

    def __call__(self, key: str | None = KEY, **arguments: Any) -> Any:
        given = {**SIZES[self.family], "num_inference_steps": 3, "output_type": "np", **arguments}
        generator = torch.Generator().manual_seed(1)
        self.pipe.scheduler = type(self.pipe.scheduler).from_config(self.pipe.scheduler.config)
        with KeptLatents(self.pipe, key, self.memory, worth=0.0) as kept:
            output = self.pipe("a red circle", generator=generator, **given)
            kept.check(output)
        return output.images if hasattr(output, "images") else output.frames


@pytest.fixture
def memory(tmp_path: Path) -> StepMemory:
    return StepMemory(tmp_path)


@pytest.mark.parametrize("family", SIZES)
def test_a_failed_decode_costs_no_denoising(family: str, families: dict[str, Path], memory: StepMemory) -> None:
    drawn = Drawn(families[family], family, memory)
    bare = drawn(key=None)
    drawn.broken = True
    with pytest.raises(OutOfMemory):
        drawn()
    drawn.broken, drawn.denoised = False, 0
    again = drawn()
    assert drawn.denoised == 0
    assert (again == bare).all()


@pytest.mark.parametrize("family", SIZES)
def test_what_was_decoded_is_no_longer_kept(family: str, families: dict[str, Path], memory: StepMemory) -> None:
    drawn = Drawn(families[family], family, memory)
    drawn()
    assert memory.find(KEY) is None
    assert not [file for file in memory.root.rglob("*") if file.is_file()]
    assert "decode" not in vars(drawn.pipe.vae)


def test_a_second_failure_keeps_them_too(families: dict[str, Path], memory: StepMemory) -> None:
    drawn = Drawn(families["sd"], "sd", memory)
    drawn.broken = True
    for _ in range(2):
        with pytest.raises(OutOfMemory):
            drawn()
    assert drawn.denoised == 3


def test_latents_of_another_size_are_left_alone(families: dict[str, Path], memory: StepMemory) -> None:
    drawn = Drawn(families["sdxl"], "sdxl", memory)
    drawn.broken = True
    with pytest.raises(OutOfMemory):
        drawn()
    drawn.broken = False
    with pytest.raises(DoesNotFit):
        drawn(width=64)
    assert memory.find(KEY) is None


def test_an_output_that_is_not_decoded_is_never_taken_from_it(families: dict[str, Path], memory: StepMemory) -> None:
    drawn = Drawn(families["sd"], "sd", memory)
    drawn.broken = True
    with pytest.raises(OutOfMemory):
        drawn()
    with pytest.raises(DoesNotFit):
        drawn(output_type="latent")


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_they_outlive_the_worker(worker: Any, start_worker: Any, make: Any, tmp_path: Path) -> None:
    """The way of the kernel when memory runs out: the process is killed in the middle of the decode."""
    work = make.workflow(make.drawing(12, width=384, height=384), seed=3)
    dying = start_worker()
    dying.wait_for(Ready)
    dying.begin(work, tmp_path)
    dying.wait_for(StepProgress, lambda told: told.phase == "decoding")
    os.kill(dying.process.pid, signal.SIGKILL)
    dying.process.wait(10)
    expected = worker.run(work, tmp_path, output_directory=str(tmp_path / "expected"))
    usual = seconds_of_steps(worker)
    work["steps"][0]["pipeline"]["configuration"]["vae"] = {"enable_slicing": True}
    ended = worker.run(work, tmp_path)
    assert ended.outcome == "succeeded", ended.error
    with Image.open(str(ended.results[0].path)) as one, Image.open(str(expected.results[0].path)) as other:
        assert one.tobytes() == other.tobytes()
    assert max(seconds_of_steps(worker)) < min(usual)


def seconds_of_steps(worker: Any) -> list[float]:
    """How long the denoising steps of the last run took, one by one."""
    return [
        told.seconds_per_unit
        for told in worker.heard(StepProgress)
        if told.phase == "denoising" and told.current and told.seconds_per_unit
    ]
