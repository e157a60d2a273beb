"""Stacks as faulthandler really writes them: of a thread that died in native code, and of one that hangs in it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from dw_lsp.supervisor.stacks import place_of_death, place_of_main_thread

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")

THREADS = """
import ctypes, faulthandler, os, signal, sys, threading, time
faulthandler.enable()
faulthandler.register(signal.SIGUSR1)
def other():
    time.sleep(60)
for _ in range(5):
    threading.Thread(target=other, daemon=True).start()
def deep(count):
    if count:
        return deep(count - 1)
    work()
def work():
    print("here", flush=True)
    WORK
deep(60)
"""
HOLDS_THE_LOCK = "ctypes.PyDLL(None).sleep(60)"
DIES = "ctypes.string_at(0)"


def lines_of(work: str, dump: bool) -> list[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", THREADS.replace("WORK", work)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    if dump:
        time.sleep(0.3)
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.3)
        process.kill()
    _, errors = process.communicate(timeout=30)
    return errors.splitlines()


def test_a_hang_with_the_interpreters_lock_held_shows_where() -> None:
    stack = place_of_main_thread(lines_of(HOLDS_THE_LOCK, dump=True))
    assert stack is not None
    first, innermost, *others = stack.splitlines()
    assert first == "Where it was (most recent call first):"
    assert innermost.endswith("in work")
    assert sum(line.endswith("in deep") for line in others) == 61
    assert "in other" not in stack


def test_a_hang_on_a_thread_of_its_own_shows_that_thread() -> None:
    computes = (
        "from dw_lsp.worker.engine.computing_thread import ComputingThread as C; c = C(); c.spoil(); c.call(rest)"
    )
    script = f"rest = lambda: {HOLDS_THE_LOCK}\n    {computes}"
    stack = place_of_main_thread(lines_of(script, dump=True))
    assert stack is not None
    assert stack.splitlines()[1].endswith("in <lambda>") and "in other" not in stack and "in deep" not in stack


def test_a_death_in_native_code_shows_where_and_why() -> None:
    lines = lines_of(DIES, dump=False)
    stack = place_of_death(["an earlier line", *lines])
    assert stack is not None
    first, *frames = stack.splitlines()
    assert first == "Fatal Python error: Segmentation fault"
    assert any(frame.endswith("in work") for frame in frames) and "in other" not in stack


def test_lines_without_stacks_tell_no_place() -> None:
    assert place_of_death(["cudaErrorUnknown", "  at the end"]) is None
    assert place_of_main_thread(["  File looks like a frame"]) is None
    assert place_of_main_thread([]) is None
