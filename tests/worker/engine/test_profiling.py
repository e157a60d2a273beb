"""The profile of a run's memory: files beside the results, with what was being done; none unless it is wanted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from dw_lsp.protocol import LogLine
from dw_lsp.worker.engine.profiling import PICTURE, TIMELINE, Sample, draw, profiled


def test_a_profile_has_the_phases_of_the_run_and_a_picture(worker: Any, make: Any, tmp_path: Path) -> None:
    options = make.options(profile_memory=True)
    ended = worker.run(make.workflow(make.drawing(20, width=256, height=256, seed=4)), tmp_path, options=options)
    assert ended.outcome == "succeeded", ended.error
    folder = Path(ended.results[0].path).parent
    told = json.loads((folder / TIMELINE).read_text())
    assert {"draw: denoising"} <= {sample["doing"] for sample in told["samples"]}
    assert all(sample["process"] > 10**8 and sample["allocated"] is None for sample in told["samples"])
    moments = [sample["seconds"] for sample in told["samples"]]
    assert moments == sorted(moments) and len(moments) > 5
    with Image.open(folder / PICTURE) as picture:
        assert picture.width > 1000 and len(picture.getcolors(10**6) or ()) > 3
    assert f"memory profile: {folder / TIMELINE}" in [line.message for line in worker.heard(LogLine)]


def test_without_being_asked_there_is_none(worker: Any, make: Any, tmp_path: Path) -> None:
    ended = worker.run(make.workflow(make.drawing(1)), tmp_path)
    assert not (Path(ended.results[0].path).parent / TIMELINE).exists()


def test_a_run_that_fails_at_once_says_why_there_is_none(worker: Any, make: Any, tmp_path: Path) -> None:
    worker.run(make.workflow(make.task("x", "no_such_task")), tmp_path, options=make.options(profile_memory=True))
    assert any("no memory profile" in line.message for line in worker.heard(LogLine))


def test_any_row_of_samples_can_be_drawn() -> None:
    empty = draw([])
    one = draw([Sample(0.0, "x", None, None, None)])
    device = draw([Sample(second / 10, f"step {second}", 100, 50 + second, 80) for second in range(10)])
    assert empty.size == one.size == device.size
    assert len(device.getcolors(10**6) or ()) > len(one.getcolors(10**6) or ())


@pytest.mark.parametrize("folder", [None, Path("/proc/nowhere")], ids=["no folder", "no place"])
def test_what_torch_notes_of_allocations_ends_with_the_profile(
    folder: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[Any] = []
    monkeypatch.setattr(torch.cuda.memory, "_record_memory_history", lambda **given: noted.append(given))
    monkeypatch.setattr(torch.cuda.memory, "_dump_snapshot", lambda file: noted.append(file))
    for name in ("memory_allocated", "memory_reserved"):
        monkeypatch.setattr(torch.cuda, name, lambda device: 5)
    with profiled(True, torch.device("cuda", 0), lambda message: None, lambda: folder):
        assert len(noted) == 1
    assert noted[-1] == {"enabled": None}
