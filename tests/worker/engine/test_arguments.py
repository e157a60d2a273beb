"""Values of a workflow made live: objects of classes that hold values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
from diffusers.pipelines.ltx.pipeline_ltx_condition import LTXVideoCondition
from PIL import Image

from dw_lsp.worker.engine.allowed_paths import AllowedPaths
from dw_lsp.worker.engine.arguments import Arguments
from dw_lsp.worker.engine.media import Media
from dw_lsp.worker.engine.sounds import Film, Sound
from dw_lsp.worker.engine.trusted_types import TrustedTypes
from dw_lsp.worker.engine.videos import encode_video
from dw_lsp.workflow.resolved import InvalidInput

CONDITION = "diffusers.pipelines.ltx.pipeline_ltx_condition.LTXVideoCondition"


@pytest.fixture
def values(tmp_path: Path) -> Arguments:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    return Arguments(Media(AllowedPaths([tmp_path]), tmp_path), TrustedTypes(["diffusers", "torch"]))


REFERENCES = "diffusers.modular_pipelines.minimax_h3."


def reference(kind: str, **source: Any) -> dict[str, Any]:
    return {"references": [{"reference_type": f"{REFERENCES}MiniMaxH3{kind}Reference", **source}]}


def condition(**arguments: Any) -> dict[str, Any]:
    return {"conditions": [{"condition_type": CONDITION, "from_arguments": arguments}]}


def test_an_object_is_made_from_live_arguments(values: Arguments) -> None:
    arguments = condition(image="red.png", frame_index=8, strength=0.5)
    values.check(arguments)
    (made,) = values.live(arguments)["conditions"]
    assert isinstance(made, LTXVideoCondition)
    assert (made.image.size, made.frame_index, made.strength) == ((8, 8), 8, 0.5)


def test_what_is_a_result_already_is_passed_on(values: Arguments) -> None:
    frames = [Image.new("RGB", (4, 4))]
    (made,) = values.live(condition(video=frames))["conditions"]
    assert made.video == frames


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"condition_type": CONDITION, "from_arguments": {"pictures": 1}}, "has no member 'pictures'"),
        ({"condition_type": CONDITION, "from_arguments": {}, "more": 1}, "has one more member"),
        ({"from_arguments": {}}, "has one more member"),
        ({"condition_type": CONDITION, "from_arguments": [1]}, "should be an object"),
        ({"condition_type": "UNet2DConditionModel", "from_arguments": {}}, "is no class that is made from arguments"),
        ({"condition_type": "subprocess.Popen", "from_arguments": {"args": "ls"}}, "which is not allowed"),
        ({"condition_type": CONDITION, "from_arguments": {"image": "none.png"}}, "there is no image 'none.png'"),
    ],
)
def test_what_cannot_be_made_is_refused_beforehand(value: Any, message: str, values: Arguments) -> None:
    with pytest.raises(InvalidInput, match=message):
        values.check({"conditions": [value]})


def test_an_object_is_made_from_a_file(values: Arguments, tmp_path: Path) -> None:
    arguments = reference("Image", from_file="red.png")
    values.check(arguments)
    (made,) = values.live(arguments)["references"]
    assert made.image.getpixel((2, 2)) == (255, 0, 0)
    frames = [Image.new("RGB", (16, 16), "green")] * 4
    (tmp_path / "clip.mp4").write_bytes(encode_video(frames, 12, Sound(numpy.zeros((1, 4000)), 8000)))
    (made,) = values.live(reference("Video", from_file="clip.mp4", sample_rate=16_000))["references"]
    assert (made.frames.shape, made.fps, made.sample_rate) == ((4, 16, 16, 3), 12.0, 16_000)


def test_an_object_is_made_from_a_result(values: Arguments) -> None:
    frames = [Image.new("RGB", (16, 16), "green")] * 4
    film = Film(frames, Sound(numpy.zeros(4000), 8000), 12.0)
    arguments = reference("Video", from_previous_result=film, fps=24.0)
    (made,) = values.live(arguments)["references"]
    assert (made.frames, made.fps, made.sample_rate, made.audio.shape) == (frames, 24.0, 8000, (1, 4000))
    (made,) = values.live(reference("Video", from_previous_result=frames))["references"]
    assert (made.fps, made.audio) == (24.0, None)
    (made,) = values.live(reference("Audio", from_previous_result=film))["references"]
    assert made.sample_rate == 8000
    (made,) = values.live(reference("Image", from_previous_result=frames[0]))["references"]
    assert made.image.size == (16, 16)
    with pytest.raises(InvalidInput, match="has no sound"):
        values.live(reference("Audio", from_previous_result=frames))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (reference("Image", from_file="none.png"), "there is no file 'none.png'"),
        (reference("Image", from_file="/etc/passwd"), "is no picture, video or sound"),
        (reference("Image", from_file="/etc/passwd.png"), "lies outside the folders"),
        (reference("Image", from_file=3), "should be a path or an address"),
        (reference("Image", from_file="red.png", fps=3), "has no member 'fps'"),
        (reference("Image", from_previous_result=3), "should be the name of an earlier step"),
        (reference("Image", from_file="red.png", from_previous_result="previous_result:a"), "has one more member"),
        (reference("Image", from_file="red.png", other_type="torch.float32"), "has one more member"),
        ({"a": {"condition_type": CONDITION, "from_file": "red.png"}}, "is not made from a file"),
        ({"a": {"condition_type": CONDITION, "from_previous_result": "previous_result:a"}}, "does not say what it is"),
    ],
)
def test_an_object_that_cannot_be_made_is_refused_beforehand(value: Any, message: str, values: Arguments) -> None:
    with pytest.raises(InvalidInput, match=message):
        values.check(value)
