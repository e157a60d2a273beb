"""A spare process: its libraries are imported, it has no device, and it can be the worker as soon as one is needed.

It is made while the worker has nothing to do, sleeps while a run needs the processor, and goes when memory is short,
when the command of the worker changes, and with us. Linux only, where the two share the libraries' memory; elsewhere
each worker is started afresh. Nobody hears of it before it is the worker.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from dw_lsp.protocol import Activate, FromWorker, Hello, StartFailed
from dw_lsp.supervisor.command import NoCommand, WorkerCommand
from dw_lsp.supervisor.events import State, WorkerExit
from dw_lsp.supervisor.process import CannotSpawn, Listener, WorkerProcess, spawn

#: Free memory of the machine, in bytes: a spare (some 0.4 GB, a part of it shared) is made with this much and more, and
#: has to go when there is less than that.
ENOUGH_MEMORY, SHORT_MEMORY = 4 * 1024**3, 1024**3
#: Where the two generations of control groups tell: folder, limit, use, and what of it could be given up.
_CONTAINERS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
_PAUSED: tuple[State, ...] = ("starting", "busy", "unresponsive")


class Spare:
    """One process that stands by, and what it has said. Arguments: who is told when it is gone."""

    def __init__(self, gone: Callable[[Spare], None]):
        self._gone = gone
        self._still = self._unwanted = False
        self.process: WorkerProcess | None = None
        self.said: list[FromWorker] = []
        self.ended = asyncio.Event()

    def started(self, process: WorkerProcess) -> None:
        self.process = process
        if self._unwanted:
            process.kill()

    def received(self, message: FromWorker) -> None:
        self.said.append(message)
        if isinstance(message, Hello) and self._still:
            self.keep_still(True)
        elif isinstance(message, StartFailed):
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

    def keep_still(self, still: bool) -> None:
        """Let it sleep, or go on. Before its hello it goes on: until then it would not notice that we are gone."""
        self._still = still
        if self.process is not None and self.said:
            self.process.pause(still)

    def end(self) -> None:
        """Let it go."""
        self._unwanted = True
        if self.process is not None:
            self.process.kill()


class Standby:
    """Keeps at most one spare.

    Arguments: the command that a worker would be started with now, `None` where no spare fits; how long the worker has
    to be idle before one is made (seconds, `None`: never is); free memory in bytes, where it is known.
    """

    def __init__(
        self,
        command: Callable[[], WorkerCommand | None],
        idle: float | None,
        free_memory: Callable[[], int | None] | None = None,
    ):
        self._command, self._idle = command, idle if sys.platform == "linux" else None
        self._free_memory = free_memory or available_memory
        self._timer: asyncio.TimerHandle | None = None
        self._making: asyncio.Task[None] | None = None
        self._spare: Spare | None = None
        self._alive: set[Spare] = set()
        self._made_with: WorkerCommand | None = None
        self._unfit: WorkerCommand | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The spare's process id, for tests and for those who look after processes."""
        return self._spare.process.pid if self._spare is not None and self._spare.process is not None else None

    def worker_is(self, state: State) -> None:
        """The worker is in this state now: an idle one leaves time for a spare."""
        self._stop_timer()
        if self._spare is not None:
            self._spare.keep_still(state in _PAUSED)
        elif state == "idle" and self._idle is not None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(self._idle, self._begin)

    def memory_is(self, free: int | None) -> None:
        """So many bytes of the machine's memory are free now."""
        if free is not None and free < SHORT_MEMORY:
            self.drop()

    def take(self, command: WorkerCommand, listener: Listener) -> bool:
        """Let the spare be the worker, if there is one for this very command. Returns whether it is now."""
        spare = self._spare
        if spare is None or spare.process is None:
            return False
        if self._made_with != command:
            self.drop()
            return False
        self._spare = None
        self._alive.discard(spare)
        spare.keep_still(False)
        spare.process.hand_over(listener)
        listener.started(spare.process)
        for message in spare.said:
            listener.received(message)
        spare.process.send(Activate())
        return True

    def drop(self) -> None:
        """Let the spare go, as long as it is not the worker."""
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.end()

    def check_command(self) -> None:
        """What starts a worker may have changed: a spare that was made for something else goes."""
        self._unfit = None
        if self._spare is not None and self._made_with != self._wanted():
            self.drop()

    async def close(self) -> None:
        """End the spare, and make no other; return when it is gone."""
        self._closed = True
        self._stop_timer()
        if self._making is not None:
            await self._making
        self.drop()
        for spare in tuple(self._alive):
            await spare.ended.wait()

    # ------------------------------------------------------------ inside

    def _begin(self) -> None:
        self._timer = None
        command = self._wanted()
        free = self._free_memory()
        if command is None or command == self._unfit or (free is not None and free < ENOUGH_MEMORY):
            return
        self._spare, self._made_with = Spare(self._lost), command
        self._alive.add(self._spare)
        self._making = asyncio.get_running_loop().create_task(self._make(command, self._spare))

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
        """It is gone. If nobody wanted that, another one of the same command would go the same way."""
        self._alive.discard(spare)
        if self._spare is spare:
            self._spare, self._unfit = None, self._made_with

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


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
