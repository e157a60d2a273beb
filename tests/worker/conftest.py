"""A small client that speaks frames with a real worker process, one at a time, for the tests of this folder."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from dw_lsp.protocol import (
    HEADER,
    Cancel,
    Execute,
    Message,
    Ready,
    RunEnded,
    RunOptions,
    Shutdown,
    decode,
    encode,
    frame_length,
)

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = ROOT / "dw_lsp" / "worker" / "launch.py"
MODEL = ROOT / "workflows" / "models" / "shapes"
#: What workers of these tests measure is none of the user's.
CACHE = ROOT / ".pytest_cache" / "dw-lsp"


def of_a_shell() -> dict[str, str]:
    """The environment that these tests were started in: torch sets where it keeps what it compiles."""
    return {name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"}


Kind = TypeVar("Kind")


class WorkerProcess:
    """A worker and what it has said so far. Arguments: the command, and variables for its environment."""

    def __init__(self, command: tuple[str, ...] = (sys.executable, str(LAUNCHER)), **environment: str):
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**of_a_shell(), "HF_HUB_OFFLINE": "1", "DW_CACHE": str(CACHE), **environment},
        )
        self.said: list[Message] = []
        self.complaints = bytearray()
        self._arrived: queue.Queue[Message | None] = queue.Queue()
        self._run_number = 0
        self._threads = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._read_complaints, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        while len(header := stream.read(HEADER.size)) == HEADER.size:
            body = stream.read(frame_length(header))
            self._arrived.put(decode(body))
        self._arrived.put(None)

    def _read_complaints(self) -> None:
        assert self.process.stderr is not None
        while part := os.read(self.process.stderr.fileno(), 4096):
            self.complaints += part

    def send(self, message: Message) -> None:
        """Send one message."""
        assert self.process.stdin is not None
        self.process.stdin.write(encode(message))
        self.process.stdin.flush()

    def wait_for(
        self, kind: type[Kind], accept: Callable[[Kind], bool] = lambda message: True, seconds: float = 60
    ) -> Kind:
        """The next message of a kind that is accepted; all that come before it are kept in `said`."""
        limit = time.monotonic() + seconds
        while True:
            try:
                message = self._arrived.get(timeout=max(0.0, limit - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {kind.__name__} within {seconds} s; said: {self.said[-5:]}") from None
            if message is None:
                raise AssertionError(f"the worker ended; its stderr: {self.complaints.decode(errors='replace')}")
            self.said.append(message)
            if isinstance(message, kind) and accept(message):
                return message
            assert not isinstance(message, RunEnded) or kind is RunEnded, f"the run has ended: {message.error}"

    def heard(self, kind: type[Kind]) -> list[Kind]:
        """All messages of a kind since the last run began."""
        return [message for message in self.said if isinstance(message, kind)]

    def begin(self, text: str | dict[str, Any], folder: Path, **fields: Any) -> str:
        """Begin a run in a folder and return its id; `said` starts anew."""
        self._run_number += 1
        self.said.clear()
        fields.setdefault("document_path", str(folder / "test.dw.json"))
        fields.setdefault("roots", (str(folder), str(ROOT / "workflows")))
        fields.setdefault("output_directory", str(folder / "outputs"))
        run_id = fields.pop("run_id", f"run-{self._run_number}")
        self.send(Execute(run_id, text if isinstance(text, str) else json.dumps(text, indent=2), **fields))
        return run_id

    def run(self, text: str | dict[str, Any], folder: Path, **fields: Any) -> RunEnded:
        """Run a workflow to its end."""
        run_id = self.begin(text, folder, **fields)
        return self.wait_for(RunEnded, lambda ended: ended.run_id == run_id)

    def cancel(self, run_id: str) -> None:
        """Ask for a run to be cancelled."""
        self.send(Cancel(run_id))

    def close(self) -> int:
        """Ask the worker to leave; end it if it does not. Returns its exit status."""
        if self.process.poll() is None:
            try:
                self.send(Shutdown())
                self.process.wait(10)
            except (OSError, subprocess.TimeoutExpired):
                self.process.kill()
        status = self.process.wait(10)
        for thread in self._threads:
            thread.join(10)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            # What was written to a worker that has left by itself is still to be written here.
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        return status


@pytest.fixture(scope="session")
def shared_worker() -> Iterator[WorkerProcess]:
    """A worker that is ready; shared by many tests, so that its start is paid once."""
    worker = WorkerProcess()
    worker.wait_for(Ready)
    yield worker
    worker.close()


@pytest.fixture
def worker(shared_worker: WorkerProcess) -> WorkerProcess:
    """The shared worker. A test that breaks it is at fault itself."""
    assert shared_worker.process.poll() is None, "an earlier test has ended the shared worker"
    return shared_worker


@pytest.fixture(scope="module")
def own_worker() -> Iterator[WorkerProcess]:
    """A worker for the tests of one module, which may leave it worse than they found it."""
    worker = WorkerProcess()
    worker.wait_for(Ready)
    yield worker
    worker.close()


@pytest.fixture
def start_worker() -> Iterator[Callable[..., WorkerProcess]]:
    """Starts workers of a test's own, and ends them."""
    started: list[WorkerProcess] = []

    def start(*arguments: Any, **environment: str) -> WorkerProcess:
        started.append(WorkerProcess(*arguments, **environment))
        return started[-1]

    yield start
    for each in started:
        each.close()


class Make:
    """Makes workflows that draw with the shapes model, and options."""

    model = MODEL

    def drawing(
        self, steps: int = 4, name: str = "draw", class_name: str = "StableDiffusionPipeline", **arguments: Any
    ) -> dict[str, Any]:
        """A pipeline step; `arguments` are added to, or put in place of, those of its call."""
        given = {"prompt": "a red circle on a blue background", "num_inference_steps": steps, "guidance_scale": 3.0}
        return {
            "name": name,
            "pipeline": {
                "configuration": {"component_type": class_name},
                "from_pretrained_arguments": {"model_name": str(MODEL), "torch_dtype": "torch.float32"},
                "arguments": {**given, **arguments},
            },
            "result": {"content_type": "image/png"},
        }

    def task(self, name: str, command: str, content_type: str | None = None, **arguments: Any) -> dict[str, Any]:
        """A task step."""
        step: dict[str, Any] = {"name": name, "task": {"command": command, "arguments": arguments}}
        return step if content_type is None else {**step, "result": {"content_type": content_type}}

    def workflow(self, *steps: dict[str, Any], **top: Any) -> dict[str, Any]:
        """A workflow of these steps."""
        return {"id": "test", **top, "steps": list(steps)}

    def options(self, allowed: tuple[str, ...] = (), **changes: Any) -> RunOptions:
        """The usual options, with more modules allowed."""
        return RunOptions(allowed_modules=(*RunOptions().allowed_modules, *allowed), **changes)


@pytest.fixture(scope="session")
def make() -> Make:
    """Makes workflows."""
    return Make()
