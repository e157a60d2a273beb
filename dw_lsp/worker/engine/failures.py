"""Why a run failed, in words for people, with the place in the text and what to do."""

from __future__ import annotations

import traceback

import torch

from dw_lsp.protocol import RunError
from dw_lsp.text.syntax_tree import Range
from dw_lsp.workflow.resolved import InvalidInput

LONGEST_TRACEBACK = 20000
_OUT_OF_MEMORY_HINT = (
    "Use smaller pictures, `offload`, or half precision; dw.clear frees what other workflows left in memory."
)


class StepFailed(Exception):
    """A library failed while it carried out a step: what was being done, and the library's error as the cause."""

    def __init__(self, doing: str, step: str, range: Range | None, cause: BaseException):
        super().__init__(f"{doing}: {describe(cause)}")
        self.step, self.range, self.cause = step, range, cause


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
    cause = error.cause if isinstance(error, StepFailed) else error
    place = error.range if isinstance(error, StepFailed) else None
    told = RunError(
        message=str(error) if isinstance(error, StepFailed) else f"unexpected error: {describe(error)}",
        type=type(cause).__name__,
        step=error.step if isinstance(error, StepFailed) else None,
        start=place.start if place else None,
        end=place.end if place else None,
        traceback="".join(traceback.format_exception(cause))[-LONGEST_TRACEBACK:],
        hint=_OUT_OF_MEMORY_HINT if is_out_of_memory(cause) else None,
    )
    release_frames(error)
    return told


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on the device or on the host."""
    # Older releases have the device's error under `torch.cuda` only.
    of_device = getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)
    if isinstance(error, (MemoryError, of_device)):
        return True
    return isinstance(error, RuntimeError) and "not enough memory" in str(error)


def release_frames(error: BaseException | None) -> None:
    """Empty the frames that an error's traceback keeps alive: they hold the tensors that memory ran out of."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__ or getattr(error, "cause", None)
