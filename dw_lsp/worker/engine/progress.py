"""What is told of a running step: its phase, how far it is, how fast, how long yet; and whether it should stop."""

from __future__ import annotations

import time
from collections.abc import Callable

from dw_lsp.protocol import Advanced, Message, Phase, StepProgress
from dw_lsp.worker.cancellation import Cancellation

#: Counts within one phase are not told more often than this; its first and last are always told.
SECONDS_BETWEEN = 0.03
#: A step that goes on without anything to be counted says so after this time.
SECONDS_OF_SILENCE = 1.0
#: Weight of the newest unit in the smoothed time of one.
SMOOTHING = 0.3


class StepReporter:
    """Tells how one step of a run goes on."""

    def __init__(
        self,
        run_id: str,
        send: Callable[[Message], None],
        cancellation: Cancellation,
        step: str,
        step_index: int,
        step_count: int,
    ):
        self.run_id, self.send, self.cancellation = run_id, send, cancellation
        self.step, self._index, self._count = step, step_index, step_count
        self.iteration, self.iterations = 0, 1
        self._phase: Phase | None = None
        self._inner: str | None = None
        self._told = 0.0
        self._heard = time.monotonic()
        self._unit_began: float | None = None
        self._units = 0
        self._seconds_per_unit: float | None = None

    def begin_iteration(self, iteration: int, iterations: int) -> None:
        """The step now runs for its `iteration`-th combination of results, counted from 0."""
        self.cancellation.check()
        self.iteration, self.iterations = iteration, iterations
        self._phase = None

    def inside(self, inner: str | None) -> None:
        """Name the step of a sub-workflow that is at work inside this step; `None` when it is over."""
        self._inner = inner

    def phase(
        self,
        phase: Phase,
        message: str | None = None,
        current: int | None = None,
        total: int | None = None,
        unit: str | None = None,
    ) -> None:
        """A phase begins or goes on. Raises `RunCancelled` when the run should stop."""
        self.cancellation.check()
        changed = phase != self._phase
        if changed:
            self._phase, self._unit_began, self._seconds_per_unit, self._units = phase, time.monotonic(), None, 0
        elif message is None and current is None:
            return
        self._tell(message, current, total, unit, None)

    def goes_on(self) -> None:
        """The step goes on, in a way that is not counted. Raises `RunCancelled` when the run should stop."""
        self.cancellation.check()
        now = time.monotonic()
        if now - self._heard > SECONDS_OF_SILENCE:
            self._heard = now
            self.send(Advanced(self.run_id))

    def unit_done(self, current: int, total: int | None, unit: str) -> None:
        """So many units of the phase are done now. Raises `RunCancelled` when the run should stop."""
        self.cancellation.check()
        now = time.monotonic()
        if current < self._units:
            # Another loop of the same phase: a prior and its decoder count each for itself.
            self._units, self._seconds_per_unit = 0, None
        if self._unit_began is not None and current > self._units:
            took = (now - self._unit_began) / (current - self._units)
            before = self._seconds_per_unit
            self._seconds_per_unit = took if before is None else before + SMOOTHING * (took - before)
        self._unit_began, self._units = now, current
        if now - self._told >= SECONDS_BETWEEN or current == 1 or current == total:
            left = None
            if total is not None and self._seconds_per_unit is not None:
                left = max(0.0, (total - current) * self._seconds_per_unit)
            self._tell(None, current, total, unit, left)

    def _tell(
        self, message: str | None, current: int | None, total: int | None, unit: str | None, eta: float | None
    ) -> None:
        if self._phase is None:
            return
        self._told = self._heard = time.monotonic()
        text = ": ".join(part for part in (self._inner, message) if part) or None
        self.send(
            StepProgress(
                run_id=self.run_id,
                step=self.step,
                step_index=self._index,
                step_count=self._count,
                iteration=self.iteration,
                iteration_count=self.iterations,
                phase=self._phase,
                current=current,
                total=total,
                unit=unit,
                seconds_per_unit=self._seconds_per_unit,
                eta=eta,
                message=text,
            )
        )
