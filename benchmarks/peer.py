"""Our worker beside the one of diffusers-workflow 0.15.0: one model, the same steps, by turns, in one run.

python benchmarks/peer.py [--rounds N] [--environment FOLDER]

The other one is installed from the package index into an environment of its own, which sees the torch stack of this
one. Where it cannot be had, the reason is told and its columns stay empty.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import engine
import torch
from diffusers import StableDiffusionPipeline

from dw_lsp.settings import Settings
from dw_lsp.supervisor.supervisor import Supervisor
from dw_lsp.worker import standby

PACKAGE = "diffusers-workflow==0.15.0"
#: What its worker imports beside the torch stack; without its own list of requirements, which asks for another torch.
IMPORTS = (
    "concurrent-log-handler", "python-dotenv", "pyloudnorm", "soundfile", "qrcode", "jsonschema", "requests", "imageio",
    "packaging", "filelock", "httpx", "aiohttp", "beautifulsoup4", "scipy", "piexif",
)  # fmt: skip
DRIVER = Path(__file__).parent / "drivers" / "diffusers_workflow.py"
WARM_RUNS = 3
#: How many pictures the workflow has that is run twice without a change.
MANY = 20
#: For whatever a worker prepares after it was started, before it is killed.
SECONDS_OF_REST = 15.0


# ---------------------------------------------------------------- what is run


class Scenarios:
    """The workflows of one round. Arguments: two folders that hold the same model."""

    def __init__(self, models: tuple[Path, Path], number: int):
        self._models, self._seeds = models, iter(range(number * 1000, number * 1000 + 1000))

    def picture(self, model: int = 0, **step: Any) -> dict[str, Any]:
        """A picture that was not made before."""
        return engine.workflow(engine.drawing(model=self._models[model], **step), seed=next(self._seeds))

    def scheduler_edit(self) -> dict[str, Any]:
        """The same with another scheduler."""
        edited = self.picture()
        edited["steps"][0]["pipeline"]["scheduler"] = {"configuration": {"scheduler_type": "EulerDiscreteScheduler"}}
        return edited

    def many(self) -> dict[str, Any]:
        """Many pictures of one denoising step each, all seeded."""
        seed = next(self._seeds)
        steps = [engine.drawing(f"d{number}", 1, self._models[0], prompt=f"shape {number}") for number in range(MANY)]
        return engine.workflow(*steps, seed=seed)


class Contender:
    """A worker that can be measured: each method returns seconds."""

    name = ""

    def start(self) -> float:
        """From nothing to a worker that answers."""
        raise NotImplementedError

    def run(self, work: dict[str, Any], file: str = "a") -> float:
        """A run to its end, its files included. Arguments: `file` is the name of the workflow's file."""
        raise NotImplementedError

    def cancel(self, work: dict[str, Any]) -> float:
        """From asking a busy worker to stop until it says that it has."""
        raise NotImplementedError

    def kill(self) -> float:
        """From the end of the process until another one answers."""
        raise NotImplementedError

    def stop(self) -> None:
        """Leave nothing behind."""


class Ours(Contender):
    """This project's worker, by the supervisor that the language server uses too."""

    name = "dw-lsp"

    def __init__(self, folder: Path):
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._events = engine.Events()
        self._supervisor: Supervisor | None = None

    def start(self) -> float:
        return self._loop.run_until_complete(self._start())

    async def _start(self) -> float:
        self._events = engine.Events()
        self._supervisor = Supervisor(Settings(), self._events)
        began = time.perf_counter()
        self._supervisor.prewarm()
        return await self._events.first("dw/workerState", began, state="idle") - began

    def run(self, work: dict[str, Any], file: str = "a") -> float:
        return self._loop.run_until_complete(self._run({**work, "id": file}))

    async def _run(self, work: dict[str, Any]) -> float:
        began = time.perf_counter()
        run = engine.submit(self._worker(), work, str(self._folder))
        ended = await self._events.first("dw/runFinished", began, runId=run)
        outcome = next(
            told for _, method, told in self._events.told if method == "dw/runFinished" and told["runId"] == run
        )
        if outcome["outcome"] != "succeeded":
            raise RuntimeError(str(outcome.get("error")))
        return ended - began

    def cancel(self, work: dict[str, Any]) -> float:
        return self._loop.run_until_complete(self._cancel(work))

    async def _cancel(self, work: dict[str, Any]) -> float:
        run = engine.submit(self._worker(), work, str(self._folder))
        await self._events.first("dw/runProgress", 0.0, runId=run, phase="denoising")
        await asyncio.sleep(0.5)
        asked = time.perf_counter()
        self._worker().cancel(run)
        return await self._events.first("dw/runFinished", asked, runId=run) - asked

    def kill(self) -> float:
        return self._loop.run_until_complete(self._kill())

    async def _kill(self) -> float:
        await asyncio.sleep(SECONDS_OF_REST)
        began = time.perf_counter()
        os.kill(self._worker().state.pid or 0, 9)
        await self._events.first("dw/workerState", began, state="crashed")
        self._worker().prewarm()
        return await self._events.first("dw/workerState", began, state="idle") - began

    def stop(self) -> None:
        if self._supervisor is not None:
            self._loop.run_until_complete(self._supervisor.close())
            self._supervisor = None

    def _worker(self) -> Supervisor:
        if self._supervisor is None:
            raise RuntimeError("there is no worker")
        return self._supervisor


class Theirs(Contender):
    """The worker of diffusers-workflow, fed by a driver in its own environment."""

    name = PACKAGE.replace("==", " ")

    def __init__(self, python: Path, folder: Path):
        self._python, self._folder = python, folder
        self._driver: subprocess.Popen[str] | None = None

    def start(self) -> float:
        # Its settings and its log lie in the home folder. How its threads wait is for it to say.
        kept = {name: value for name, value in os.environ.items() if name not in standby.THREADING}
        surroundings = {**kept, "HF_HUB_OFFLINE": "1", "HOME": str(self._folder)}
        self._driver = subprocess.Popen(
            [str(self._python), "-W", "ignore", str(DRIVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=surroundings,
            cwd=self._folder,
        )
        return self._ask("start")

    def run(self, work: dict[str, Any], file: str = "a") -> float:
        return self._ask("run", definition={**work, "id": file}, file=str(self._folder / f"{file}.json"))

    def cancel(self, work: dict[str, Any]) -> float:
        return self._ask("run and cancel", definition=work, file=str(self._folder / "a.json"))

    def kill(self) -> float:
        return self._ask("kill")

    def stop(self) -> None:
        if self._driver is not None and self._driver.stdin is not None:
            self._driver.stdin.close()
            self._driver.wait(timeout=60)
            self._driver = None

    def _ask(self, do: str, **more: Any) -> float:
        driver = self._driver
        if driver is None or driver.stdin is None or driver.stdout is None:
            raise RuntimeError("there is no driver")
        driver.stdin.write(json.dumps({"do": do, "output": str(self._folder / "outputs"), **more}) + "\n")
        driver.stdin.flush()
        answer = json.loads(driver.stdout.readline() or '{"error": "the driver has ended"}')
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return float(answer["seconds"])


# ---------------------------------------------------------------- what is measured


def round_of(one: Contender, make: Scenarios) -> Iterator[tuple[str, float]]:
    """One round of one contender, from its start to its end."""
    start = one.start()
    yield "start", start
    first = one.run(make.picture())
    yield "first run, model loaded", first
    yield "start and first run", start + first
    for _ in range(WARM_RUNS):
        yield "warm run, new seed", one.run(make.picture())
    yield "prompt edited", one.run(make.picture(prompt="a red circle on a white background"))
    yield "scheduler edited", one.run(make.scheduler_edit())
    one.run(make.picture(), "b")
    yield "file A again after B, same model", one.run(make.picture(), "a")
    one.run(make.picture(model=1), "b")
    yield "file A again after B, another model", one.run(make.picture(), "a")
    same = make.picture()
    one.run(same)
    yield "run again without a change", one.run(same)
    many = make.many()
    one.run(many)
    yield f"{MANY} pictures again without a change", one.run(many)
    yield "cancel while denoising", one.cancel(make.picture(steps=1000))
    yield "killed, until another one is ready", one.kill()
    one.stop()


class Plain:
    """Calls of the pipeline in this process, each with its PNG."""

    def __init__(self, folder: Path):
        self._pipeline = StableDiffusionPipeline.from_pretrained(engine.MODEL, torch_dtype=torch.float32)
        self._pipeline.set_progress_bar_config(disable=True)
        self._folder, self._number = str(folder), 0

    def call(self) -> float:
        """Seconds of one call."""
        self._number += 1
        return engine.bare_call(self._pipeline, self._number, self._folder)


# ---------------------------------------------------------------- the other one's environment


def installed(environment: Path) -> Path:
    """The Python of an environment that has the other one; made where it is not there. Raises `OSError` if it fails."""
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (environment / "complete").exists():
        venv.create(environment, with_pip=True, clear=True)
        found = subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        own = [path for path in sys.path if path.endswith("site-packages")] or [sysconfig.get_paths()["purelib"]]
        # Behind the environment's own packages: the torch stack is the same for both.
        lines = "".join(f"import sys; sys.path.append({path!r})\n" for path in own)
        Path(found.stdout.strip(), "the_same_torch.pth").write_text(lines, encoding="utf-8")
        for wanted in ([PACKAGE, "--no-deps"], list(IMPORTS)):
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
            done = subprocess.run(pip, capture_output=True, text=True, check=False)
            if done.returncode:
                raise OSError(f"{' '.join(wanted)} cannot be installed: {done.stderr.strip()[-400:]}")
        (environment / "complete").touch()
    tried = subprocess.run(
        [python, "-W", "ignore", "-c", "import dw.worker"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        raise OSError(f"its worker cannot be imported: {tried.stderr.strip().splitlines()[-1]}")
    return python


# ---------------------------------------------------------------- the table


def table(plain: list[float], measured: dict[str, dict[str, list[float]]]) -> Iterator[str]:
    """The lines of a table in Markdown. Arguments: contender -> scenario -> seconds."""
    names = list(measured)
    yield f"| | {' | '.join(names)} | ratio |"
    yield "|---" * (len(names) + 2) + "|"
    yield f"| a plain call of the pipeline, in no worker | {cell(plain)} |" + " |" * len(names)
    for scenario in measured[names[0]]:
        columns = [measured[name].get(scenario, []) for name in names]
        ratio = ""
        if len(columns) == 2 and all(columns):
            ratio = f"{statistics.median(columns[1]) / statistics.median(columns[0]):.1f}"
        yield f"| {scenario} | {' | '.join(map(cell, columns))} | {ratio} |"


def cell(times: list[float]) -> str:
    """Median and 95th percentile in milliseconds."""
    if not times:
        return "skipped"
    return (
        f"{1000 * statistics.median(times):.0f} / {1000 * sorted(times)[max(0, round(len(times) * 0.95) - 1)]:.0f} ms"
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--environment", type=Path, default=Path(tempfile.gettempdir()) / "dw-lsp-peer")
    chosen = arguments.parse_args()
    engine.as_the_worker()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        copy = folder / "another-model"
        shutil.copytree(engine.MODEL, copy)
        makers: list[Callable[[], Contender]] = [lambda: Ours(folder)]
        try:
            python = installed(chosen.environment.resolve())
            makers.append(lambda: Theirs(python, folder))
        except (OSError, subprocess.CalledProcessError) as problem:
            print(f"{PACKAGE}: skipped: {problem}")
        measured: dict[str, dict[str, list[float]]] = {}
        plain = Plain(folder)
        plain.call()
        calls: list[float] = []
        for number in range(chosen.rounds):
            for make in makers if number % 2 else reversed(makers):
                contender = make()
                rows = measured.setdefault(contender.name, {})
                for scenario, seconds in round_of(contender, Scenarios((engine.MODEL, copy), number)):
                    rows.setdefault(scenario, []).append(seconds)
            calls += [plain.call() for _ in range(WARM_RUNS)]
        ordered = {made: measured[made] for made in (Ours.name, Theirs.name) if made in measured}
        print("\n".join(table(calls, ordered)))


if __name__ == "__main__":
    main()
