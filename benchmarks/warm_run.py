"""What a warm run costs beyond the pipeline call itself: both in one process, taking turns.

python benchmarks/warm_run.py
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from diffusers import StableDiffusionPipeline

from dw_lsp.protocol import Execute, RunEnded, RunOptions
from dw_lsp.worker.cancellation import Cancellation
from dw_lsp.worker.engine.engine import Engine

ROOT = Path(__file__).resolve().parent.parent
WORKFLOW = ROOT / "workflows" / "shapes.dw.json"
ROUNDS = 25


def engine_run(engine: Engine, number: int, folder: str, previews: bool) -> float:
    """Seconds of one run through the engine, a picture on disk included."""
    request = Execute(
        run_id=f"run{number}",
        text=WORKFLOW.read_text(encoding="utf-8"),
        document_path=str(WORKFLOW),
        roots=(str(ROOT),),
        output_directory=folder,
        arguments={"seed": number},
        options=RunOptions(preview_enabled=previews),
    )
    started = time.perf_counter()
    ended: RunEnded = engine.execute(request, Cancellation(request.run_id), lambda message: None)
    seconds = time.perf_counter() - started
    if ended.outcome != "succeeded":
        raise RuntimeError(ended.error)
    return seconds


def bare_call(pipeline: Any, number: int, folder: str) -> float:
    """Seconds of the same call by hand, the PNG included."""
    started = time.perf_counter()
    image = pipeline(
        "a yellow star on a blue background",
        num_inference_steps=20,
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(number),
    ).images[0]
    image.save(Path(folder) / f"bare{number}.png")
    return time.perf_counter() - started


def main() -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(ROOT / "workflows" / "models" / "shapes").to(torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    engine = Engine({})
    rows: dict[str, list[float]] = {"bare call": [], "run, no previews": [], "run, previews": []}
    with tempfile.TemporaryDirectory() as folder:
        engine_run(engine, 0, folder, True)
        bare_call(pipeline, 0, folder)
        for number in range(1, ROUNDS + 1):
            rows["bare call"].append(bare_call(pipeline, number, folder))
            rows["run, no previews"].append(engine_run(engine, 3 * number, folder, False))
            rows["run, previews"].append(engine_run(engine, 3 * number + 1, folder, True))
    bare = statistics.median(rows["bare call"])
    for name, times in rows.items():
        median = statistics.median(times)
        print(f"{name:<18} {median * 1000:7.1f} ms  ratio {median / bare:5.3f}")


if __name__ == "__main__":
    main()
