"""The last that was heard of the worker's memory, and whether it is worth telling."""

from __future__ import annotations

from dw_lsp.protocol import Component, MemoryReport
from dw_lsp.supervisor.runs import Known

#: Outside of a run, a smaller change than this is not worth a message.
NOTABLE_SHARE = 0.01


#: While a run is going on the worker reports its memory each second: one that is not older is the answer.
RECENT_SECONDS = 2.0
#: After everything was dropped, a worker may be so much larger than it was before its first run.
LEFT_BEHIND = 0.05


def stays_behind(report: MemoryReport) -> bool:
    """Whether a worker that has dropped everything still fills more than it did at its start.

    Kernels, caches and late imports stay where no cleanup reaches them; only a new process is without them.
    """
    process, start = report.process_bytes, report.baseline_bytes
    return process is not None and start is not None and process > start * (1 + LEFT_BEHIND)


class MemoryWatch:
    """Remembers the last report, and the last one that was told to the front."""

    def __init__(self) -> None:
        self._last: MemoryReport | None = None
        self._told: MemoryReport | None = None
        self._last_at = 0.0
        self._run_count = 0

    @property
    def known(self) -> Known:
        """The last report and the number of runs, for the end of a run whose worker died."""
        return Known(self._last, self._run_count)

    @property
    def components(self) -> tuple[Component, ...]:
        """What the worker holds, as far as is known."""
        return self._last.components if self._last else ()

    def count(self, run_count: int) -> None:
        """Remember how many runs the worker has carried out."""
        self._run_count = run_count

    def recent(self, now: float, seconds: float = RECENT_SECONDS) -> MemoryReport | None:
        """The last report, if it is not older than that."""
        return self._last if self._last is not None and now - self._last_at <= seconds else None

    def take(self, report: MemoryReport, now: float, always: bool) -> bool:
        """Remember a report. Returns whether to tell it: `always`, or because it differs from the last one told."""
        self._last, self._last_at, self._run_count = report, now, report.run_count
        if not (always or self._told is None or _differ(self._told, report)):
            return False
        self._told = report
        return True

    def forget(self) -> None:
        """The worker is gone, and all that it held."""
        self._last, self._told, self._run_count = None, None, 0


def _differ(before: MemoryReport, after: MemoryReport) -> bool:
    if [part.key for part in before.components] != [part.key for part in after.components]:
        return True
    if before.run_count != after.run_count or before.warnings != after.warnings:
        return True
    sizes = (
        (before.allocated_bytes, after.allocated_bytes),
        (before.reserved_bytes, after.reserved_bytes),
        (before.process_bytes, after.process_bytes),
    )
    return any(_notably(old, new) for old, new in sizes)


def _notably(old: int | None, new: int | None) -> bool:
    if old is None or new is None:
        return old is not new
    return abs(new - old) > NOTABLE_SHARE * max(old, 1)
