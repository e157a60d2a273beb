"""The supervisor with real worker processes: runs, cancels, crashes, limits, restarts, and what a front hears."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from typing import Any

import pytest

from dw_lsp.supervisor.deadlines import Limits
from dw_lsp.supervisor.events import (
    Event,
    Log,
    MemoryChanged,
    Preview,
    RunFinished,
    RunProgress,
    RunStarted,
    StepFinished,
    WorkerState,
)
from dw_lsp.supervisor.failures import (
    NoAnswer,
    NoWorker,
    RequestRefused,
    SupervisorClosed,
    WorkerBusy,
)
from dw_lsp.supervisor.supervisor import Supervisor

QUICK = Limits(cancelling=0.3, leaving=0.5, closing=0.5, terminating=0.3, ping=0.1, answer=0.4)


# ---------------------------------------------------------------- a run


async def test_a_run_starts_a_worker_and_succeeds(make_front: Any) -> None:
    front = make_front()
    submitted = front.submit(["began", "one"], ["advance"], ["end_step", "one"])
    assert submitted.position == 0
    finished = await front.finished(submitted)
    assert (finished.outcome, finished.run_count, finished.error) == ("succeeded", 1, None)
    assert finished.uri == "file:///a.dw.json"
    await front.state("idle")
    assert front.states() == ["starting", "idle", "busy", "idle"]


async def test_the_events_of_a_run_come_in_order(make_front: Any) -> None:
    front = make_front()
    finished = await front.finished(front.submit(["began", "one"], ["advance"], ["preview"], ["end_step", "one"]))
    of_the_run = [type(event) for event in front.events if getattr(event, "run_id", None) == finished.run_id]
    order = [kind for kind in of_the_run if kind is not WorkerState]
    assert order == [RunStarted, RunProgress, Preview, StepFinished, RunFinished]
    assert isinstance(front.events[front.events.index(finished) + 1], MemoryChanged)


async def test_what_was_asked_for_is_told_at_the_start(make_front: Any) -> None:
    front = make_front()
    await front.finished(front.submit(["began", "one", "two"], arguments={"prompt": "a cat"}))
    [started] = front.of(RunStarted)
    assert (started.uri, started.steps, started.arguments, started.position) == (
        "file:///a.dw.json",
        ("one", "two"),
        {"prompt": "a cat"},
        0,
    )


async def test_a_second_run_has_a_warm_worker(make_front: Any) -> None:
    front = make_front()
    first = await front.finished(front.submit())
    pid = front.supervisor.state.pid
    second = await front.finished(front.submit())
    assert (len(first.loaded), len(first.reused)) == (1, 0)
    assert (len(second.loaded), len(second.reused), second.run_count) == (0, 1, 2)
    assert front.supervisor.state.pid == pid


async def test_runs_wait_for_each_other(make_front: Any) -> None:
    front = make_front()
    submitted = [front.submit(["began", "one"]) for _ in range(4)]
    assert [run.position for run in submitted] == [0, 1, 2, 3]
    for run in submitted:
        await front.finished(run)
    assert [event.run_id for event in front.of(RunFinished)] == [run.run_id for run in submitted]


async def test_a_failed_run_keeps_the_place_of_its_error(make_front: Any) -> None:
    front = make_front()
    finished = await front.finished(front.submit(["fail", "no such model"]))
    assert finished.outcome == "failed"
    assert finished.to_json()["error"]["offsets"] == {"start": 1, "end": 3}
    assert (await front.finished(front.submit())).outcome == "succeeded"


async def test_the_state_tells_all_of_the_worker(make_front: Any) -> None:
    front = make_front()
    assert front.supervisor.state == WorkerState("stopped")
    pid = await front.ready()
    state = front.supervisor.state
    assert (state.state, state.pid, state.device) == ("idle", pid, "cpu")
    assert state.versions == {"python": "3", "torch": "none"}
    assert state.python is not None
    run = front.submit(["sleep", 30])
    await front.state("busy")
    assert front.supervisor.state.run_id == run.run_id
    front.supervisor.cancel()
    await front.finished(run)


async def test_the_interpreter_is_told_while_it_still_imports(make_front: Any) -> None:
    front = make_front({"import_seconds": 30})
    front.supervisor.prewarm()
    await front.until(lambda: front.of(WorkerState)[-1].python is not None)
    assert front.supervisor.state.state == "starting"
    await front.supervisor.shutdown()


async def test_what_libraries_print_becomes_log(make_front: Any) -> None:
    front = make_front()
    run = front.submit(["log", "debug", "in words"], ["complain", "natively\n"], ["sleep", 0.1])
    await front.finished(run)
    logs = {log.message: log for log in front.of(Log)}
    assert logs["in words"] == Log("debug", "in words", run.run_id)
    assert logs["natively"] == Log("warning", "natively", run.run_id)


async def test_words_on_another_run_are_not_taken_for_this_one(make_front: Any) -> None:
    front = make_front()
    assert (await front.finished(front.submit(["wrong_run"]))).outcome == "succeeded"
    assert not front.of(StepFinished)


async def test_a_step_that_failed_did_not_finish(make_front: Any) -> None:
    front = make_front()
    await front.finished(front.submit(["began", "one"], ["end_step", "one", "failed"]))
    assert not front.of(StepFinished)


async def test_a_run_too_large_to_be_sent_fails_alone(make_front: Any) -> None:
    front = make_front()
    await front.ready()
    finished = await front.finished(front.submit(text="x" * (65 * 1024 * 1024)))
    assert finished.outcome == "failed"
    assert finished.error is not None
    assert "larger than a frame" in finished.error.message
    assert (await front.finished(front.submit())).outcome == "succeeded"


async def test_a_front_that_fails_costs_nothing(make_front: Any, caplog: pytest.LogCaptureFixture) -> None:
    front, heard = make_front(), []

    def listen(event: Event) -> None:
        heard.append(event)
        raise ValueError("this front is broken")

    supervisor = Supervisor(front.settings, listen, Limits())
    supervisor.prewarm()
    while supervisor.state.state != "idle":
        await asyncio.sleep(0.01)
    await supervisor.close()
    assert [event.state for event in heard if isinstance(event, WorkerState)][-1] == "stopped"
    assert "this front is broken" in caplog.text


# ---------------------------------------------------------------- cancel


async def test_a_cancelled_run_leaves_the_worker_alive(make_front: Any) -> None:
    front = make_front()
    pid = await front.ready()
    run = front.submit(["began", "one"], ["sleep", 30])
    await front.until(lambda: bool(front.of(RunStarted)))
    assert front.supervisor.cancel(run.run_id).cancelled
    finished = await front.finished(run)
    assert (finished.outcome, finished.error) == ("cancelled", None)
    assert (await front.finished(front.submit())).outcome == "succeeded"
    assert front.supervisor.state.pid == pid


async def test_no_name_means_the_current_run(make_front: Any) -> None:
    front = make_front()
    run = front.submit(["sleep", 30])
    await front.state("busy")
    assert front.supervisor.cancel() == type(front.supervisor.cancel())(run.run_id, True)
    assert (await front.finished(run)).outcome == "cancelled"


async def test_a_run_whose_worker_is_still_starting_can_be_cancelled(make_front: Any) -> None:
    front = make_front({"import_seconds": 0.3})
    run = front.submit()
    assert front.supervisor.cancel().run_id == run.run_id
    finished = await front.finished(run)
    assert (finished.outcome, finished.seconds, finished.memory) == ("cancelled", 0.0, None)
    await front.state("idle")


async def test_a_run_in_the_queue_is_cancelled_at_once(make_front: Any) -> None:
    front = make_front()
    first, second, third = front.submit(["sleep", 0.2]), front.submit(), front.submit()
    assert front.supervisor.cancel(second.run_id).cancelled
    assert front.of(RunFinished)[0].run_id == second.run_id
    assert (await front.finished(first)).outcome == "succeeded"
    assert (await front.finished(third)).outcome == "succeeded"
    assert len(front.of(RunFinished)) == 3


async def test_there_may_be_nothing_to_cancel(make_front: Any) -> None:
    front = make_front()
    assert front.supervisor.cancel().cancelled is False
    assert front.supervisor.cancel("no such run").cancelled is False
    run = front.submit()
    await front.finished(run)
    assert front.supervisor.cancel(run.run_id).cancelled is False


async def test_a_run_that_does_not_stop_costs_the_worker_and_nothing_else(make_front: Any) -> None:
    front = make_front({}, QUICK)
    run = front.submit(["began", "one", "two"], ["advance"], ["hang"])
    following = front.submit()
    await front.until(lambda: bool(front.of(RunProgress)))
    pid = front.supervisor.state.pid
    front.supervisor.cancel(run.run_id)
    finished = await front.finished(run)
    assert finished.outcome == "cancelled"
    assert finished.error is not None
    assert "SIGTERM" in finished.error.message
    assert [(step.name, step.outcome) for step in finished.steps] == [("one", "notRun"), ("two", "notRun")]
    assert (await front.finished(following)).outcome == "succeeded"
    assert front.supervisor.state.pid != pid


async def test_a_worker_that_ignores_sigterm_is_killed(make_front: Any) -> None:
    front = make_front({}, QUICK)
    run = front.submit(["obey_not"], ["advance"], ["hang"])
    await front.until(lambda: bool(front.of(RunProgress)))
    front.supervisor.cancel()
    finished = await front.finished(run)
    assert finished.outcome == "cancelled"
    assert finished.error is not None
    assert "SIGKILL" in finished.error.message


async def test_a_forced_cancel_does_not_wait(make_front: Any) -> None:
    front = make_front()
    run = front.submit(["advance"], ["hang"])
    await front.until(lambda: bool(front.of(RunProgress)))
    front.supervisor.cancel(force=True)
    began = time.monotonic()
    assert (await front.finished(run)).outcome == "cancelled"
    assert time.monotonic() - began < 3


async def test_after_a_cancel_that_cost_the_worker_another_one_warms_up(make_front: Any) -> None:
    front = make_front()
    run = front.submit(["hang"])
    await front.state("busy")
    front.supervisor.cancel(force=True)
    await front.finished(run)
    await front.state("idle")


async def test_it_does_not_warm_up_when_the_user_wants_it_on_a_run_only(make_front: Any) -> None:
    front = make_front(worker={"prewarm": "onRun"})
    run = front.submit(["hang"])
    await front.state("busy")
    front.supervisor.cancel(force=True)
    await front.finished(run)
    await front.state("stopped")


# ---------------------------------------------------------------- crashes


async def test_a_killed_worker_crashes_the_run_with_all_that_is_known(make_front: Any) -> None:
    front = make_front()
    run = front.submit(
        ["began", "one", "two", "three"],
        ["end_step", "one"],
        ["remember"],
        ["write_result", "two"],
        ["advance", "two"],
        ["hang"],
    )
    await front.until(lambda: bool(front.of(RunProgress)))
    os.kill(front.supervisor.state.pid, signal.SIGKILL)
    finished = await front.finished(run)
    assert finished.outcome == "crashed"
    assert finished.error is not None
    assert "SIGKILL" in finished.error.message
    assert (finished.error.type, finished.error.step) == ("WorkerCrashed", "two")
    assert [(step.name, step.outcome) for step in finished.steps] == [
        ("one", "ran"),
        ("two", "failed"),
        ("three", "notRun"),
    ]
    assert [result.path for result in finished.results] == ["/one.png", "/two.png"]
    assert finished.seed == 42 == front.of(RunStarted)[0].seed
    assert finished.memory is not None
    assert finished.seconds > 0
    state = next(event for event in front.of(WorkerState) if event.state == "crashed")
    assert state.exit is not None
    assert (state.exit.code, state.exit.signal) == (None, "SIGKILL")
    assert front.supervisor.residency == ()


async def test_the_next_run_has_a_new_worker(make_front: Any) -> None:
    front = make_front()
    await front.finished(front.submit(["die", "SIGSEGV"]))
    finished = await front.finished(front.submit())
    assert (finished.outcome, finished.run_count) == ("succeeded", 1)
    assert front.supervisor.state.exit is None


async def test_runs_that_wait_survive_a_crash(make_front: Any) -> None:
    front = make_front()
    runs = [front.submit(["die", "SIGKILL"]), front.submit(), front.submit(["die", "SIGABRT"]), front.submit()]
    assert [(await front.finished(run)).outcome for run in runs] == ["crashed", "succeeded", "crashed", "succeeded"]
    assert len(front.of(RunFinished)) == 4


async def test_a_worker_that_dies_without_work_is_told(make_front: Any) -> None:
    front = make_front()
    os.kill(await front.ready(), signal.SIGKILL)
    await front.state("crashed")
    assert not front.of(RunFinished)


async def test_a_worker_that_dies_while_importing_is_tried_again(make_front: Any) -> None:
    front = make_front({"import_seconds": 0.5})
    run = front.submit()
    await front.until(lambda: front.supervisor.state.pid is not None)
    os.kill(front.supervisor.state.pid, signal.SIGKILL)
    assert (await front.finished(run)).outcome == "succeeded"


async def test_three_crashes_in_a_row_are_enough(make_front: Any) -> None:
    front = make_front({"exit": 7})
    finished = await front.finished(front.submit())
    assert finished.outcome == "failed"
    assert finished.error is not None
    assert "3 times in a row" in finished.error.message
    assert "exit code 7" in finished.error.message
    assert finished.error.traceback == "this worker has no wish to live"
    assert finished.error.hint is not None
    assert "dw.restart" in finished.error.hint
    assert front.states() == ["starting", "crashed"] * 3
    assert (await front.finished(front.submit())).outcome == "failed"
    assert front.states() == ["starting", "crashed"] * 3


async def test_a_restart_tries_again(make_front: Any) -> None:
    front = make_front({"exit": 7})
    await front.finished(front.submit())
    front.supervisor.configure(make_front().settings)
    assert (await front.supervisor.restart()).state == "idle"
    assert (await front.finished(front.submit())).outcome == "succeeded"


@pytest.mark.parametrize(
    ("script", "word"),
    [
        (["write_text", "printed where messages belong\n"], "stream of messages is broken"),
        (["write_text", "\0\0\0\2{]"], "not JSON"),
        (["write_text", '\0\0\0\17{"kind":"Cats"}'], "unknown kind"),
        (["close_output"], "SIGTERM"),
        (["tear"], "exit code 9. Its last message broke off in the middle."),
        (["half"], "of a message of "),  # Noticed at the next one, which is the end of the run.
        (["exit", 0], "ended by itself"),
    ],
)
async def test_a_worker_that_breaks_the_channel_crashes_its_run_only(
    make_front: Any, script: list[Any], word: str
) -> None:
    front = make_front({}, QUICK)
    finished = await front.finished(front.submit(script))
    assert finished.outcome == "crashed"
    assert finished.error is not None
    assert word in finished.error.message
    assert (await front.finished(front.submit())).outcome == "succeeded"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
async def test_a_worker_that_was_stopped_from_outside_is_told_as_that(make_front: Any) -> None:
    front = make_front({}, QUICK)
    pid = await front.ready()
    os.kill(pid, signal.SIGSTOP)
    submitted = front.submit()
    await front.until(lambda: any(f"kill -CONT {pid}" in log.message for log in front.of(Log)))
    os.kill(pid, signal.SIGCONT)
    assert (await front.finished(submitted)).outcome == "succeeded"


async def test_a_flood_of_complaints_costs_nothing(make_front: Any) -> None:
    front = make_front()
    assert (await front.finished(front.submit(["flood", 200_000]))).outcome == "succeeded"
    assert len(front.of(Log)) < 5000


# ---------------------------------------------------------------- start


async def test_what_is_missing_is_told_with_its_remedy(make_front: Any) -> None:
    front = make_front({"start_failed": ["torch is not installed in this Python.", "pip install torch"]})
    finished = await front.finished(front.submit())
    assert finished.outcome == "failed"
    assert finished.error is not None
    assert (finished.error.message, finished.error.hint) == (
        "torch is not installed in this Python.",
        "pip install torch",
    )
    await front.state("crashed")
    assert front.supervisor.state.exit is not None
    assert front.supervisor.state.exit.reason == "torch is not installed in this Python. pip install torch"


async def test_what_is_missing_at_a_prewarm_is_logged(make_front: Any) -> None:
    front = make_front({"start_failed": ["torch is not installed.", "pip install torch"]})
    front.supervisor.prewarm()
    await front.state("crashed")
    assert front.of(Log) == [Log("error", "torch is not installed. pip install torch")]


async def test_a_start_failure_is_no_crash_that_counts(make_front: Any) -> None:
    front = make_front({"start_failed": ["torch is not installed.", None]})
    for _ in range(7):
        finished = await front.finished(front.submit())
        assert finished.error is not None
        assert finished.error.message == "torch is not installed."


@pytest.mark.parametrize(
    ("worker", "word"),
    [
        ({"command": ("/nowhere/python",)}, "'/nowhere/python' could not be started: No such file"),
        ({"command": (), "python": "/nowhere/python"}, "dw.worker.python is '/nowhere/python', which does not exist"),
    ],
)
async def test_a_command_that_does_not_exist_is_named(make_front: Any, worker: dict[str, Any], word: str) -> None:
    front = make_front(worker=worker)
    finished = await front.finished(front.submit())
    assert finished.outcome == "failed"
    assert finished.error is not None
    assert word in finished.error.message
    assert front.supervisor.state.state == "crashed"
    assert word in front.supervisor.state.exit.reason


async def test_a_prewarm_never_raises(make_front: Any) -> None:
    front = make_front(worker={"command": ("/nowhere/python",)})
    front.supervisor.prewarm()
    await front.state("crashed")
    front.supervisor.prewarm()
    await front.supervisor.close()
    front.supervisor.prewarm()
    assert front.supervisor.state.state == "stopped"


async def test_a_worker_that_is_never_ready_is_ended(make_front: Any) -> None:
    front = make_front({"never_ready": True}, Limits(starting=0.5))
    finished = await front.finished(front.submit())
    assert finished.outcome == "failed"
    assert finished.error is not None
    assert "not ready after 0.5 s" in finished.error.message


@pytest.mark.parametrize(
    ("start", "word"),
    [
        ({"print": "Welcome to gpu-box!\n"}, "'Welcome to gpu-box!'"),
        ({"version": 99}, "version 99"),
        ({"no_hello": True}, "not Hello"),
    ],
)
async def test_a_counterpart_of_another_kind_is_told_at_once(make_front: Any, start: dict[str, Any], word: str) -> None:
    front = make_front(start)
    finished = await front.finished(front.submit())
    assert finished.outcome == "failed"
    assert finished.error is not None
    assert word in finished.error.message
    assert front.states() == ["starting", "crashed"]


# ---------------------------------------------------------------- limits


async def test_a_run_without_progress_is_timed_out_with_its_stacks(make_front: Any) -> None:
    front = make_front({}, QUICK, run={"timeout_seconds": 0.5})
    finished = await front.finished(front.submit(["began", "one"], ["advance"], ["hang"]))
    assert finished.outcome == "timedOut"
    assert finished.error is not None
    assert "no sign of progress for 0.5 s" in finished.error.message
    assert "denoising 1/25" in finished.error.message
    assert "stack of the main thread" in (finished.error.traceback or "")
    assert (await front.finished(front.submit())).outcome == "succeeded"


async def test_a_run_that_stops_when_its_time_is_over_keeps_its_worker(make_front: Any) -> None:
    front = make_front({}, run={"timeout_seconds": 0.3})
    pid = await front.ready()
    finished = await front.finished(front.submit(["began", "one"], ["advance"], ["sleep", 60]))
    assert finished.outcome == "timedOut"
    assert finished.error is not None
    assert finished.error.step == "one"
    await front.finished(front.submit())
    assert front.supervisor.state.pid == pid


async def test_a_slow_run_that_advances_goes_on(make_front: Any) -> None:
    front = make_front({}, run={"timeout_seconds": 0.5})
    script = [command for _ in range(8) for command in (["advance"], ["sleep", 0.15])]
    assert (await front.finished(front.submit(*script))).outcome == "succeeded"


async def test_the_same_progress_again_and_again_is_none(make_front: Any) -> None:
    front = make_front({}, run={"timeout_seconds": 0.4})
    assert (await front.finished(front.submit(["repeat", 60]))).outcome == "timedOut"


async def test_a_whole_run_has_a_limit_of_its_own(make_front: Any) -> None:
    front = make_front({}, run={"max_seconds": 0.5})
    script = [command for _ in range(100) for command in (["advance"], ["sleep", 0.05])]
    finished = await front.finished(front.submit(*script))
    assert finished.outcome == "timedOut"
    assert finished.error is not None
    assert "dw.run.maxSeconds" in finished.error.message


async def test_a_changed_limit_has_effect_on_the_run_that_runs(make_front: Any) -> None:
    front = make_front()
    run = front.submit(["sleep", 60])
    await front.state("busy")
    front.supervisor.configure(make_front(run={"timeout_seconds": 0.2}).settings)
    assert (await front.finished(run)).outcome == "timedOut"


async def test_a_frozen_worker_is_unresponsive_until_it_answers(make_front: Any) -> None:
    front = make_front({}, QUICK)
    run = front.submit(["freeze"], ["sleep", 0.1])
    await front.state("unresponsive")
    assert front.supervisor.state.run_id == run.run_id
    os.kill(front.supervisor.state.pid, signal.SIGCONT)
    assert (await front.finished(run)).outcome == "succeeded"
    assert front.states()[:5] == ["starting", "idle", "busy", "unresponsive", "busy"]


async def test_a_frozen_worker_can_be_got_rid_of(make_front: Any) -> None:
    front = make_front({}, QUICK)
    run = front.submit(["freeze"], ["sleep", 60])
    await front.state("unresponsive")
    front.supervisor.cancel()
    assert (await front.finished(run)).outcome == "cancelled"
    assert (await front.finished(front.submit())).outcome == "succeeded"


# ---------------------------------------------------------------- memory and other questions


async def test_memory_is_told_during_and_after_a_run(make_front: Any) -> None:
    front = make_front()
    await front.finished(front.submit(["remember"], ["remember"], ["remember"]))
    await front.until(lambda: len(front.of(MemoryChanged)) == 4)


async def test_memory_that_stays_is_told_once(make_front: Any) -> None:
    front = make_front()
    await front.ready()
    first = await front.supervisor.memory()
    assert first.device == "cpu"
    await front.supervisor.memory()
    assert len(front.of(MemoryChanged)) == 1


async def test_the_residency_is_what_was_last_heard(make_front: Any) -> None:
    front = make_front()
    assert front.supervisor.residency == ()
    await front.finished(front.submit())
    assert [part.key for part in front.supervisor.residency] == ["key-vae"]
    assert (await front.supervisor.clear()).components == ()
    assert front.supervisor.residency == ()


async def test_one_component_can_be_dropped(make_front: Any) -> None:
    front = make_front()
    await front.finished(front.submit())
    assert (await front.supervisor.evict("key-vae")).components == ()
    with pytest.raises(RequestRefused, match="no component 'key-vae' is loaded"):
        await front.supervisor.evict("key-vae")


async def test_clearing_keeps_the_worker(make_front: Any) -> None:
    front = make_front()
    pid = await front.ready()
    await front.supervisor.clear()
    assert front.supervisor.state.pid == pid


async def test_memory_of_a_busy_worker_is_told(make_front: Any) -> None:
    front = make_front()
    run = front.submit(["advance"], ["sleep", 30])
    await front.until(lambda: bool(front.of(RunProgress)))
    assert (await front.supervisor.memory()).components
    with pytest.raises(WorkerBusy, match="Wait, or cancel it"):
        await front.supervisor.clear()
    with pytest.raises(WorkerBusy):
        await front.supervisor.evict("key-vae")
    front.supervisor.cancel()
    await front.finished(run)


async def test_a_ping_tells_the_worker(make_front: Any) -> None:
    front = make_front()
    await front.finished(front.submit())
    pong = await front.supervisor.ping()
    assert (pong.pid, pong.run_count) == (front.supervisor.state.pid, 1)
    assert pong.uptime > 0


async def test_questions_start_no_worker(make_front: Any) -> None:
    front = make_front()
    for question in (front.supervisor.ping, front.supervisor.memory, front.supervisor.clear):
        with pytest.raises(NoWorker, match="Run a workflow or restart the worker first"):
            await question()
    assert front.supervisor.state.state == "stopped"


async def test_a_question_waits_for_a_starting_worker(make_front: Any) -> None:
    front = make_front({"import_seconds": 0.3})
    front.supervisor.prewarm()
    assert (await front.supervisor.ping()).run_count == 0


async def test_a_question_to_a_worker_that_dies_is_answered_by_its_death(make_front: Any) -> None:
    front = make_front()
    run = front.submit(["advance"], ["freeze"])
    await front.until(lambda: bool(front.of(RunProgress)))
    await asyncio.sleep(0.1)
    question = asyncio.create_task(front.supervisor.ping())
    await asyncio.sleep(0.1)
    os.kill(front.supervisor.state.pid, signal.SIGKILL)
    with pytest.raises(NoWorker, match="SIGKILL"):
        await question
    await front.finished(run)


async def test_a_question_without_an_answer_has_a_limit(make_front: Any) -> None:
    front = make_front({}, Limits(request=0.3, closing=0.3))
    front.submit(["advance"], ["freeze"])
    await front.until(lambda: bool(front.of(RunProgress)))
    await asyncio.sleep(0.1)
    with pytest.raises(NoAnswer, match=r"did not answer within 0\.3 s"):
        await front.supervisor.ping()


# ---------------------------------------------------------------- restart, shutdown, close


async def test_a_restart_brings_another_worker(make_front: Any) -> None:
    front = make_front()
    pid = await front.ready()
    state = await front.supervisor.restart()
    assert state.state == "idle"
    assert state.pid != pid


async def test_a_restart_ends_the_run_and_keeps_the_queue(make_front: Any) -> None:
    front = make_front()
    run, following = front.submit(["sleep", 30]), front.submit()
    await front.state("busy")
    await front.supervisor.restart()
    assert (await front.finished(run)).outcome == "cancelled"
    assert (await front.finished(following)).outcome == "succeeded"


async def test_a_restart_starts_a_worker_when_there_is_none(make_front: Any) -> None:
    assert (await make_front().supervisor.restart()).state == "idle"


async def test_a_restart_that_fails_tells_why(make_front: Any) -> None:
    front = make_front({"start_failed": ["torch is not installed.", None]})
    state = await front.supervisor.restart()
    assert state.state == "crashed"
    assert state.exit is not None
    assert state.exit.reason == "torch is not installed."


async def test_a_hanging_run_does_not_stop_a_restart(make_front: Any) -> None:
    front = make_front({}, QUICK)
    run = front.submit(["obey_not"], ["hang"])
    await front.state("busy")
    assert (await front.supervisor.restart()).state == "idle"
    assert (await front.finished(run)).outcome == "cancelled"


async def test_two_restarts_at_once_are_no_harm(make_front: Any) -> None:
    front = make_front()
    await front.ready()
    states = await asyncio.gather(front.supervisor.restart(), front.supervisor.restart())
    assert [state.state for state in states] == ["idle", "idle"]


async def test_a_shutdown_ends_worker_and_queue(make_front: Any) -> None:
    front = make_front()
    runs = [front.submit(["sleep", 30]), front.submit(), front.submit()]
    await front.state("busy")
    assert (await front.supervisor.shutdown()).state == "stopped"
    assert [(await front.finished(run)).outcome for run in runs] == ["cancelled"] * 3
    assert front.supervisor.state.pid is None


async def test_a_run_after_a_shutdown_starts_a_new_worker(make_front: Any) -> None:
    front = make_front()
    await front.ready()
    await front.supervisor.shutdown()
    assert (await front.finished(front.submit())).outcome == "succeeded"


async def test_a_shutdown_of_nothing_is_done(make_front: Any) -> None:
    assert (await make_front().supervisor.shutdown()).state == "stopped"


async def test_a_worker_can_be_shut_down_while_it_starts(make_front: Any) -> None:
    front = make_front({"import_seconds": 60})
    front.supervisor.prewarm()
    await front.until(lambda: front.supervisor.state.pid is not None)
    assert (await front.supervisor.shutdown()).state == "stopped"


async def test_a_worker_can_be_shut_down_before_it_is_there(make_front: Any) -> None:
    front = make_front()
    front.supervisor.prewarm()
    assert (await front.supervisor.shutdown()).state == "stopped"


async def test_close_ends_all_and_takes_no_more(make_front: Any) -> None:
    front = make_front()
    run = front.submit(["sleep", 30])
    await front.state("busy")
    await front.supervisor.close()
    assert (await front.finished(run)).outcome == "cancelled"
    with pytest.raises(SupervisorClosed):
        front.submit()
    with pytest.raises(SupervisorClosed):
        await front.supervisor.restart()
    await front.supervisor.close()


async def test_close_while_somebody_waits_for_a_restart(make_front: Any) -> None:
    front = make_front({"import_seconds": 60})
    restart = asyncio.create_task(front.supervisor.restart())
    await front.state("starting")
    await front.supervisor.close()
    assert (await restart).state == "stopped"


async def test_the_exit_of_a_worker_that_was_shut_down_is_told(make_front: Any) -> None:
    front = make_front()
    await front.ready()
    state = await front.supervisor.shutdown()
    assert state.exit is not None
    assert state.exit.reason == "The worker was shut down."
