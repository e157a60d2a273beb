"""A front that remembers every event, and supervisors of scripted workers: real processes, short limits."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from dw_lsp.settings import Settings
from dw_lsp.supervisor.deadlines import Limits
from dw_lsp.supervisor.events import Event, RunFinished
from dw_lsp.supervisor.runs import RunRequest, Submitted
from dw_lsp.supervisor.supervisor import Supervisor

SCRIPT = Path(__file__).with_name("scripted_worker.py")
PATIENCE = 30.0
Kind = TypeVar("Kind", bound=Event)


def settings_with(**sections: dict[str, Any]) -> Settings:
    """The default settings with some changed: `run={"timeout_seconds": 1}`."""
    settings = Settings()
    changed = {name: dataclasses.replace(getattr(settings, name), **values) for name, values in sections.items()}
    return dataclasses.replace(settings, **changed)


def scripted_command(start: dict[str, Any]) -> tuple[str, ...]:
    """The command of a worker that begins as the script says."""
    return (sys.executable, str(SCRIPT), json.dumps(start))


class Front:
    """A supervisor and all that it told. Arguments: what its workers do at the start, limits, and settings."""

    def __init__(self, start: dict[str, Any], limits: Limits, sections: dict[str, dict[str, Any]]):
        sections = {**sections, "worker": {"command": scripted_command(start), **sections.get("worker", {})}}
        self.settings = settings_with(**sections)
        self.events: list[Event] = []
        self._news = asyncio.Event()
        self.supervisor = Supervisor(self.settings, self._hear, limits)

    def _hear(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    def submit(self, *commands: list[Any], **changes: Any) -> Submitted:
        """Have a run with this script."""
        request = RunRequest("file:///a.dw.json", json.dumps(commands), output_directory="/tmp")
        return self.supervisor.submit(dataclasses.replace(request, **changes))

    def of(self, kind: type[Kind]) -> list[Kind]:
        """All events of a kind, in their order."""
        return [event for event in self.events if isinstance(event, kind)]

    def states(self) -> list[str]:
        """The states of the worker, in their order."""
        from dw_lsp.supervisor.events import WorkerState

        found: list[str] = []
        for event in self.of(WorkerState):
            if not found or found[-1] != event.state:
                found.append(event.state)
        return found

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what an event brings about."""
        end = time.monotonic() + PATIENCE
        while not condition():
            self._news.clear()
            left = end - time.monotonic()
            assert left > 0, f"it did not come about; the events were {self.events}"
            try:
                await asyncio.wait_for(self._news.wait(), min(left, 0.05))
            except asyncio.TimeoutError:
                continue

    async def finished(self, submitted: Submitted) -> RunFinished:
        """The one end of a run."""
        await self.until(lambda: any(event.run_id == submitted.run_id for event in self.of(RunFinished)))
        [event] = [event for event in self.of(RunFinished) if event.run_id == submitted.run_id]
        return event

    async def state(self, state: str) -> None:
        """Wait until the worker is in this state."""
        await self.until(lambda: self.supervisor.state.state == state)

    async def ready(self) -> int:
        """Wait until there is an idle worker. Returns its process id."""
        self.supervisor.prewarm()
        await self.state("idle")
        assert self.supervisor.state.pid is not None
        return self.supervisor.state.pid


def is_alive(pid: int) -> bool:
    """Whether a process of this id is there and is no zombie."""
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat")
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):  # Also between looking whether it is there and reading.
        return False


async def gone(pid: int) -> bool:
    """Whether the process is gone within a few seconds."""
    end = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < end:
        await asyncio.sleep(0.02)
    return not is_alive(pid)


MakeFront = Callable[..., Front]


@pytest.fixture
async def make_front() -> AsyncIterator[MakeFront]:
    """Makes fronts; closes them all, and checks that none left a process behind."""
    fronts: list[Front] = []

    def make(start: dict[str, Any] | None = None, limits: Limits | None = None, **sections: dict[str, Any]) -> Front:
        fronts.append(Front(start or {}, limits or Limits(), sections))
        return fronts[-1]

    yield make
    for front in fronts:
        pid = front.supervisor.state.pid
        await asyncio.wait_for(front.supervisor.close(), PATIENCE)
        assert pid is None or await gone(pid)


@pytest.fixture
def scripted() -> Callable[[dict[str, Any]], tuple[str, ...]]:
    """Makes the command of a scripted worker."""
    return scripted_command


@pytest.fixture
def alive() -> Callable[[int], bool]:
    """Tells whether a process is there."""
    return is_alive
