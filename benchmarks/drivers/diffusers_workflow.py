"""Drives the worker of diffusers-workflow for `peer.py`: JSON lines in, JSON lines out. Runs in its environment.

In: {"do": "start"}, {"do": "run", "definition", "file", "output"}, {"do": "run and cancel", ...}, {"do": "kill"}.
Out: one line for each, with what was measured, in seconds.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from typing import Any

from dw.worker import worker_main

#: For a run to reach its denoising, so that a cancel is one of computing.
SECONDS_UNTIL_CANCEL = 0.5


class Worker:
    """One worker process and the two queues that lead to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._commands, self._replies = context.Queue(), context.Queue()
        self._process = context.Process(target=worker_main, args=(self._commands, self._replies, "ERROR"), daemon=True)
        self._process.start()

    def until(self, *kinds: str) -> dict[str, Any]:
        """The next reply of one of these kinds. Raises `RuntimeError` when the run has failed."""
        while True:
            reply: dict[str, Any] = self._replies.get(timeout=300)
            if reply.get("type") in kinds:
                return reply
            if reply.get("type") in ("error", "failed", "worker_crashed"):
                raise RuntimeError(str(reply.get("message")))

    def ready(self) -> None:
        """Wait until the worker answers."""
        self._commands.put({"type": "memory_status", "request_id": "ready"})
        self.until("memory_status")

    def send(self, told: dict[str, Any]) -> None:
        """Begin a run."""
        self._commands.put(
            {
                "type": "execute",
                "definition": told["definition"],
                "file_spec": told["file"],
                "source": "path",
                "workflow_dir": os.path.dirname(told["file"]),
                "output_dir": told["output"],
                "arguments": {},
                "log_level": "ERROR",
            }
        )

    def cancel(self) -> None:
        """Ask for the run to stop."""
        self._commands.put({"type": "cancel"})

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.join()


def answer(told: dict[str, Any], worker: Worker | None) -> tuple[dict[str, Any], Worker | None]:
    """Do what a line asks for. Returns what is told of it, and the worker that is there then."""
    began = time.perf_counter()
    if told["do"] == "kill" and worker is not None:
        worker.kill()
        worker = None
    if worker is None:
        worker = Worker()
        worker.ready()
    if told["do"] == "run":
        worker.send(told)
        worker.until("success")
    elif told["do"] == "run and cancel":
        worker.send(told)
        worker.until("progress")
        time.sleep(SECONDS_UNTIL_CANCEL)
        began = time.perf_counter()
        worker.cancel()
        worker.until("cancelled")
    return {"seconds": time.perf_counter() - began}, worker


def main() -> None:
    # The worker's prints come to this process's standard output: the answers need one of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker: Worker | None = None
    for line in sys.stdin:
        try:
            content, worker = answer(json.loads(line), worker)
        except Exception as error:
            content = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(content) + "\n")
        answers.flush()
    if worker is not None:
        worker.kill()


if __name__ == "__main__":
    main()
