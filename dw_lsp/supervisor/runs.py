"""The runs: those that wait, the one that runs, and how each ends. Only this module makes a `RunFinished`.

A run is taken out of the queue in the same step in which its end is made, so each ends exactly once. Pure: the caller
brings the clock. Knows no worker; the text and the arguments of a run go through it unread.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from dw_lsp.protocol import (
    JsonObject,
    MemoryReport,
    ResultsWritten,
    RunBegan,
    RunEnded,
    RunError,
    RunOutcome,
    StepEnded,
    StepOutcome,
    StepProgress,
    StepResult,
    StepSummary,
)
from dw_lsp.supervisor.events import RunFinished


@dataclass(frozen=True)
class RunRequest:
    """What a front wants to have run: the text as the editor has it.

    `roots` are the folders that the run may read from; `step` is the last step to run, `None` runs all.
    `output_directory` of `None` is the setting's; `profile_memory`: a timeline of memory is written beside the results.
    """

    uri: str
    text: str
    document_path: str | None = None
    roots: tuple[str, ...] = ()
    arguments: JsonObject = field(default_factory=dict)
    step: str | None = None
    seed: int | None = None
    output_directory: str | None = None
    profile_memory: bool = False


@dataclass(frozen=True)
class Submitted:
    """An accepted run. `position` is the number of runs before it: 0 runs now, or as soon as there is a worker."""

    run_id: str
    position: int


@dataclass(frozen=True)
class Cancelled:
    """Whether there was a run to cancel."""

    run_id: str | None
    cancelled: bool


@dataclass(frozen=True)
class Known:
    """What is known of the worker when a run ends without its word."""

    memory: MemoryReport | None = None
    run_count: int = 0


class Run:
    """One accepted run and what has been heard of it."""

    def __init__(self, run_id: str, request: RunRequest):
        self.id, self.request = run_id, request
        self.began: float | None = None
        self.seed = request.seed
        self._steps: tuple[str, ...] = ()
        self._ended: dict[str, StepEnded] = {}
        self._results: dict[StepResult, None] = {}
        self._progress: StepProgress | None = None
        self._step_began = 0.0

    @property
    def step(self) -> str | None:
        """The step that is being carried out."""
        return self._progress.step if self._progress else None

    @property
    def place(self) -> str:
        """Where the run is, for people; empty when nothing was heard of it yet."""
        last = self._progress
        if last is None:
            return ""
        if last.current is None:
            return f"step {last.step!r} ({last.phase})"
        whole = "" if last.total is None else f"/{last.total}"
        unit = f" {last.unit.removesuffix('s')}s" if last.unit else ""
        return f"step {last.step!r} ({last.phase} {last.current}{whole}{unit})"

    def note(self, message: RunBegan | StepProgress | ResultsWritten | StepEnded, now: float) -> bool:
        """Remember what the worker said. Returns whether the run advanced: the same once more is no progress."""
        if isinstance(message, RunBegan):
            self._steps = message.steps
            self.seed = self.seed if message.seed is None else message.seed
            return True
        if isinstance(message, (ResultsWritten, StepEnded)):
            self._results.update(dict.fromkeys(message.results))
        if isinstance(message, ResultsWritten):
            return True
        if isinstance(message, StepEnded):
            self._ended[message.step] = message
            self._progress = None
            return True
        before = self._progress
        if before is None or before.step != message.step:
            self._step_began = now
        self._progress = message
        return before is None or _without_speed(before) != _without_speed(message)

    def summaries(self, interrupted: StepOutcome, now: float) -> tuple[StepSummary, ...]:
        """Each step as far as it came. Arguments: the outcome of the one that was under way; the time."""
        names = list(self._steps)
        names += [name for name in (*self._ended, *([self.step] if self.step else [])) if name not in names]
        return tuple(self._summary(name, interrupted, now) for name in names)

    def _summary(self, name: str, interrupted: StepOutcome, now: float) -> StepSummary:
        ended = self._ended.get(name)
        if ended is not None:
            return StepSummary(name, ended.outcome, ended.seconds)
        if name == self.step:
            return StepSummary(name, interrupted, now - self._step_began)
        return StepSummary(name, "notRun")

    def results(self) -> tuple[StepResult, ...]:
        """The results that were told of, those of a step under way too."""
        return tuple(self._results)


def _without_speed(progress: StepProgress) -> StepProgress:
    return dataclasses.replace(progress, eta=None, seconds_per_unit=None)


class Runs:
    """The queue. Arguments: `new_id` makes the name of a run."""

    def __init__(self, new_id: Callable[[], str] = lambda: secrets.token_hex(6)):
        self._new_id = new_id
        self._waiting: deque[Run] = deque()
        self.current: Run | None = None

    @property
    def any_waiting(self) -> bool:
        """Whether a run waits for a worker."""
        return bool(self._waiting)

    @property
    def foremost(self) -> str | None:
        """The run that runs, else the one that will be next."""
        if self.current is not None:
            return self.current.id
        return self._waiting[0].id if self._waiting else None

    def submit(self, request: RunRequest) -> Submitted:
        """Accept a run, at the end of the queue."""
        position = len(self._waiting) + (self.current is not None)
        run = Run(self._new_id(), request)
        self._waiting.append(run)
        return Submitted(run.id, position)

    def begin(self, now: float) -> Run:
        """Take the next run out of the queue: it is the current one from now on."""
        if self.current is not None:
            raise RuntimeError("a run was begun before the last one ended")
        run = self.current = self._waiting.popleft()
        run.began = now
        return run

    def finish(self, ended: RunEnded, time_limit: RunError | None = None) -> RunFinished:
        """End the current run as the worker says.

        Arguments: the worker's word; the error if the run was cancelled because it took too long.
        """
        run = self._take_current()
        outcome, error = ended.outcome, ended.error
        if outcome == "cancelled" and time_limit is not None:
            outcome, error = "timedOut", dataclasses.replace(time_limit, step=run.step)
        return RunFinished(
            run_id=run.id,
            uri=run.request.uri,
            outcome=outcome,
            seconds=ended.seconds,
            run_count=ended.run_count,
            seed=ended.seed,
            steps=ended.steps,
            results=ended.results,
            loaded=ended.loaded,
            reused=ended.reused,
            memory=ended.memory,
            error=error,
        )

    def close_current(self, outcome: RunOutcome, error: RunError, now: float, known: Known) -> RunFinished:
        """End the current run without the worker's word, with all that was heard of it."""
        run = self._take_current()
        return _closed(run, outcome, dataclasses.replace(error, step=run.step), now, known)

    def close_waiting(self, run_id: str, now: float, known: Known) -> RunFinished | None:
        """End a run that waits as cancelled; `None` when none of that name does."""
        for run in self._waiting:
            if run.id == run_id:
                self._waiting.remove(run)
                return _closed(run, "cancelled", None, now, known)
        return None

    def close_all_waiting(
        self, outcome: RunOutcome, error: RunError | None, now: float, known: Known
    ) -> Iterator[RunFinished]:
        """End all runs that wait now, in their order; those that are submitted meanwhile are not touched."""
        for _ in range(len(self._waiting)):
            yield _closed(self._waiting.popleft(), outcome, error, now, known)

    def _take_current(self) -> Run:
        run, self.current = self.current, None
        if run is None:
            raise RuntimeError("no run is there to be ended")
        return run


def _closed(run: Run, outcome: RunOutcome, error: RunError | None, now: float, known: Known) -> RunFinished:
    return RunFinished(
        run_id=run.id,
        uri=run.request.uri,
        outcome=outcome,
        seconds=0.0 if run.began is None else now - run.began,
        run_count=known.run_count,
        seed=run.seed,
        steps=run.summaries("notRun" if outcome == "cancelled" else "failed", now),
        results=run.results(),
        loaded=(),
        reused=(),
        memory=known.memory,
        error=error,
    )
