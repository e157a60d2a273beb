"""What one worker says, and what it means: for its life, for the current run, for memory, for the front.

One `Hearing` for each process, so that nothing of an old worker is taken for the new one's. Decides nothing.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any, get_args

from dw_lsp.protocol import (
    PROTOCOL_VERSION,
    Advanced,
    FromWorker,
    Hello,
    LogLine,
    MemoryReported,
    Pong,
    PreviewMade,
    Ready,
    RequestFailed,
    ResultsWritten,
    RunBegan,
    RunEnded,
    StandingBy,
    StartFailed,
    StepEnded,
    StepProgress,
)
from dw_lsp.supervisor import life
from dw_lsp.supervisor.events import (
    Event,
    Log,
    LogLevel,
    MemoryChanged,
    Preview,
    RunProgress,
    RunStarted,
    StepFinished,
    WorkerExit,
)
from dw_lsp.supervisor.failures import timed_out
from dw_lsp.supervisor.memory_watch import MemoryWatch
from dw_lsp.supervisor.process import WorkerProcess
from dw_lsp.supervisor.requests import Requests
from dw_lsp.supervisor.runs import Run, Runs

logger = logging.getLogger(__name__)

_BEFORE_HELLO = (Hello, StartFailed, LogLine)
_LEVELS = get_args(LogLevel)


class Hearing:
    """Hears one worker.

    Arguments: the runs, memory and open questions that its words change; `happened` takes what matters to its life,
    `tell` what the front shall hear; `ending` says why the worker is being ended, if it is; `now` is the clock;
    `started` and `exited` take the process at its beginning and its end; `stack` tells where it was when it was asked.
    """

    def __init__(
        self,
        runs: Runs,
        memory: MemoryWatch,
        requests: Requests,
        happened: Callable[[life.Event], None],
        tell: Callable[[Event], None],
        ending: Callable[[], life.Ending | None],
        now: Callable[[], float],
        started: Callable[[WorkerProcess], None],
        exited: Callable[[WorkerExit], None],
        stack: Callable[[], str | None],
    ):
        self._runs, self._memory, self._requests = runs, memory, requests
        self._happened, self._tell, self._ending, self._now = happened, tell, ending, now
        self.started, self.exited, self._stack = started, exited, stack
        self.hello: Hello | None = None
        self.ready: Ready | None = None
        self.starting_with: str | None = None  # The last that it said it would do before it is ready.
        self._heard: dict[type, Callable[[Any], None]] = {
            Hello: self._hello,
            StandingBy: lambda _: None,  # Of a spare that was made the worker before it had imported.
            Ready: self._ready,
            StartFailed: self._start_failed,
            Pong: self._pong,
            MemoryReported: self._memory_reported,
            RequestFailed: self._request_failed,
            RunBegan: self._run_began,
            StepProgress: self._step_progress,
            Advanced: self._went_on,
            PreviewMade: self._preview_made,
            ResultsWritten: self._results_written,
            StepEnded: self._step_ended,
            RunEnded: self._run_ended,
            LogLine: self._log_line,
        }

    @property
    def pid(self) -> int | None:
        """Its process id as it tells it: where there is a wrapper, not that of the process that was started."""
        return self.hello.pid if self.hello else None

    def received(self, message: FromWorker) -> None:
        """Take in one message."""
        ending = self._ending()
        if ending is not None and ending.purpose == "broken":
            return
        self._happened(life.Heard())
        if self.hello is None and not isinstance(message, _BEFORE_HELLO):
            self.misbehaved(f"its first message is a {type(message).__name__} and not Hello")
        else:
            self._heard[type(message)](message)

    def misbehaved(self, reason: str) -> None:
        """What it sent cannot be understood."""
        self._happened(life.Misbehaved(reason))

    def printed(self, line: str) -> None:
        """A line on its standard error, where only native code and last words go."""
        current = self._runs.current
        self._tell(Log("warning", line, current.id if current else None))

    def closed(self) -> None:
        """It will send no more."""
        self._happened(life.ChannelClosed())

    # ------------------------------------------------------------ its life

    def _hello(self, message: Hello) -> None:
        self.hello = message
        if message.protocol_version != PROTOCOL_VERSION:
            self.misbehaved(
                f"it speaks version {message.protocol_version} of the protocol and this program version "
                f"{PROTOCOL_VERSION}; install the same dw-lsp on both sides ({message.executable})"
            )
        # The front is told of the interpreter while it still imports.
        self._happened(life.Heard())

    def _ready(self, message: Ready) -> None:
        self.ready, self.starting_with = message, None
        self._happened(life.BecameReady())

    def _start_failed(self, message: StartFailed) -> None:
        self._happened(life.StartRefused(message.message, message.hint))

    # ------------------------------------------------------------ answers, memory, log

    def _pong(self, message: Pong) -> None:
        self._memory.count(message.run_count)
        self._requests.answer(message)

    def _memory_reported(self, message: MemoryReported) -> None:
        running = self._runs.current is not None and message.request_id is None
        if self._memory.take(message.report, self._now(), always=running):
            self._tell(MemoryChanged(message.report))
        self._requests.answer(message)

    def _request_failed(self, message: RequestFailed) -> None:
        self._requests.answer(message)

    def _log_line(self, message: LogLine) -> None:
        if self.ready is None:
            self.starting_with = message.message
        level: LogLevel = next((level for level in _LEVELS if level == message.level), "info")
        self._tell(Log(level, message.message, message.run_id))

    # ------------------------------------------------------------ the run

    def _current(
        self,
        message: RunBegan | StepProgress | Advanced | PreviewMade | ResultsWritten | StepEnded | RunEnded,
    ) -> Run | None:
        run = self._runs.current
        if run is not None and run.id == message.run_id:
            return run
        logger.debug("a %s of a run that is over: %s", type(message).__name__, message.run_id)
        return None

    def _run_began(self, message: RunBegan) -> None:
        run = self._current(message)
        if run is not None and self._advanced(run, message):
            told = (message.workflow, message.steps, message.arguments)
            self._tell(RunStarted(run.id, run.request.uri, *told, estimate=message.estimate, seed=message.seed))

    def _step_progress(self, message: StepProgress) -> None:
        run = self._current(message)
        if run is not None:
            self._advanced(run, message)
            self._tell(RunProgress(**_fields(message)))

    def _went_on(self, message: Advanced) -> None:
        if self._current(message) is not None:
            self._happened(life.Progressed())

    def _preview_made(self, message: PreviewMade) -> None:
        if self._current(message) is not None:
            self._tell(Preview(**_fields(message)))

    def _results_written(self, message: ResultsWritten) -> None:
        run = self._current(message)
        if run is not None:
            self._advanced(run, message)

    def _step_ended(self, message: StepEnded) -> None:
        run = self._current(message)
        if run is not None:
            self._advanced(run, message)
            if message.outcome in ("ran", "reused"):
                self._tell(StepFinished(**_fields(message)))

    def _advanced(self, run: Run, message: RunBegan | StepProgress | ResultsWritten | StepEnded) -> bool:
        advanced = run.note(message, self._now())
        if advanced:
            self._happened(life.Progressed())
        return advanced

    def _run_ended(self, message: RunEnded) -> None:
        run = self._current(message)
        if run is None:
            return
        ending = self._ending()
        late = ending is not None and ending.purpose == "timedOut"
        finished = self._runs.finish(
            message, timed_out(ending.reason, run.place, self._stack()) if ending and late else None
        )
        self._memory.take(message.memory, self._now(), always=True)
        self._tell(finished)
        self._tell(MemoryChanged(message.memory))
        self._happened(life.RunDone())


def _fields(message: Any) -> dict[str, Any]:
    return {part.name: getattr(message, part.name) for part in dataclasses.fields(message)}
