"""Faults at random moments of real runs: each is told as what it is, nothing is lost but the run, nothing is left over.

20 of them, 200 with DW_TEST_LONG=1; DW_TEST_SEED=n draws others. Each round has an output folder of its own: a run in
it meets a fault; the next one takes the finished steps from what was remembered and makes the very same picture.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dw_lsp.supervisor.deadlines import Limits
from dw_lsp.supervisor.events import RunFinished, RunProgress, StepFinished, WorkerState
from dw_lsp.supervisor.runs import RunRequest

ROOT = Path(__file__).resolve().parents[2]
LONG = bool(os.environ.get("DW_TEST_LONG"))
#: Of a run, in seconds.
TIME_LIMIT = 4.0
SEED = int(os.environ.get("DW_TEST_SEED", "1"))
ROUNDS = 200 if LONG else 20
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the faults are made with Linux's means"),
    pytest.mark.timeout(3600 if LONG else 600),
]

#: Some limits are short, so that a hang does not cost a minute; all are long enough for a machine that others use too.
LIMITS = Limits(ping=1, answer=3, silence=2, cancelling=0.5, terminating=1, leaving=1, pause=0.05, spare=0.02)
PHASES = ("starting", "idle", "loading", "encoding", "denoising", "decoding", "saving")
WITHOUT_RUN = ("starting", "idle")
#: What does not cost the worker.
LIVES_ON = ("memory", "disk", "model")

#: Imported by every Python of the worker: what cannot be done to it from outside it does to itself, at SIGUSR2.
INSIDE = """
import os, signal, sys

def fault(number, frame):
    with open(os.environ["DW_FAULT"]) as stream:
        kind = stream.read()
    if kind == "memory":
        raise MemoryError("there is no memory left")
    if kind == "exit":
        os._exit(7)
    outgoing = outgoing_of(frame)
    if outgoing is None:
        os._exit(7)
    if kind == "closed":
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, outgoing)
    if kind == "torn":
        os.write(outgoing, b"\\0\\0\\x10\\0{half a message")
        os._exit(9)
    if kind == "alien":
        os.write(outgoing, b"printed where messages belong\\n" * 3)

def outgoing_of(frame):
    while frame is not None and not (frame.f_code.co_name == "main" and "channel" in frame.f_locals):
        frame = frame.f_back
    return None if frame is None else frame.f_locals["channel"]._outgoing

signal.signal(signal.SIGUSR2, fault)
"""


def write_limit(pid: int, full: bool) -> None:
    """Let a process write no more bytes to files, as on a full disk; or let it write again."""
    import resource

    hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0 if full else hard, hard))


@dataclass
class Round:
    """One run that meets a fault. `phase` and `step` say when, `wait` is how much later (seconds)."""

    number: int
    kind: str
    phase: str
    step: str
    wait: float
    folder: Path
    finished_steps: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"round {self.number}: {self.kind} while {self.phase} {self.step} + {self.wait * 1000:.0f} ms"


def died(signal_name: str, *words: str) -> Callable[[RunFinished], bool]:
    def check(end: RunFinished) -> bool:
        return end.outcome == "crashed" and said(end, signal_name, *words)

    return check


def said(end: RunFinished, *words: str) -> bool:
    error = end.error
    text = f"{error.message} {error.hint} {error.traceback}" if error else ""
    return all(word in text for word in words)


def failed(*kinds: str) -> Callable[[RunFinished], bool]:
    return lambda end: end.outcome == "failed" and end.error is not None and end.error.type in kinds


#: What each fault has to be told as. Those marked may also come too late to do any harm: then the run succeeds.
EXPECTED: dict[str, tuple[Callable[[RunFinished], bool], bool]] = {
    "SIGKILL": (died("SIGKILL", "out of memory"), False),
    "SIGSEGV": (died("SIGSEGV", "Fatal Python error: Segmentation fault"), False),
    "SIGSTOP": (lambda end: end.outcome == "timedOut" and said(end, "no sign of progress", "most recent call"), False),
    "exit": (died("exit code 7"), False),
    "memory": (lambda end: end.outcome in ("failed", "crashed") and said(end, "MemoryError"), True),
    "closed": (died("closed its side of the channel"), False),
    "torn": (died("exit code 9"), False),
    "alien": (died("does not keep to the protocol"), False),
    "disk": (lambda end: end.outcome == "failed" and said(end, "File too large"), True),
    "model": (failed("InvalidInput", "StepFailed", "FileNotFoundError", "OSError", "SafetensorError"), True),
}


#: Seconds after which a worker that nothing has happened to is asked whether it is well.
UNHARMED = 10.0


class Campaign:
    """A front with a real worker, and the faults that it meets."""

    def __init__(self, front: Any, folder: Path, chance: random.Random):
        self.front, self.folder, self.chance = front, folder, chance
        self.model = folder / "model"
        shutil.copytree(ROOT / "workflows" / "models" / "shapes", self.model)
        self.order = folder / "order"
        self.pids: set[int] = set()
        self.reference = b""

    @property
    def supervisor(self) -> Any:
        return self.front.supervisor

    def note_pids(self) -> None:
        self.pids |= {pid for pid in (self.supervisor.state.pid, *self.supervisor._standby.pids) if pid}

    def workflow(self) -> str:
        def drawing(name: str, **arguments: Any) -> dict[str, Any]:
            return {
                "name": name,
                "pipeline": {
                    "configuration": {"component_type": "StableDiffusionPipeline"},
                    "from_pretrained_arguments": {"model_name": str(self.model), "torch_dtype": "torch.float32"},
                    "arguments": {"num_inference_steps": 6, **arguments},
                },
                "result": {"content_type": "image/png"},
            }

        second = drawing("second", prompt="a blue star", image="previous_result:first", strength=0.8)
        second["pipeline"]["configuration"]["component_type"] = "StableDiffusionImg2ImgPipeline"
        return json.dumps({"id": "campaign", "seed": 5, "steps": [drawing("first", prompt="a red circle"), second]})

    def submit(self, folder: Path) -> Any:
        path = str(self.folder / "campaign.dw.json")
        roots = (str(self.folder),)
        return self.supervisor.submit(
            RunRequest("file:///campaign", self.workflow(), path, roots, output_directory=str(folder))
        )

    async def picture(self, folder: Path) -> tuple[bytes, RunFinished]:
        """The last picture of a run that goes well."""
        end = await self.front.finished(self.submit(folder))
        assert end.outcome == "succeeded", (end.outcome, end.error, self.front.states()[-6:])
        return Path(str(end.results[-1].path)).read_bytes(), end

    # ------------------------------------------------------------ one round

    async def play(self, round: Round) -> None:
        before = len(self.front.events)
        if round.phase not in WITHOUT_RUN or self.chance.random() < 0.5:
            # A worker whose models are still there shows other phases than one that has to load them.
            await self.front.ready()
            if self.chance.random() < 0.5:
                await self.supervisor.clear()
        if round.phase == "starting":
            await self.at_the_start(round)
        elif round.phase == "idle":
            await self.without_work(round)
        else:
            await self.in_a_run(round)
        self.heal(round)
        if round.kind == "memory":
            # It may come so late that it meets the worker after the run: that one is told as a crash without a run.
            await asyncio.sleep(0.5)
            await self.front.ready()
        told = self.front.events[before:]
        # What was carried out in a more sparing way may differ in its last bits, so it is not remembered.
        sparing = {step.name for end in told if isinstance(end, RunFinished) for step in end.steps if step.notes}
        round.finished_steps = [
            event.step
            for event in told
            if isinstance(event, StepFinished) and event.outcome == "ran" and event.step not in sparing
        ]
        picture, end = await self.picture(round.folder)
        assert picture == self.reference, f"{round}: the picture is another one"
        reused = [step.name for step in end.steps if step.outcome == "reused"]
        if round.kind != "disk":  # What could not be written could not be remembered.
            assert set(round.finished_steps) <= set(reused), f"{round}: {round.finished_steps} were lost, {end.steps}"
        self.note_pids()

    async def at_the_start(self, round: Round) -> None:
        """The worker dies while it imports: the run that waits has the next one."""
        restart = asyncio.create_task(self.supervisor.restart())
        await self.front.until(lambda: self.supervisor.state.state == "starting" and self.supervisor.state.pid)
        await asyncio.sleep(round.wait * 30)
        await self.harm(round)
        await asyncio.wait_for(restart, 60)

    async def without_work(self, round: Round) -> None:
        await self.front.ready()
        await asyncio.sleep(round.wait)
        pid, events = self.supervisor.state.pid, len(self.front.events)
        await self.harm(round)
        if round.kind in LIVES_ON:
            return
        try:
            await asyncio.wait_for(self.front.until(lambda: self.supervisor.state.pid != pid), UNHARMED)
        except asyncio.TimeoutError:
            # A signal may be lost on a worker that has only just begun. It is unharmed then, and answers.
            await asyncio.wait_for(self.supervisor.ping(), UNHARMED)
            await self.harm(round)
            await self.front.until(lambda: self.supervisor.state.pid != pid)
        states = [event for event in self.front.events[events:] if isinstance(event, WorkerState)]
        exits = [state.exit for state in states if state.state == "crashed"]
        assert exits and exits[0] is not None and exits[0].reason, f"{round}: {states}"

    async def in_a_run(self, round: Round) -> None:
        events = len(self.front.events)
        submitted = self.submit(round.folder)

        def reached() -> bool:
            now = self.front.events[events:]
            there = [event for event in now if isinstance(event, RunProgress)]
            over = [event for event in now if isinstance(event, RunFinished)]
            return bool(over) or any((each.phase, each.step) == (round.phase, round.step) for each in there)

        await self.front.until(reached)
        await asyncio.sleep(round.wait)
        pid = self.supervisor.state.pid
        harmed = await self.harm(round)
        end = await self.front.finished(submitted)
        # One that stood still in a run is woken to say where it was, and heeds the cancel then.
        if round.kind not in LIVES_ON and not (harmed and round.kind == "SIGSTOP"):
            await self.front.until(lambda: self.supervisor.state.pid != pid)
        if not harmed or (end.outcome == "succeeded" and self.was_late(round, end)):
            return
        expected, _ = EXPECTED[round.kind]
        assert expected(end), f"{round}: told as {end.outcome}: {end.error}"

    def was_late(self, round: Round, end: RunFinished) -> bool:
        """Whether the run may have ended before the fault could harm it. It must then have ended at that moment.

        One that stood still until its time was up is woken to tell where it was, and may get to its end meanwhile.
        """
        woken = round.kind == "SIGSTOP" and end.seconds >= TIME_LIMIT
        return EXPECTED[round.kind][1] or round.step == "second" or woken

    # ------------------------------------------------------------ the faults

    async def harm(self, round: Round) -> bool:
        """Cause the fault. Returns whether the worker of a run met it."""
        pid, running = self.supervisor.state.pid, self.supervisor.state.run_id
        self.note_pids()
        if pid is None or (round.kind == "memory" and running is None):
            return False
        if round.kind == "model":
            self.model.rename(self.folder / "away")
        elif round.kind == "disk":
            write_limit(pid, full=True)
        elif round.kind.startswith("SIG"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, getattr(signal, round.kind))
        else:
            self.order.write_text(round.kind)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR2)
        return running is not None

    def heal(self, round: Round) -> None:
        if round.kind == "model":
            (self.folder / "away").rename(self.model)
        elif round.kind == "disk" and self.supervisor.state.pid:
            write_limit(self.supervisor.state.pid, full=False)


def rounds(chance: random.Random, folder: Path) -> list[Round]:
    """Every kind of fault equally often, each at a random moment."""
    kinds = [list(EXPECTED)[number % len(EXPECTED)] for number in range(ROUNDS)]
    chance.shuffle(kinds)
    found = []
    for number, kind in enumerate(kinds):
        phases = [phase for phase in PHASES if phase not in WITHOUT_RUN or may_be_without_run(kind, phase)]
        wait = chance.choice([0, 0.001, 0.005, 0.01, 0.03])
        found.append(
            Round(
                number, kind, chance.choice(phases), chance.choice(["first", "second"]), wait, folder / f"out{number}"
            )
        )
    return found


def may_be_without_run(kind: str, phase: str) -> bool:
    """While it starts only what ends a process at once; a worker without work that stands still is found out late."""
    return kind in ("SIGKILL", "SIGSEGV") if phase == "starting" else kind not in ("SIGSTOP", "memory")


def everything_of(mark: str) -> list[int]:
    """The processes that have this text in their environment."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit() and int(place.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark.encode() in (place / "environ").read_bytes():
                    found.append(int(place.name))
    return found


async def test_faults_at_random_moments(make_front: Any, alive: Any, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(INSIDE)
    environment = {"PYTHONPATH": str(site), "DW_FAULT": str(tmp_path / "order"), "HF_HUB_OFFLINE": "1"}
    front = make_front(
        {}, LIMITS, worker={"command": (), "environment": environment}, run={"timeout_seconds": TIME_LIMIT}
    )
    campaign = Campaign(front, tmp_path, chance)
    shared_memory = set(os.listdir("/dev/shm"))
    campaign.reference, _ = await campaign.picture(tmp_path / "reference")
    began = time.monotonic()
    for round in rounds(chance, tmp_path):
        if "DW_TEST_SHOW" in os.environ:
            print(f"{time.monotonic() - began:6.1f} s  {round}", flush=True)
        await asyncio.wait_for(campaign.play(round), 120)
    await asyncio.wait_for(front.supervisor.close(), 30)
    assert not [pid for pid in campaign.pids if alive(pid)]
    assert everything_of(str(tmp_path / "order")) == []
    assert set(os.listdir("/dev/shm")) <= shared_memory
    left = [path for path in tmp_path.rglob("*") if ".partial" in path.name]
    assert left == []
    ends = [event.run_id for event in front.of(RunFinished)]
    assert len(ends) == len(set(ends))
