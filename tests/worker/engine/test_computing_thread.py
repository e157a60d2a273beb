"""The thread that computes: another one once memory has run out, for the processor's library does not get over it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from dw_lsp.worker.cancellation import RunCancelled
from dw_lsp.worker.engine.computing_thread import ComputingThread
from dw_lsp.worker.engine.out_of_memory import had_no_code, is_out_of_memory

UNMADE = RuntimeError("could not create a primitive")


def test_work_is_done_where_it_is_asked_for() -> None:
    assert ComputingThread().call(threading.get_ident) == threading.get_ident()


def test_where_memory_has_run_out_a_new_thread_works() -> None:
    computing = ComputingThread()
    computing.spoil()
    assert computing.is_spoilt
    assert computing.call(threading.get_ident) != threading.get_ident()
    assert not computing.call(lambda: computing.is_spoilt)


def test_a_new_thread_on_which_memory_runs_out_is_left_as_well() -> None:
    computing = ComputingThread()
    computing.spoil()

    def work() -> tuple[int, int]:
        computing.spoil()
        return threading.get_ident(), computing.call(threading.get_ident)

    first, second = computing.call(work)
    assert len({first, second, threading.get_ident()}) == 3


@pytest.mark.parametrize("error", [ValueError("wrong"), RunCancelled("run")], ids=["error", "cancelled"])
def test_what_the_work_raises_is_raised(error: BaseException) -> None:
    computing = ComputingThread()
    computing.spoil()

    def work() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        computing.call(work)
    assert raised.value is error


def test_code_that_could_not_be_made_is_a_matter_of_memory() -> None:
    assert is_out_of_memory(UNMADE) and had_no_code(UNMADE)


def test_code_that_there_is_none_of_is_not() -> None:
    unknown = RuntimeError("could not create a primitive descriptor for the convolution forward propagation primitive")
    assert not is_out_of_memory(unknown) and not had_no_code(unknown)


# ---------------------------------------------------------------- a real shortage, in a process of its own

SPOIL = """
import json, resource, sys
import torch
from dw_lsp.protocol import Execute, RunOptions
from dw_lsp.worker import standby
from dw_lsp.worker.cancellation import Cancellation
from dw_lsp.worker.engine.computing_thread import ComputingThread
from dw_lsp.worker.engine.engine import Engine
from dw_lsp.worker.engine.out_of_memory import had_no_code

def convolve(count):
    return torch.nn.Conv2d(count, count + 3, 3)(torch.ones(1, count, 40, 40))

def spoil_this_thread():
    convolve(8)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used, -1))
    for count in range(10, 30):
        try:
            convolve(count)
        except RuntimeError:
            pass
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    try:
        for count in range(40, 50):
            convolve(count)
    except RuntimeError as error:
        assert had_no_code(error), error
    else:
        sys.exit("this library gets over it")
"""


def after_a_shortage(script: str, *arguments: str) -> str:
    """What a script prints that begins on a spoilt thread; skips where the library gets over shortages."""
    if sys.platform != "linux":
        pytest.skip("only Linux limits a process's memory")
    command = [sys.executable, "-c", SPOIL + script, *arguments]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    if "this library gets over it" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_library_does_not_get_over_it_on_the_same_thread_but_on_another() -> None:
    script = """
spoil_this_thread()
computing = ComputingThread()
computing.spoil()
computing.call(lambda: [convolve(count) for count in range(50, 60)])
print("works")
"""
    assert after_a_shortage(script).split() == ["works"]


def test_a_worker_goes_on_after_a_shortage(make: Any, tmp_path: Path) -> None:
    """The step is tried again on a new thread, as it is written; the runs after it begin on one."""
    script = """
engine = Engine(standby.versions())
spoil_this_thread()
for text in json.loads(sys.argv[1]):
    request = Execute("run", text, None, (sys.argv[2],), sys.argv[3], options=RunOptions())
    ended = engine.execute(request, Cancellation("run"), lambda message: None)
    print(ended.outcome, len(ended.steps[0].notes), ended.error, sep=", ")
"""
    texts = [json.dumps(make.workflow(make.drawing(1, width=side, height=side), seed=1)) for side in (72, 88)]
    said = after_a_shortage(script, json.dumps(texts), str(make.model.parent), str(tmp_path))
    assert said.splitlines() == ["succeeded, 1, None", "succeeded, 0, None"]
