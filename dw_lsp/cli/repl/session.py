"""The worker's side of the prompt: a supervisor on an event loop of its own, so that Ctrl-C reaches a run at once."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

from dw_lsp.cli.inputs import tell
from dw_lsp.cli.terminal import make_view
from dw_lsp.protocol import MemoryReport
from dw_lsp.settings import Settings
from dw_lsp.supervisor.events import Event, Log, MemoryChanged, RunFinished, WorkerState
from dw_lsp.supervisor.runs import RunRequest
from dw_lsp.supervisor.supervisor import Supervisor

Result = TypeVar("Result")


class Session:
    """A supervisor on an event loop of its own. Every method is called from another thread, and waits."""

    def __init__(self, settings: Settings):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="supervisor", daemon=True)
        self._thread.start()
        self._view = make_view(False, sys.stdout, sys.stderr)
        self._run: tuple[str | None, asyncio.Future[RunFinished]] | None = None
        self._memory: MemoryReport | None = None
        self._supervisor = self._made(settings)
        self.settings = settings

    def _made(self, settings: Settings) -> Supervisor:
        async def make() -> Supervisor:
            return Supervisor(settings, self._hear)

        return self._wait(make())

    @property
    def state(self) -> WorkerState:
        """What the worker is doing."""
        return self._supervisor.state

    @property
    def memory(self) -> MemoryReport | None:
        """The last report of a worker that is alive; what the worker says, never waited for."""
        return self._memory if self.state.pid is not None else None

    def prewarm(self) -> None:
        """Start a worker if there is none; do not wait for it."""
        self._loop.call_soon_threadsafe(self._supervisor.prewarm)

    def ask(self, question: Callable[[Supervisor], Awaitable[Result]]) -> Result:
        """What the supervisor answers. Raises `WorkerFailure`."""

        async def answer() -> Result:
            return await question(self._supervisor)

        return self._wait(answer())

    def run(self, request: RunRequest, path: Path) -> RunFinished:
        """Run a workflow and show how it goes. Ctrl-C cancels it; once more, without asking the worker.

        Called on the main thread, which hears Ctrl-C.
        """
        with self._interrupts():
            return self._wait(self._finished(request, path))

    def close(self) -> None:
        """End the worker and the loop."""
        self._wait(self._supervisor.close())
        self._view.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _finished(self, request: RunRequest, path: Path) -> RunFinished:
        self._view.begin(request.text, path)
        finished: asyncio.Future[RunFinished] = asyncio.get_running_loop().create_future()
        self._run = (None, finished)
        self._run = (self._supervisor.submit(request).run_id, finished)
        try:
            return await finished
        finally:
            self._run = None
            self._view.close()

    def _hear(self, event: Event) -> None:
        if isinstance(event, MemoryChanged):
            self._memory = event.report
        if self._run is None:
            if isinstance(event, WorkerState) and event.state == "crashed" and event.exit is not None:
                tell(event.exit.reason)
            elif isinstance(event, Log) and event.level == "error":
                tell(event.message)
            return
        self._view.show(event)
        run_id, finished = self._run
        if isinstance(event, RunFinished) and run_id in (None, event.run_id) and not finished.done():
            finished.set_result(event)

    @contextlib.contextmanager
    def _interrupts(self) -> Iterator[None]:
        """While this lasts, Ctrl-C is no exception, which could come anywhere, but a wish to the supervisor."""
        presses = itertools.count()

        def pressed(number: int, frame: object) -> None:
            # Twice into the loop: by then the run that is just being asked for is known there.
            cancel = functools.partial(self._cancel, force=next(presses) > 0)
            self._loop.call_soon_threadsafe(self._loop.call_soon, cancel)

        before = signal.signal(signal.SIGINT, pressed)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _cancel(self, force: bool) -> None:
        self._supervisor.cancel(force=force)
        if self._run is not None and not self._run[1].done() and not force:
            print("cancelling; Ctrl-C once more does not wait", file=sys.stderr, flush=True)

    def _wait(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise
