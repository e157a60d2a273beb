"""What pipelines and tasks hand on, and what can be read of it."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

from dw_lsp.worker.engine.artifacts import as_images, is_frames, kind_of, of_pipeline, of_task, property_of
from dw_lsp.worker.engine.sounds import OutputFacts
from dw_lsp.workflow.resolved import InvalidInput

IMAGE = Image.new("RGB", (4, 2), "red")


@dataclass
class Pictures:
    images: Any
    nsfw_content_detected: Any = None


@dataclass
class Embeddings:
    image_embeds: Any
    negative_image_embeds: Any


@dataclass
class Video:
    frames: Any


@dataclass
class SoundFilm:
    frames: Any
    audio: Any


@dataclass
class Prompts:
    prompt_embeds: Any
    pooled_prompt_embeds: Any


def test_each_image_is_an_artifact() -> None:
    assert of_pipeline(Pictures([IMAGE, IMAGE])) == [IMAGE, IMAGE]
    assert len(of_pipeline(Pictures(torch.zeros(3, 4, 8, 8)))) == 3
    assert of_pipeline(([IMAGE], None)) == [IMAGE]


def test_latents_are_handed_on_as_pipelines_take_them() -> None:
    facts = OutputFacts(latent=True)
    assert [each.shape for each in of_pipeline(Pictures(torch.zeros(2, 4, 8, 8)), facts)] == [(1, 4, 8, 8)] * 2
    assert [each.shape for each in of_pipeline({"videos": torch.zeros(1, 4, 3, 8, 8)}, facts)] == [(1, 4, 3, 8, 8)]


def test_each_video_is_an_artifact() -> None:
    assert of_pipeline(Video([[IMAGE, IMAGE]])) == [[IMAGE, IMAGE]]


def test_embeddings_stay_together() -> None:
    assert of_pipeline(Embeddings(1, 2)) == [{"image_embeds": 1, "negative_image_embeds": 2}]
    assert of_pipeline(Prompts(3, 4)) == [{"prompt_embeds": 3, "pooled_prompt_embeds": 4}]


def test_a_list_of_a_task_is_several_results() -> None:
    assert of_task([1, 2]) == [1, 2] and of_task({"a": 1}) == [{"a": 1}]


def test_text_loses_what_models_put_around_it() -> None:
    assert of_task('  "a cat" \n') == ["a cat"]


def test_members_and_attributes() -> None:
    assert property_of([{"a": 1}, {"b": 2}, {"a": 3}], "a", "step") == [1, 3]
    assert property_of([SimpleNamespace(a=4)], "a", "step") == [4]


@pytest.mark.parametrize("name", ["save", "_size", "absent"])
def test_methods_and_what_is_hidden_cannot_be_read(name: str) -> None:
    with pytest.raises(InvalidInput, match=f"of the type image and have no '{name}'"):
        property_of([IMAGE], name, "step")


def test_arrays_are_pictures() -> None:
    array = numpy.zeros((2, 4, 3), numpy.float32)
    array[..., 0] = 1.0
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    for value in (IMAGE, array, tensor, (array * 255).astype(numpy.uint8), tensor.half()):
        assert as_images(value)[0].tobytes() == IMAGE.tobytes()


def test_an_array_of_one_channel_is_grey() -> None:
    assert as_images(numpy.ones((2, 4, 1)))[0].mode == "L"


@pytest.mark.parametrize("value", [3, "text", numpy.zeros((2, 2, 7)), []])
def test_what_is_no_picture(value: Any) -> None:
    with pytest.raises(InvalidInput, match="cannot be written as a picture"):
        as_images(value)


def test_kinds_have_names() -> None:
    assert [kind_of(value) for value in (IMAGE, "a", {"x": 1}, [IMAGE])] == ["image", "text", "object (x)", "frames"]
    assert is_frames(numpy.zeros((3, 2, 2, 3))) and not is_frames([]) and not is_frames(IMAGE)


def test_sound_that_is_made_with_frames_stays_with_them() -> None:
    assert of_pipeline(SoundFilm([[IMAGE]], None)) == [[IMAGE]]
    (film,) = of_pipeline(SoundFilm([[IMAGE]], torch.zeros(1, 2, 100)), OutputFacts(24_000, 25.0))
    assert (film.frames, film.fps, film.audio.sample_rate, film.audio.samples.shape) == (
        [IMAGE],
        25.0,
        24_000,
        (2, 100),
    )
    assert of_pipeline(SoundFilm([[IMAGE]], torch.zeros(1, 2, 100)), OutputFacts(latent=True)) == [[IMAGE]]
