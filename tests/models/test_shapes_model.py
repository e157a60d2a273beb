"""The embedded model draws what the prompt says. The whole measurement is `workflows/models/evaluate_shapes.py`."""

from __future__ import annotations

import importlib
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

MODELS = Path(__file__).resolve().parents[2] / "workflows" / "models"
SHAPES = MODELS / "shapes"


@pytest.fixture(scope="module")
def evaluate() -> Iterator[ModuleType]:
    sys.path.insert(0, str(MODELS))
    try:
        yield importlib.import_module("evaluate_shapes")
    finally:
        sys.path.remove(str(MODELS))


@pytest.fixture(scope="module")
def pipeline() -> Any:
    import torch
    from diffusers import StableDiffusionPipeline

    loaded = StableDiffusionPipeline.from_pretrained(SHAPES, local_files_only=True).to(torch.float32)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def test_the_model_is_small_and_holds_no_pickle() -> None:
    files = [file for file in SHAPES.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 8 * 1024 * 1024
    assert {file.suffix for file in files} <= {".safetensors", ".json", ".md", ".txt"}


def test_the_weights_are_half_precision() -> None:
    from dw_lsp.catalog.models import find_model

    model = find_model(str(SHAPES), None)
    assert model is not None and model.pipeline_class == "StableDiffusionPipeline"
    for part in model.parts:
        assert set(part.weights.elements) <= {"F16", "I64"}, part.name


def test_the_judge_recognises_what_was_drawn_by_hand(evaluate: ModuleType) -> None:
    dataset = sys.modules["shapes_dataset"]
    source = random.Random(5)
    for scene in dataset.all_scenes()[::7]:
        seen = evaluate.judge(dataset.draw(scene, dataset.random_placement(source)))
        assert (seen.background, seen.colour, seen.shape) == (scene.background, scene.colour, scene.shape)


@pytest.mark.timeout(600)  # 224 pictures: a minute on two cores that have nothing else to do.
def test_the_pictures_show_what_the_prompts_say(evaluate: ModuleType, pipeline: Any) -> None:
    wrong = []
    for index, scene in enumerate(sys.modules["shapes_dataset"].all_scenes()[3::8]):
        seen = evaluate.judge(evaluate.picture_of(pipeline, scene, 500 + index))
        if (seen.background, seen.colour, seen.shape) != (scene.background, scene.colour, scene.shape):
            wrong.append((scene.prompt, seen))
    assert len(wrong) <= 1, wrong


def test_free_wording_is_understood(evaluate: ModuleType, pipeline: Any) -> None:
    import torch

    for words in ("red square on yellow", "a red square, yellow background"):
        image = pipeline(
            words, num_inference_steps=20, guidance_scale=3.0, generator=torch.Generator().manual_seed(4)
        ).images[0]
        seen = evaluate.judge(image)
        assert (seen.colour, seen.background) == ("red", "yellow"), words


def test_a_circle_that_changes_its_colour_stays_where_it_was(evaluate: ModuleType, pipeline: Any) -> None:
    right, shift = evaluate.check_image_to_image(pipeline)
    assert right and shift < 3


def test_inpainting_changes_the_middle_and_keeps_the_corners(evaluate: ModuleType, pipeline: Any) -> None:
    assert evaluate.check_inpainting(pipeline)


def test_the_model_card_states_what_was_measured() -> None:
    card = (SHAPES / "README.md").read_text(encoding="utf-8")
    index = json.loads((SHAPES / "model_index.json").read_text(encoding="utf-8"))
    assert index["_class_name"] in card
    for word in ("Data", "Training", "Measured", "Licence"):
        assert f"## {word}" in card, word
