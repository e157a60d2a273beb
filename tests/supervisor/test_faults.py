"""Under faults at random, each accepted run ends exactly once, and nothing is left behind, whoever dies first."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dw_lsp.supervisor.deadlines import Limits
from dw_lsp.supervisor.events import Log, RunFinished
from dw_lsp.supervisor.failures import WorkerFailure

ROOT = Path(__file__).resolve().parents[2]
QUICK = Limits(
    starting=10,
    cancelling=0.1,
    leaving=0.2,
    closing=0.2,
    terminating=0.1,
    ping=0.05,
    answer=0.2,
    silence=0.3,
    request=0.3,
)
SCRIPTS: list[list[list[Any]]] = [
    [],
    [["began", "one"], ["advance"], ["end_step", "one"]],
    [["sleep", 0.05]],
    [["sleep", 30]],
    [["began", "one"], ["advance"], ["hang"]],
    [["obey_not"], ["hang"]],
    [["die", "SIGKILL"]],
    [["die", "SIGSEGV"]],
    [["exit", 0]],
    [["tear"]],
    [["write_text", "nonsense that is no frame"]],
    [["close_output"]],
    [["freeze"]],
    [["flood", 20_000]],
    [["fail", "no such model"]],
    [["breed"], ["die", "SIGABRT"]],
]


async def trouble(front: Any, chance: random.Random, accepted: list[str]) -> None:
    """One thing that a user, or fate, may do."""
    supervisor = front.supervisor
    kind = chance.randrange(10)
    if kind < 5:
        accepted.append(front.submit(*chance.choice(SCRIPTS)).run_id)
    elif kind == 5:
        supervisor.cancel(chance.choice([None, *accepted[-4:]]), force=chance.random() < 0.3)
    elif kind == 6 and supervisor.state.pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(supervisor.state.pid, chance.choice([signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM]))
    elif kind == 7:
        question = chance.choice([supervisor.ping, supervisor.memory, supervisor.clear])
        with contextlib.suppress(WorkerFailure):
            await question()
    elif kind == 8 and chance.random() < 0.5:
        await supervisor.restart()
    elif kind == 9 and chance.random() < 0.3:
        await supervisor.shutdown()


@pytest.mark.parametrize("seed", range(6))
async def test_each_run_ends_exactly_once(make_front: Any, seed: int) -> None:
    chance = random.Random(seed)
    accepted: list[str] = []
    front = make_front({}, QUICK, run={"timeout_seconds": 1.0})
    for _ in range(60):
        await trouble(front, chance, accepted)
        await asyncio.sleep(chance.choice([0, 0, 0.01, 0.1]))
    await asyncio.wait_for(front.supervisor.close(), 20)
    ended = Counter(event.run_id for event in front.of(RunFinished))
    assert ended == Counter(accepted)
    assert front.supervisor.state.state == "stopped"


PARENT = """
import asyncio, sys
sys.path.insert(0, {root!r})
from dw_lsp.settings import Settings, WorkerSettings
from dw_lsp.supervisor.runs import RunRequest
from dw_lsp.supervisor.supervisor import Supervisor

async def main():
    settings = Settings(worker=WorkerSettings(command={command!r}))
    supervisor = Supervisor(settings, lambda event: None)
    supervisor.submit(RunRequest("file:///a", {text!r}, output_directory="/tmp"))
    while supervisor.state.state != "busy":
        await asyncio.sleep(0.01)
    print(supervisor.state.pid, flush=True)
    {then}

asyncio.run(main())
"""


def parent(command: tuple[str, ...], text: str, then: str) -> tuple[subprocess.Popen[str], int]:
    """A process with a supervisor whose worker is busy, and the worker's process id."""
    program = textwrap.dedent(PARENT).format(root=str(ROOT), command=command, text=text, then=then)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@pytest.mark.parametrize("text", ['[["sleep", 300]]', '[["hang"]]'])
async def test_a_worker_does_not_outlive_a_parent_that_is_killed(scripted: Any, alive: Any, text: str) -> None:
    process, worker = parent(scripted({}), text, "await asyncio.sleep(300)")
    assert alive(worker)
    process.kill()
    process.communicate()
    for _ in range(200):
        if not alive(worker):
            break
        await asyncio.sleep(0.05)
    assert not alive(worker)


@pytest.mark.parametrize("text", ['[["sleep", 300]]', '[["obey_not"], ["hang"]]'])
async def test_close_leaves_nothing_behind(scripted: Any, alive: Any, text: str) -> None:
    process, worker = parent(scripted({}), text, "await supervisor.close()")
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert not alive(worker)


async def test_close_takes_the_grandchildren_too(make_front: Any, alive: Any) -> None:
    front = make_front()
    front.submit(["breed"], ["sleep", 300])
    await front.until(lambda: bool(front.of(Log)))
    child = int(front.of(Log)[0].message.split()[1])
    await front.supervisor.close()
    await front.until(lambda: not alive(child))
