"""What there is to know of the worker: its Python looked at from inside, then a real worker started and asked."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dw_lsp.protocol import MemoryReport
from dw_lsp.settings import Settings
from dw_lsp.supervisor.deadlines import Limits
from dw_lsp.supervisor.events import Event, Log, WorkerState
from dw_lsp.supervisor.failures import WorkerFailure
from dw_lsp.supervisor.supervisor import Supervisor

PROBE = Path(__file__).with_name("probe.py")
#: A Python on a slow disk starts in a second or two; one that takes longer than this hangs. Seconds.
PROBE_SECONDS = 30.0


class CannotProbe(Exception):
    """The program that is set as the worker's Python did not answer as one: what it did instead."""


@dataclass(frozen=True)
class ProbedPython:
    """A Python: its version, the versions of packages (`None`: absent), the CUDA that its torch was built for."""

    executable: str
    version: str
    versions: Mapping[str, str | None]
    torch_cuda: str | None


@dataclass(frozen=True)
class StartedWorker:
    """How a real worker started: in so many seconds, with this memory; or `failure`, the reason that it did not."""

    state: WorkerState
    seconds: float
    memory: MemoryReport | None
    failure: str | None
    complaints: tuple[str, ...]


def probe_python(
    python: str, packages: Sequence[str], environment: Mapping[str, str], seconds: float = PROBE_SECONDS
) -> ProbedPython:
    """Look at a Python from inside, without importing the packages.

    Arguments: `python` its path; `environment` all of what it is started with. Raises `CannotProbe`.
    """
    try:
        done = subprocess.run(
            [python, str(PROBE), *packages],
            capture_output=True,
            timeout=seconds,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except OSError as error:
        raise CannotProbe(f"it cannot be started: {error.strerror or error}") from None
    except subprocess.TimeoutExpired:
        raise CannotProbe(f"it did not answer within {seconds:g} s") from None
    try:
        found = json.loads(done.stdout.decode("utf-8"))
        return ProbedPython(found["executable"], found["version"], found["versions"], found["torchCuda"])
    except (ValueError, KeyError, TypeError):
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it printed nothing"]
        raise CannotProbe(f"it is no Python that works (exit code {done.returncode}): {last[0]}") from None


def start_worker(settings: Settings, seconds: float) -> StartedWorker:
    """Start the worker as an editor would, ask it for its memory, and end it. Arguments: how long it may take."""
    return asyncio.run(_start_worker(settings, seconds))


async def _start_worker(settings: Settings, seconds: float) -> StartedWorker:
    settled = asyncio.Event()
    complaints: list[str] = []

    def hear(event: Event) -> None:
        if isinstance(event, Log) and event.level in ("warning", "error"):
            complaints.append(event.message)
        if isinstance(event, WorkerState) and event.state in ("idle", "crashed", "stopped"):
            settled.set()

    limits = Limits(starting=seconds, spare=None)
    supervisor = Supervisor(settings, hear, limits)
    began = time.monotonic()
    try:
        supervisor.prewarm()
        await settled.wait()
        state, passed = supervisor.state, time.monotonic() - began
        memory, failure = None, _reason(state, complaints)
        if failure is None:
            try:
                memory = await supervisor.memory()
            except WorkerFailure as error:
                failure = error.message
        return StartedWorker(state, passed, memory, failure, tuple(complaints))
    finally:
        await supervisor.close()


def _reason(state: WorkerState, complaints: Sequence[str]) -> str | None:
    """Why there is no worker; `None` if there is one."""
    if state.state == "idle":
        return None
    if state.exit is not None:
        return " | ".join([state.exit.reason, *state.exit.stderr_tail[-3:]])
    return complaints[-1] if complaints else "The worker ended without a word."
