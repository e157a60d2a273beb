"""Watching pipelines from outside: counts, phases and stops for pipelines with callbacks and without."""

from __future__ import annotations

import inspect
from typing import Any

import diffusers
import pytest
import torch

from dw_lsp.protocol import StepProgress
from dw_lsp.worker.cancellation import Cancellation, RunCancelled
from dw_lsp.worker.engine.instruments import Instruments, steps_to_come
from dw_lsp.worker.engine.progress import StepReporter


def unconditional() -> Any:
    """A pipeline that has neither callbacks nor an interrupt flag."""
    unet = diffusers.UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
    )
    pipeline = diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler())
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


class Told:
    """A reporter and what it told."""

    def __init__(self) -> None:
        self.messages: list[StepProgress] = []
        self.cancellation = Cancellation("run")
        self.reporter = StepReporter("run", self.messages.append, self.cancellation, "step", 0, 1)  # type: ignore[arg-type]


def test_a_pipeline_without_callbacks_is_counted() -> None:
    told, pipeline = Told(), unconditional()
    with Instruments(pipeline, told.reporter):
        pipeline(num_inference_steps=5, output_type="np")
    counts = [(message.current, message.total) for message in told.messages if message.current]
    assert counts[0] == (1, 5) and counts[-1] == (5, 5)


def test_a_pipeline_without_callbacks_is_stopped_within_a_step() -> None:
    told, pipeline = Told(), unconditional()
    calls: list[int] = []

    def stop(*_: Any) -> None:
        calls.append(1)
        told.cancellation.cancel()

    with pytest.raises(RunCancelled), Instruments(pipeline, told.reporter, stop):
        pipeline(num_inference_steps=500, output_type="np")
    assert len(calls) == 1


def test_nothing_is_left_behind() -> None:
    told, pipeline = Told(), unconditional()
    with Instruments(pipeline, told.reporter):
        assert "step" in vars(pipeline.scheduler)
    assert "step" not in vars(pipeline.scheduler)
    assert not any(module._forward_pre_hooks for module in pipeline.unet.modules())


def test_the_wrapped_step_looks_like_the_schedulers_own() -> None:
    told, pipeline = Told(), unconditional()
    own = inspect.signature(pipeline.scheduler.step)
    with Instruments(pipeline, told.reporter):
        assert inspect.signature(pipeline.scheduler.step) == own


def test_the_result_is_the_same_as_without() -> None:
    told, pipeline = Told(), unconditional()
    plain = pipeline(num_inference_steps=3, output_type="np", generator=torch.Generator().manual_seed(1)).images
    with Instruments(pipeline, told.reporter):
        watched = pipeline(num_inference_steps=3, output_type="np", generator=torch.Generator().manual_seed(1)).images
    assert (plain == watched).all()


# The scheduler uses numpy in a way that its newest release warns of.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_scheduler_that_is_asked_twice_a_step_is_counted_by_its_timesteps() -> None:
    scheduler = diffusers.HeunDiscreteScheduler()
    scheduler.set_timesteps(10)
    assert steps_to_come(scheduler, scheduler.timesteps[0]) == 19


def test_timesteps_that_do_not_tell() -> None:
    assert steps_to_come(object(), 1) is None
    scheduler = diffusers.DDIMScheduler()
    scheduler.set_timesteps(10)
    assert steps_to_come(scheduler, torch.tensor(-5)) is None


def test_seconds_left_follow_the_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("dw_lsp.worker.engine.progress.time.monotonic", lambda: now[0])
    told = Told()
    told.reporter.phase("denoising")
    for step in range(1, 5):
        now[0] += 2.0
        told.reporter.unit_done(step, 10, "step")
    last = told.messages[-1]
    assert (last.current, last.seconds_per_unit, last.eta) == (4, 2.0, 12.0)


def test_fast_steps_are_not_all_told(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("dw_lsp.worker.engine.progress.time.monotonic", lambda: now[0])
    told = Told()
    told.reporter.phase("denoising")
    for step in range(1, 1001):
        now[0] += 0.001
        told.reporter.unit_done(step, 1000, "step")
    counts = [message.current for message in told.messages if message.current]
    assert counts[0] == 1 and counts[-1] == 1000 and len(counts) < 50


def test_a_reporter_stops_a_run_that_was_cancelled() -> None:
    told = Told()
    told.cancellation.cancel()
    with pytest.raises(RunCancelled):
        told.reporter.phase("loading")
    with pytest.raises(RunCancelled):
        told.reporter.unit_done(1, 2, "step")
