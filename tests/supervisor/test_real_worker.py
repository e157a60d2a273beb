"""The supervisor with workers as users have them: torch, a pipeline, and what goes wrong in the middle of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from dw_lsp.settings import ALLOWED_MODULES
from dw_lsp.supervisor.deadlines import Limits
from dw_lsp.supervisor.runs import RunRequest

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "workflows" / "models" / "shapes"
#: The third call of the denoiser never returns, and never lets go of the interpreter's lock.
HANGS = """
import functools, re, diffusers
forward = diffusers.UNet2DConditionModel.forward
calls = [0]
@functools.wraps(forward)
def counted(*args, **kwargs):
    calls[0] += 1
    if calls[0] == 3:
        hang_here()
    return forward(*args, **kwargs)
def hang_here():
    re.match("(a+)+$", "a" * 64 + "b")
diffusers.UNet2DConditionModel.forward = counted
"""


def drawing(steps: int, module: str | None = None) -> str:
    configuration: dict[str, Any] = {"component_type": "StableDiffusionPipeline"}
    if module is not None:
        configuration["pre_load_modules"] = [module]
    step = {
        "name": "draw",
        "pipeline": {
            "configuration": configuration,
            "from_pretrained_arguments": {"model_name": str(MODEL), "torch_dtype": "torch.float32"},
            "arguments": {"prompt": "a red circle", "num_inference_steps": steps},
        },
        "result": {"content_type": "image/png"},
    }
    return json.dumps({"id": "real", "seed": 1, "steps": [step]})


def request(text: str, folder: Path) -> RunRequest:
    return RunRequest(
        "file:///real.dw.json", text, str(folder / "real.dw.json"), (str(folder), str(ROOT)), output_directory="outputs"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="nothing reaches a thread that holds the lock there")
async def test_a_hang_that_holds_the_interpreters_lock_is_told_with_its_place(make_front: Any, tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(HANGS)
    front = make_front(
        {},
        Limits(ping=0.3, answer=0.5, cancelling=0.5, spare=None),
        worker={"command": (), "environment": {"PYTHONPATH": str(tmp_path)}},
        security={"allowed_modules": (*ALLOWED_MODULES, "noisy")},
        run={"timeout_seconds": 3.0},
    )
    finished = await front.finished(front.supervisor.submit(request(drawing(20, "noisy"), tmp_path)))
    assert finished.outcome == "timedOut" and "unresponsive" in front.states()
    assert "no sign of progress for 3 s" in finished.error.message and "denoising" in finished.error.message
    first, innermost, *others = str(finished.error.traceback).splitlines()
    assert first.startswith("Where it was") and innermost.endswith("in match")
    assert others[0].endswith("in hang_here") and any("pipeline_steps.py" in line for line in others)
    assert "steps are kept" in finished.error.hint


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
async def test_native_death_in_an_import_names_the_package(make_front: Any, tmp_path: Path) -> None:
    packages = tmp_path / "site-packages"
    (packages / "torch").mkdir(parents=True)
    (packages / "torch" / "__init__.py").write_text("import ctypes; ctypes.string_at(0)")
    worker = {"command": (), "environment": {"PYTHONPATH": str(packages)}}
    front = make_front({}, Limits(pause=0.01, spare=None), worker=worker)
    finished = await front.finished(front.supervisor.submit(request(drawing(1), tmp_path)))
    assert finished.outcome == "failed" and "SIGSEGV" in finished.error.message
    assert finished.error.message.endswith("The last that it said: importing torch.")
    assert finished.error.hint.startswith("It died in torch; installing that anew")
    assert "torch/__init__.py" in finished.error.traceback


SERVER = """
import asyncio, os, sys, time
sys.path.insert(0, {root!r})
from dw_lsp.settings import Settings
from dw_lsp.supervisor.deadlines import Limits
from dw_lsp.supervisor.events import RunProgress
from dw_lsp.supervisor.runs import RunRequest
from dw_lsp.supervisor.supervisor import Supervisor

denoising = asyncio.Event()

def hear(event):
    if isinstance(event, RunProgress) and event.phase == "denoising" and (event.current or 0) > 2:
        denoising.set()

async def main():
    supervisor = Supervisor(Settings(), hear, Limits(spare=0.01))
    supervisor.prewarm()
    while not any(spare.said for spare in supervisor._standby._spares):
        await asyncio.sleep(0.01)
    folder = {folder!r}
    supervisor.submit(RunRequest("file:///a", {text!r}, folder + "/a.dw.json", ({root!r},), output_directory=folder))
    await denoising.wait()
    print(supervisor.state.pid, *(spare.process.pid for spare in supervisor._standby._alive), flush=True)
    await asyncio.sleep(300)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="there is no spare elsewhere")
async def test_neither_worker_nor_spare_outlives_a_server_that_is_killed(alive: Any, tmp_path: Path) -> None:
    program = textwrap.dedent(SERVER).format(root=str(ROOT), folder=str(tmp_path), text=drawing(999))
    server = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    pids = [int(word) for word in server.stdout.readline().split()]
    assert len(pids) >= 2 and all(alive(pid) for pid in pids)
    server.kill()
    server.wait()
    began = time.monotonic()
    while any(alive(pid) for pid in pids) and time.monotonic() - began < 10:
        time.sleep(0.005)
    if "DW_TEST_SHOW" in os.environ:
        print(f"gone {1000 * (time.monotonic() - began):.0f} ms after the server")
    assert not any(alive(pid) for pid in pids)
    server.communicate()


def scheduling(pid: int) -> tuple[set[int], str]:
    """The scheduling policies of a process's threads, and the niceness of its session, where it has one."""
    threads = [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    session = Path(f"/proc/{pid}/autogroup")
    return {os.sched_getscheduler(each) for each in threads}, session.read_text().split()[
        -1
    ] if session.exists() else ""


def yields(pid: int) -> bool:
    policies, niceness = scheduling(pid)
    return niceness == "19" or os.SCHED_IDLE in policies


@pytest.mark.skipif(sys.platform != "linux", reason="there is no spare elsewhere")
async def test_a_spare_that_is_needed_while_it_imports_is_no_slower_than_one_that_begins_anew(
    make_front: Any, tmp_path: Path
) -> None:
    front = make_front({}, Limits(spare=0.0), worker={"command": ()})
    began = time.monotonic()
    await front.ready()
    cold = time.monotonic() - began
    await front.until(lambda: front.supervisor._standby._alive)
    # Others want all of the processor: with the least share, importing takes a minute.
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True) for _ in range(2)]
    try:
        os.kill(front.supervisor.state.pid, signal.SIGKILL)
        await front.state("crashed")
        front.supervisor.prewarm()
        began = time.monotonic()
        await front.until(lambda: front.supervisor.state.state == "idle")
    finally:
        for each in others:
            each.kill()
            each.wait()
    # Beside two others, on as many processors as there are.
    assert time.monotonic() - began < 1.5 * cold * (1 + 2 / (os.cpu_count() or 1)), cold


@pytest.mark.skipif(sys.platform != "linux", reason="there is no spare elsewhere")
async def test_a_spare_imports_with_what_a_run_leaves_and_is_hurried_when_it_is_needed(
    make_front: Any, tmp_path: Path
) -> None:
    front = make_front({}, Limits(spare=0.0), worker={"command": ()})
    await front.ready()
    submitted = front.supervisor.submit(request(drawing(999), tmp_path))
    await front.until(lambda: front.supervisor._standby._alive)
    [spare] = front.supervisor._standby._alive
    await front.until(lambda: spare.said and yields(spare.process.pid))
    assert front.supervisor.state.state == "busy"
    os.kill(front.supervisor.state.pid, signal.SIGKILL)
    assert (await front.finished(submitted)).outcome == "crashed"
    await front.state("idle")
    assert front.supervisor.state.pid == spare.process.pid
    # Nothing that was started meanwhile keeps the least priority.
    assert scheduling(spare.process.pid) in (({os.SCHED_OTHER}, ""), ({os.SCHED_OTHER}, "0"))


@pytest.mark.skipif(sys.platform != "linux", reason="there is no spare elsewhere")
async def test_a_spare_that_has_imported_is_ready_at_once(make_front: Any) -> None:
    front = make_front({}, Limits(spare=0.0), worker={"command": ()})
    worker = await front.ready()
    await front.until(lambda: any(each.said for each in front.supervisor._standby._spares))
    spare = front.supervisor._standby._spares[0].process.pid

    def imported() -> bool:
        # Other tests leave nothing for it: what it gave away is given back, where that may be done.
        with contextlib.suppress(OSError):
            Path(f"/proc/{spare}/autogroup").write_text("0")
            for thread in os.listdir(f"/proc/{spare}/task"):
                os.sched_setscheduler(int(thread), os.SCHED_OTHER, os.sched_param(0))
        return spare in front.supervisor._standby.pids

    await front.until(imported)
    os.kill(worker, signal.SIGKILL)
    began = time.monotonic()
    await front.until(lambda: front.supervisor.state.pid == spare and front.supervisor.state.state == "idle")
    took = time.monotonic() - began
    # Half a second on a quiet machine; a cold start takes ten times as long.
    assert took < 2.0, f"{took:.2f} s"
