"""The life of a worker as a table: (state, event, now) -> (state, actions).

Pure: no process, no clock, no waiting; `supervisor` brings the events and performs the actions. Knows nothing of
queues, files or messages: only that a worker is there, has a run or not, and answers or not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from dw_lsp.protocol import RunOutcome
from dw_lsp.supervisor.deadlines import Deadlines, Limits, Name
from dw_lsp.supervisor.events import State
from dw_lsp.supervisor.life import (
    ALIVE,
    DEAD,
    RUNGS,
    Abandon,
    Action,
    AskToCancel,
    AskToLeave,
    BecameReady,
    CancelWanted,
    ChannelClosed,
    Died,
    DumpStacks,
    Ending,
    EndRun,
    Event,
    GiveRun,
    Heard,
    Kill,
    LeaveWanted,
    Lifecycle,
    Misbehaved,
    Progressed,
    Purpose,
    Reconsidered,
    RefuseRuns,
    RunDone,
    Rung,
    RunGiven,
    SendPing,
    Spawn,
    SpawnFailed,
    Start,
    StartRefused,
    Terminate,
    Tick,
    with_hint,
)

Step: TypeAlias = tuple[Lifecycle, tuple[Action, ...]]


class ImpossibleEvent(Exception):
    """An event that cannot happen in this state: the worker does not keep to the protocol, or we have a mistake."""


def advance(life: Lifecycle, event: Event, now: float, limits: Limits) -> Step:
    """What the worker's life is after the event, and what has to be done.

    Raises `ImpossibleEvent` when the event cannot happen in this state.
    """
    handler = TABLE.get((life.state, type(event)))
    if handler is None:
        raise ImpossibleEvent(f"{type(event).__name__} while the worker is {life.state}")
    return handler(life, event, now, limits)


# ---------------------------------------------------------------- start


def _start(life: Lifecycle, event: Start, now: float, limits: Limits) -> Step:
    if not life.may_start:
        return life, ()
    if life.crashes >= limits.crashes:
        reason = f"The worker crashed {life.crashes} times in a row at its start, so it is not started again by itself."
        hint = "Mend the cause, then restart the worker (dw.restart)."
        return life, (RefuseRuns(reason, hint, tell_exit=True),)
    if life.crashes:
        longer = (2 ** (life.crashes - 1) - 1) * (limits.pause or 0.0)
        return replace(life, deadlines=Deadlines().start(now + longer, "pause")), ()
    return _spawn(life, now)


def _spawn(life: Lifecycle, now: float) -> Step:
    return Lifecycle("starting", crashes=life.crashes, deadlines=Deadlines().start(now, "starting")), (Spawn(),)


def _reconsidered(life: Lifecycle, event: Reconsidered, now: float, limits: Limits) -> Step:
    return replace(life, crashes=0), ()


def _spawn_failed(life: Lifecycle, event: SpawnFailed, now: float, limits: Limits) -> Step:
    wanted = life.ending is not None and life.ending.purpose in ("shutdown", "close")
    state: State = "stopped" if wanted else "crashed"
    return Lifecycle(state, crashes=life.crashes), (RefuseRuns(event.reason),)


def _start_refused(life: Lifecycle, event: StartRefused, now: float, limits: Limits) -> Step:
    if life.ending is not None:
        return life, ()
    reason = with_hint(event.reason, event.hint)
    leaving = _end(life, Ending("cannotStart", "leaving", reason), now)
    return leaving, (RefuseRuns(event.reason, event.hint), AskToLeave())


def _ready(life: Lifecycle, event: BecameReady, now: float, limits: Limits) -> Step:
    waits = life.deadlines.stop("starting").start(now, "stable", "ping")
    return replace(life, state="idle", deadlines=waits), ()


# ---------------------------------------------------------------- work


def _give_run(life: Lifecycle, event: RunGiven, now: float, limits: Limits) -> Step:
    if not life.accepts_run:
        raise ImpossibleEvent("a run for a worker that is about to end")
    waits = life.deadlines.stop("stable").start(now, "run", "progress")
    return replace(life, state="busy", run_id=event.run_id, crashes=0, deadlines=waits), (GiveRun(),)


def _heard(life: Lifecycle, event: Heard, now: float, limits: Limits) -> Step:
    waits = life.deadlines
    if life.state == "unresponsive":
        state: State = "idle" if life.run_id is None else "busy"
        return replace(life, state=state, deadlines=waits.stop("answer", "silence").start(now, "ping")), ()
    if waits.waiting("answer"):
        return replace(life, deadlines=waits.stop("answer").start(now, "ping")), ()
    return life, ()


def _progressed(life: Lifecycle, event: Progressed, now: float, limits: Limits) -> Step:
    if life.deadlines.waiting("progress"):
        return replace(life, deadlines=life.deadlines.start(now, "progress")), ()
    return life, ()


def _run_done(life: Lifecycle, event: RunDone, now: float, limits: Limits) -> Step:
    waits = life.deadlines.stop("run", "progress", "stacks")
    ending = life.ending
    if ending is not None and ending.rung in ("cancelling", "telling"):
        # It did as it was asked: the worker lives on, with all its models.
        ending, waits = None, waits.stop("cancelling", "telling")
    return replace(life, state="idle", run_id=None, ending=ending, deadlines=waits), ()


# ---------------------------------------------------------------- the ladder


def _end(life: Lifecycle, ending: Ending, now: float) -> Lifecycle:
    """The worker on this rung; one already higher up stays there, whatever the new purpose is."""
    if life.ending is not None and RUNGS.index(life.ending.rung) >= RUNGS.index(ending.rung):
        return replace(life, ending=replace(ending, rung=life.ending.rung))
    waits = life.deadlines.stop("progress", "run", "starting", "stacks", *RUNGS).start(now, ending.rung)
    return replace(life, ending=ending, deadlines=waits)


def _cancel(life: Lifecycle, event: CancelWanted, now: float, limits: Limits) -> Step:
    if life.run_id is None:
        return life, ()
    ending = life.ending or Ending("cancelled", "cancelling")
    if event.force:
        return _end(life, replace(ending, rung="killing"), now), (Kill(),)
    if life.ending is not None:
        return life, ()
    return _end(life, ending, now), (AskToCancel(),)


def _leave(life: Lifecycle, event: LeaveWanted, now: float, limits: Limits) -> Step:
    if life.ending is not None and life.ending.purpose == "close":
        return life, ()
    if life.state == "starting":
        # It reads nothing while it imports; there is nothing to lose.
        already = life.ending is not None and life.ending.rung in ("terminating", "killing")
        return _end(life, Ending(event.purpose, "terminating"), now), () if already else (Terminate(),)
    ending = Ending(event.purpose, "closing" if event.purpose == "close" else "leaving")
    asked: tuple[Action, ...] = (AskToLeave(),) if life.run_id is None else (AskToCancel(), AskToLeave())
    return _end(life, ending, now), asked


def _leave_dead(life: Lifecycle, event: LeaveWanted, now: float, limits: Limits) -> Step:
    if event.purpose == "restart":
        return _spawn(Lifecycle(), now)
    return Lifecycle("stopped"), ()


def _misbehaved(life: Lifecycle, event: Misbehaved, now: float, limits: Limits) -> Step:
    if life.ending is not None and life.ending.rung in ("terminating", "killing"):
        return life, ()
    purpose: Purpose = "broken" if life.ending is None else life.ending.purpose
    return _end(life, Ending(purpose, "terminating", event.reason), now), (Terminate(),)


def _channel_closed(life: Lifecycle, event: ChannelClosed, now: float, limits: Limits) -> Step:
    if life.ending is not None:
        return life, ()
    return _end(life, Ending("channelClosed", "leaving"), now), ()


# ---------------------------------------------------------------- death


_RUN_OUTCOME: dict[Purpose, RunOutcome] = {
    "cancelled": "cancelled",
    "shutdown": "cancelled",
    "restart": "cancelled",
    "close": "cancelled",
    "timedOut": "timedOut",
}


def _died(life: Lifecycle, event: Died, now: float, limits: Limits) -> Step:
    purpose = life.ending.purpose if life.ending else None
    actions: tuple[Action, ...] = ()
    if life.run_id is not None:
        actions += (EndRun(_RUN_OUTCOME.get(purpose, "crashed") if purpose else "crashed"),)
    if purpose == "restart":
        spawned, spawn = _spawn(Lifecycle(), now)
        return spawned, actions + spawn
    if purpose in ("shutdown", "close"):
        return Lifecycle("stopped"), actions
    if purpose in ("cancelled", "timedOut"):
        return Lifecycle("stopped", crashes=life.crashes), actions
    if purpose == "cannotStart":
        return Lifecycle("crashed", crashes=life.crashes), actions
    if purpose in ("startLimit", "broken") and life.state == "starting":
        # Another start would end in the same way.
        actions += (RefuseRuns("The worker could not be started.", tell_exit=True),)
    of_use = life.state != "starting" and not life.deadlines.waiting("stable")
    return Lifecycle("crashed", crashes=0 if of_use else life.crashes + 1), actions


# ---------------------------------------------------------------- time


def _tick(life: Lifecycle, event: Tick, now: float, limits: Limits) -> Step:
    actions: tuple[Action, ...] = ()
    for name in life.deadlines.passed(limits, now):
        # One limit may have ended another wait.
        if life.deadlines.waiting(name):
            life, more = DEADLINES[name](life, now, limits)
            actions += more
    return life, actions


def _never_ready(life: Lifecycle, now: float, limits: Limits) -> Step:
    reason = (
        f"The worker was not ready after {limits.starting:g} s. "
        "Its Python may be importing from a slow disk; see the log, or set dw.worker.python."
    )
    return _end(life, Ending("startLimit", "terminating", reason), now), (Terminate(),)


def _stable(life: Lifecycle, now: float, limits: Limits) -> Step:
    return replace(life, crashes=0, deadlines=life.deadlines.stop("stable")), ()


def _ping(life: Lifecycle, now: float, limits: Limits) -> Step:
    return replace(life, deadlines=life.deadlines.stop("ping").start(now, "answer")), (SendPing(),)


def _no_answer(life: Lifecycle, now: float, limits: Limits) -> Step:
    waits = life.deadlines.stop("answer")
    if life.run_id is None:
        waits = waits.start(now, "silence")
    return replace(life, state="unresponsive", deadlines=waits), ()


def _silent(life: Lifecycle, now: float, limits: Limits) -> Step:
    silent = replace(life, deadlines=life.deadlines.stop("silence"))
    if life.ending is not None:
        return silent, ()
    reason = "The worker had nothing to do and did not answer any more, so it was ended."
    return _end(silent, Ending("silent", "telling", reason), now), (DumpStacks(),)


def _no_progress(life: Lifecycle, now: float, limits: Limits) -> Step:
    reason = f"The run showed no sign of progress for {limits.progress:g} s (dw.run.timeoutSeconds)."
    return _time_is_over(life, reason, now)


def _run_too_long(life: Lifecycle, now: float, limits: Limits) -> Step:
    reason = f"The run took longer than {limits.run:g} s (dw.run.maxSeconds)."
    return _time_is_over(life, reason, now)


def _time_is_over(life: Lifecycle, reason: str, now: float) -> Step:
    """The stacks first: once it is asked to stop it is no longer where it was."""
    ending = _end(life, Ending("timedOut", "cancelling", reason), now)
    return replace(ending, deadlines=ending.deadlines.start(now, "stacks")), (DumpStacks(),)


def _stacks_written(life: Lifecycle, now: float, limits: Limits) -> Step:
    return replace(life, deadlines=life.deadlines.stop("stacks")), (AskToCancel(),)


def _climb(rung: Rung, action: Action) -> Callable[[Lifecycle, float, Limits], Step]:
    def climb(life: Lifecycle, now: float, limits: Limits) -> Step:
        ending = life.ending or Ending("broken", rung)
        return _end(life, replace(ending, rung=rung), now), (action,)

    return climb


def _abandon(life: Lifecycle, now: float, limits: Limits) -> Step:
    return replace(life, deadlines=life.deadlines.stop("killing")), (Abandon(),)


DEADLINES: dict[Name, Callable[[Lifecycle, float, Limits], Step]] = {
    "starting": _never_ready,
    "pause": lambda life, now, limits: _spawn(life, now),
    "stable": _stable,
    "ping": _ping,
    "answer": _no_answer,
    "silence": _silent,
    "progress": _no_progress,
    "run": _run_too_long,
    "stacks": _stacks_written,
    "cancelling": _climb("telling", DumpStacks()),
    "leaving": _climb("terminating", Terminate()),
    "closing": _climb("terminating", Terminate()),
    "telling": _climb("terminating", Terminate()),
    "terminating": _climb("killing", Kill()),
    "killing": _abandon,
}


# ---------------------------------------------------------------- the table


def _stay(life: Lifecycle, event: Event, now: float, limits: Limits) -> Step:
    return life, ()


def _table(*rows: tuple[tuple[State, ...], type, Callable[..., Step]]) -> dict[tuple[State, type], Callable[..., Step]]:
    return {(state, event): handler for states, event, handler in rows for state in states}


TABLE = _table(
    (DEAD, Start, _start),
    (ALIVE, Start, _stay),
    ((*ALIVE, *DEAD), Reconsidered, _reconsidered),
    (("starting",), SpawnFailed, _spawn_failed),
    (("starting",), StartRefused, _start_refused),
    (("starting",), BecameReady, _ready),
    (("idle",), RunGiven, _give_run),
    (ALIVE, Heard, _heard),
    (("busy",), Progressed, _progressed),
    (("busy",), RunDone, _run_done),
    (ALIVE, CancelWanted, _cancel),
    (DEAD, CancelWanted, _stay),
    (ALIVE, LeaveWanted, _leave),
    (DEAD, LeaveWanted, _leave_dead),
    (ALIVE, Misbehaved, _misbehaved),
    (ALIVE, ChannelClosed, _channel_closed),
    (ALIVE, Died, _died),
    ((*ALIVE, *DEAD), Tick, _tick),
)
