"""What the supervisor tells, to the client: `dw/...` notifications, and for each run a progress to be cancelled by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pygls.protocol import LanguageServerProtocol

from dw_lsp.server.convert import lsp_range
from dw_lsp.server.progress import Progress
from dw_lsp.supervisor.events import Event, RunFinished, RunProgress, RunStarted, WorkerState
from dw_lsp.supervisor.runs import Submitted
from dw_lsp.text.document import Document
from dw_lsp.text.positions import Encoding, LineIndex
from dw_lsp.text.syntax_tree import Range


class Notifications:
    """Tells the client of every event.

    Arguments: what sends; the client's encoding; whether the client shows progress.
    """

    def __init__(
        self, protocol: LanguageServerProtocol, encoding: Callable[[], Encoding], shows_progress: Callable[[], bool]
    ):
        self._protocol, self._encoding, self._shows_progress = protocol, encoding, shows_progress
        self._lines: dict[str, LineIndex] = {}
        self._progress: dict[str, Progress] = {}  # In the order in which the runs were accepted.
        self._starting = False
        self._running: str | None = None
        self._ended: str | None = None  # The run that ended last: it may have done so while it was submitted.

    def submitted(self, submitted: Submitted, document: Document, workflow: str) -> None:
        """A run was accepted: its progress begins, and its errors will be placed in the text that is run."""
        if submitted.run_id == self._ended:
            return
        self._lines[submitted.run_id] = document.lines
        if self._shows_progress():
            progress = self._progress[submitted.run_id] = Progress(self._protocol, submitted.run_id, workflow)
            self._tell_waiting()
            asyncio.get_running_loop().create_task(progress.begin())

    def run_of_token(self, token: int | str) -> str | None:
        """The run whose progress has that token."""
        return next((run_id for run_id, progress in self._progress.items() if progress.token == token), None)

    def tell(self, event: Event) -> None:
        """Send one event."""
        self._protocol.notify(event.method, self._parameters(event))
        if isinstance(event, RunProgress):
            if (progress := self._progress.get(event.run_id)) is not None:
                progress.show(event)
        elif isinstance(event, RunStarted):
            self._running = event.run_id
            if (progress := self._progress.get(event.run_id)) is not None:
                progress.report("running", None)
        elif isinstance(event, WorkerState):
            self._starting = event.state == "starting"
            self._tell_waiting()
        elif isinstance(event, RunFinished):
            self._ended = event.run_id
            self._lines.pop(event.run_id, None)
            if (progress := self._progress.pop(event.run_id, None)) is not None:
                progress.end(event.outcome)
            if self._running == event.run_id:
                self._running = None
            self._tell_waiting()

    def _tell_waiting(self) -> None:
        """Say to the runs that wait what they wait for: those before them, or a worker."""
        for ahead, (run_id, progress) in enumerate(self._progress.items()):
            if ahead:
                progress.report("waiting for 1 other run" if ahead == 1 else f"waiting for {ahead} other runs", None)
            elif self._starting and run_id != self._running:
                progress.report("starting worker", None)

    def _parameters(self, event: Event) -> Any:
        parameters = event.to_json()
        if isinstance(event, RunFinished) and event.error is not None:
            error = parameters["error"]
            offsets = error.pop("offsets", None)
            lines = self._lines.get(event.run_id)
            if offsets is not None and lines is not None:
                place = lsp_range(lines, Range(offsets["start"], offsets["end"]), self._encoding())
                error["range"] = {
                    "start": {"line": place.start.line, "character": place.start.character},
                    "end": {"line": place.end.line, "character": place.end.character},
                }
        return parameters
