"""`dw-lsp doctor`: what there is to run workflows with, what of it will not work, and the remedy for each.

Each examination looks at one thing and says what it found as data; printing is the last step.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import dw_lsp
from dw_lsp.catalog.catalog import catalog_for
from dw_lsp.catalog.models import hub_cache
from dw_lsp.cli.terminal import size_words, time_words
from dw_lsp.cli.worker_probe import CannotProbe, ProbedPython, StartedWorker, probe_python, start_worker
from dw_lsp.protocol import MemoryReport
from dw_lsp.settings import Settings, settings_from_environment
from dw_lsp.supervisor.command import NoCommand, worker_command

State: TypeAlias = Literal["ok", "warning", "problem"]
OLDEST_PYTHON = "3.10"
#: Packages that the worker uses, with the oldest version that will do, as the `worker` extra has them.
PACKAGES = {
    "torch": "2.4",
    "diffusers": "0.35",
    "transformers": "4.48",
    "accelerate": "1.0",
    "av": "13",
    "peft": "0.15",
    "safetensors": "0.4.5",
    "pillow": "10.3",
    "segno": "1.6",
}
#: Without these some workflows run all the same.
OPTIONAL = {
    "accelerate": "large models load slowly",
    "av": "videos cannot be read or written",
    "peft": "LoRAs cannot be put on",
    "segno": "QR codes cannot be made",
}
#: How long a worker may take to import its libraries, on a slow disk for the first time. Seconds.
START_SECONDS = 180.0
#: Below this there is hardly room for one more model, or for the results of one evening. Bytes.
LITTLE_DISK = 10_000_000_000
LITTLE_MEMORY = 2_000_000_000


@dataclass(frozen=True)
class Examined:
    """One thing that was looked at: how it is, in words, and what to do about it if it is not well."""

    name: str
    state: State
    told: str
    remedy: str | None = None


@dataclass(frozen=True)
class Examination:
    """All that was found out; `python` and `worker` are `None` where it did not come to that."""

    items: tuple[Examined, ...]
    python: ProbedPython | None
    worker: StartedWorker | None

    @property
    def well(self) -> bool:
        """Whether everything will work."""
        return all(item.state != "problem" for item in self.items)


def doctor(options: argparse.Namespace) -> int:
    """Examine and print. Returns the exit code: 0 all well, 1 something will not work."""
    settings, problems = settings_from_environment(os.environ)
    examination = examine(settings, problems)
    print(json.dumps(to_json(examination), indent=2, ensure_ascii=False) if options.json else to_text(examination))
    return 0 if examination.well else 1


def examine(settings: Settings, problems: Sequence[str]) -> Examination:
    """Look at everything. Arguments: the settings, and what is wrong with them."""
    wrong = [Examined("settings", "warning", problem, "Correct the variable.") for problem in problems]
    found, python = _command(settings)
    worker = None
    if all(item.state != "problem" for item in found):
        worker = start_worker(settings, START_SECONDS)
        found += _worker(worker, python)
    return Examination((*_program(), *wrong, *found, _catalogue(settings), *_places(settings)), python, worker)


# ---------------------------------------------------------------- examinations


def _program() -> Iterator[Examined]:
    told = f"{dw_lsp.__version__} in {sys.executable} (Python {platform.python_version()})"
    # The server that an editor's extension brings along draws no progress bars, and sees no installed packages.
    needed = ("pygls",) if sys.flags.no_site else ("pygls", "rich")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        remedy = install(sys.executable, missing)
        yield Examined("dw-lsp", "problem", f"{told}, without {' and '.join(missing)}", remedy)
    else:
        yield Examined("dw-lsp", "ok", told)


def _catalogue(settings: Settings) -> Examined:
    """What names and arguments are checked against."""
    catalog = catalog_for(settings.worker)
    if catalog.installed:
        return Examined("catalogue", "ok", f"{len(catalog.of_kind('pipeline'))} pipelines of {catalog.origin}")
    remedy = "Install diffusers there, or set DW_WORKER_PYTHON to a Python that has it, to check against that one."
    return Examined("catalogue", "warning", catalog.origin, remedy)


def _command(settings: Settings) -> tuple[list[Examined], ProbedPython | None]:
    """What would be started as the worker, and its Python where that can be looked at."""
    remedy = "Set DW_WORKER_PYTHON to a Python that has torch and diffusers."
    try:
        command = worker_command(settings, os.environ)
    except NoCommand as error:
        return [Examined("worker Python", "problem", str(error), remedy)], None
    if settings.worker.command:
        return [Examined("worker command", "ok", " ".join(command.arguments))], None
    try:
        python = probe_python(command.arguments[0], tuple(PACKAGES), command.environment)
    except CannotProbe as error:
        return [Examined("worker Python", "problem", f"{command.arguments[0]}: {error}", remedy)], None
    return [*_python(python), *_packages(python)], python


def _python(python: ProbedPython) -> Iterator[Examined]:
    told = f"{python.executable} (Python {python.version})"
    if older(python.version, OLDEST_PYTHON):
        remedy = f"Set DW_WORKER_PYTHON to a Python from {OLDEST_PYTHON} on that has torch and diffusers."
        yield Examined("worker Python", "problem", told, remedy)
    else:
        yield Examined("worker Python", "ok", told)


def _packages(python: ProbedPython) -> Iterator[Examined]:
    for name, oldest in PACKAGES.items():
        version, remedy = python.versions.get(name), install(python.executable, [f"{name}>={oldest}"])
        if version is None and name in OPTIONAL:
            yield Examined(name, "warning", f"not installed: {OPTIONAL[name]}", remedy)
        elif version is None:
            yield Examined(name, "problem", "not installed", remedy)
        elif older(version, oldest):
            yield Examined(name, "problem", f"{version} is older than {oldest}", f"{remedy} --upgrade")
        else:
            yield Examined(name, "ok", version)


def _worker(worker: StartedWorker, python: ProbedPython | None) -> Iterator[Examined]:
    if worker.failure is not None:
        yield Examined("worker", "problem", worker.failure, "`dw-lsp run` shows what it prints; see also the log.")
        return
    versions = worker.state.versions or {}
    told = ", ".join(f"{name} {versions[name]}" for name in ("torch", "diffusers", "transformers") if name in versions)
    yield Examined("worker", "ok", f"ready after {time_words(worker.seconds)} ({told})")
    if worker.memory is not None:
        yield _device(worker.memory, python)
        yield _host_memory(worker.memory)


def _device(memory: MemoryReport, python: ProbedPython | None) -> Examined:
    told = f"{memory.device}, {memory.device_name}"
    if memory.device != "cpu" and memory.free_bytes is not None and memory.total_bytes is not None:
        told += f", {size_words(memory.free_bytes)} of {size_words(memory.total_bytes)} free"
    if memory.device != "cpu" or shutil.which("nvidia-smi") is None or python is None:
        return Examined("device", "ok", told)
    if python.torch_cuda is None:
        remedy = "Install a torch with CUDA: https://pytorch.org/get-started/locally names the command."
        return Examined("device", "warning", f"{told}: there is an NVIDIA GPU, but this torch has no CUDA", remedy)
    remedy = "Update the driver, or install a torch for an older CUDA; `nvidia-smi` names the newest that fits."
    told += f": there is an NVIDIA GPU, but this torch (CUDA {python.torch_cuda}) cannot use it"
    return Examined("device", "warning", told, remedy)


def _host_memory(memory: MemoryReport) -> Examined:
    free = memory.host_free_bytes
    if free is None:
        return Examined("host memory", "ok", "the system does not tell")
    told = f"{size_words(free)} free"
    if free < LITTLE_MEMORY:
        return Examined("host memory", "warning", told, "Close other programs: models pass through it when they load.")
    return Examined("host memory", "ok", told)


def _places(settings: Settings) -> Iterator[Examined]:
    cache = hub_cache()
    yield _folder("model cache", cache, f"{_models_in(cache)}, ", "Free some space, or set HF_HOME to another disk.")
    outputs = Path.cwd() / Path(settings.output_directory).expanduser()
    yield _folder("output folder", outputs, "", "Free some space, or set DW_OUTPUT_DIRECTORY.")


def _models_in(cache: Path) -> str:
    count = sum(1 for _ in cache.glob("models--*")) if cache.is_dir() else 0
    return f"{count} model{'s' * (count != 1)}"


def _folder(name: str, folder: Path, inside: str, remedy: str) -> Examined:
    """A folder that files will be written to; one that is not there will be made in the nearest that is."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        return Examined(name, "problem", f"{folder}: {existing} is no folder", remedy)
    if not os.access(existing, os.W_OK):
        return Examined(name, "problem", f"{folder}: {existing} may not be written to", remedy)
    free = shutil.disk_usage(existing).free
    told = f"{folder}: {inside}{size_words(free)} free on its disk"
    return Examined(name, "warning", told, remedy) if free < LITTLE_DISK else Examined(name, "ok", told)


# ---------------------------------------------------------------- versions


def install(python: str, packages: Sequence[str]) -> str:
    """The command that installs packages into a Python."""
    return " ".join([python, "-m", "pip", "install", *(f'"{name}"' for name in packages)])


def older(version: str, oldest: str) -> bool:
    """Whether a version lies before another; what follows its numbers (`+cpu`, `rc1`) does not count."""
    numbers, wanted = (
        [int(part) for part in re.findall(r"\d+", re.split(r"[^\d.]", text)[0])] for text in (version, oldest)
    )
    return numbers < wanted


# ---------------------------------------------------------------- telling


def to_text(examination: Examination) -> str:
    """The examination for people: a line for each thing, its remedy below."""
    width = max(len(item.name) for item in examination.items)
    lines = []
    for item in examination.items:
        mark = {"ok": "ok", "warning": "warning", "problem": "PROBLEM"}[item.state]
        lines.append(f"{mark:<8} {item.name:<{width}}  {item.told}")
        if item.remedy is not None:
            lines.append(f"{'':<8} {'':<{width}}  -> {item.remedy}")
    lines.append("All well." if examination.well else "Something will not work; each remedy stands behind its arrow.")
    return "\n".join(lines)


def to_json(examination: Examination) -> dict[str, Any]:
    """The examination for programs."""
    python, worker = examination.python, examination.worker
    memory = worker.memory if worker else None
    return {
        "well": examination.well,
        "items": [dataclasses.asdict(item) for item in examination.items],
        "workerPython": python.executable if python else None,
        "versions": {"dw-lsp": dw_lsp.__version__, **(python.versions if python else {})},
        "device": memory.device if memory else None,
        "deviceName": memory.device_name if memory else None,
        "totalBytes": memory.total_bytes if memory else None,
        "freeBytes": memory.free_bytes if memory else None,
        "modelCache": str(hub_cache()),
    }
