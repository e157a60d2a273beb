"""What the engine costs beside a bare call of the same pipeline, by turns, in one run on one machine.

python benchmarks/engine.py
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline

from dw_lsp.protocol import Execute, RunBegan, RunEnded, RunEstimate, RunOptions, encode
from dw_lsp.settings import Settings
from dw_lsp.supervisor.runs import RunRequest
from dw_lsp.supervisor.supervisor import Supervisor
from dw_lsp.worker import standby
from dw_lsp.worker.cancellation import Cancellation
from dw_lsp.worker.engine.engine import Engine

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "workflows" / "models" / "shapes"
ROUNDS = 25
STEPS = 20
BARE = "bare call"


class InProcess:
    """Runs through an engine of this process, every message written to nowhere as the worker writes it to a pipe."""

    def __init__(self, folder: str):
        self._engine, self._folder, self._number = Engine(standby.versions()), folder, 0
        self._pipe = os.open(os.devnull, os.O_WRONLY)
        #: What the last run was expected to need.
        self.estimate: RunEstimate | None = None
        standby.settle_garbage()

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._engine.device

    def clear(self) -> None:
        """Forget all models."""
        self._engine.clear()

    def run(self, work: dict[str, Any], previews: bool = False, **options: Any) -> tuple[float, RunEnded]:
        """Seconds of a run, its files included, and how it ended. Arguments: `options` are further `RunOptions`."""
        self._number += 1
        request = Execute(
            run_id=f"run{self._number}",
            text=json.dumps(work, indent=2),
            document_path=f"{self._folder}/{work['id']}.dw.json",
            roots=(self._folder, str(ROOT)),
            output_directory=f"{self._folder}/outputs",
            options=RunOptions(preview_enabled=previews, **options),
        )
        started = time.perf_counter()
        ended = self._engine.execute(request, Cancellation(request.run_id), self._send)
        self._send(ended)
        seconds = time.perf_counter() - started
        if ended.outcome != "succeeded":
            raise RuntimeError(ended.error)
        return seconds, ended

    def _send(self, message: Any) -> None:
        if isinstance(message, RunBegan):
            self.estimate = message.estimate
        os.write(self._pipe, encode(message))


def drawing(name: str = "draw", steps: int = STEPS, model: Path = MODEL, **arguments: Any) -> dict[str, Any]:
    """A step that draws."""
    given = {"prompt": "a yellow star on a blue background", "num_inference_steps": steps, "guidance_scale": 3.0}
    return {
        "name": name,
        "pipeline": {
            "configuration": {"component_type": "StableDiffusionPipeline"},
            "from_pretrained_arguments": {"model_name": str(model), "torch_dtype": "torch.float32"},
            "arguments": {**given, **arguments},
        },
        "result": {"content_type": "image/png"},
    }


def workflow(*steps: dict[str, Any], name: str = "bench", seed: int = 1) -> dict[str, Any]:
    """A workflow of these steps."""
    return {"id": name, "seed": seed, "steps": list(steps)}


def chain(count: int) -> dict[str, Any]:
    """So many steps, each of which reads the one before."""
    steps: list[dict[str, Any]] = [{"name": "s0", "task": {"command": "compose_text", "arguments": {"parts": ["a"]}}}]
    for number in range(1, count):
        parts = [f"previous_result:s{number - 1}", "b"[: number % 2]]
        task = {"command": "compose_text", "arguments": {"parts": parts, "separator": ""}}
        steps.append({"name": f"s{number}", "task": task})
    return workflow(*steps, name="chain")


def unsaved(count: int) -> dict[str, Any]:
    """So many pictures that are not written."""
    steps = [drawing(f"d{number}", 1, prompt=f"shape {number}") for number in range(count)]
    return workflow(*({**step, "result": {"content_type": "image/png", "save": False}} for step in steps), name="many")


def bare_call(pipeline: Any, number: int, folder: str) -> float:
    """Seconds of the same call by hand, the PNG included."""
    started = time.perf_counter()
    image = pipeline(
        "a yellow star on a blue background",
        num_inference_steps=STEPS,
        guidance_scale=3.0,
        generator=torch.Generator(pipeline.device).manual_seed(number),
    ).images[0]
    image.save(Path(folder) / f"bare{number}.png")
    return time.perf_counter() - started


def edits(numbers: Iterator[int]) -> dict[str, Callable[[], dict[str, Any]]]:
    """Workflows to run by turns: each is new to the engine, so that its last step has to be run."""
    kinds = ("EulerDiscreteScheduler", "DDIMScheduler")

    def scheduler() -> dict[str, Any]:
        number = next(numbers)
        step = drawing()
        step["pipeline"]["scheduler"] = {"configuration": {"scheduler_type": kinds[number % 2]}}
        return workflow(step, seed=number)

    return {
        "warm run (seed edit)": lambda: workflow(drawing(), seed=next(numbers)),
        "prompt edit": lambda: workflow(drawing(prompt=f"a yellow star {next(numbers)}")),
        "scheduler edit": scheduler,
        "file A, B, A": lambda: workflow(drawing(), name=f"file{next(numbers) % 2}", seed=next(numbers)),
        "warm run with previews": lambda: workflow(drawing(), seed=next(numbers)),
    }


def measure_runs(folder: str) -> dict[str, list[float]]:
    """Seconds of all that runs in this process."""
    engine = InProcess(folder)
    pipeline = StableDiffusionPipeline.from_pretrained(MODEL, torch_dtype=torch.float32).to(engine.device)
    pipeline.set_progress_bar_config(disable=True)
    numbers = iter(range(100, 10**9))

    def warm(name: str, make: Callable[[], dict[str, Any]]) -> float:
        seconds, ended = engine.run(make(), previews="previews" in name)
        if number > -2 and ended.loaded:
            raise RuntimeError(f"{name} loaded {[part.name for part in ended.loaded]}")
        return seconds

    turns: dict[str, Callable[[], float]] = {BARE: lambda: bare_call(pipeline, number + 10, folder)}
    turns.update({name: functools.partial(warm, name, make) for name, make in edits(numbers).items()})
    rows: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(-2, ROUNDS):
        # Each round begins with another one: what follows the bare call finds the processor's caches full of its model.
        order = list(turns)
        for name in order[number % len(order) :] + order[: number % len(order)]:
            seconds = turns[name]()
            if number >= 0:
                rows[name].append(seconds)
    remembered = {
        "200 remembered steps": chain(200),
        "1000 remembered steps": chain(1000),
        "200 remembered steps (pictures)": unsaved(200),
    }
    for name, work in remembered.items():
        engine.run(work)
        rows[name] = []
        for _ in range(ROUNDS):
            seconds, ended = engine.run(work)
            if {step.outcome for step in ended.steps} != {"reused"}:
                raise RuntimeError(f"{name}: not all of them were remembered")
            rows[name].append(seconds)
    return rows


# ---------------------------------------------------------------- with a process


class Events:
    """What a supervisor tells, and when."""

    def __init__(self) -> None:
        self.told: list[tuple[float, str, dict[str, Any]]] = []
        self._changed = asyncio.Event()

    def __call__(self, event: Any) -> None:
        self.told.append((time.perf_counter(), event.method, event.to_json()))
        self._changed.set()

    async def first(self, method: str, since: float, **fields: Any) -> float:
        """When the first event of that kind since a time was told."""
        while True:
            self._changed.clear()
            for at, told, content in self.told:
                if at >= since and told == method and all(content.get(key) == value for key, value in fields.items()):
                    return at
            await asyncio.wait_for(self._changed.wait(), 60)


async def measure_process(folder: str, rounds: int = 5) -> dict[str, list[float]]:
    """Seconds of what needs a process of its own."""
    rows: dict[str, list[float]] = {"cold start": [], "cancel": [], "crash to ready": []}
    for number in range(rounds):
        events = Events()
        supervisor = Supervisor(Settings(), events)
        began = time.perf_counter()
        supervisor.prewarm()
        rows["cold start"].append(await events.first("dw/workerState", began, state="idle") - began)
        await run(supervisor, events, workflow(drawing(), seed=number), folder)
        long = submit(supervisor, workflow(drawing(steps=500), seed=10**6 + number), folder)
        await events.first("dw/runProgress", 0.0, runId=long, phase="denoising")
        await asyncio.sleep(0.3)
        asked = time.perf_counter()
        supervisor.cancel(long)
        rows["cancel"].append(await events.first("dw/runFinished", asked, runId=long) - asked)
        await asyncio.sleep(STANDBY_SECONDS)
        killed = time.perf_counter()
        os.kill(supervisor.state.pid or 0, signal.SIGKILL)
        await events.first("dw/workerState", killed, state="crashed")
        supervisor.prewarm()
        rows["crash to ready"].append(await events.first("dw/workerState", killed, state="idle") - killed)
        await supervisor.close()
    return rows


#: Time for a process that stands by to be made ready.
STANDBY_SECONDS = 15.0


def submit(supervisor: Supervisor, work: dict[str, Any], folder: str) -> str:
    """Begin a run and return its id."""
    path = f"{folder}/{work['id']}.dw.json"
    request = RunRequest(
        uri=Path(path).as_uri(),
        text=json.dumps(work),
        document_path=path,
        roots=(folder, str(ROOT)),
        output_directory=f"{folder}/outputs",
    )
    return supervisor.submit(request).run_id


async def run(supervisor: Supervisor, events: Events, work: dict[str, Any], folder: str) -> None:
    """Run to the end."""
    began = time.perf_counter()
    await events.first("dw/runFinished", began, runId=submit(supervisor, work, folder))


def as_the_worker() -> None:
    """Go on in an environment like the worker's: threads that wait in another way make another bare call."""
    wanted = {**standby.THREADING, "HF_HUB_OFFLINE": "1"}
    if any(name not in os.environ for name in wanted):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**wanted, **os.environ})


def main() -> None:
    as_the_worker()
    standby.import_libraries(lambda level, line: None)
    with tempfile.TemporaryDirectory() as folder:
        rows = measure_runs(folder)
        if sys.platform != "win32":
            rows.update(asyncio.run(measure_process(folder)))
    bare = rows[BARE]
    print(f"{'':<34} {'median':>9} {'p95':>9}   beside the bare call of the same round, median")
    for name, times in rows.items():
        median, last = statistics.median(times), sorted(times)[max(0, round(len(times) * 0.95) - 1)]
        beside = ""
        if len(times) == len(bare) and "remembered" not in name:
            more = statistics.median(mine - other for mine, other in zip(times, bare, strict=True))
            beside = f"x {1 + more / statistics.median(bare):5.3f}, {1000 * more:+.1f} ms"
        print(f"{name:<34} {median * 1000:6.1f} ms {last * 1000:6.1f} ms   {beside}")


if __name__ == "__main__":
    main()
