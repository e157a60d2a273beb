"""The words in which a worker's life is told: its states, what may happen to it, what may have to be done.

Data only; `lifecycle` says which follows from which.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from dw_lsp.protocol import RunOutcome
from dw_lsp.supervisor.deadlines import Deadlines
from dw_lsp.supervisor.events import State

#: Why a worker is being ended. The first five are wanted by somebody, the others are its own fault.
Purpose: TypeAlias = Literal[
    "cancelled",
    "timedOut",
    "shutdown",
    "restart",
    "close",
    "cannotStart",
    "startLimit",
    "silent",
    "broken",
    "channelClosed",
]
Leave: TypeAlias = Literal["shutdown", "restart", "close"]
#: The rungs of the ladder, in order: asked in words, told to say where it is, asked by the operating system, forced.
Rung: TypeAlias = Literal["cancelling", "leaving", "closing", "telling", "terminating", "killing"]
RUNGS: tuple[Rung, ...] = ("cancelling", "leaving", "closing", "telling", "terminating", "killing")
ALIVE: tuple[State, ...] = ("starting", "idle", "busy", "unresponsive")
DEAD: tuple[State, ...] = ("stopped", "crashed")


def with_hint(problem: str, hint: str | None) -> str:
    """A problem and its mend in one text: two sentences, whichever way the first one ends."""
    return f"{problem.rstrip('.')}. {hint}" if hint else problem


@dataclass(frozen=True)
class Ending:
    """A worker on its way out: why, how far up the ladder, and what to tell people (`reason` may be empty)."""

    purpose: Purpose
    rung: Rung
    reason: str = ""


@dataclass(frozen=True)
class Lifecycle:
    """All that there is to know of the worker's life.

    `crashes` counts the workers in a row that ended before they were of any use.
    """

    state: State = "stopped"
    run_id: str | None = None
    ending: Ending | None = None
    crashes: int = 0
    deadlines: Deadlines = field(default_factory=Deadlines)

    @property
    def accepts_run(self) -> bool:
        """Whether a run can be given to the worker now."""
        return self.state == "idle" and self.ending is None

    @property
    def may_start(self) -> bool:
        """Whether a worker that is wanted is not on its way yet."""
        return self.state in DEAD and not self.deadlines.waiting("pause")

    @property
    def alive(self) -> bool:
        """Whether there is a worker, ready or not."""
        return self.state in ALIVE


def worth_another(last: Lifecycle) -> bool:
    """Whether another worker would go another way than the one that has just ended, and nobody wanted none."""
    if last.ending is None:
        return True
    if last.ending.purpose in ("broken", "startLimit"):
        return last.state != "starting"
    return last.ending.purpose in ("cancelled", "timedOut", "channelClosed", "silent")


# ---------------------------------------------------------------- events


@dataclass(frozen=True)
class Start:
    """A worker is wanted: a run waits, or one shall be warm."""


@dataclass(frozen=True)
class Reconsidered:
    """What made the last workers crash may have been mended: another interpreter was chosen."""


@dataclass(frozen=True)
class SpawnFailed:
    """There is no process: the command does not exist, or may not be run."""

    reason: str


@dataclass(frozen=True)
class StartRefused:
    """The process runs, and says that it cannot be a worker."""

    reason: str
    hint: str | None = None


@dataclass(frozen=True)
class BecameReady:
    """The worker has imported all it needs."""


@dataclass(frozen=True)
class RunGiven:
    """The next run is for the worker."""

    run_id: str


@dataclass(frozen=True)
class Heard:
    """Anything came from the worker: it is there and its reading thread runs."""


@dataclass(frozen=True)
class Progressed:
    """The run advanced."""


@dataclass(frozen=True)
class RunDone:
    """The worker says that its run is over."""


@dataclass(frozen=True)
class CancelWanted:
    """The worker's run shall stop; `force`: without asking any more."""

    force: bool = False


@dataclass(frozen=True)
class LeaveWanted:
    """The worker shall go: for good, to be followed by another, or because we go ourselves."""

    purpose: Leave


@dataclass(frozen=True)
class Misbehaved:
    """The worker sent what no worker of this version may send."""

    reason: str


@dataclass(frozen=True)
class ChannelClosed:
    """The worker closed its side of the channel, and may be about to end."""


@dataclass(frozen=True)
class Died:
    """The process is gone."""


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


Event: TypeAlias = (
    Start
    | Reconsidered
    | SpawnFailed
    | StartRefused
    | BecameReady
    | RunGiven
    | Heard
    | Progressed
    | RunDone
    | CancelWanted
    | LeaveWanted
    | Misbehaved
    | ChannelClosed
    | Died
    | Tick
)


#: What only a worker can cause: in the wrong state, it is the worker that is at fault.
FROM_WORKER = (StartRefused, BecameReady, Heard, Progressed, RunDone, Misbehaved, ChannelClosed)


# ---------------------------------------------------------------- actions


@dataclass(frozen=True)
class Spawn:
    """Start a process."""


@dataclass(frozen=True)
class GiveRun:
    """Send the run to the worker."""


@dataclass(frozen=True)
class AskToCancel:
    """Ask the worker in words to stop its run."""


@dataclass(frozen=True)
class AskToLeave:
    """Ask the worker in words to end."""


@dataclass(frozen=True)
class SendPing:
    """Ask whether it is there."""


@dataclass(frozen=True)
class DumpStacks:
    """Let it write down where each of its threads stands, for the log."""


@dataclass(frozen=True)
class Terminate:
    """Ask through the operating system."""


@dataclass(frozen=True)
class Kill:
    """End it and all its children."""


@dataclass(frozen=True)
class Abandon:
    """Not even the operating system can end it (stuck in a driver): go on without it."""


@dataclass(frozen=True)
class EndRun:
    """The worker is gone with a run: this is how the run ended."""

    outcome: RunOutcome


@dataclass(frozen=True)
class RefuseRuns:
    """No worker will come for the runs that wait: they fail.

    `tell_exit`: how the last worker ended is part of the reason.
    """

    reason: str
    hint: str | None = None
    tell_exit: bool = False


Action: TypeAlias = (
    Spawn
    | GiveRun
    | AskToCancel
    | AskToLeave
    | SendPing
    | DumpStacks
    | Terminate
    | Kill
    | Abandon
    | EndRun
    | RefuseRuns
)
