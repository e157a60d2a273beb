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
from dw_lsp.worker.cancellation import Cancellation
from dw_lsp.worker.engine import previews
from dw_lsp.worker.engine.instruments import Instruments
from dw_lsp.worker.engine.previews import (
    ColourMap,
    Previewer,
    SmallDecoder,
    enlarged,
    fit_colour_map,
    picture_latents,
    predicted_clean,
    rgb_of,
    view_of,
)
from dw_lsp.worker.engine.progress import StepReporter

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
        shown = rgb_of(latents[0], colours)[4, 4].numpy() / 255
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
    assert view_of(vae) == SmallDecoder(4, 4)
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
    assert enlarged(Image.new("RGB", (4, 8)), 1).size == (64, 128)
    assert enlarged(Image.new("RGB", (256, 128)), 8).size == (512, 256)


def test_packed_latents_are_laid_out_as_the_pipeline_does() -> None:
    latents = torch.randn(2, 16, 6, 10)
    packed = diffusers.FluxPipeline._pack_latents(latents, 2, 16, 6, 10)
    view = ColourMap(numpy.zeros((16, 3)), numpy.zeros(3), 8)
    assert torch.equal(picture_latents(packed, view, (80, 48)), latents[0])
    assert picture_latents(packed, view, None) is None
    square = torch.randn(1, 16, 8, 8)
    packed = diffusers.FluxPipeline._pack_latents(square, 1, 16, 8, 8)
    assert torch.equal(picture_latents(packed, view, None), square[0])


def test_of_a_video_the_middle_frame_is_shown() -> None:
    latents = torch.randn(1, 16, 5, 4, 4)
    view = ColourMap(numpy.zeros((16, 3)), numpy.zeros(3), 8)
    assert torch.equal(picture_latents(latents, view, None), latents[0, :, 2])
    assert picture_latents(latents[:, :8], view, None) is None


def tiny_wan(**changes: Any) -> Any:
    return diffusers.AutoencoderKLWan(
        base_dim=4,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[1.0, 2.0, 3.0, 4.0],
        latents_std=[2.0, 2.0, 4.0, 4.0],
        **changes,
    )


def test_the_map_of_a_video_autoencoder_knows_its_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    vae = tiny_wan()
    mean, deviation = (
        torch.tensor(vae.config[name]).reshape(1, -1, 1, 1, 1) for name in ("latents_mean", "latents_std")
    )

    def mixed(pixels: Any) -> Any:
        small = torch.nn.functional.avg_pool3d(pixels, (1, 8, 8))
        return torch.einsum("bcfhw,dc->bdfhw", small, MIXING) * deviation + mean

    monkeypatch.setattr(
        vae, "encode", lambda pixels: SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: mixed(pixels)))
    )
    colours = fit_colour_map(vae)
    assert colours is not None and colours.factor == 8
    wanted = torch.tensor([0.9, 0.2, 0.4])
    pixels = wanted.reshape(1, 3, 1, 1, 1).expand(1, 3, 1, 32, 32) * 2 - 1
    # As the denoiser has them: without mean, of deviation 1.
    latents = (mixed(pixels) - mean) / deviation
    shown = rgb_of(picture_latents(latents, colours, None), colours)[1, 1] / 255
    assert torch.allclose(shown, wanted, atol=0.02)


def test_a_small_video_autoencoder_decodes_one_frame() -> None:
    vae = tiny_wan().eval()
    view = view_of(vae)
    assert view == SmallDecoder(4, 8)
    made: list[PreviewMade] = []
    latents = torch.randn(1, 4, 3, 8, 8)
    Previewer(view, vae, SimpleNamespace(), 1, made.append)(
        latents, 1, latents, SimpleNamespace(pred_original_sample=latents), 1, 2
    )
    [preview] = made
    assert (preview.width, preview.height) == (64, 64)


def test_an_autoencoder_that_cannot_be_asked_costs_nothing() -> None:
    """Its weights may be anywhere: with sequential offloading they are nowhere until its turn comes."""
    large = diffusers.AutoencoderKL(
        block_out_channels=(128, 256, 256, 256),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    ).to("meta")
    assert view_of(large) is None


def test_the_newest_picture_wins_and_nobody_waits() -> None:
    """Of a device that is asked without waiting: what has not arrived is not told, and never instead of a newer one."""
    made: list[PreviewMade] = []
    previewer = Previewer(ColourMap(numpy.ones((4, 3)), numpy.zeros(3), 8), None, SimpleNamespace(), 1, made.append)
    arrived = [False]
    event = SimpleNamespace(query=lambda: arrived[0])
    pixels = torch.zeros(8, 8, 3, dtype=torch.uint8)
    nothing = torch.zeros(1, 4, 8, 8)
    previewer._next = float("inf")
    for step in (1, 2):
        previewer._coming = (event, pixels, step, 9)
        previewer(nothing, 1, nothing, None, step + 1, 9)
    assert made == []
    arrived[0] = True
    previewer(nothing, 1, nothing, None, 4, 9)
    assert [each.current for each in made] == [2]
    previewer(nothing, 1, nothing, None, 5, 9)
    assert len(made) == 1


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
        make, lambda pipeline: Previewer(view_of(pipeline.vae), pipeline.vae, pipeline.scheduler, 1, made.append)
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
