"""The last run of each document, as the events of the worker tell it."""

from __future__ import annotations

from dw_lsp.analysis.last_run import LastRun, MadeFile, StepRun
from dw_lsp.supervisor.events import RunFinished

#: Documents whose last run is kept; the one that ran longest ago is forgotten first.
MOST_DOCUMENTS = 64


class LastRuns:
    """What is shown of runs until the next one."""

    def __init__(self) -> None:
        self._runs: dict[str, LastRun] = {}

    def get(self, uri: str) -> LastRun | None:
        """The last run of a document."""
        return self._runs.get(uri)

    def take(self, event: RunFinished) -> bool:
        """Keep a run that came so far as to begin. Returns whether it did."""
        if all(step.outcome == "notRun" for step in event.steps):
            return False
        self._runs.pop(event.uri, None)
        self._runs[event.uri] = last_run(event)
        while len(self._runs) > MOST_DOCUMENTS:
            del self._runs[next(iter(self._runs))]
        return True


def last_run(event: RunFinished) -> LastRun:
    """A run as it is shown."""
    files: dict[str, list[MadeFile]] = {}
    for result in event.results:
        if result.path is not None:
            made = MadeFile(result.path, result.content_type, result.width, result.height)
            files.setdefault(result.step, []).append(made)
    steps = {
        step.name: StepRun(step.outcome, step.seconds, step.peak_bytes, tuple(files.get(step.name, ())))
        for step in event.steps
    }
    return LastRun(event.outcome, event.seconds, steps)
