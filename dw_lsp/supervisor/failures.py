"""What goes wrong between a caller and the worker, as sentences for people: errors to raise, and the ends of runs."""

from __future__ import annotations

import dataclasses

from dw_lsp.protocol import MemoryReport, RunError, RunOutcome
from dw_lsp.supervisor.events import WorkerExit
from dw_lsp.supervisor.exits import signal_behind
from dw_lsp.supervisor.life import Ending, Purpose, RefuseRuns
from dw_lsp.supervisor.stacks import package_of

_MEMORY_HINT = (
    "If the system ran out of memory: smaller pictures, fewer at once, a smaller dtype or offloading need less. "
    "dw.memory shows what the worker holds."
)
_LOG_HINT = "The worker's last lines are in the log. The next run starts a new worker."


class WorkerFailure(Exception):
    """The worker could not do what was asked.

    Arguments: a sentence for people; how the worker ended, if that is why.
    """

    def __init__(self, message: str, exit: WorkerExit | None = None):
        super().__init__(message)
        self.message, self.exit = message, exit


class NoWorker(WorkerFailure):
    """There is no worker, and this request does not start one."""


class WorkerBusy(WorkerFailure):
    """A run is going on, and the request has to wait for its end."""


class NoAnswer(WorkerFailure):
    """The worker did not answer in time."""


class RequestRefused(WorkerFailure):
    """The worker answered that it cannot do that."""


class SupervisorClosed(WorkerFailure):
    """This program is about to end and takes no more work."""


def no_worker(state: str, exit: WorkerExit | None) -> NoWorker:
    """The error for a request that needs a worker when none is alive."""
    what = exit.reason if exit is not None and state == "crashed" else "There is no worker."
    return NoWorker(f"{what} Run a workflow or restart the worker first.", exit)


_WANTED: dict[Purpose, str] = {
    "shutdown": "The worker was shut down",
    "restart": "The worker was restarted",
    "close": "The worker was ended with the program that started it",
    "cancelled": "The run did not stop when it was cancelled, so the worker was ended",
}


def explain_exit(ending: Ending | None, exit: WorkerExit, words: str | None = None, torn: bool = False) -> WorkerExit:
    """The exit with the reason that we know better than the operating system: when we ended the worker ourselves.

    Arguments: `words` are the last of a worker that was not ready yet, which may have died of what they name; `torn`:
    a message of it has not ended.
    """
    reason = exit.reason if ending is None else _reason(ending, exit)
    if torn and (ending is None or ending.purpose in ("channelClosed", "startLimit", "silent", "timedOut")):
        reason = f"{reason} Its last message broke off in the middle."
    if words and (ending is None or ending.purpose in ("channelClosed", "startLimit")):
        reason = f"{reason} The last that it said: {words.rstrip('.')}."
    return dataclasses.replace(exit, reason=reason)


def _reason(ending: Ending, exit: WorkerExit) -> str:
    by = f" ({exit.signal})" if exit.signal else ""
    if ending.purpose in _WANTED:
        return f"{_WANTED[ending.purpose]}{by}."
    if ending.purpose == "timedOut":
        return f"{ending.reason} The worker was ended{by}."
    if ending.purpose == "channelClosed":
        return _after_its_channel(ending, exit)
    if ending.purpose == "broken":
        return f"The worker does not keep to the protocol, so it was ended{by}: {ending.reason}."
    return ending.reason


def _after_its_channel(ending: Ending, exit: WorkerExit) -> str:
    """A worker that dies closes its side of the channel as well; one that had to be ended had no other fault."""
    if ending.rung != "leaving":
        return f"The worker closed its side of the channel and went on, so it was ended ({exit.signal or exit.code})."
    if exit.code == 0:
        return "The worker closed its side of the channel and ended by itself."
    return exit.reason


def error_of_dead_worker(
    outcome: RunOutcome,
    ending: Ending | None,
    exit: WorkerExit,
    place: str,
    memory: MemoryReport | None = None,
    stack: str | None = None,
) -> RunError:
    """Why a run ended with its worker.

    Arguments: how the run ended; why the worker was being ended, if it was; its exit, explained; where the run was
    (may be empty); what is known of its memory; the stack that tells where it was, if there is one.
    """
    where = f" The run was at {place}." if place else ""
    stack = stack or "\n".join(exit.stderr_tail) or None
    if outcome == "cancelled":
        return RunError(exit.reason, "WorkerEnded", traceback=stack, hint=what_was_lost(memory))
    if outcome == "timedOut":
        error = timed_out(ending.reason if ending else exit.reason, place, stack)
        return dataclasses.replace(error, hint=f"{error.hint} {what_was_lost(memory)}")
    by_others = ending is None or ending.purpose == "channelClosed"
    killed = "SIGKILL" in (exit.signal, signal_behind(exit.code))
    hint = _MEMORY_HINT if killed and by_others else _LOG_HINT
    return RunError(f"{exit.reason}{where}", "WorkerCrashed", traceback=stack, hint=hint)


def what_was_lost(memory: MemoryReport | None) -> str:
    """What goes with a worker, for people, and what does not. Arguments: the last that is known of its memory."""
    kept = "The results of finished steps are kept."
    if memory is None or not memory.components:
        return f"{kept} The next run has a new worker, which loads its models anew."
    size = sum(part.bytes for part in memory.components)
    shown = f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
    names = ", ".join(dict.fromkeys(part.name for part in memory.components))
    return f"Lost with it: the loaded models ({names}; {shown}), which the next run loads anew. {kept}"


def stands_still(pid: int | None) -> str:
    """What to say of a worker that does not answer because it was stopped from outside."""
    return f"The worker was stopped by a signal and stands still until it may go on: kill -CONT {pid}"


def refusal(refused: RefuseRuns, exit: WorkerExit | None, stack: str | None = None) -> RunError:
    """Why no worker comes for a run.

    Arguments: the reason that is known; how the last worker ended; the stack that tells where it died, if there is one.
    """
    if not refused.tell_exit or exit is None:
        return RunError(refused.reason, "NoWorker", hint=refused.hint)
    package = package_of(stack) if stack else None
    mend = f"It died in {package}; installing that anew in the worker's Python may mend it." if package else ""
    hint = " ".join(part for part in (mend, refused.hint) if part) or None
    stack = stack or "\n".join(exit.stderr_tail) or None
    return RunError(f"{refused.reason} {exit.reason}", "NoWorker", traceback=stack, hint=hint)


def timed_out(reason: str, place: str, traceback: str | None = None) -> RunError:
    """The error of a run that was ended for taking too long. Arguments: which limit; where it was; stacks, if known."""
    where = f" It was at {place}." if place else ""
    hint = "A larger limit, or 0 for none, can be set; dw.run.timeoutSeconds counts from the last sign of progress."
    return RunError(f"{reason}{where}", "TimedOut", traceback=traceback, hint=hint)
