"""A model is what is in its files: neither where they lie, nor how they are named, nor when they were written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from PIL import Image
from safetensors.torch import load_file, save_file


def drawing_of(make: Any, model: str, **loading: Any) -> dict[str, Any]:
    step = make.drawing(2)
    step["pipeline"]["from_pretrained_arguments"].update(model_name=model, **loading)
    return dict(make.workflow(step, seed=1))


def loaded(ended: Any) -> set[str]:
    assert ended.outcome == "succeeded", (ended.error, ended.error and ended.error.traceback)
    return {record.name for record in ended.loaded}


def pixels(ended: Any) -> bytes:
    with Image.open(str(ended.results[0].path)) as picture:
        return picture.tobytes()


def train(folder: Path) -> None:
    """Other weights of the same names and shapes."""
    (file,) = folder.glob("*.safetensors")
    save_file({name: tensor * 0.9 for name, tensor in load_file(file).items()}, file, {"format": "pt"})


def test_two_models_whose_files_have_the_same_time_and_header(worker: Any, make: Any, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(make.model, tmp_path / name)
        if name == "two":
            train(tmp_path / name / "unet")
        for file in (tmp_path / name).rglob("*"):
            os.utime(file, (1, 1))
    first = worker.run(drawing_of(make, "one"), tmp_path)
    second = worker.run(drawing_of(make, "two"), tmp_path)
    assert loaded(second) == {"unet"}
    assert pixels(first) != pixels(second)


def test_one_model_by_a_link_a_copy_and_the_hubs_cache_is_loaded_once(
    start_worker: Any, make: Any, tmp_path: Path
) -> None:
    work, repository = tmp_path / "work", tmp_path / "hub" / "models--someone--shapes"
    shutil.copytree(make.model, work / "model", copy_function=shutil.copyfile)
    (work / "link").symlink_to("model")
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc123")
    shutil.copytree(make.model, repository / "snapshots" / "abc123", copy_function=shutil.copyfile)
    worker = start_worker(HF_HUB_CACHE=str(tmp_path / "hub"))
    names = ("someone/shapes", "./model", "model", "./link", str(work / "link"))
    runs = [worker.run(drawing_of(make, name), work, output_directory=str(work / str(number)), roots=(str(work),))
            for number, name in enumerate(names)]  # fmt: skip
    assert len(loaded(runs[0])) == 4
    assert [loaded(ended) for ended in runs[1:]] == [set()] * 4
