"""Owns the worker and the runs: hears the worker, asks `lifecycle` what follows, does it, and tells the front.

One owner: all of it happens on one event loop, without waiting in between, so no step sees another half done. A front
gives requests and hears events; it may be an editor, a command line or a test. Knows no workflow: texts pass unread.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable

from dw_lsp.protocol import (
    Cancel,
    ClearMemory,
    Component,
    Evict,
    MemoryReport,
    Ping,
    Pong,
    ReportMemory,
    RunError,
    RunOutcome,
    Shutdown,
    ToWorker,
)
from dw_lsp.settings import Settings
from dw_lsp.supervisor import life
from dw_lsp.supervisor.changes import Alarm, Changes
from dw_lsp.supervisor.command import NoCommand, spare_command, worker_command
from dw_lsp.supervisor.deadlines import Limits, with_settings
from dw_lsp.supervisor.events import Event, Log, MemoryChanged, WorkerExit, WorkerState
from dw_lsp.supervisor.execution import execute_message
from dw_lsp.supervisor.exits import describe_exit
from dw_lsp.supervisor.failures import (
    SupervisorClosed,
    WorkerBusy,
    error_of_dead_worker,
    explain_exit,
    no_worker,
    refusal,
    stands_still,
)
from dw_lsp.supervisor.hearing import Hearing
from dw_lsp.supervisor.lifecycle import ImpossibleEvent, advance
from dw_lsp.supervisor.memory_watch import MemoryWatch, stays_behind
from dw_lsp.supervisor.process import CannotSpawn, WorkerProcess, spawn
from dw_lsp.supervisor.requests import Answer, Requests, report_in
from dw_lsp.supervisor.runs import Cancelled, RunRequest, Runs, Submitted
from dw_lsp.supervisor.standby import Standby

logger = logging.getLogger(__name__)


class Supervisor:
    """One worker at a time, and a queue of runs for it.

    Arguments: the settings; who is told each event; how long things may take. Every method belongs to one event loop.
    """

    def __init__(self, settings: Settings, listener: Callable[[Event], None], limits: Limits | None = None):
        self._settings, self._listener, self._own_limits = settings, listener, limits or Limits()
        self._life = life.Lifecycle()
        self._runs, self._memory, self._requests = Runs(), MemoryWatch(), Requests()
        self._hearing = self._new_hearing()
        self._process: WorkerProcess | None = None
        self._spawning: asyncio.Task[None] | None = None
        self._generation = 0
        self._exit: WorkerExit | None = None
        self._told_state = self.state
        self._events: deque[life.Event] = deque()
        self._advancing = self._closed = False
        self._alarm = Alarm(lambda: self._apply(life.Tick()))
        self._changes = Changes()
        self._standby = Standby(lambda: spare_command(self._settings, os.environ), self._own_limits.spare)

    # ------------------------------------------------------------ for fronts

    @property
    def state(self) -> WorkerState:
        """What the worker is doing now."""
        alive = self._life.alive
        process, hearing = self._process if alive else None, self._hearing
        return WorkerState(
            state=self._life.state,
            pid=process.pid if process else None,
            python=hearing.hello.executable if alive and hearing.hello else None,
            versions=hearing.ready.versions if alive and hearing.ready else None,
            device=hearing.ready.device if alive and hearing.ready else None,
            run_id=self._life.run_id,
            exit=None if alive and hearing.ready else self._exit,
        )

    @property
    def residency(self) -> tuple[Component, ...]:
        """What the worker holds in memory, as far as is known."""
        return self._memory.components

    def configure(self, settings: Settings) -> None:
        """Use these settings: limits at once, options from the next run, the interpreter from the next start."""
        before, self._settings = self._settings.worker, settings
        self._standby.check_command()
        if settings.worker != before:
            self._apply(life.Reconsidered())
            if self._life.state == "crashed" and self._wants_warmth:
                self._apply(life.Start())
        self._set_alarm()

    def prewarm(self) -> None:
        """Start a worker if there is none. Never raises: what goes wrong is an event."""
        if not self._closed:
            self._apply(life.Start())

    def submit(self, request: RunRequest) -> Submitted:
        """Accept a run; it will have exactly one `RunFinished`. Raises `SupervisorClosed` after `close`."""
        self._must_be_open()
        submitted = self._runs.submit(request)
        self._apply(life.Tick())
        return submitted

    def cancel(self, run_id: str | None = None, *, force: bool = False) -> Cancelled:
        """Cancel a run; `None` is the one that runs or is next. `force` ends the worker instead of asking it first."""
        wanted = run_id or self._runs.foremost
        current = self._runs.current
        if wanted is None:
            return Cancelled(None, False)
        if current is not None and current.id == wanted:
            self._apply(life.CancelWanted(force))
            return Cancelled(wanted, True)
        finished = self._runs.close_waiting(wanted, self._now(), self._memory.known)
        if finished is not None:
            self._tell(finished)
        return Cancelled(wanted, finished is not None)

    async def memory(self) -> MemoryReport:
        """The worker's memory now. Raises `WorkerFailure` when there is no worker, or no answer."""
        recent = self._memory.recent(self._now()) if self._life.run_id else None
        return recent or await self._ask_memory(ReportMemory, self._own_limits.request)

    async def clear(self) -> MemoryReport:
        """No components, and no more memory than at the start; else a fresh worker. Raises `WorkerFailure`."""
        self._must_not_run("cleared")
        report = await self._ask_memory(ClearMemory, self._own_limits.cleanup)
        if self._runs.current is None and stays_behind(report):
            await self._replace()
            report = await self.memory()
        return report

    async def evict(self, key: str) -> MemoryReport:
        """Make the worker drop one component. Raises `WorkerFailure`."""
        self._must_not_run("changed")
        return await self._ask_memory(lambda number: Evict(number, key), self._own_limits.cleanup)

    async def ping(self) -> Pong:
        """Whether the worker is there. Starts none: raises `NoWorker`."""
        answer = await self._ask(Ping, self._own_limits.request)
        assert isinstance(answer, Pong)
        return answer

    async def restart(self) -> WorkerState:
        """A new worker, whatever the old one does; its run ends as cancelled. Returns once it is ready, or failed."""
        self._must_be_open()
        self._standby.drop()  # What it has imported may be what the user has just mended.
        await self._replace()
        return self.state

    async def _replace(self) -> None:
        generation = self._generation + 1
        self._apply(life.LeaveWanted("restart"))
        await self._changes.until(
            lambda: (self._generation >= generation and self._life.state != "starting") or not self._life.alive
        )

    async def shutdown(self) -> WorkerState:
        """No worker; all runs end as cancelled. A later run starts a new one. Returns once it is gone."""
        self._cancel_waiting()
        generation = self._generation
        self._standby.drop()
        self._apply(life.LeaveWanted("shutdown"))
        await self._changes.until(lambda: self._generation > generation or not self._life.alive)
        return self.state

    async def close(self) -> None:
        """Take no more work, end all runs and the worker, and return when nothing of them is left."""
        self._closed = True
        self._cancel_waiting()
        self._apply(life.LeaveWanted("close"))
        await self._changes.until(lambda: not self._life.alive)
        if self._spawning is not None:
            await self._spawning
        await self._standby.close()
        self._alarm.set(None)

    # ------------------------------------------------------------ the step

    def _apply(self, event: life.Event) -> None:
        self._events.append(event)
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._events or self._next_run():
                self._advance(self._events.popleft())
        finally:
            self._advancing = False
        self._set_alarm()
        self._changes.happened()

    def _advance(self, event: life.Event) -> None:
        before = self._life
        try:
            self._life, actions = advance(before, event, self._now(), self._limits())
        except ImpossibleEvent as error:
            if not isinstance(event, life.FROM_WORKER):
                raise
            self._events.append(life.Misbehaved(str(error)))
            return
        for action in actions:
            self._perform(action, before)
        if isinstance(event, life.Died):
            self._memory.forget()
        self._tell_state()
        if isinstance(event, life.Died) and self._wants_warmth and life.worth_another(before):
            self._events.append(life.Start())

    def _next_run(self) -> bool:
        """Let a run that waits have a worker. Returns whether there is an event to be looked at."""
        if self._runs.any_waiting and self._life.accepts_run:
            run = self._runs.begin(self._now())
            self._events.append(life.RunGiven(run.id))
        elif self._runs.any_waiting and self._life.may_start:
            self._events.append(life.Start())
        return bool(self._events)

    @property
    def _wants_warmth(self) -> bool:
        return self._settings.worker.prewarm == "onOpen" and not self._closed

    # ------------------------------------------------------------ actions

    def _perform(self, action: life.Action, before: life.Lifecycle) -> None:
        if isinstance(action, life.EndRun):
            self._end_run(action.outcome, before.ending)
        elif isinstance(action, life.RefuseRuns):
            self._refuse_runs(action)
        elif isinstance(action, life.Spawn):
            self._begin_to_spawn()
        elif self._process is None:
            if isinstance(action, life.Abandon):
                self._exited(describe_exit(None, ()))
        else:
            _ON_PROCESS[type(action)](self, self._process)

    def _end_run(self, outcome: RunOutcome, ending: life.Ending | None) -> None:
        run, known = self._runs.current, self._memory.known
        if run is None or self._exit is None:
            raise RuntimeError("a run was ended without a run, or without the death of its worker")
        error = error_of_dead_worker(outcome, ending, self._exit, run.place, known.memory, self._stack())
        self._tell(self._runs.close_current(outcome, error, self._now(), known))

    def _refuse_runs(self, refused: life.RefuseRuns) -> None:
        error = refusal(refused, self._exit, self._stack())
        if not self._runs.any_waiting:
            self._tell(Log("error", life.with_hint(error.message, error.hint)))
        for finished in self._runs.close_all_waiting("failed", error, self._now(), self._memory.known):
            self._tell(finished)

    def _begin_to_spawn(self) -> None:
        self._generation += 1
        self._process = None
        self._hearing = self._new_hearing()
        self._spawning = asyncio.get_running_loop().create_task(self._spawn(self._hearing))

    async def _spawn(self, hearing: Hearing) -> None:
        try:
            command = worker_command(self._settings, os.environ)
            if not self._standby.take(command, hearing):
                await spawn(command, hearing)
        except (NoCommand, CannotSpawn) as error:
            self._exit = WorkerExit(None, None, str(error), ())
            self._apply(life.SpawnFailed(str(error)))

    def _give_run(self, process: WorkerProcess) -> None:
        run = self._runs.current
        if run is None:
            raise RuntimeError("a worker was to be given a run when there was none")
        process.forget_stacks()
        try:
            process.send(execute_message(run.id, run.request, self._settings))
        except (TypeError, ValueError) as error:
            problem = RunError(f"The run cannot be sent to the worker: {error}.", type(error).__name__)
            self._tell(self._runs.close_current("failed", problem, self._now(), self._memory.known))
            self._events.append(life.RunDone())

    def _ask_to_cancel(self, process: WorkerProcess) -> None:
        if self._runs.current is not None:
            process.send(Cancel(self._runs.current.id))

    def _send_ping(self, process: WorkerProcess) -> None:
        process.send(Ping(self._requests.number()))

    # ------------------------------------------------------------ the process

    def _started(self, process: WorkerProcess) -> None:
        self._process = process
        if self._life.ending is not None:
            process.kill()
        self._tell_state()

    def _exited(self, exit: WorkerExit) -> None:
        torn = self._process is not None and self._process.is_torn
        self._exit = explain_exit(self._life.ending, exit, self._hearing.starting_with, torn)
        self._requests.give_up(no_worker("crashed", self._exit))
        self._apply(life.Died())

    def _new_hearing(self) -> Hearing:
        return Hearing(
            self._runs,
            self._memory,
            self._requests,
            happened=self._apply,
            tell=self._tell,
            ending=lambda: self._life.ending,
            now=self._now,
            started=self._started,
            exited=self._exited,
            stack=self._stack,
        )

    def _stack(self) -> str | None:
        return self._process.stack if self._process is not None else None

    # ------------------------------------------------------------ questions

    async def _ask(self, make: Callable[[int], ToWorker], seconds: float) -> Answer:
        await self._changes.until(lambda: self._life.state != "starting")
        process = self._process
        if process is None or not self._life.alive or self._life.ending is not None:
            raise no_worker(self._life.state, self._exit)
        return await self._requests.ask(process.send, make, seconds)

    async def _ask_memory(self, make: Callable[[int], ToWorker], seconds: float) -> MemoryReport:
        return report_in(await self._ask(make, seconds))

    def _must_not_run(self, what: str) -> None:
        if self._runs.current is not None:
            raise WorkerBusy(f"A run is going on: the memory can be {what} when it has ended. Wait, or cancel it.")

    def _must_be_open(self) -> None:
        if self._closed:
            raise SupervisorClosed("The program is about to end and takes no more runs.")

    # ------------------------------------------------------------ telling, waiting, time

    def _tell(self, event: Event) -> None:
        if isinstance(event, MemoryChanged):
            self._standby.memory_is(event.report.host_free_bytes)
        try:
            self._listener(event)
        except Exception:
            # A front that fails must cost neither the worker nor the other events.
            logger.exception("the front failed at %s", event.method)

    def _tell_state(self) -> None:
        state = self.state
        if state != self._told_state:
            if state.state != self._told_state.state:
                self._standby.worker_is(state.state)
            self._told_state = state
            self._tell(state)
            if state.state == "unresponsive" and self._process and self._process.stands_still(self._hearing.pid):
                self._tell(Log("error", stands_still(self._hearing.pid), state.run_id))

    def _cancel_waiting(self) -> None:
        for finished in self._runs.close_all_waiting("cancelled", None, self._now(), self._memory.known):
            self._tell(finished)

    def _limits(self) -> Limits:
        return with_settings(self._own_limits, self._settings)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _set_alarm(self) -> None:
        self._alarm.set(self._life.deadlines.next(self._limits()))


_ON_PROCESS: dict[type, Callable[[Supervisor, WorkerProcess], None]] = {
    life.GiveRun: Supervisor._give_run,
    life.AskToCancel: Supervisor._ask_to_cancel,
    life.AskToLeave: lambda _, process: process.send(Shutdown()),
    life.SendPing: Supervisor._send_ping,
    life.DumpStacks: lambda self, process: process.dump_stacks(self._hearing.pid),
    life.Terminate: lambda _, process: process.terminate(),
    life.Kill: lambda _, process: process.kill(),
    life.Abandon: lambda _, process: process.abandon(),
}
