"""Views of latents: the colours of a space, from its own encoder or as published; none rather than a wrong one."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import numpy
import pytest
import torch

from dw_lsp.protocol import PreviewMade
from dw_lsp.worker.engine.latent_views import (
    ColourMap,
    SmallDecoder,
    fit_colour_map,
    picture_latents,
    rgb_of,
    view_of,
)
from dw_lsp.worker.engine.previews import Previewer

CPU = torch.device("cpu")


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
    assert view_of(vae, CPU) == SmallDecoder(4, 4)
    assert view_of(torch.nn.Linear(1, 1), CPU) is None


def test_fitting_draws_no_random_numbers_and_changes_nothing(vae: Any) -> None:
    state, before = torch.get_rng_state(), [parameter.clone() for parameter in vae.parameters()]
    fit_colour_map(vae)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(old, new) for old, new in zip(before, vae.parameters(), strict=True))


# The schedulers use numpy in a way that its newest release warns of.
def test_packed_latents_are_laid_out_as_the_pipeline_does() -> None:
    latents = torch.randn(2, 16, 6, 10)
    packed = diffusers.FluxPipeline._pack_latents(latents, 2, 16, 6, 10)
    view = ColourMap(numpy.zeros((16, 3)), numpy.zeros(3), 8)
    assert torch.equal(picture_latents(packed, view, (80, 48)), latents[0])
    assert picture_latents(packed, view, None) is None
    square = torch.randn(1, 16, 8, 8)
    packed = diffusers.FluxPipeline._pack_latents(square, 1, 16, 8, 8)
    assert torch.equal(picture_latents(packed, view, (64, 64)), square[0])
    # A square number of squares may be a row of them as well.
    assert picture_latents(packed, view, None) is None


def test_a_large_autoencoder_of_an_unknown_space_gets_no_map_on_a_processor() -> None:
    """Fitting one took 12 s, in which nothing was told and nothing could stop it."""
    large = diffusers.AutoencoderKL(
        block_out_channels=(128, 256, 256),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
    )
    began = time.monotonic()
    assert view_of(large, CPU) is None
    assert time.monotonic() - began < 1


class Packing(diffusers.DiffusionPipeline):  # type: ignore[misc]
    """Chooses the size of its picture itself, as pipelines that edit one do."""

    def prepare_latents(self, image: Any, count: int, height: int, width: int) -> Any:
        return torch.randn(1, (height // 16) * (width // 16), 64)

    def __call__(self) -> Any:
        return self.prepare_latents(None, 1, height=512, width=2048)


def test_the_size_of_a_picture_is_that_of_its_latents() -> None:
    pipeline, made = Packing(), list[PreviewMade]()
    view = ColourMap(numpy.zeros((16, 3)), numpy.zeros(3), 8)
    previewer = Previewer(view, None, SimpleNamespace(), 1, made.append, (1024, 1024))
    with previewer.watching(pipeline):
        latents = pipeline()
        previewer(latents, 1, latents, SimpleNamespace(pred_original_sample=latents), 2, 9)
    assert [(each.width, each.height) for each in made] == [(512, 128)]
    assert "prepare_latents" not in vars(pipeline)


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


def test_an_autoencoder_that_cannot_be_asked_costs_nothing() -> None:
    """Its weights may be anywhere: with sequential offloading they are nowhere until its turn comes."""
    large = diffusers.AutoencoderKL(
        block_out_channels=(128, 256, 256, 256),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    ).to("meta")
    assert view_of(large, CPU) is None


def test_a_small_video_autoencoder_decodes_one_frame() -> None:
    vae = tiny_wan().eval()
    view = view_of(vae, CPU)
    assert view == SmallDecoder(4, 8)
    made: list[PreviewMade] = []
    latents = torch.randn(1, 4, 3, 8, 8)
    Previewer(view, vae, SimpleNamespace(), 1, made.append)(
        latents, 1, latents, SimpleNamespace(pred_original_sample=latents), 1, 2
    )
    [preview] = made
    assert (preview.width, preview.height) == (64, 64)


LARGE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
}


def published(**config: Any) -> Any:
    """An autoencoder of the real size without its weights: what is known of it has to come from its configuration."""
    with torch.device("meta"):
        return diffusers.AutoencoderKL(**LARGE, **config)


KNOWN = {
    "SD 1.x": {"latent_channels": 4, "scaling_factor": 0.18215},
    "SDXL": {"latent_channels": 4, "scaling_factor": 0.13025},
    "SD 3": {"latent_channels": 16, "scaling_factor": 1.5305, "shift_factor": 0.0609},
    "FLUX": {"latent_channels": 16, "scaling_factor": 0.3611, "shift_factor": 0.1159},
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_spaces_that_many_models_share_are_known(name: str) -> None:
    view = view_of(published(**KNOWN[name]), CPU)
    assert isinstance(view, ColourMap) and view.factor == 8
    assert view.channels == KNOWN[name]["latent_channels"]
    # The middle of every space is a picture of no particular colour.
    grey = rgb_of(torch.zeros(view.channels, 2, 2), view)[0, 0].float()
    assert (abs(grey - 127.5) < 40).all() and grey.max() - grey.min() < 20


def test_each_known_space_has_colours_of_its_own() -> None:
    views = [view_of(published(**config), CPU) for config in KNOWN.values()]
    shown = [rgb_of(torch.ones(view.channels, 1, 1) * 2, view) for view in views if isinstance(view, ColourMap)]
    assert len({tuple(each.flatten().tolist()) for each in shown}) == len(KNOWN)


@pytest.mark.parametrize("kind", ["AutoencoderKLWan", "AutoencoderKLQwenImage"])
def test_the_space_of_wan_is_known(kind: str) -> None:
    with torch.device("meta"):
        view = view_of(getattr(diffusers, kind)(), CPU)
    assert isinstance(view, ColourMap) and (view.channels, view.factor) == (16, 8)


def test_the_space_of_hunyuan_video_is_known() -> None:
    with torch.device("meta"):
        view = view_of(diffusers.AutoencoderKLHunyuanVideo(), CPU)
    assert isinstance(view, ColourMap) and (view.channels, view.factor) == (16, 8)


@pytest.mark.parametrize(
    "other",
    [
        {"latent_channels": 4, "scaling_factor": 0.5},
        {"latent_channels": 16, "scaling_factor": 0.3611},
        {"latent_channels": 4, "scaling_factor": 0.13025, "latents_mean": [0.0] * 4, "latents_std": [1.0] * 4},
    ],
    ids=["another scale", "no shift", "statistics of its own"],
)
def test_a_space_that_is_like_a_known_one_is_not_taken_for_it(other: dict[str, Any]) -> None:
    # Without weights there is nothing to fit a map on.
    assert view_of(published(**other), CPU) is None


def save_distilled(cache: Path) -> Any:
    folder = cache / "models--madebyollin--taesd"
    tiny = diffusers.AutoencoderTiny(encoder_block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8))
    tiny.save_pretrained(folder / "snapshots" / "abc")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    return tiny


def test_a_distilled_decoder_in_the_cache_is_used_where_it_is_fast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    tiny, large = save_distilled(tmp_path), published(**KNOWN["SD 1.x"])
    view = view_of(large, torch.device("meta"))
    assert isinstance(view, SmallDecoder) and (view.channels, view.factor) == (4, 8)
    assert type(view.distilled) is diffusers.AutoencoderTiny
    assert isinstance(view_of(large, CPU), ColourMap)
    assert isinstance(view_of(published(**KNOWN["FLUX"]), torch.device("meta")), ColourMap)
    made: list[PreviewMade] = []
    shown = SmallDecoder(4, 8, tiny.eval())
    latents = torch.randn(1, 4, 8, 8)
    Previewer(shown, large, SimpleNamespace(), 1, made.append)(
        latents, 1, latents, SimpleNamespace(pred_original_sample=latents), 1, 2
    )
    assert [(each.width, each.height) for each in made] == [(64, 64)]


def test_half_a_distilled_decoder_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    save_distilled(tmp_path)
    [weights] = tmp_path.rglob("*.safetensors")
    weights.unlink()
    assert isinstance(view_of(published(**KNOWN["SD 1.x"]), torch.device("meta")), ColourMap)
