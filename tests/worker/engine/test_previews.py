"""Previews: the right colours, from latents of every kind of scheduler that is known; none rather than a wrong one."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import numpy
import pytest
import torch
from PIL import Image

from dw_lsp.protocol import PreviewMade, StepProgress
from dw_lsp.worker.engine.previews import (
    ColourMap,
    Previewer,
    SmallDecoder,
    fit_colour_map,
    predicted_clean,
    to_image,
    view_of,
)

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


@pytest.fixture(scope="module")
def vae(make: Any) -> Any:
    return diffusers.AutoencoderKL.from_pretrained(make.model / "vae", torch_dtype=torch.float32)


@pytest.fixture(scope="module")
def linear() -> Any:
    """An autoencoder whose latents are a plain mixture of the colours: its encoder sees each pixel block on its own."""

    class Linear(diffusers.AutoencoderKL):  # type: ignore[misc]
        def encode(self, pixels: Any) -> Any:
            mixed = torch.einsum("bchw,dc->bdhw", torch.nn.functional.avg_pool2d(pixels, 8), MIXING)
            return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: mixed))

    return Linear(block_out_channels=(8, 8, 8, 8), down_block_types=("DownEncoderBlock2D",) * 4, norm_num_groups=4)


MIXING = torch.tensor([[1.0, 0.2, 0.0], [0.0, 1.0, 0.3], [0.1, 0.0, 1.0], [0.5, 0.5, 0.5]])


def test_the_map_knows_the_colours(linear: Any) -> None:
    colours = fit_colour_map(linear)
    assert colours is not None and colours.factor == 8 and colours.weights.shape == (4, 3)
    for wanted in ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)):
        pixels = torch.tensor(wanted).reshape(1, 3, 1, 1).expand(1, 3, 64, 64) * 2 - 1
        latents = linear.encode(pixels).latent_dist.mode() * linear.config.scaling_factor
        shown = numpy.asarray(to_image(latents[0].numpy(), colours))[32, 32] / 255
        assert numpy.abs(shown - wanted).max() < 0.02, (wanted, shown)


def test_latents_that_do_not_tell_colours_get_no_map(linear: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def unrelated(pixels: Any) -> Any:
        noise = torch.randn(
            1, 4, *(side // 8 for side in pixels.shape[-2:]), generator=torch.Generator().manual_seed(1)
        )
        return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: noise))

    monkeypatch.setattr(linear, "encode", unrelated)
    assert fit_colour_map(linear) is None


def test_latents_that_are_not_finite_get_no_map(linear: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: torch.full((1, 4, 32, 32), float("nan"))))
    monkeypatch.setattr(linear, "encode", lambda pixels: lost)
    assert fit_colour_map(linear) is None


def test_a_small_decoder_is_used_itself(vae: Any) -> None:
    assert view_of(vae) == SmallDecoder(4)
    assert view_of(torch.nn.Linear(1, 1)) is None


def test_fitting_draws_no_random_numbers_and_changes_nothing(vae: Any) -> None:
    state, before = torch.get_rng_state(), [parameter.clone() for parameter in vae.parameters()]
    fit_colour_map(vae)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(old, new) for old, new in zip(before, vae.parameters(), strict=True))


# The schedulers use numpy in a way that its newest release warns of.
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
    colours = ColourMap(numpy.zeros((4, 3)), numpy.array([1.0, 0.0, 0.0]), 1)
    assert to_image(numpy.zeros((4, 8, 4)), colours).size == (64, 128)
    assert to_image(numpy.zeros((4, 128, 256)), ColourMap(colours.weights, colours.offset, 8)).size == (512, 256)


def test_the_previews_of_a_run_turn_into_its_picture(worker: Any, make: Any, tmp_path: Path) -> None:
    prompt = "a red circle on a blue background"
    ended = worker.run(make.workflow(make.drawing(60, prompt=prompt), seed=3), tmp_path)
    made = worker.heard(PreviewMade)
    assert made and {(each.run_id, each.step, each.total) for each in made} == {(ended.run_id, "draw", 60)}
    assert [each.current for each in made] == sorted({each.current for each in made})
    last = Image.open(io.BytesIO(base64.b64decode(made[-1].data)))
    assert (last.format, last.size) == ("JPEG", (made[-1].width, made[-1].height)) and min(last.size) >= 64
    final = Image.open(str(ended.results[0].path)).convert("RGB").resize(last.size)
    difference = numpy.abs(numpy.asarray(last, dtype=float) - numpy.asarray(final, dtype=float)).mean()
    assert difference < 20, difference


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
