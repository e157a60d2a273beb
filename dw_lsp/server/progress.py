"""The work-done progress of one run: what it is doing, in words, and a percentage that never goes back."""

from __future__ import annotations

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.protocol import LanguageServerProtocol

from dw_lsp.protocol import RunOutcome
from dw_lsp.supervisor.events import RunProgress

_GIGABYTE = 1_000_000_000


class Progress:
    """A progress that the server begins; what happens before the client has agreed to it is shown then.

    Arguments: what sends; the run; the workflow's id, which is the title.
    """

    def __init__(self, protocol: LanguageServerProtocol, run_id: str, workflow: str):
        self._protocol, self._title = protocol, workflow
        self.token = f"dw-run-{run_id}"
        self._message, self._percentage = "", 0
        self._begun = self._ended = False

    async def begin(self) -> None:
        """Ask the client for a progress, and begin it. A client that refuses gets none."""
        try:
            await self._protocol.send_request_async(
                types.WINDOW_WORK_DONE_PROGRESS_CREATE, types.WorkDoneProgressCreateParams(token=self.token)
            )
        except JsonRpcException:
            self._ended = True
            return
        if not self._ended:
            self._begun = True
            begin = types.WorkDoneProgressBegin(
                title=self._title, cancellable=True, message=self._message or None, percentage=self._percentage
            )
            self._send(begin)

    def show(self, progress: RunProgress) -> None:
        """Show where the run is."""
        self.report(words(progress), share(progress))

    def report(self, message: str, done: float | None) -> None:
        """Show a message and the share that is done, 0 to 1; a share that is unknown or smaller changes nothing."""
        percentage = self._percentage if done is None else max(self._percentage, min(99, int(done * 100)))
        if (message, percentage) == (self._message, self._percentage):
            return
        self._message, self._percentage = message, percentage
        if self._begun and not self._ended:
            self._send(types.WorkDoneProgressReport(message=message, percentage=percentage, cancellable=True))

    def end(self, outcome: RunOutcome) -> None:
        """The run is over."""
        if self._begun and not self._ended:
            self._send(types.WorkDoneProgressEnd(message=outcome))
        self._ended = True

    def _send(
        self, value: types.WorkDoneProgressBegin | types.WorkDoneProgressReport | types.WorkDoneProgressEnd
    ) -> None:
        self._protocol.notify(types.PROGRESS, types.ProgressParams(token=self.token, value=value))


def words(progress: RunProgress) -> str:
    """What a run is doing: `loading FluxPipeline: transformer`, `generate: step 12/25`, `downloading 1.2/23.8 GB`."""
    if progress.phase == "denoising" and progress.current is not None:
        total = "" if progress.total is None else f"/{progress.total}"
        turn = f" {progress.iteration + 1}/{progress.iteration_count}" if progress.iteration_count > 1 else ""
        return f"{progress.step}{turn}: step {progress.current}{total}"
    text = progress.phase if not progress.message else f"{progress.phase} {progress.message}"
    if progress.unit in ("byte", "bytes") and progress.current is not None and progress.total:
        text = f"{text} {progress.current / _GIGABYTE:.1f}/{progress.total / _GIGABYTE:.1f} GB"
    return text


def share(progress: RunProgress) -> float:
    """The share of the run that is done, as if all its steps and their iterations took equally long."""
    inside = 0.0
    if progress.phase in ("denoising", "task") and progress.total and progress.current is not None:
        inside = min(1.0, progress.current / progress.total)
    elif progress.phase in ("decoding", "saving"):
        inside = 1.0
    done = (progress.iteration + inside) / max(1, progress.iteration_count)
    return (progress.step_index + min(1.0, done)) / max(1, progress.step_count)
