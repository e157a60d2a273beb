"""The end of a process, in words."""

from __future__ import annotations

import signal
import sys

import pytest

from dw_lsp.supervisor.exits import describe_exit, kills_for_memory


def test_a_signal_has_its_name_and_no_code() -> None:
    exit = describe_exit(-signal.SIGKILL, ("last",))
    assert (exit.code, exit.signal, exit.stderr_tail) == (None, "SIGKILL", ("last",))
    assert exit.reason == "The worker was killed by SIGKILL: out of memory, or killed by hand."


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGTERM", "SIGILL"])
def test_common_signals_have_a_cause(name: str) -> None:
    reason = describe_exit(-int(getattr(signal, name)), ()).reason
    assert reason.startswith(f"The worker was killed by {name}: ")


def test_a_signal_without_a_name_has_its_number() -> None:
    assert describe_exit(-50, ()).signal == "signal 50"


def test_a_code_is_told() -> None:
    exit = describe_exit(3, ())
    assert (exit.code, exit.signal, exit.reason) == (3, None, "The worker ended with exit code 3.")


def test_a_shell_tells_signals_as_codes() -> None:
    exit = describe_exit(137, ())
    assert (exit.code, exit.signal) == (137, None)
    assert exit.reason.endswith("a shell's way to say SIGKILL: out of memory, or killed by hand.")
    assert describe_exit(137, (), memory_ran_out=True).reason.endswith("ran out of memory and ended it.")


@pytest.mark.parametrize(("code", "word"), [(127, "not found"), (255, "ssh"), (0xC0000005, "access violation")])
def test_codes_with_a_meaning(code: int, word: str) -> None:
    assert word in describe_exit(code, ()).reason


def test_an_orderly_end_is_no_failure_in_words() -> None:
    assert describe_exit(0, ()).reason == "The worker ended by itself."


def test_a_process_that_never_ended() -> None:
    exit = describe_exit(None, ())
    assert (exit.code, exit.signal) == (None, None)
    assert "stuck" in exit.reason


def test_a_kill_for_want_of_memory_is_told_as_such() -> None:
    assert describe_exit(-9, (), memory_ran_out=True).reason.endswith("the system ran out of memory and ended it.")
    assert "killed by hand" in describe_exit(-9, ()).reason
    assert "not its own" in describe_exit(-signal.SIGSEGV, (), memory_ran_out=True).reason


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_the_system_counts_what_it_kills_for_memory() -> None:
    kills = kills_for_memory()
    assert kills is None or kills >= 0
