"""What only a GPU can show: how fast models load and change places, what they need against the estimate, what happens
when memory does not suffice.

python benchmarks/gpu.py [--small]

The model has the size of Stable Diffusion 1.5 and random weights: no download, and the same times. `--small` takes the
embedded model, on any device: a check that everything runs.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import diffusers
import engine
import torch

from dw_lsp.worker import standby

ROUNDS = 5
GIGABYTE = 1024**3
#: Parts of the device's memory that the ladder is tried with, from ample to hopeless, times what the model needs.
FRACTIONS = (1.3, 1.0, 0.8, 0.6, 0.4, 0.2)


def write_model(folder: Path, seed: int, device: torch.device) -> Path:
    """A pipeline of the size of Stable Diffusion 1.5, with random weights in 16 bits."""
    torch.manual_seed(seed)
    small = diffusers.StableDiffusionPipeline.from_pretrained(engine.MODEL)
    width = small.text_encoder.config.hidden_size
    with device:
        unet = diffusers.UNet2DConditionModel(sample_size=64, cross_attention_dim=width)
        vae = diffusers.AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            sample_size=512,
        )
    made = diffusers.StableDiffusionPipeline(
        **{**small.components, "unet": unet, "vae": vae}, requires_safety_checker=False
    )
    made.to(torch.float16).save_pretrained(folder)
    return folder


class Work:
    """Runs of one model. Arguments: where it lies; its precision; the size of pictures in pixels."""

    def __init__(self, model: Path, dtype: str, size: int):
        self.model, self._dtype, self._size, self._seeds = model, dtype, size, itertools.count()

    def run(self) -> dict[str, Any]:
        """A workflow that was not run before."""
        step = engine.drawing(steps=4, model=self.model, width=self._size, height=self._size)
        step["pipeline"]["from_pretrained_arguments"]["torch_dtype"] = f"torch.{self._dtype}"
        return engine.workflow(step, name=self.model.name, seed=next(self._seeds))

    def by_hand(self, device: torch.device, mapped: bool) -> float:
        """Seconds until the model is on the device. Arguments: `mapped` reads it there at once."""
        started = time.perf_counter()
        placed = {"device_map": str(device)} if mapped else {}
        pipeline = diffusers.StableDiffusionPipeline.from_pretrained(
            self.model, torch_dtype=getattr(torch, self._dtype), **placed
        )
        if not mapped:
            pipeline.to(device)
        synchronize(device)
        return time.perf_counter() - started


def synchronize(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def loading(runs: engine.InProcess, work: Work) -> Iterator[tuple[str, list[float]]]:
    """Seconds of loading: ours is what a first run takes longer than a warm one."""

    def ours() -> float:
        runs.clear()
        first, _ = runs.run(work.run())
        return first - runs.run(work.run())[0]

    ways: dict[str, Callable[[], float]] = {
        "from_pretrained(...).to(device)": lambda: work.by_hand(runs.device, False),
        "from_pretrained(device_map=device)": lambda: work.by_hand(runs.device, True),
        "ours, first run less a warm one": ours,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(-1, ROUNDS):
        for name, way in ways.items():
            seconds = way()
            if number >= 0:
                times[name].append(seconds)
    yield from times.items()


def changing_places(runs: engine.InProcess, one: Work, other: Work, bytes_of_one: int) -> Iterator[tuple[str, float]]:
    """Seconds of a warm run, and of one whose model has to come back, since the device's budget holds one model."""
    budget = {"memory_budget": f"{1.5 * bytes_of_one / GIGABYTE:.3f}GB"}
    runs.clear()
    times: dict[str, list[float]] = {"the same model again": [], "A after B, parked in host memory": []}
    for number in range(ROUNDS):
        for work in (one, other):
            changed, ended = runs.run(work.run(), **budget)
            again, _ = runs.run(work.run(), **budget)
            if number:
                times["A after B, parked in host memory"].append(changed)
                times["the same model again"].append(again)
                if ended.loaded and runs.device.type != "cpu":
                    raise RuntimeError(f"{[part.name for part in ended.loaded]} were loaded again")
    yield from ((name, statistics.median(found)) for name, found in times.items())


def ladder(runs: engine.InProcess, work: Work, need: int) -> Iterator[str]:
    """What becomes of a run when the device has less and less memory."""
    total = torch.cuda.get_device_properties(runs.device).total_memory
    for part in FRACTIONS:
        runs.clear()
        memory = f"{part:4.1f} x {need / GIGABYTE:.1f} GB"
        torch.cuda.set_per_process_memory_fraction(min(1.0, part * need / total), runs.device)
        try:
            seconds, ended = runs.run(work.run())
            yield f"{memory}: {seconds:5.1f} s; {'; '.join(ended.steps[0].notes) or 'as is'}"
        except RuntimeError as error:
            yield f"{memory}: {str(error)[:300]}"
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, runs.device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="take the embedded model")
    small = parser.parse_args().small
    engine.as_the_worker()
    standby.import_libraries(lambda level, line: None)
    with tempfile.TemporaryDirectory() as folder:
        runs = engine.InProcess(folder)
        if runs.device.type == "cpu" and not small:
            raise SystemExit("There is no GPU here; --small checks that everything runs.")
        if small:
            paths = [shutil.copytree(engine.MODEL, Path(folder) / name) for name in ("a", "b")]
            for number, path in enumerate(paths):
                reseeded(path, number)
        else:
            paths = [write_model(Path(folder) / name, number, runs.device) for number, name in enumerate("ab")]
        one, other = (Work(path, "float32" if small else "float16", 64 if small else 512) for path in paths)
        print(f"{runs.device}, torch {torch.__version__}\n\nLoading, files in the page cache; median")
        for name, times in loading(runs, one):
            print(f"  {name:<40} {statistics.median(times) * 1000:8.0f} ms")
        _, ended = runs.run(one.run())
        weights = sum(part.bytes for part in (*ended.loaded, *ended.reused))
        print("\nTwo models, a budget for one; a whole run, median")
        for name, seconds in changing_places(runs, one, other, weights):
            print(f"  {name:<40} {seconds * 1000:8.0f} ms")
        _, ended = runs.run(one.run())
        peak = ended.steps[0].peak_bytes or 0
        told = runs.estimate
        print("\nMemory that a run needs")
        print(f"  weights  {weights / GIGABYTE:6.2f} GB")
        print(f"  estimate {(told.device_bytes if told else 0) / GIGABYTE:6.2f} GB")
        print(f"  peak     {peak / GIGABYTE:6.2f} GB")
        if runs.device.type == "cuda":
            print("\nWith so much memory, times what a run needs")
            for line in ladder(runs, one, peak):
                print(f"  {line}")


def reseeded(model: Path, number: int) -> None:
    """Change a model's weights a little, so that it is another one."""
    unet = diffusers.UNet2DConditionModel.from_pretrained(model / "unet")
    with torch.no_grad():
        next(unet.parameters()).add_(1e-3 * number)
    unet.save_pretrained(model / "unet")


if __name__ == "__main__":
    main()
