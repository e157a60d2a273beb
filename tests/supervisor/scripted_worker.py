"""A worker that does what its script says, for tests: real process, real pipes, real signals, no torch.

What it does at its start stands on its command line, as JSON; what a run does is the text of the run: a JSON list of
commands, each a list of a name and its arguments.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dw_lsp.protocol import (
    HEADER,
    PROTOCOL_VERSION,
    Activate,
    Cancel,
    ClearMemory,
    Component,
    Evict,
    Execute,
    Hello,
    LogLine,
    MemoryReport,
    MemoryReported,
    Message,
    Ping,
    Pong,
    PreviewMade,
    Ready,
    ReportMemory,
    RequestFailed,
    ResultsWritten,
    RunBegan,
    RunEnded,
    RunError,
    Shutdown,
    StandingBy,
    StartFailed,
    StepEnded,
    StepProgress,
    StepResult,
    StepSummary,
    decode,
    encode,
    frame_length,
)

VAE = Component("key-vae", "vae", "AutoencoderKL", 1000, "cpu", 0.1)
OUT = os.dup(1)
BEGAN = time.monotonic()


class Cancelled(Exception):
    """The run was cancelled."""


class Failed(Exception):
    """The run's script says that it fails."""


class ScriptedWorker:
    """Arguments: what to do at the start."""

    def __init__(self, start: dict[str, Any]):
        self.start, self.run_count, self.progress = start, 0, 0
        self.components: tuple[Component, ...] = ()
        self.work: queue.Queue[Execute | None] = queue.Queue()
        self.cancelled, self.activated = threading.Event(), threading.Event()
        self.sending = threading.Lock()
        self.run: Execute | None = None
        self.obeys = True

    def send(self, message: Message) -> None:
        self.write(encode(message))

    def write(self, data: bytes) -> None:
        with self.sending:
            while data:
                data = data[os.write(OUT, data) :]

    def report(self) -> MemoryReport:
        held = 500 + sum(part.bytes for part in self.components)
        return MemoryReport(
            "cpu", "a script", held, None, 5000, 10000, held, 2000, 5 << 30, self.run_count, self.components
        )

    # ------------------------------------------------------------ the reading thread

    def read(self) -> None:
        stream = sys.stdin.buffer
        while True:
            header = stream.read(HEADER.size)
            if len(header) < HEADER.size:
                if self.start.get("outlives_input"):
                    return
                os._exit(0)
            self.handle(decode(stream.read(frame_length(header))))

    def handle(self, message: Message) -> None:
        if isinstance(message, Execute):
            self.cancelled.clear()
            self.work.put(message)
        elif isinstance(message, Cancel):
            self.cancelled.set()
        elif isinstance(message, Activate):
            self.activated.set()
        elif isinstance(message, Ping):
            self.send(Pong(message.request_id, os.getpid(), self.run_count, time.monotonic() - BEGAN))
        elif isinstance(message, ReportMemory):
            self.send(MemoryReported(self.report(), message.request_id))
        elif isinstance(message, ClearMemory):
            self.components = ()
            self.send(MemoryReported(self.report(), message.request_id))
        elif isinstance(message, Evict):
            self.evict(message)
        elif isinstance(message, Shutdown) and self.obeys:
            self.cancelled.set()
            self.work.put(None)

    def evict(self, message: Evict) -> None:
        if message.component not in [part.key for part in self.components]:
            self.send(RequestFailed(message.request_id, f"no component {message.component!r} is loaded"))
            return
        self.components = tuple(part for part in self.components if part.key != message.component)
        self.send(MemoryReported(self.report(), message.request_id))

    # ------------------------------------------------------------ the main thread

    def serve(self) -> None:
        if not self.begin():
            return
        threading.Thread(target=self.read, daemon=True).start()
        time.sleep(self.start.get("import_seconds", 0))
        if "die_while_importing" in self.start:
            self.die(self.start["die_while_importing"])
        if "start_failed" in self.start:
            self.send(StartFailed(*self.start["start_failed"]))
            os._exit(3)
        if "--standby" in sys.argv:
            self.send(StandingBy())
            self.activated.wait()
        if not self.start.get("never_ready"):
            self.send(Ready({"python": "3", "torch": "none"}, "cpu", "a script", time.monotonic() - BEGAN))
        for message in self.start.get("send_when_ready", []):
            self.write(message.encode())
        while (run := self.work.get()) is not None:
            self.execute(run)

    def begin(self) -> bool:
        """Say hello, or what the script has instead. Returns whether to go on."""
        if "environment" in self.start:
            print(os.environ.get(self.start["environment"]), file=sys.stderr, flush=True)
        if "print" in self.start:
            os.write(OUT, self.start["print"].encode())
        if "exit" in self.start:
            print("this worker has no wish to live", file=sys.stderr, flush=True)
            os._exit(self.start["exit"])
        if self.start.get("obeys") is False:
            self.obey_not()
        version = self.start.get("version", PROTOCOL_VERSION)
        if not self.start.get("no_hello"):
            self.send(Hello(version, os.getpid(), sys.executable, "3"))
        return True

    def execute(self, run: Execute) -> None:
        self.run, outcome, error = run, "succeeded", None
        began = time.monotonic()
        steps, results = [StepSummary("one", "ran")], [StepResult("one", 0, "/one.png", "image/png", 10)]
        loaded, reused = (() if self.components else (VAE,)), self.components
        self.components = (VAE,)
        try:
            for name, *arguments in json.loads(run.text):
                getattr(self, name)(*arguments)
        except Cancelled:
            outcome, steps, results = "cancelled", [], []
        except Failed as problem:
            outcome, error = "failed", RunError(str(problem), "Failed", "one", 1, 3)
        self.run_count += 1
        self.run = None
        self.send(
            RunEnded(
                run.run_id,
                outcome,  # type: ignore[arg-type]
                time.monotonic() - began,
                self.run_count,
                run.seed,
                tuple(steps),
                tuple(results),
                loaded,
                reused,
                self.report(),
                error,
            )
        )

    # ------------------------------------------------------------ commands of a run's script

    @property
    def run_id(self) -> str:
        assert self.run is not None
        return self.run.run_id

    def began(self, *steps: str) -> None:
        assert self.run is not None
        self.send(RunBegan(self.run_id, "a script", steps, self.run.arguments, seed=42))

    def advance(self, step: str = "one", times: int = 1) -> None:
        for _ in range(times):
            self.progress += 1
            self.send(StepProgress(self.run_id, step, 0, 1, 0, 1, "denoising", self.progress, 25, "steps", 0.1, 2.0))

    def repeat(self, seconds: float) -> None:
        """The same progress again and again, which is none."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.send(StepProgress(self.run_id, "one", 0, 1, 0, 1, "denoising", 1, 25, "steps", None, time.time()))
            self.sleep(0.02)

    def preview(self) -> None:
        self.send(PreviewMade(self.run_id, "one", 0, 1, 25, "image/png", "AAAA", 8, 8))

    def write_result(self, name: str) -> None:
        self.send(ResultsWritten(self.run_id, (StepResult("two", 0, f"/{name}.png", "image/png", 10),)))

    def end_step(self, step: str, outcome: str = "ran") -> None:
        result = StepResult(step, 0, f"/{step}.png", "image/png", 10)
        self.send(StepEnded(self.run_id, step, 0, outcome, 0.5, (result,)))  # type: ignore[arg-type]

    def log(self, level: str, text: str) -> None:
        self.send(LogLine(level, text, self.run_id))

    def remember(self) -> None:
        self.send(MemoryReported(self.report()))

    def sleep(self, seconds: float) -> None:
        if self.cancelled.wait(seconds):
            raise Cancelled

    def fail(self, text: str) -> None:
        raise Failed(text)

    def hang(self) -> None:
        """Hear no cancel; a signal ends it."""
        while True:
            time.sleep(60)

    def obey_not(self) -> None:
        """Hear neither message nor SIGTERM from now on."""
        signal.signal(signal.SIGTERM, lambda number, frame: None)
        self.obeys, self.start["outlives_input"] = False, True

    def eat(self) -> None:
        """Use memory until there is no more."""
        eaten = []
        while True:
            eaten.append(bytearray(10_000_000))

    def freeze(self) -> None:
        """All threads stop, as when native code holds the interpreter's lock."""
        os.kill(os.getpid(), signal.SIGSTOP)

    def die(self, name: str) -> None:
        os.kill(os.getpid(), getattr(signal, name))
        time.sleep(60)

    def exit(self, code: int) -> None:
        os._exit(code)

    def write_text(self, text: str) -> None:
        self.write(text.encode())

    def tear(self) -> None:
        """Half a message, and death."""
        self.write(encode(LogLine("info", "x" * 1000))[:500])
        os._exit(9)

    def half(self) -> None:
        """Half a message, and life goes on."""
        self.write(encode(LogLine("info", "x" * 1000))[:500])

    def complain(self, text: str) -> None:
        os.write(2, text.encode())

    def flood(self, lines: int) -> None:
        block = b"a line of a flood\n" * 1000
        for _ in range(lines // 1000):
            os.write(2, block)

    def close_output(self) -> None:
        os.close(OUT)
        os.close(1)
        self.hang()

    def breed(self) -> None:
        """A child that holds our pipes and outlives us, if it can."""
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
        self.log("info", f"child {child.pid}")

    def wrong_run(self) -> None:
        self.send(StepEnded("another run", "one", 0, "ran", 0.5))


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, lambda number, frame: os.write(2, b"stack of the main thread\n"))
    ScriptedWorker(json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}).serve()
    os._exit(0)
