"""What computing needs, from configurations and sizes: the figures of traces that others and we have made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dw_lsp.planning.activations import Part, Picture, activations, picture_of
from dw_lsp.planning.measured import Measurements

GIBIBYTE = 2**30


@pytest.fixture
def part(tmp_path: Path) -> Any:
    def make(name: str, element_bytes: int, **config: Any) -> Part:
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "config.json").write_text(json.dumps(config))
        return Part(name, name.title(), tmp_path / name, element_bytes)

    return make


def vae(part: Any, element_bytes: int = 2, **config: Any) -> Part:
    made: Part = part("vae", element_bytes, block_out_channels=[128, 256, 512, 512], sample_size=1024, **config)
    return made


def test_decoding_needs_what_two_other_engines_have_measured(part: Any) -> None:
    found = activations([vae(part)], Picture(1024, 1024))
    assert found is not None
    assert found.expected == pytest.approx(2200 * 1024 * 1024 * 2, rel=0.01)
    assert found.least == pytest.approx(1.50 * GIBIBYTE, rel=0.01)


def test_a_unet_needs_what_a_trace_of_it_shows(part: Any) -> None:
    unet = part("unet", 2, block_out_channels=[320, 640, 1280], sample_size=128)
    found = activations([unet], Picture(1024, 1024, guided=True))
    assert found is not None and found.least == pytest.approx(0.31 * GIBIBYTE, rel=0.02)


def test_a_transformer_needs_what_a_trace_of_it_shows(part: Any) -> None:
    flux = part("transformer", 2, num_attention_heads=24, attention_head_dim=128, in_channels=64, patch_size=1,
                guidance_embeds=True)  # fmt: skip
    found = activations([flux], Picture(1024, 1024))
    assert found is not None and found.least == pytest.approx(0.46 * GIBIBYTE, rel=0.05)


def test_without_a_size_it_is_the_models_own(part: Any) -> None:
    parts = [part("unet", 2, block_out_channels=[320], sample_size=64), vae(part)]
    assert activations(parts, Picture()) == activations(parts, Picture(512, 512))


def test_more_pictures_need_more_unless_they_are_decoded_one_by_one(part: Any) -> None:
    one, four, sliced, tiled = (
        activations([vae(part)], picture)
        for picture in (
            Picture(2048, 2048), Picture(2048, 2048, 4), Picture(2048, 2048, 4, sliced=True),
            Picture(2048, 2048, tiled=True),
        )
    )  # fmt: skip
    assert one and four and sliced and tiled
    assert four.least == 4 * one.least and sliced.least == one.least and 4 * tiled.least == one.least


def test_a_vae_that_must_compute_in_full_precision_counts_so(part: Any) -> None:
    half, full = (activations([vae(part, 2, force_upcast=force)], Picture(512, 512)) for force in (False, True))
    assert half and full and full.least == 2 * half.least


def test_what_is_of_no_known_kind_has_no_estimate(part: Any, tmp_path: Path) -> None:
    assert activations([], Picture(64, 64)) is None
    assert activations([Part("unet", "UNet", tmp_path / "nowhere", 4)], Picture(64, 64)) is None
    assert activations([part("image_processor", 4, size=1)], Picture(64, 64)) is None


def test_what_was_measured_before_corrects_it(part: Any, tmp_path: Path) -> None:
    known = Measurements(tmp_path / "memory.json")
    plain = activations([vae(part)], Picture(512, 512), "cuda", known)
    assert plain is not None and not plain.measured
    known.note(plain.kind, plain.expected, plain.expected * 2)
    found = activations([vae(part)], Picture(256, 256), "cuda", known)
    assert found is not None and found.measured and found.expected == pytest.approx(plain.expected / 2)
    other = activations([vae(part)], Picture(256, 256), "cpu", known)
    assert other is not None and not other.measured


def test_the_picture_is_read_from_the_steps_text() -> None:
    arguments = {"width": 64, "height": 32, "num_images_per_prompt": 2, "prompt": ["a", "b"], "guidance_scale": 1.0}
    body: Any = {"arguments": arguments, "configuration": {"vae": {"enable_tiling": True}}}
    assert picture_of(body) == Picture(64, 32, 4, 1, False, tiled=True)
    assert picture_of({"arguments": {"width": "variable:size", "num_frames": 9}}) == Picture(frames=9)


def test_nothing_is_told_of_sound(part: Any) -> None:
    parts = [part("transformer", 4, sample_size=1024), part("vae", 4, audio_channels=2, sampling_rate=44_100)]
    assert activations(parts, Picture()) is None
