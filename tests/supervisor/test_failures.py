"""Sentences for people on why a worker ended and what became of the run."""

from __future__ import annotations

import signal

import pytest

from dw_lsp.protocol import Component, MemoryReport
from dw_lsp.supervisor.exits import describe_exit
from dw_lsp.supervisor.failures import error_of_dead_worker, explain_exit, no_worker, refusal, timed_out, what_was_lost
from dw_lsp.supervisor.life import Ending, RefuseRuns

KILLED = describe_exit(-signal.SIGKILL, ("one", "two"))
ENDED = describe_exit(-signal.SIGTERM, ())


def test_a_crash_names_signal_and_place() -> None:
    error = error_of_dead_worker("crashed", None, KILLED, "step 'draw' (denoising 3/20)")
    assert "SIGKILL" in error.message
    assert "step 'draw' (denoising 3/20)" in error.message
    assert (error.type, error.traceback) == ("WorkerCrashed", "one\ntwo")


def test_a_kill_from_outside_may_be_a_lack_of_memory() -> None:
    error = error_of_dead_worker("crashed", Ending("channelClosed", "leaving"), KILLED, "")
    assert error.hint is not None
    assert "memory" in error.hint


def test_behind_a_shell_a_kill_may_be_a_lack_of_memory_too() -> None:
    assert "memory" in str(error_of_dead_worker("crashed", None, describe_exit(137, ()), "").hint)
    assert "memory" not in str(error_of_dead_worker("crashed", None, describe_exit(139, ()), "").hint)


def test_a_time_out_tells_the_limit_and_the_place() -> None:
    error = error_of_dead_worker("timedOut", Ending("timedOut", "killing", "No progress for 5 s."), KILLED, "step 'a'")
    assert error.message == "No progress for 5 s. It was at step 'a'."
    assert (error.type, error.traceback) == ("TimedOut", "one\ntwo")


def test_a_time_out_of_a_worker_that_lives_is_told_in_the_same_way() -> None:
    assert timed_out("No progress for 5 s.", "step 'a'").message == "No progress for 5 s. It was at step 'a'."


def test_a_cancel_that_cost_the_worker_says_so() -> None:
    ending = Ending("cancelled", "terminating")
    error = error_of_dead_worker("cancelled", ending, explain_exit(ending, ENDED), "")
    assert error.message == "The run did not stop when it was cancelled, so the worker was ended (SIGTERM)."
    assert error.hint is not None and "steps are kept" in error.hint


def test_what_a_dead_worker_held_is_named() -> None:
    parts = tuple(Component(name, name, "Model", 600_000_000, "cpu", 1.0) for name in ("vae", "unet"))
    memory = MemoryReport("cpu", "a", 1, None, 1, 1, 1, 1, 1, 1, parts)
    assert "(vae, unet; 1.2 GB)" in what_was_lost(memory)
    ending = Ending("timedOut", "killing", "Too long.")
    assert "(vae, unet; 1.2 GB)" in str(error_of_dead_worker("timedOut", ending, KILLED, "", memory).hint)


def test_the_exit_that_nobody_wanted_stays_as_it_is() -> None:
    assert explain_exit(None, KILLED) == KILLED
    assert explain_exit(Ending("channelClosed", "leaving"), KILLED) == KILLED


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (Ending("shutdown", "leaving"), "The worker was shut down (SIGTERM)."),
        (Ending("restart", "leaving"), "The worker was restarted (SIGTERM)."),
        (Ending("timedOut", "killing", "Too long."), "Too long. The worker was ended (SIGTERM)."),
        (Ending("cannotStart", "leaving", "torch is missing."), "torch is missing."),
        (
            Ending("broken", "terminating", "no JSON"),
            "The worker does not keep to the protocol, so it was ended (SIGTERM): no JSON.",
        ),
    ],
)
def test_an_exit_that_we_wanted_says_why(ending: Ending, reason: str) -> None:
    exit = explain_exit(ending, ENDED)
    assert (exit.reason, exit.signal) == (reason, "SIGTERM")


def test_a_refusal_after_crashes_tells_the_last_of_them() -> None:
    error = refusal(RefuseRuns("Five times.", "Restart it.", tell_exit=True), KILLED)
    assert error.message.startswith("Five times. The worker was killed by SIGKILL")
    assert (error.hint, error.traceback) == ("Restart it.", "one\ntwo")


def test_a_refusal_names_the_package_that_died() -> None:
    stack = """Fatal Python error: Segmentation fault
  File "/venv/lib/python3.11/site-packages/numpy/_core/multiarray.py", line 1 in <module>
  File "<frozen importlib._bootstrap>", line 241 in _call_with_frames_removed
  File "/venv/lib/python3.11/site-packages/torch/__init__.py", line 7 in <module>"""
    error = refusal(RefuseRuns("Five times.", "Restart it.", tell_exit=True), KILLED, stack)
    assert error.hint == "It died in numpy; installing that anew in the worker's Python may mend it. Restart it."
    assert error.traceback == stack


def test_what_a_worker_was_about_to_do_at_its_start_is_told() -> None:
    exit = describe_exit(7, ())
    told = "The worker ended with exit code 7. The last that it said: importing torch."
    assert explain_exit(None, exit, "importing torch").reason == told
    assert explain_exit(Ending("restart", "leaving"), exit, "importing torch").reason == "The worker was restarted."


def test_a_refusal_for_another_reason_tells_no_old_story() -> None:
    error = refusal(RefuseRuns("torch is missing.", "Install it."), KILLED)
    assert (error.message, error.hint, error.traceback) == ("torch is missing.", "Install it.", None)


def test_no_worker_says_what_to_do() -> None:
    assert str(no_worker("stopped", KILLED)) == "There is no worker. Run a workflow or restart the worker first."
    assert "SIGKILL" in str(no_worker("crashed", KILLED))
