"""Why a run failed, in words for people, with the place in the text and what to do."""

from __future__ import annotations

import traceback

from dw_lsp.protocol import RunError
from dw_lsp.text.syntax_tree import Range
from dw_lsp.worker.engine.out_of_memory import is_out_of_memory
from dw_lsp.workflow.resolved import InvalidInput

#: The type of the error of a run without memory.
OUT_OF_MEMORY = "OutOfMemory"
LONGEST_TRACEBACK = 20000
_OUT_OF_MEMORY_HINT = "Let the workflow work on less at once; dw.clear frees what other workflows left in memory."


class StepFailed(Exception):
    """A library failed while it carried out a step: what was being done, and the library's error as the cause.

    Arguments: `kind`, `hint`, `traceback` say more than the cause does by itself; with a `kind`, `doing` says it all.
    """

    def __init__(
        self,
        doing: str,
        step: str,
        range: Range | None,
        cause: BaseException,
        kind: str | None = None,
        hint: str | None = None,
        traceback: str | None = None,
    ):
        super().__init__(doing if kind else f"{doing}: {describe(cause)}")
        self.step, self.range, self.cause = step, range, cause
        self.kind, self.hint, self.traceback = kind, hint, traceback

    def inside(self, file: str, step: str, range: Range | None) -> StepFailed:
        """The same failure as the step sees it that calls the workflow `file`."""
        if self.kind:
            return StepFailed(f"{file}: {self}", step, range, self.cause, self.kind, self.hint, self.traceback)
        return StepFailed(f"{file}: {self}", step, range, self.cause)


def describe(error: BaseException) -> str:
    """An error in one sentence."""
    text = str(error).strip()
    if isinstance(error, KeyError):
        text = f"the key {text} is missing"
    return text or type(error).__name__


def run_error(error: BaseException) -> RunError:
    """The error as the run reports it. Afterwards its frames hold no tensors any more."""
    if isinstance(error, InvalidInput):
        start, end = (error.range.start, error.range.end) if error.range else (None, None)
        return RunError(error.message, "InvalidInput", error.step, start, end, None, error.hint)
    failed = error if isinstance(error, StepFailed) else None
    cause = error if failed is None else failed.cause
    place = None if failed is None else failed.range
    no_memory = is_out_of_memory(cause)
    kind, hint = (failed.kind, failed.hint) if failed is not None else (None, None)
    message = str(error) if failed is not None else f"unexpected error: {describe(error)}"
    told = RunError(
        message=message,
        type=kind or (OUT_OF_MEMORY if no_memory else type(cause).__name__),
        step=failed.step if failed is not None else None,
        start=place.start if place else None,
        end=place.end if place else None,
        traceback=(failed.traceback if failed else None) or _printed(cause),
        hint=hint or (_OUT_OF_MEMORY_HINT if no_memory else None),
    )
    release_frames(error)
    return told


def release_frames(error: BaseException | None) -> str:
    """Empty the frames that an error's traceback keeps alive: they hold the tensors that memory ran out of.

    Returns the traceback in words, of the cause where there is one.
    """
    cause = error.cause if isinstance(error, StepFailed) else error
    text = "" if cause is None else _printed(cause)
    seen: set[int] = set()
    pending = [error]
    while pending:
        each = pending.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            traceback.clear_frames(each.__traceback__)
            pending += [each.__cause__, each.__context__, getattr(each, "cause", None)]
    return text


def _printed(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-LONGEST_TRACEBACK:]
