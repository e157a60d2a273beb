"""The worker as a process: greeting, answers at once, output kept apart, cancel, death of whoever started it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dw_lsp.protocol import (
    HEADER,
    PROTOCOL_VERSION,
    Activate,
    ClearMemory,
    Evict,
    Hello,
    LogLine,
    MemoryReported,
    Ping,
    Pong,
    Ready,
    ReportMemory,
    RequestFailed,
    RunBegan,
    RunEnded,
    StartFailed,
    StepProgress,
    encode,
)

LAUNCHER = Path(__file__).resolve().parents[2] / "dw_lsp" / "worker" / "launch.py"
WORDY = """
import ctypes, os, sys, warnings, logging
print("printed by python")
print("complained by python", file=sys.stderr)
os.write(1, b"written to descriptor one\\n")
ctypes.CDLL(None).puts(b"put by the C library")
warnings.warn("be careful")
logging.getLogger("some.library").error("logged as an error")
sys.stdout.write("\\x00\\x00\\x00\\x05not a frame")
"""


@pytest.fixture
def library(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Installs a module `noisy` that runs code when it is imported, and returns the environment that has it."""

    def install(code: str) -> dict[str, str]:
        folder = tmp_path / "site"
        folder.mkdir()
        (folder / "noisy.py").write_text(code)
        return {"PYTHONPATH": str(folder)}

    return install


def importing(drawing: dict[str, Any]) -> dict[str, Any]:
    """The drawing step, which first imports the module `noisy`."""
    drawing["pipeline"]["configuration"]["pre_load_modules"] = ["noisy"]
    return drawing


def test_hello_comes_before_anything_slow(start_worker: Any) -> None:
    began = time.monotonic()
    worker = start_worker()
    hello = worker.wait_for(Hello, seconds=5)
    assert time.monotonic() - began < 3
    assert (hello.protocol_version, hello.pid) == (PROTOCOL_VERSION, worker.process.pid)
    worker.send(Ping(1))
    assert worker.wait_for(Pong, seconds=10).pid == worker.process.pid
    ready = worker.wait_for(Ready)
    assert {"python", "torch", "diffusers"} <= ready.versions.keys()
    assert ready.seconds > 0 and ready.device and ready.device_name


def test_a_process_that_stands_by_is_a_worker_as_soon_as_it_is_told(
    start_worker: Any, make: Any, tmp_path: Path
) -> None:
    worker = start_worker((sys.executable, str(LAUNCHER), "--standby"))
    worker.wait_for(Hello)
    worker.send(Ping(1))
    worker.wait_for(Pong)
    with pytest.raises(AssertionError, match="no Ready"):
        worker.wait_for(Ready, seconds=5)
    worker.send(Activate())
    # Counted from the activation: what was imported before that nobody waited for.
    assert worker.wait_for(Ready, seconds=30).seconds < 2
    assert worker.run(make.workflow(make.drawing(1)), tmp_path).outcome == "succeeded"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends processes in another way")
def test_a_process_that_stands_by_ends_with_its_input(start_worker: Any) -> None:
    worker = start_worker((sys.executable, str(LAUNCHER), "--standby"))
    worker.wait_for(Hello)
    worker.process.stdin.close()
    assert worker.process.wait(10) == 0


def test_nothing_of_the_editors_side_is_needed(start_worker: Any, make: Any, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    for name in ("pygls", "lsprotocol", "rich"):
        # As if it were not installed: libraries that can use one of them, such as httpx, do without.
        (site / f"{name}.py").write_text(f"raise ImportError('{name} was imported')\n")
    worker = start_worker(PYTHONPATH=str(site))
    worker.wait_for(Ready)
    assert worker.run(make.workflow(make.drawing(1)), tmp_path).outcome == "succeeded"


def test_what_a_library_prints_is_log_and_never_protocol(
    start_worker: Any, library: Any, make: Any, tmp_path: Path
) -> None:
    worker = start_worker(**library(WORDY))
    worker.wait_for(Ready)
    ended = worker.run(make.workflow(importing(make.drawing(1))), tmp_path, options=make.options(allowed=("noisy",)))
    assert ended.outcome == "succeeded", ended.error
    logs = {(line.level, line.message, line.run_id) for line in worker.heard(LogLine)}
    run_id = ended.run_id
    assert ("info", "printed by python", run_id) in logs
    assert ("warning", "complained by python", run_id) in logs
    assert ("info", "written to descriptor one", run_id) in logs
    assert ("info", "put by the C library", run_id) in logs
    assert ("warning", "UserWarning: be careful", run_id) in logs
    assert ("error", "logged as an error", run_id) in logs


def test_a_library_that_asks_a_question_gets_no_answer(
    start_worker: Any, library: Any, make: Any, tmp_path: Path
) -> None:
    worker = start_worker(**library("try:\n    input('sure? ')\nexcept EOFError:\n    print('no answer')\n"))
    worker.wait_for(Ready)
    worker.run(make.workflow(importing(make.drawing(1))), tmp_path, options=make.options(allowed=("noisy",)))
    assert any(line.message.endswith("no answer") for line in worker.heard(LogLine))


def test_a_library_that_closes_stdout_harms_nobody(start_worker: Any, library: Any, make: Any, tmp_path: Path) -> None:
    worker = start_worker(**library("import sys\nprint('last words')\nsys.stdout.close()\n"))
    worker.wait_for(Ready)
    ended = worker.run(make.workflow(importing(make.drawing(1))), tmp_path, options=make.options(allowed=("noisy",)))
    assert ended.outcome == "succeeded"
    assert any(line.message == "last words" for line in worker.heard(LogLine))


def test_a_library_that_exits_ends_the_run_and_not_the_worker(
    start_worker: Any, library: Any, make: Any, tmp_path: Path
) -> None:
    worker = start_worker(**library("import sys\nsys.exit('enough')\n"))
    worker.wait_for(Ready)
    ended = worker.run(make.workflow(importing(make.drawing(1))), tmp_path, options=make.options(allowed=("noisy",)))
    assert ended.outcome == "failed" and ended.error.type == "SystemExit"
    assert worker.run(make.workflow(make.drawing(1)), tmp_path).outcome == "succeeded"


def test_native_death_is_told_on_the_real_stderr(start_worker: Any, make: Any, tmp_path: Path) -> None:
    worker = start_worker()
    worker.wait_for(Ready)
    worker.begin(make.workflow(make.drawing(1000)), tmp_path)
    worker.wait_for(StepProgress, lambda progress: progress.phase == "denoising")
    worker.process.send_signal(signal.SIGSEGV)
    assert worker.process.wait(20) == -signal.SIGSEGV
    worker.close()
    assert b"Segmentation fault" in worker.complaints and b"execute.py" in worker.complaints


def test_a_python_without_diffusers_says_what_to_install(start_worker: Any, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True, timeout=60)
    bare = tmp_path / "bare" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    worker = start_worker((str(bare), str(LAUNCHER)))
    assert worker.wait_for(Hello).executable == str(bare)
    failed = worker.wait_for(StartFailed)
    assert failed.message == f"{bare} has no torch and no diffusers"
    assert f"{bare} -m pip install torch diffusers" in str(failed.hint)
    assert worker.process.wait(10) == 3


def test_a_broken_library_is_named(start_worker: Any, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so: not found')\n")
    failed = start_worker(PYTHONPATH=str(tmp_path)).wait_for(StartFailed)
    assert "torch" in failed.message and "libcudart.so: not found" in failed.message
    assert "pip install torch" in str(failed.hint)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends processes in another way")
@pytest.mark.parametrize("when", ["importing", "idle", "busy"])
def test_the_end_of_stdin_ends_the_worker(when: str, start_worker: Any, make: Any, tmp_path: Path) -> None:
    worker = start_worker()
    worker.wait_for(Hello if when == "importing" else Ready)
    if when == "busy":
        worker.begin(make.workflow(make.drawing(1000)), tmp_path)
        worker.wait_for(StepProgress, lambda progress: progress.phase == "denoising")
    worker.process.stdin.close()
    assert worker.process.wait(5) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the signal at a parent's death is Linux's own")
def test_a_worker_does_not_outlive_a_killed_parent() -> None:
    # The pipes stay open in this process, so that only the parent's death can end the worker.
    incoming, to_worker = os.pipe()
    code = (
        "import subprocess, sys, time\n"
        f"worker = subprocess.Popen([sys.executable, {str(LAUNCHER)!r}], stdin={incoming}, stdout=sys.stdout)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, pass_fds=(incoming,))
    assert parent.stdout is not None
    length = HEADER.unpack(parent.stdout.read(HEADER.size))[0]
    assert b"Hello" in parent.stdout.read(length)
    parent.kill()
    parent.wait(10)
    began = time.monotonic()
    parent.stdout.read()  # Ends when the worker, which holds the other end, is gone.
    parent.stdout.close()
    os.close(to_worker)
    os.close(incoming)
    assert time.monotonic() - began < 3


#: Native code that holds the interpreter's lock, inside of an import.
STUCK = """
import ctypes, os
os.write(2, b"stuck\\n")
ctypes.PyDLL(None).pause()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a job object ends the tree there")
@pytest.mark.parametrize("wrapper", [("sh", "-c", '"$@"; true', "sh"), ("setsid", "-w"), ()])
@pytest.mark.parametrize("how", ["stuck", "stopped"])
def test_a_worker_that_can_hear_nothing_ends_with_its_input(
    how: str, wrapper: tuple[str, ...], start_worker: Any, tmp_path: Path
) -> None:
    if wrapper and shutil.which(wrapper[0]) is None:
        pytest.skip(f"there is no {wrapper[0]}")
    (tmp_path / "torch.py").write_text(STUCK)
    worker = start_worker((*wrapper, sys.executable, str(LAUNCHER)), PYTHONPATH=str(tmp_path))
    pid = worker.wait_for(Hello).pid
    while b"stuck" not in worker.complaints:
        time.sleep(0.01)
    if how == "stopped":
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    worker.process.stdin.close()  # As it is when the supervisor is gone, however it went.
    with pytest.raises(AssertionError, match="the worker ended"):
        worker.wait_for(Ready, seconds=5)
    assert time.monotonic() - began < 1.5  # 0.5 s on a machine that has nothing else to do.
    worker.process.wait(5)


def test_ctrl_c_is_left_to_the_supervisor(worker: Any) -> None:
    worker.process.send_signal(signal.SIGINT)
    worker.send(Ping(5))
    assert worker.wait_for(Pong, lambda pong: pong.request_id == 5).pid == worker.process.pid


def test_questions_are_answered_while_a_run_is_busy(worker: Any, make: Any, tmp_path: Path) -> None:
    run_id = worker.begin(make.workflow(make.drawing(1000)), tmp_path)
    worker.wait_for(StepProgress, lambda progress: progress.phase == "denoising")
    worker.send(Ping(11))
    worker.send(ReportMemory(12))
    worker.wait_for(Pong, lambda pong: pong.request_id == 11, seconds=5)
    report = worker.wait_for(MemoryReported, lambda each: each.request_id == 12, seconds=5).report
    assert report.components
    worker.cancel(run_id)
    assert worker.wait_for(RunEnded).outcome == "cancelled"


def test_cancel_stops_a_step_at_once_and_keeps_the_models(worker: Any, make: Any, tmp_path: Path) -> None:
    worker.run(make.workflow(make.drawing(1)), tmp_path)
    run_id = worker.begin(make.workflow(make.drawing(1000)), tmp_path)
    worker.wait_for(StepProgress, lambda progress: (progress.current or 0) > 2)
    began = time.monotonic()
    worker.cancel(run_id)
    ended = worker.wait_for(RunEnded)
    assert ended.outcome == "cancelled" and ended.error is None
    assert time.monotonic() - began < 2
    assert [step.outcome for step in ended.steps] == ["notRun"] and ended.results == ()
    assert not [told for told in worker.heard(StepProgress) if told.phase in ("decoding", "saving")]
    again = worker.run(make.workflow(make.drawing(1)), tmp_path)
    assert again.outcome == "succeeded" and again.loaded == ()


def test_a_run_that_waits_can_be_cancelled(worker: Any, make: Any, tmp_path: Path) -> None:
    first = worker.begin(make.workflow(make.drawing(1000)), tmp_path)
    worker.wait_for(StepProgress, lambda progress: progress.phase == "denoising")
    second = worker.begin(make.workflow(make.drawing(1)), tmp_path)
    worker.cancel(second)
    worker.cancel(first)
    assert worker.wait_for(RunEnded).run_id == first
    ended = worker.wait_for(RunEnded)
    assert (ended.run_id, ended.outcome) == (second, "cancelled")
    assert not [began for began in worker.heard(RunBegan) if began.run_id == second]


def test_cancelling_a_run_that_has_ended_does_nothing(worker: Any, make: Any, tmp_path: Path) -> None:
    ended = worker.run(make.workflow(make.drawing(1)), tmp_path)
    worker.cancel(ended.run_id)
    assert worker.run(make.workflow(make.drawing(1)), tmp_path).outcome == "succeeded"


def test_a_frame_that_is_no_message_costs_nothing_but_a_line_of_log(worker: Any) -> None:
    worker.process.stdin.write(HEADER.pack(2) + b"{]" + encode(Ping(21)))
    worker.process.stdin.flush()
    worker.wait_for(Pong, lambda pong: pong.request_id == 21)
    assert any("could not be understood" in line.message for line in worker.heard(LogLine))


def test_one_component_can_be_dropped_and_only_it_is_loaded_again(worker: Any, make: Any, tmp_path: Path) -> None:
    used = worker.run(make.workflow(make.drawing(1)), tmp_path)
    key = next(part.key for part in (*used.loaded, *used.reused) if part.name == "vae")
    worker.send(Evict(32, key))
    after = worker.wait_for(MemoryReported, lambda each: each.request_id == 32).report
    assert key not in {each.key for each in after.components}
    assert [each.name for each in worker.run(make.workflow(make.drawing(1)), tmp_path).loaded] == ["vae"]


def test_dropping_what_is_not_there_is_refused(worker: Any) -> None:
    worker.send(Evict(41, "vae:nothing"))
    refused = worker.wait_for(RequestFailed)
    assert refused.request_id == 41 and "vae:nothing" in refused.message


def test_a_full_cleanup_drops_everything_and_the_worker_goes_on(worker: Any, make: Any, tmp_path: Path) -> None:
    worker.run(make.workflow(make.drawing(1)), tmp_path)
    worker.send(ClearMemory(51))
    report = worker.wait_for(MemoryReported, lambda each: each.request_id == 51).report
    assert report.components == () and report.growth_bytes is None
    ended = worker.run(make.workflow(make.drawing(1)), tmp_path)
    assert len(ended.loaded) == 4
    assert ended.memory.growth_bytes is not None and abs(ended.memory.growth_bytes) < 50 * 1024 * 1024


def test_shutdown_leaves_in_good_order_even_from_a_run(start_worker: Any, make: Any, tmp_path: Path) -> None:
    worker = start_worker()
    worker.wait_for(Ready)
    worker.begin(make.workflow(make.drawing(1000)), tmp_path)
    worker.wait_for(StepProgress, lambda progress: progress.phase == "denoising")
    began = time.monotonic()
    assert worker.close() == 0
    assert time.monotonic() - began < 5
