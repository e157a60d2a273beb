"""The spares: when there are some, when there are none, and that one becomes the worker the moment one is needed."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from dw_lsp.supervisor.command import WorkerCommand
from dw_lsp.supervisor.deadlines import Limits
from dw_lsp.supervisor.standby import ENOUGH_MEMORY, MOST_LOST, SHORT_MEMORY, SPARES, Standby, available_memory

SCRIPT = Path(__file__).with_name("scripted_worker.py")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a worker is always started afresh")


@pytest.fixture
def interpreter(tmp_path: Path) -> Callable[..., str]:
    """A program that takes itself for a Python with torch: whatever it is told to run, it is a scripted worker."""

    def make(**start: Any) -> str:
        program = tmp_path / f"python{len(list(tmp_path.iterdir()))}"
        command = shlex.join([sys.executable, str(SCRIPT), json.dumps(start)])
        program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        program.chmod(0o755)
        return str(program)

    return make


@pytest.fixture
async def front(make_front: Any, interpreter: Any) -> AsyncIterator[Any]:
    """A front whose worker gets a spare as soon as it is idle."""
    yield make_front({}, Limits(spare=0.05), worker={"command": (), "python": interpreter()})


async def with_spares(front: Any) -> tuple[int, tuple[int, ...]]:
    """Wait for a worker and its spares. Returns their process ids."""
    worker = await front.ready()
    await front.until(lambda: len(front.supervisor._standby.pids) == SPARES)
    spares = front.supervisor._standby.pids
    assert len({worker, *spares}) == 1 + SPARES
    return worker, spares


async def all_gone(front: Any, alive: Any, pids: tuple[int, ...]) -> None:
    await front.until(lambda: not any(alive(pid) for pid in pids))


async def test_a_spare_is_the_worker_after_a_crash(front: Any) -> None:
    worker, spares = await with_spares(front)
    os.kill(worker, signal.SIGKILL)
    await front.state("crashed")
    finished = await front.finished(front.submit())
    assert finished.outcome == "succeeded"
    assert front.supervisor.state.pid == spares[0]


async def test_a_worker_that_crashes_again_at_once_is_replaced_as_quickly(front: Any) -> None:
    worker, spares = await with_spares(front)
    front.supervisor._standby._delay = None  # As if no other could be made so soon.
    for crashing, next_one in ((worker, spares[0]), (spares[0], spares[1])):
        os.kill(crashing, signal.SIGKILL)
        await front.until(lambda: front.supervisor.state.pid == next_one)  # noqa: B023
        await front.state("idle")


async def test_a_cancel_that_costs_the_worker_is_answered_by_a_spare(front: Any) -> None:
    _, spares = await with_spares(front)
    submitted = front.submit(["began", "one"], ["advance"], ["hang"])
    await front.state("busy")
    front.supervisor.cancel(force=True)
    assert (await front.finished(submitted)).outcome == "cancelled"
    await front.state("idle")
    assert front.supervisor.state.pid == spares[0]


async def test_nobody_sees_the_spares(front: Any) -> None:
    worker, _ = await with_spares(front)
    states = [event.pid for event in front.events if hasattr(event, "pid")]
    assert set(states) <= {None, worker}
    assert front.supervisor.state.pid == worker


async def test_a_run_that_begins_at_once_has_spares_too(front: Any) -> None:
    front.supervisor.prewarm()
    submitted = front.submit(["began", "one"], ["hang"])
    await front.until(lambda: len(front.supervisor._standby.pids) == SPARES)
    assert front.supervisor.state.state == "busy"
    front.supervisor.cancel(force=True)
    await front.finished(submitted)


async def test_one_that_is_needed_before_it_has_imported_is_the_worker_as_well(
    make_front: Any, interpreter: Any
) -> None:
    front = make_front({}, Limits(spare=0.01), worker={"command": (), "python": interpreter(import_seconds=0.5)})
    worker = await front.ready()
    await front.until(lambda: any(spare.said for spare in front.supervisor._standby._spares))
    os.kill(worker, signal.SIGKILL)
    await front.state("crashed")
    assert (await front.finished(front.submit())).outcome == "succeeded"
    assert front.supervisor.state.pid != worker and front.states().count("crashed") == 1


async def test_there_are_as_many_again_for_the_next_crash(front: Any) -> None:
    worker, spares = await with_spares(front)
    os.kill(worker, signal.SIGKILL)
    await front.state("crashed")
    _, others = await with_spares(front)
    assert front.supervisor.state.pid == spares[0] and others[0] == spares[1]
    assert others[1] not in (worker, *spares)


async def test_one_that_something_kills_is_replaced_a_few_times(front: Any) -> None:
    _, spares = await with_spares(front)
    for _ in range(MOST_LOST - 1):
        os.kill(front.supervisor._standby.pids[0], signal.SIGKILL)
        await front.until(lambda: spares[0] not in front.supervisor._standby.pids)  # noqa: B023
        _, spares = await with_spares(front)
    os.kill(spares[0], signal.SIGKILL)
    await front.until(lambda: front.supervisor._standby.pids == spares[1:])
    await asyncio.sleep(0.3)
    assert front.supervisor._standby.pids == spares[1:]


async def test_close_leaves_no_spare(front: Any, alive: Any) -> None:
    _, spares = await with_spares(front)
    await front.supervisor.close()
    assert not any(alive(pid) for pid in spares)


async def test_a_shutdown_takes_them_too(front: Any, alive: Any) -> None:
    _, spares = await with_spares(front)
    await front.supervisor.shutdown()
    await all_gone(front, alive, spares)
    await asyncio.sleep(0.2)
    assert not front.supervisor._standby._alive


async def test_a_restart_that_the_user_wants_imports_anew(front: Any, alive: Any) -> None:
    _, spares = await with_spares(front)
    await front.supervisor.restart()
    assert front.supervisor.state.pid not in spares
    await all_gone(front, alive, spares)


async def test_another_interpreter_makes_them_useless(front: Any, interpreter: Any, alive: Any) -> None:
    _, spares = await with_spares(front)
    settings = front.settings
    worker = dataclasses.replace(settings.worker, python=interpreter(import_seconds=0.01))
    front.supervisor.configure(dataclasses.replace(settings, worker=worker))
    await all_gone(front, alive, spares)


async def test_other_settings_do_not(front: Any, alive: Any) -> None:
    _, spares = await with_spares(front)
    front.supervisor.configure(front.settings)
    await asyncio.sleep(0.1)
    assert all(alive(pid) for pid in spares) and front.supervisor._standby.pids == spares


async def test_a_command_of_the_users_own_gets_none(make_front: Any) -> None:
    front = make_front({}, Limits(spare=0.01))
    await front.ready()
    await asyncio.sleep(0.3)
    assert not front.supervisor._standby._alive


async def test_there_is_none_before_the_first_worker(make_front: Any, interpreter: Any) -> None:
    settings = {"command": (), "python": interpreter(), "prewarm": "onRun"}
    front = make_front({}, Limits(spare=0.01), worker=settings)
    await asyncio.sleep(0.2)
    assert not front.supervisor._standby._alive and front.supervisor.state.state == "stopped"


async def test_one_that_cannot_live_is_tried_once(make_front: Any, interpreter: Any, tmp_path: Path) -> None:
    good, tries = interpreter(), tmp_path / "tries"
    program = tmp_path / "moody"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *--standby*) echo >> {tries}; exit 3;; esac\nexec {good} "$@"\n', encoding="utf-8"
    )
    program.chmod(0o755)
    front = make_front({}, Limits(spare=0.01), worker={"command": (), "python": str(program)})
    await front.ready()
    for _ in range(3):
        await front.finished(front.submit())
        await asyncio.sleep(0.15)
    assert tries.read_text().count("\n") == 1
    assert front.states()[-1] == "idle"


async def test_short_memory_sends_them_away(front: Any, alive: Any) -> None:
    _, spares = await with_spares(front)
    front.supervisor._standby.memory_is(SHORT_MEMORY)
    assert all(alive(pid) for pid in spares)
    front.supervisor._standby.memory_is(SHORT_MEMORY - 1)
    await all_gone(front, alive, spares)


@pytest.mark.parametrize(("free", "wanted"), [(ENOUGH_MEMORY - 1, 0), (ENOUGH_MEMORY, 1), (None, 1)])
async def test_it_is_made_only_where_there_is_room(free: int | None, wanted: int) -> None:
    asked: list[int] = []
    standby = Standby(lambda: asked.append(1), 0.0, lambda: free)  # type: ignore[arg-type, return-value]
    made: list[Any] = []
    standby._make = lambda *given: made.append(given) or asyncio.sleep(0)  # type: ignore[assignment, func-returns-value]
    standby._command = lambda: WorkerCommand(("python",), {})
    standby.worker_is("idle")
    await asyncio.sleep(0.05)
    assert len(made) == wanted


def test_free_memory_is_known_here() -> None:
    free = available_memory()
    assert free is not None and 0 < free < 1 << 50
