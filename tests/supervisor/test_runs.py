"""The queue of runs: each ends exactly once, with all that is known of it."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from dw_lsp.protocol import (
    MemoryReport,
    ResultsWritten,
    RunBegan,
    RunEnded,
    RunError,
    StepEnded,
    StepProgress,
    StepResult,
    StepSummary,
)
from dw_lsp.supervisor.runs import Known, RunRequest, Runs

REPORT = MemoryReport("cpu", "a processor", 1, None, 5, 10, 3, 2, 5, 4)
KNOWN = Known(REPORT, 4)
REQUEST = RunRequest("file:///a.dw.json", "{}", seed=7)
CRASH = RunError("killed by SIGKILL", "WorkerCrashed")
RESULT = StepResult("one", 0, "one.png", "image/png", 100)
PROGRESS = StepProgress("1", "two", 1, 3, 0, 1, "denoising", current=12, total=25, unit="steps")


def queue() -> Runs:
    numbers = itertools.count(1)
    return Runs(lambda: str(next(numbers)))


def running(*messages: RunBegan | StepProgress | ResultsWritten | StepEnded) -> Runs:
    """A queue whose run began at 10 s and of which these messages were heard at 15 s."""
    runs = queue()
    runs.submit(REQUEST)
    run = runs.begin(10.0)
    for message in messages:
        run.note(message, 15.0)
    return runs


def ended(**changes: object) -> RunEnded:
    return dataclasses.replace(RunEnded("1", "succeeded", 2.0, 5, 7, (), (), (), (), REPORT), **changes)  # type: ignore[arg-type]


def test_the_first_run_has_nothing_before_it() -> None:
    submitted = queue().submit(REQUEST)
    assert (submitted.run_id, submitted.position) == ("1", 0)


def test_a_position_counts_the_running_one_too() -> None:
    runs = running()
    assert [runs.submit(REQUEST).position for _ in range(3)] == [1, 2, 3]


def test_runs_begin_in_the_order_in_which_they_came() -> None:
    runs = queue()
    for _ in range(3):
        runs.submit(REQUEST)
    begun = []
    while runs.any_waiting:
        begun.append(runs.begin(0.0).id)
        runs.close_current("crashed", CRASH, 0.0, KNOWN)
    assert begun == ["1", "2", "3"]


def test_two_runs_are_never_current() -> None:
    runs = running()
    runs.submit(REQUEST)
    with pytest.raises(RuntimeError):
        runs.begin(11.0)


def test_run_names_of_two_queues_differ() -> None:
    assert Runs().submit(REQUEST).run_id != Runs().submit(REQUEST).run_id


def test_the_foremost_is_the_next_when_none_runs() -> None:
    runs = queue()
    assert runs.foremost is None
    runs.submit(REQUEST)
    runs.submit(REQUEST)
    assert runs.foremost == "1"


def test_the_foremost_is_the_current_one_when_one_runs() -> None:
    runs = running()
    runs.submit(REQUEST)
    assert runs.foremost == "1"


# ---------------------------------------------------------------- an end by the worker's word


def test_the_worker_s_word_is_passed_on() -> None:
    summary = StepSummary("one", "ran", 1.0, 0.5, 100)
    finished = running().finish(ended(steps=(summary,), results=(RESULT,)))
    assert finished.outcome == "succeeded"
    assert (finished.run_id, finished.uri) == ("1", "file:///a.dw.json")
    assert (finished.steps, finished.results, finished.run_count, finished.seconds) == ((summary,), (RESULT,), 5, 2.0)


def test_a_run_ends_once() -> None:
    runs = running()
    runs.finish(ended())
    with pytest.raises(RuntimeError):
        runs.close_current("crashed", CRASH, 20.0, KNOWN)


def test_a_cancel_for_its_length_is_a_time_out() -> None:
    finished = running(PROGRESS).finish(ended(outcome="cancelled"), RunError("too long", "TimedOut"))
    assert finished.outcome == "timedOut"
    assert finished.error == RunError("too long", "TimedOut", step="two")


def test_a_run_that_succeeded_at_the_last_moment_succeeded() -> None:
    finished = running().finish(ended(), RunError("too long", "TimedOut"))
    assert (finished.outcome, finished.error) == ("succeeded", None)


# ---------------------------------------------------------------- an end without it


def test_a_crash_keeps_what_was_finished() -> None:
    runs = running(
        RunBegan("1", "a", ("one", "two", "three"), {}), StepEnded("1", "one", 0, "ran", 3.0, (RESULT,)), PROGRESS
    )
    finished = runs.close_current("crashed", CRASH, 19.0, KNOWN)
    assert [(step.name, step.outcome, step.seconds) for step in finished.steps] == [
        ("one", "ran", 3.0),
        ("two", "failed", 4.0),
        ("three", "notRun", 0.0),
    ]
    assert finished.results == (RESULT,)


def test_a_crash_keeps_what_was_written_of_a_step_under_way() -> None:
    other = StepResult("one", 1, "two.png", "image/png", 100)
    runs = running(
        RunBegan("1", "a", ("one",), {}, seed=99), ResultsWritten("1", (RESULT,)), ResultsWritten("1", (other,)),
    )  # fmt: skip
    finished = runs.close_current("crashed", CRASH, 20.0, KNOWN)
    assert finished.results == (RESULT, other) and finished.seed == 99


def test_what_was_told_of_twice_is_one_result() -> None:
    runs = running(ResultsWritten("1", (RESULT,)), StepEnded("1", "one", 0, "ran", 3.0, (RESULT,)))
    assert runs.close_current("crashed", CRASH, 20.0, KNOWN).results == (RESULT,)


def test_a_crash_names_the_step() -> None:
    finished = running(PROGRESS).close_current("crashed", CRASH, 19.0, KNOWN)
    assert finished.error is not None
    assert (finished.error.step, finished.error.message) == ("two", "killed by SIGKILL")


def test_a_crash_takes_the_time_since_the_run_left_the_queue() -> None:
    assert running().close_current("crashed", CRASH, 19.0, KNOWN).seconds == 9.0


def test_a_crash_invents_no_memory() -> None:
    assert running().close_current("crashed", CRASH, 19.0, Known()).memory is None
    finished = running().close_current("crashed", CRASH, 19.0, KNOWN)
    assert (finished.memory, finished.run_count) == (REPORT, 4)


def test_a_cancelled_step_did_not_fail() -> None:
    finished = running(PROGRESS).close_current("cancelled", CRASH, 19.0, KNOWN)
    assert [step.outcome for step in finished.steps] == ["notRun"]


def test_a_remembered_step_stays_reused() -> None:
    runs = running(RunBegan("1", "a", ("one",), {}), StepEnded("1", "one", 0, "reused", 0.0))
    assert runs.close_current("crashed", CRASH, 19.0, KNOWN).steps[0].outcome == "reused"


def test_the_seed_that_was_asked_for_is_told() -> None:
    assert running().close_current("crashed", CRASH, 19.0, KNOWN).seed == 7


# ---------------------------------------------------------------- an end in the queue


def test_a_run_that_waits_can_be_cancelled() -> None:
    runs = running()
    runs.submit(REQUEST)
    finished = runs.close_waiting("2", 20.0, KNOWN)
    assert finished is not None
    assert (finished.run_id, finished.outcome, finished.seconds, finished.error) == ("2", "cancelled", 0.0, None)
    assert (finished.steps, finished.results, finished.seed) == ((), (), 7)
    assert not runs.any_waiting


def test_a_run_that_is_over_cannot_be_cancelled_in_the_queue() -> None:
    runs = running()
    runs.finish(ended())
    assert runs.close_waiting("1", 20.0, KNOWN) is None


def test_the_others_keep_their_places() -> None:
    runs = running()
    for _ in range(3):
        runs.submit(REQUEST)
    runs.close_waiting("3", 20.0, KNOWN)
    assert [finished.run_id for finished in runs.close_all_waiting("cancelled", None, 20.0, KNOWN)] == ["2", "4"]


def test_a_run_submitted_while_the_others_end_is_not_ended_with_them() -> None:
    runs = queue()
    runs.submit(REQUEST)
    for _ in runs.close_all_waiting("failed", CRASH, 20.0, KNOWN):
        runs.submit(REQUEST)
    assert runs.foremost == "2"


# ---------------------------------------------------------------- progress


@pytest.mark.parametrize("unit", ["step", "steps"])
def test_the_place_is_told_in_words(unit: str) -> None:
    run = running(dataclasses.replace(PROGRESS, unit=unit)).current
    assert run is not None
    assert run.place == "step 'two' (denoising 12/25 steps)"


def test_the_place_of_a_run_of_which_nothing_was_heard_is_empty() -> None:
    run = running().current
    assert run is not None
    assert (run.place, run.step) == ("", None)


def test_a_place_without_counts_is_the_phase() -> None:
    run = running(dataclasses.replace(PROGRESS, current=None, total=None)).current
    assert run is not None
    assert run.place == "step 'two' (denoising)"


@pytest.mark.parametrize(
    ("change", "advanced"),
    [
        ({}, False),
        ({"eta": 3.0, "seconds_per_unit": 0.2}, False),
        ({"current": 13}, True),
        ({"iteration": 1}, True),
        ({"phase": "decoding"}, True),
        ({"message": "tile 3"}, True),
        ({"step": "three"}, True),
    ],
)
def test_the_same_once_more_is_no_progress(change: dict[str, object], advanced: bool) -> None:
    run = running(PROGRESS).current
    assert run is not None
    assert run.note(dataclasses.replace(PROGRESS, **change), 16.0) is advanced  # type: ignore[arg-type]


def test_the_end_of_a_step_leaves_no_step_under_way() -> None:
    run = running(PROGRESS, StepEnded("1", "two", 1, "ran", 1.0)).current
    assert run is not None
    assert run.step is None
