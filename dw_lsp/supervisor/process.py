"""One worker process and its pipes: start it, hear it, write to it, end it with all its children.

A fresh interpreter in a session of its own, never a fork of ours. Death is an event: it is told at once, after what the
process still had to say. Knows no runs and no reasons.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any, Protocol, cast

from dw_lsp.protocol import FromWorker, MalformedMessage, TellStacks, ToWorker, encode
from dw_lsp.supervisor.channel import Frames
from dw_lsp.supervisor.command import WorkerCommand
from dw_lsp.supervisor.error_stream import ErrorStream
from dw_lsp.supervisor.events import WorkerExit
from dw_lsp.supervisor.exits import describe_exit, kills_for_memory
from dw_lsp.supervisor.stacks import place_of_death, place_of_main_thread

if sys.platform == "win32":
    from dw_lsp.supervisor.process_windows import NEW_GROUP, ProcessTree

#: How long the last words of a dead process are waited for; a grandchild may hold its pipes open.
LAST_WORDS_SECONDS = 0.5
_OUTPUT, _ERRORS = 1, 2


class CannotSpawn(Exception):
    """The operating system did not start the command: which, and why."""


class Listener(Protocol):
    """Who is told what a process says and how it ends. Called on the event loop, never again after `exited`."""

    def started(self, process: WorkerProcess) -> None:
        """It is there; called before everything else."""

    def received(self, message: FromWorker) -> None:
        """A message came."""

    def misbehaved(self, reason: str) -> None:
        """Something came that is no message; nothing more can be read."""

    def printed(self, line: str) -> None:
        """A line came on standard error."""

    def closed(self) -> None:
        """It will send no more."""

    def exited(self, exit: WorkerExit) -> None:
        """It is gone."""


class WorkerProcess(asyncio.SubprocessProtocol):
    """A running worker. Made by `spawn`."""

    def __init__(self, listener: Listener):
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._frames: Frames | None = Frames()
        self._errors = ErrorStream()
        self._open = {_OUTPUT, _ERRORS}
        self._code: int | None = None
        self._told = False
        self._asked_at: int | None = None
        self._kills = kills_for_memory()

    @property
    def pid(self) -> int:
        """Its process id, which is that of its group as well."""
        return self._transport.get_pid()

    def send(self, message: ToWorker) -> None:
        """Write one message; one that dies meanwhile never reads it. Raises `ValueError` for one that is too large."""
        data = encode(message)
        stdin = self._stdin()
        if not stdin.is_closing():
            stdin.write(data)

    def close_input(self) -> None:
        """Let it see the end of its standard input, at which every worker ends."""
        self._stdin().close()

    @property
    def stack(self) -> str | None:
        """Where native code died, else where the main thread was when stacks were asked for; as far as was written."""
        asked = () if self._asked_at is None else self._errors.since(self._asked_at)
        return place_of_death(self._errors.kept) or place_of_main_thread(asked)

    @property
    def is_torn(self) -> bool:
        """Whether it has begun a message and not ended it."""
        return self._frames is not None and self._frames.torn

    def forget_stacks(self) -> None:
        """What was asked of an earlier run tells nothing of the next."""
        self._asked_at = None

    def stands_still(self, worker: int | None) -> bool:
        """Whether a worker of ours was stopped by a signal from outside, where the system tells. Arguments: its id."""
        if worker is None or not self._is_ours(worker):
            return False
        try:
            told = Path(f"/proc/{worker}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        return told.rpartition(")")[2].split()[0] == "T"

    def dump_stacks(self, worker: int | None) -> None:
        """Make a worker of ours write the stacks of its threads to standard error.

        Arguments: `worker` is the process id that it has told. A process of ours, be it behind a wrapper, gets a
        signal, which is heard even when it is stuck; any other a message.
        """
        self._asked_at = self._errors.mark
        if sys.platform == "win32" or worker is None or not self._is_ours(worker):
            self.send(TellStacks())
        elif self._code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGUSR1)
                # One that was stopped from outside hears nothing but this.
                os.kill(worker, signal.SIGCONT)

    def hand_over(self, listener: Listener) -> None:
        """Tell another listener from now on."""
        self._listener = listener

    def terminate(self) -> None:
        """Ask it and its children to end: by a signal, and by the end of its input, which crosses ssh too."""
        if sys.platform == "win32":
            self._tree.terminate()
        else:
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)
        self.close_input()

    def kill(self) -> None:
        """End it and its children."""
        if sys.platform == "win32":
            self._tree.terminate()
        else:
            self._signal(signal.SIGKILL)

    def abandon(self) -> None:
        """Give it up for dead, though it may still be there."""
        self._tell_exit()

    # ------------------------------------------------------------ called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)
        if sys.platform == "win32":
            self._tree = ProcessTree(self.pid)
        self._listener.started(self)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if self._told:
            return
        if fd == _ERRORS:
            for line in self._errors.feed(data, self._loop.time()):
                self._listener.printed(line)
        elif self._frames is not None:
            try:
                for message in self._frames.feed(data):
                    self._listener.received(message)
            except MalformedMessage as error:
                self._frames = None
                self._listener.misbehaved(str(error))

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open.discard(fd)
        if self._code is not None and not self._open:
            self._tell_exit()
        elif fd == _OUTPUT and not self._told:
            self._listener.closed()

    def process_exited(self) -> None:
        self._code = self._transport.get_returncode()
        # What it started would otherwise live on, holding memory and our pipes.
        self.kill()
        if self._open:
            self._loop.call_later(LAST_WORDS_SECONDS, self._tell_exit)
        else:
            self._tell_exit()

    # ------------------------------------------------------------ inside

    def _stdin(self) -> asyncio.WriteTransport:
        return cast(asyncio.WriteTransport, self._transport.get_pipe_transport(0))

    def _signal(self, number: signal.Signals) -> None:
        if sys.platform != "win32":
            # Gone already, or (macOS) nothing but a zombie: what was wanted has come about.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def _is_ours(self, worker: int) -> bool:
        """Whether it is a process of this session: over ssh or in a container, that number means another one here."""
        if sys.platform == "win32" or worker == self.pid:
            return worker == self.pid
        try:
            return os.getsid(worker) == self.pid
        except OSError:
            return False

    def _tell_exit(self) -> None:
        if self._told:
            return
        self._told = True
        self._transport.close()
        if sys.platform == "win32":
            self._tree.close()
        kills = kills_for_memory()
        ran_out = kills is not None and self._kills is not None and kills > self._kills
        self._listener.exited(describe_exit(self._code, self._errors.tail, ran_out))


async def spawn(command: WorkerCommand, listener: Listener) -> WorkerProcess:
    """Start the command with pipes for its three streams, in a session of its own. The listener gets it even earlier.

    Raises `CannotSpawn` when the operating system refuses.
    """
    try:
        _, process = await asyncio.get_running_loop().subprocess_exec(
            lambda: WorkerProcess(listener), *command.arguments, env=dict(command.environment), **_own_group()
        )
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CannotSpawn(f"The worker's command {command.arguments[0]!r} could not be started: {cause}.") from error
    return process


def _own_group() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": NEW_GROUP}
    return {"start_new_session": True}
