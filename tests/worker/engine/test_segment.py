"""Masks of what a text names, by two models that are kept like all others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image

from dw_lsp.protocol import LogLine, RunEnded
from tests.worker.engine.tiny_models import write_depth, write_detector, write_segmenter


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_detector(folder / "detector")
    write_segmenter(folder / "segmenter")
    write_depth(folder / "depth")
    return folder


def finding(make: Any, models: Path, folder: Path, **arguments: Any) -> dict[str, Any]:
    pixels = numpy.random.default_rng(1).integers(0, 255, (40, 50, 3), dtype=numpy.uint8)
    Image.fromarray(pixels).save(folder / "seen.png")
    given = {
        "image": "./seen.png",
        "prompt": "A red cat",
        "model_name": str(models / "detector"),
        "sam_model_name": str(models / "segmenter"),
        **arguments,
    }
    work: dict[str, Any] = make.workflow(make.task("find", "segment", "image/png", **given))
    return work


def run(worker: Any, work: dict[str, Any], folder: Path, models: Path) -> RunEnded:
    ended: RunEnded = worker.run(work, folder, roots=(str(folder), str(models)))
    return ended


def mask(ended: RunEnded) -> Any:
    assert ended.outcome == "succeeded", ended.error
    with Image.open(str(ended.results[0].path)) as image:
        assert (image.mode, image.size) == ("L", (50, 40))
        return numpy.asarray(image)


def test_what_is_found_is_white(worker: Any, make: Any, models: Path, tmp_path: Path) -> None:
    first = run(worker, finding(make, models, tmp_path), tmp_path, models)
    found = mask(first)
    assert set(numpy.unique(found)) == {0, 255}
    assert sorted(part.name for part in first.loaded) == ["detector", "detector_processor", "segmenter"]
    inverted = run(worker, finding(make, models, tmp_path, invert=True), tmp_path, models)
    assert inverted.loaded == () and (mask(inverted) == 255 - found).all()


def test_where_nothing_is_found_the_mask_is_black(worker: Any, make: Any, models: Path, tmp_path: Path) -> None:
    ended = run(worker, finding(make, models, tmp_path, threshold=1), tmp_path, models)
    assert not mask(ended).any()
    assert any("nothing in the picture is 'A red cat'" in line.message for line in worker.heard(LogLine))


def test_a_model_that_finds_nothing_by_its_name(worker: Any, make: Any, models: Path, tmp_path: Path) -> None:
    ended = run(worker, finding(make, models, tmp_path, model_name=str(models / "depth")), tmp_path, models)
    assert ended.outcome == "failed" and "DPTForDepthEstimation, which finds nothing" in ended.error.message
