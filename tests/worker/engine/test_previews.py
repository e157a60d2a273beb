"""Previews: the right colours, from latents of every kind of scheduler that is known; none rather than a wrong one."""

from __future__ import annotations

import base64
import io
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import numpy
import pytest
import torch
from PIL import Image

from dw_lsp.protocol import PreviewMade, StepProgress
from dw_lsp.worker.cancellation import Cancellation
from dw_lsp.worker.engine import previews
from dw_lsp.worker.engine.instruments import Instruments
from dw_lsp.worker.engine.latent_views import ColourMap, view_of
from dw_lsp.worker.engine.previews import Previewer, enlarged, predicted_clean
from dw_lsp.worker.engine.progress import StepReporter

CPU = torch.device("cpu")
SCHEDULERS = [
    "DDIMScheduler",
    "DDPMScheduler",
    "PNDMScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "DPMSolverMultistepScheduler",
    "UniPCMultistepScheduler",
    "DEISMultistepScheduler",
    "LCMScheduler",
]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_clean_latents_are_found(name: str, kind: str) -> None:
    scheduler = getattr(diffusers, name)(prediction_type=kind)
    scheduler.set_timesteps(10)
    clean, noise = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    timestep = scheduler.timesteps[3] if name == "PNDMScheduler" else scheduler.timesteps[0]
    alpha = scheduler.alphas_cumprod[int(timestep)] ** 0.5
    sigma = (1 - alpha**2) ** 0.5
    scale = 1.0
    if name.startswith("Euler"):
        scale = float((1 + scheduler.sigmas[0] ** 2) ** 0.5)
        alpha, sigma = 1 / scale, float(scheduler.sigmas[0]) / scale
    mixed = alpha * clean + sigma * noise
    output = noise if kind == "epsilon" else alpha * noise - sigma * clean
    answer = scheduler.step(output, timestep, mixed * scale)
    found = predicted_clean(scheduler, output, timestep, mixed * scale, SimpleNamespace())
    assert answer is not None and found is not None
    assert torch.allclose(found, clean, atol=5e-2), (found - clean).abs().max()


@pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", ["HeunDiscreteScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler"])
def test_what_schedulers_of_two_turns_tell_is_seen(name: str, kind: str) -> None:
    """At both of their turns; pipelines ask them for a tuple."""
    scheduler = getattr(diffusers, name)(prediction_type=kind)
    scheduler.set_timesteps(6)
    clean = torch.randn(1, 4, 8, 8)
    sample = torch.randn(1, 4, 8, 8) * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        scaled = scheduler.scale_model_input(sample, timestep)
        scale = float(sample.norm() / scaled.norm())
        sigma = (scale**2 - 1) ** 0.5
        noise = (sample - clean) / sigma
        output = noise if kind == "epsilon" else (noise - sigma * clean) / scale
        answer = scheduler.step(output, timestep, sample, return_dict=False)
        found = predicted_clean(scheduler, output, timestep, sample, answer)
        assert torch.allclose(found, clean, atol=5e-2), (found - clean).abs().max()
        sample = answer[0]


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", ["EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"])
def test_schedulers_that_scale_what_the_model_says(name: str, kind: str) -> None:
    scheduler = getattr(diffusers, name)(prediction_type=kind)
    scheduler.set_timesteps(6)
    clean, known = torch.randn(1, 4, 8, 8), scheduler.config.sigma_data
    sample = torch.randn(1, 4, 8, 8) * scheduler.init_noise_sigma
    for index, timestep in enumerate(scheduler.timesteps):
        total = scheduler.sigmas[index] ** 2 + known**2
        factor = scheduler.sigmas[index] * known / total**0.5 * (1 if kind == "epsilon" else -1)
        output = (clean - known**2 / total * sample) / factor
        scheduler.scale_model_input(sample, timestep)
        answer = scheduler.step(output, timestep, sample, return_dict=False)
        found = predicted_clean(scheduler, output, timestep, sample, answer)
        assert torch.allclose(found, clean, atol=1e-3), (found - clean).abs().max()
        sample = answer[0]


def test_flow_matching() -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(10)
    clean, noise = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    sigma = scheduler.sigmas[0]
    sample, velocity = (1 - sigma) * clean + sigma * noise, noise - clean
    scheduler.step(velocity, scheduler.timesteps[0], sample)
    found = predicted_clean(scheduler, velocity, scheduler.timesteps[0], sample, SimpleNamespace())
    assert torch.allclose(found, clean, atol=1e-4)


def test_a_scheduler_of_an_unknown_kind_gives_nothing() -> None:
    assert predicted_clean(SimpleNamespace(), torch.zeros(1, 4, 8, 8), 1, torch.zeros(1, 4, 8, 8), None) is None


def test_latents_of_another_shape_give_nothing() -> None:
    made: list[PreviewMade] = []
    previewer = Previewer(ColourMap(numpy.ones((4, 3)), numpy.zeros(3), 8), None, SimpleNamespace(), 1, made.append)
    packed = torch.zeros(1, 16, 64)
    previewer(packed, 1, packed, SimpleNamespace(pred_original_sample=packed), 1, 10)
    assert made == []


def test_a_failing_preview_costs_one_warning_and_not_the_run(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        alphas_cumprod = ()

    previewer = Previewer(ColourMap(numpy.ones((4, 3)), numpy.zeros(3), 8), None, Broken(), 1, lambda made: None)
    latents = torch.zeros(1, 4, 8, 8)
    for step in (1, 2):
        previewer(latents, 1, latents, None, step, 10)
        previewer._next = float("-inf")
    assert [record.message.partition(":")[0] for record in caplog.records] == ["there are no previews of this step"]


def test_small_pictures_are_made_large_enough_to_look_at() -> None:
    assert enlarged(Image.new("RGB", (4, 8)), 1).size == (64, 128)
    assert enlarged(Image.new("RGB", (256, 128)), 8).size == (512, 256)


def test_the_newest_picture_wins_and_nobody_waits() -> None:
    """Of a device that is asked without waiting: what has not arrived is not told, and never instead of a newer one."""
    made: list[PreviewMade] = []
    previewer = Previewer(ColourMap(numpy.ones((4, 3)), numpy.zeros(3), 8), None, SimpleNamespace(), 1, made.append)
    arrived = [False]
    event = SimpleNamespace(query=lambda: arrived[0])
    started = SimpleNamespace(elapsed_time=lambda ended: 500.0)
    pixels = torch.zeros(8, 8, 3, dtype=torch.uint8)
    nothing = torch.zeros(1, 4, 8, 8)
    previewer._next = float("inf")
    for step in (1, 2):
        previewer._coming = previews._Coming(100.0, started, event, pixels, step, 9)
        previewer(nothing, 1, nothing, None, step + 1, 9)
    assert made == []
    arrived[0] = True
    previewer(nothing, 1, nothing, None, 4, 9)
    assert [each.current for each in made] == [2]
    previewer(nothing, 1, nothing, None, 5, 9)
    assert len(made) == 1


def test_the_time_of_the_device_counts() -> None:
    previewer = Previewer(
        ColourMap(numpy.ones((4, 3)), numpy.zeros(3), 8), None, SimpleNamespace(), 1, lambda made: None
    )
    started = SimpleNamespace(elapsed_time=lambda ended: 500.0)
    pixels, latents = torch.zeros(8, 8, 3, dtype=torch.uint8), torch.zeros(1, 4, 8, 8)
    now = time.monotonic()
    previewer._coming = previews._Coming(now, started, SimpleNamespace(query=lambda: True), pixels, 1, 9)
    previewer(latents, 1, latents, SimpleNamespace(pred_original_sample=latents), 2, 9)
    # Half a second is a hundredth of 50; what is done with the picture when it has arrived comes on top.
    assert now + 50 < previewer._next < now + 60


def test_what_a_picture_from_the_device_costs_here_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("dw_lsp.worker.engine.previews.time.monotonic", lambda: clock[0])

    def slow(made: PreviewMade) -> None:
        clock[0] += 0.02

    previewer = Previewer(ColourMap(numpy.ones((4, 3)), numpy.zeros(3), 8), None, SimpleNamespace(), 1, slow)
    started = SimpleNamespace(elapsed_time=lambda ended: 10.0)
    pixels, latents = torch.zeros(8, 8, 3, dtype=torch.uint8), torch.zeros(1, 4, 8, 8)
    previewer._coming = previews._Coming(100.0, started, SimpleNamespace(query=lambda: True), pixels, 1, 9)
    previewer(latents, 1, latents, None, 2, 9)
    assert previewer._next == pytest.approx(100.0 + 3.0)


def test_the_previews_of_a_run_are_told(worker: Any, make: Any, tmp_path: Path) -> None:
    ended = worker.run(make.workflow(make.drawing(60), seed=3), tmp_path)
    made = worker.heard(PreviewMade)
    assert made and {(each.run_id, each.step, each.total) for each in made} == {(ended.run_id, "draw", 60)}
    assert [each.current for each in made] == sorted({each.current for each in made})
    last = Image.open(io.BytesIO(base64.b64decode(made[-1].data)))
    assert (last.format, last.size) == ("JPEG", (made[-1].width, made[-1].height)) and min(last.size) >= 64


def drawn(make: Any, listener: Any) -> tuple[Any, Any]:
    """A pipeline, and what it draws while a listener looks on. Arguments: makes the listener of the pipeline."""
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(make.model).to(torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    looks = listener(pipeline)
    cancellation = Cancellation("run")
    reporter = StepReporter("run", lambda message: None, cancellation, "draw", 0, 1)
    generator = torch.Generator().manual_seed(3)
    with Instruments(pipeline, reporter, looks):
        image = pipeline(
            "a red circle on a blue background", num_inference_steps=12, guidance_scale=3.0, generator=generator
        ).images[0]
    return pipeline, image


def test_the_previews_turn_into_the_picture_and_change_nothing(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "SHARE_OF_TIME", 100.0)
    monkeypatch.setattr(previews, "SECONDS_BETWEEN", 0.0)
    made: list[PreviewMade] = []
    _, alone = drawn(make, lambda pipeline: None)
    _, image = drawn(
        make, lambda pipeline: Previewer(view_of(pipeline.vae, CPU), pipeline.vae, pipeline.scheduler, 1, made.append)
    )
    assert image.tobytes() == alone.tobytes()
    # The first few are left out, unless the machine is so slow that a second goes by.
    assert [each.current for each in made] == list(range(made[0].current, 13)) and made[0].current <= 3
    differences = []
    for preview in made:
        shown = Image.open(io.BytesIO(base64.b64decode(preview.data)))
        final = image.convert("RGB").resize(shown.size)
        differences.append(numpy.abs(numpy.asarray(shown, dtype=float) - numpy.asarray(final, dtype=float)).mean())
    assert differences[-1] < 5 < differences[0], differences


def test_previews_take_a_hundredth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now, made = [100.0], list[float]()
    monkeypatch.setattr("dw_lsp.worker.engine.previews.time.monotonic", lambda: now[0])
    latents = torch.zeros(1, 4, 8, 8)

    def slow(preview: PreviewMade) -> None:
        now[0] += 0.02
        made.append(now[0])

    previewer = Previewer(ColourMap(numpy.ones((4, 3)), numpy.zeros(3), 8), None, SimpleNamespace(), 1, slow)
    for step in range(1, 1001):
        now[0] += 0.05
        previewer(latents, 1, latents, SimpleNamespace(pred_original_sample=latents), step, 1000)
    assert 10 < len(made) <= 0.01 * 50 / 0.02 + 1
    assert 101 < made[0] < 102


def test_decoding_a_preview_is_no_phase_of_the_run(worker: Any, make: Any, tmp_path: Path) -> None:
    worker.run(make.workflow(make.drawing(60), seed=3), tmp_path)
    assert worker.heard(PreviewMade)
    phases = [message.phase for message in worker.heard(StepProgress)]
    assert phases.count("decoding") == 1 and phases.index("decoding") > max(
        index for index, phase in enumerate(phases) if phase == "denoising"
    )


def test_previews_every_so_many_steps(worker: Any, make: Any, tmp_path: Path) -> None:
    worker.run(make.workflow(make.drawing(100), seed=3), tmp_path, options=make.options(preview_every_steps=50))
    assert {each.current for each in worker.heard(PreviewMade)} <= {50, 100}
    assert worker.heard(PreviewMade)
