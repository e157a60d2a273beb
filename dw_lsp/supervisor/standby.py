"""Spare processes: their libraries are imported, they have no device, and one can be the worker when one is needed.

There are two, made one after the other beside the worker: it may crash again before another one has imported. They
import with what the processor has left, during runs too; they go when memory is short, when the command of the worker
changes, and with us. Linux only, where they share the libraries' memory; elsewhere each worker is started afresh.
Nobody hears of a spare before it is the worker.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from dw_lsp.protocol import Activate, FromWorker, StandingBy, StartFailed
from dw_lsp.supervisor.command import NoCommand, WorkerCommand
from dw_lsp.supervisor.events import State, WorkerExit
from dw_lsp.supervisor.hurrying import hurry
from dw_lsp.supervisor.process import CannotSpawn, Listener, WorkerProcess, spawn

#: Free memory of the machine, in bytes: a spare (some 0.4 GB, a part of it shared) is made with this much and more, and
#: has to go when there is less than that.
ENOUGH_MEMORY, SHORT_MEMORY = 4 * 1024**3, 1024**3
#: Where the two generations of control groups tell: folder, limit, use, and what of it could be given up.
_CONTAINERS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
SPARES = 2
#: Spares that were ready and were killed by something else: after so many, no more are made until settings change.
MOST_LOST = 3


class Spare:
    """One process that stands by, and what it has said. Arguments: called when it has imported; when it is gone."""

    def __init__(self, imported: Callable[[], None], gone: Callable[[Spare], None]):
        self._imported, self._gone = imported, gone
        self._unwanted = False
        self.has_imported = False
        self.process: WorkerProcess | None = None
        self.said: list[FromWorker] = []
        self.ended = asyncio.Event()

    def started(self, process: WorkerProcess) -> None:
        self.process = process
        if self._unwanted:
            process.kill()

    def received(self, message: FromWorker) -> None:
        if isinstance(message, StandingBy):
            self.has_imported = True
            self._imported()
            return
        self.said.append(message)
        if isinstance(message, StartFailed):
            # It cannot be a worker; the next start in the usual way tells why.
            self.end()

    def misbehaved(self, reason: str) -> None:
        self.end()

    def printed(self, line: str) -> None:
        """What is printed before there is a worker concerns nobody."""

    def closed(self) -> None:
        self.end()

    def exited(self, exit: WorkerExit) -> None:
        self.ended.set()
        self._gone(self)

    def end(self) -> None:
        """Let it go."""
        self._unwanted = True
        if self.process is not None:
            self.process.kill()


class Standby:
    """Keeps the spares.

    Arguments: the command that a worker would be started with now, `None` where no spare fits; how long there has to be
    a worker before one is made (seconds, `None`: never is); free memory in bytes, where it is known.
    """

    def __init__(
        self,
        command: Callable[[], WorkerCommand | None],
        delay: float | None,
        free_memory: Callable[[], int | None] | None = None,
    ):
        self._command, self._delay = command, delay if sys.platform == "linux" else None
        self._free_memory = free_memory or available_memory
        self._has_worker = False
        self._timer: asyncio.TimerHandle | None = None
        self._making: asyncio.Task[None] | None = None
        self._spares: list[Spare] = []
        self._alive: set[Spare] = set()
        self._made_with: WorkerCommand | None = None
        self._unfit: WorkerCommand | None = None
        self._losses = 0
        self._closed = False

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the spares that have imported, for tests and for those who look after processes."""
        return tuple(each.process.pid for each in self._spares if each.process is not None and each.has_imported)

    def worker_is(self, state: State) -> None:
        """The worker is in this state now: one that is there shall have spares."""
        self._has_worker = state in ("idle", "busy")
        self._consider()

    def memory_is(self, free: int | None) -> None:
        """So many bytes of the machine's memory are free now."""
        if free is not None and free < SHORT_MEMORY:
            self.drop()

    def take(self, command: WorkerCommand, listener: Listener) -> bool:
        """Let a spare be the worker, if there is one for this very command. Returns whether it is now."""
        if self._made_with != command:
            self.drop()
        spare = next((each for each in self._spares if each.process is not None), None)
        if spare is None or spare.process is None:
            return False
        if not hurry(spare.process.pid) and not spare.has_imported:
            # Who may not raise priorities cannot hurry it everywhere; one that begins anew is there sooner.
            self.drop()
            return False
        self._spares.remove(spare)
        self._alive.discard(spare)
        spare.process.hand_over(listener)
        listener.started(spare.process)
        for message in spare.said:
            listener.received(message)
        spare.process.send(Activate())
        return True

    def drop(self) -> None:
        """Let the spares go, but for one that is the worker."""
        spares, self._spares = self._spares, []
        for spare in spares:
            spare.end()

    def check_command(self) -> None:
        """What starts a worker may have changed: a spare that was made for something else goes."""
        self._unfit, self._losses = None, 0
        if self._spares and self._made_with != self._wanted():
            self.drop()
        self._consider()

    async def close(self) -> None:
        """End the spares, and make no others; return when they are gone."""
        self._closed = True
        self._consider()
        if self._making is not None:
            await self._making
        self.drop()
        for spare in tuple(self._alive):
            await spare.ended.wait()

    # ------------------------------------------------------------ inside

    def _consider(self) -> None:
        """Begin to wait for the time to make a spare, or wait no longer."""
        wanted = self._has_worker and not self._closed and len(self._spares) < SPARES
        # One after the other: the first is of use the sooner.
        wanted = wanted and all(spare.has_imported for spare in self._spares)
        if not wanted and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        elif wanted and self._timer is None and self._delay is not None:
            self._timer = asyncio.get_running_loop().call_later(self._delay, self._begin)

    def _begin(self) -> None:
        self._timer = None
        command = self._wanted()
        free = self._free_memory()
        if command is None or command == self._unfit or (free is not None and free < ENOUGH_MEMORY):
            return
        spare, self._made_with = Spare(self._consider, self._lost), command
        self._spares.append(spare)
        self._alive.add(spare)
        self._making = asyncio.get_running_loop().create_task(self._make(command, spare))

    async def _make(self, command: WorkerCommand, spare: Spare) -> None:
        try:
            await spawn(command.standing_by(), spare)
        except CannotSpawn:
            spare.ended.set()
            self._lost(spare)

    def _wanted(self) -> WorkerCommand | None:
        try:
            return self._command()
        except NoCommand:
            return None

    def _lost(self, spare: Spare) -> None:
        """It is gone. If nobody wanted that, one that cannot import says how others of its command will fare."""
        self._alive.discard(spare)
        if spare in self._spares:
            self._spares.remove(spare)
            self._losses += 1
            if not spare.has_imported or self._losses >= MOST_LOST:
                self._unfit = self._made_with
            self._consider()


def available_memory() -> int | None:
    """Bytes of memory that could be used without pushing anything out; `None` where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    left = _left_in_container()
    return min([*found, *([left] if left is not None else [])], default=None)


def _left_in_container() -> int | None:
    """What the container that we are in may still use; `None` without one."""
    for folder, most, now, cache in _CONTAINERS:
        try:
            limit, used = ((Path(folder) / name).read_text(encoding="ascii").strip() for name in (most, now))
            lines = (Path(folder) / "memory.stat").read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        cached = sum(int(line.split()[1]) for line in lines if line.startswith(f"{cache} "))
        if limit.isdigit() and used.isdigit():
            return int(limit) - int(used) + cached
    return None
