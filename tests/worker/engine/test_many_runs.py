"""Many mixed warm runs in one worker: memory is as flat as it was. Forty here; 500 with DW_TEST_LONG=1."""

from __future__ import annotations

import os
import random
import statistics
from pathlib import Path
from typing import Any

import pytest

from dw_lsp.protocol import ClearMemory, MemoryReported, Ready
from dw_lsp.worker.engine.growth import theil_sen

LONG = bool(os.environ.get("DW_TEST_LONG"))
RUNS = 500 if LONG else 40
#: Runs after which kernels, caches and the allocator have what they keep.
WARMING_UP = 100 if LONG else 24
#: The slope that still counts as flat, bytes a run. Few runs cannot tell a small slope from noise.
FLAT = 16 * 1024 if LONG else 400 * 1024
#: Slopes are taken within so many runs, and their median counts: an allocator that takes one more arena, once, is no
#: slope. How far it may come in all is `MOST_IN_ALL`, bytes.
WINDOW, MOST_IN_ALL = 50, 10 * 1024 * 1024


def a_run(make: Any, draw: random.Random, number: int) -> dict[str, Any]:
    """One of several kinds of runs: text to picture, several pictures, img2img, two steps, tasks, half precision."""
    prompt = draw.choice(["a red circle", "a blue square on a green background", "a yellow triangle", "two circles"])
    # In the short form the warm-up has every kind in every size: a size that is new takes memory for its kernels, once.
    width = draw.choice([64, 96]) if LONG else (64, 96)[number // 6 % 2]
    first = make.drawing(draw.randint(1, 3), "first", prompt=prompt, width=width, height=64)
    kind = number % 6
    if kind == 1:
        first["pipeline"]["arguments"]["num_images_per_prompt"] = 3
    elif kind == 2:
        image = "previous_result:first"
        second = make.drawing(2, "second", "StableDiffusionImg2ImgPipeline", prompt=prompt, image=image, strength=0.8)
        return make.workflow(first, second)  # type: ignore[no-any-return]
    elif kind == 3:
        crop = make.task("crop", "crop_square", "image/png", image="previous_result:first")
        return make.workflow(first, crop)  # type: ignore[no-any-return]
    elif kind == 4:
        first["pipeline"]["from_pretrained_arguments"]["torch_dtype"] = "torch.bfloat16"
    elif kind == 5:
        first["pipeline"]["arguments"]["height"] = "no number"
    return make.workflow(first)  # type: ignore[no-any-return]


@pytest.mark.timeout(3600)
def test_memory_of_many_mixed_runs_is_flat(start_worker: Any, make: Any, tmp_path: Path) -> None:
    worker = start_worker()
    worker.wait_for(Ready)
    draw = random.Random(5)
    used: list[int] = []
    warnings: set[str] = set()
    for number in range(RUNS):
        ended = worker.run(a_run(make, draw, number), tmp_path)
        assert ended.outcome == ("failed" if number % 6 == 5 else "succeeded"), ended.error
        assert number < 6 or ended.loaded == ()
        warnings.update(ended.memory.warnings)
        worker.said.clear()
        used.append(ended.memory.process_bytes)
    steady = used[WARMING_UP:]
    windows = [steady[start : start + WINDOW] for start in range(0, len(steady), WINDOW)]
    slope = statistics.median(theil_sen(window) for window in windows)
    in_all = statistics.median(windows[-1]) - statistics.median(windows[0])
    series = os.environ.get("DW_TEST_SERIES")
    if series:
        Path(series).write_text("\n".join(map(str, used)), encoding="utf-8")
    print(f"{len(steady)} runs: {slope / 1024:.2f} KB a run , {in_all / 1024:.0f} KB in all")
    assert slope < FLAT and in_all < MOST_IN_ALL
    assert warnings == set()


def test_a_full_cleanup_counts_anew_and_the_process_shrinks(start_worker: Any, make: Any, tmp_path: Path) -> None:
    worker = start_worker()
    worker.wait_for(Ready)
    ended = worker.run(make.workflow(make.drawing(1, num_images_per_prompt=32)), tmp_path)
    assert ended.memory.growth_bytes is not None and ended.memory.baseline_bytes
    worker.send(ClearMemory(5))
    report = worker.wait_for(MemoryReported, lambda each: each.request_id == 5).report
    assert report.components == () and report.growth_bytes is None and report.warnings == ()
    assert report.process_bytes < ended.memory.process_bytes
    assert report.process_bytes < 1.25 * report.baseline_bytes
