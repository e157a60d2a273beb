"""A denoiser's cache belongs to the step that asks for it: what comes after is drawn without."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dw_lsp.protocol import LogLine, RunEnded


@pytest.fixture
def folder(tmp_path: Path, families: dict[str, Path]) -> Path:
    shutil.copytree(families["flux"], tmp_path / "flux")
    return tmp_path


def drawing(name: str, cache: Any = None) -> dict[str, Any]:
    return {
        "name": name,
        "pipeline": {
            "configuration": {"component_type": "FluxPipeline", **({"cache": cache} if cache else {})},
            "from_pretrained_arguments": {"model_name": "./flux", "torch_dtype": "torch.float32"},
            "arguments": {
                "prompt": "a red circle", "width": 32, "height": 32, "num_inference_steps": 8,
                "max_sequence_length": 16,
            },
        },
        "result": {"content_type": "image/png"},
    }  # fmt: skip


def pixels(ended: RunEnded) -> list[bytes]:
    assert ended.outcome == "succeeded", ended.error
    found = []
    for result in ended.results:
        with Image.open(str(result.path)) as image:
            found.append(image.tobytes())
    return found


@pytest.mark.parametrize(
    "cache",
    [
        {"type": "first_block", "threshold": 10.0},
        {"type": "taylorseer", "cache_interval": 3, "max_order": 1, "threshold": 0.1},
        {"type": "mag", "mag_ratios": "flux", "num_inference_steps": 8, "retention_ratio": 0.1, "threshold": 1.0},
    ],
    ids=lambda cache: str(cache["type"]),
)
def test_a_cache_skips_work_for_its_step_alone(cache: Any, worker: Any, make: Any, folder: Path) -> None:
    steps = [drawing("before"), drawing("cached", cache), drawing("after")]
    (before, cached, after) = pixels(worker.run(make.workflow(*steps, seed=3), folder))
    assert before == after != cached
    again = worker.run(make.workflow(*steps, seed=3), folder, output_directory=str(folder / "again"))
    assert pixels(again) == [before, cached, after]
    assert again.loaded == ()


def test_a_model_without_one_is_told(worker: Any, make: Any, folder: Path) -> None:
    step = make.drawing(1)
    step["pipeline"]["configuration"]["cache"] = {"type": "first_block"}
    pixels(worker.run(make.workflow(step, seed=3), folder))
    assert any("`cache` has no effect" in line.message for line in worker.heard(LogLine))


@pytest.mark.parametrize(
    ("cache", "message"),
    [
        ({"type": "tea"}, "a cache is of one of the types first_block, faster"),
        ({"type": "mag", "mag_ratios": "paint"}, "diffusers has no ratios named 'paint'; it has flux"),
        ({"type": "mag"}, "the cache 'mag' cannot be used in transformer"),
    ],
)
def test_what_cannot_be_cached_is_refused(cache: Any, message: str, worker: Any, make: Any, folder: Path) -> None:
    ended = worker.run(make.workflow(drawing("draw", cache), seed=3), folder)
    assert ended.outcome == "failed" and message in ended.error.message
