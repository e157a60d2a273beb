"""Real processes: what they say is heard, how they end is told, and nothing of them is left."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dw_lsp.protocol import Execute, FromWorker, Hello, LogLine, Ping, Pong, Ready
from dw_lsp.supervisor.command import WorkerCommand
from dw_lsp.supervisor.events import WorkerExit
from dw_lsp.supervisor.process import CannotSpawn, WorkerProcess, spawn

SCRIPT = Path(__file__).with_name("scripted_worker.py")
PATIENCE = 30.0


class Ears:
    """Remembers all that a process says."""

    def __init__(self) -> None:
        self.messages: list[FromWorker] = []
        self.lines: list[str] = []
        self.problems: list[str] = []
        self.process: WorkerProcess | None = None
        self.is_closed = False
        self.exits: list[WorkerExit] = []

    def started(self, process: WorkerProcess) -> None:
        self.process = process

    def received(self, message: FromWorker) -> None:
        self.messages.append(message)

    def misbehaved(self, reason: str) -> None:
        self.problems.append(reason)

    def printed(self, line: str) -> None:
        self.lines.append(line)

    def closed(self) -> None:
        self.is_closed = True

    def exited(self, exit: WorkerExit) -> None:
        self.exits.append(exit)

    async def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, vars(self)
            await asyncio.sleep(0.01)

    async def exit(self) -> WorkerExit:
        await self.until(lambda: bool(self.exits))
        [exit] = self.exits
        return exit


async def start(
    command: dict[str, Any] | None = None, script: list[list[Any]] | None = None
) -> tuple[WorkerProcess, Ears]:
    """A scripted worker; with a script, one that is ready and has the run."""
    ears = Ears()
    arguments = (sys.executable, str(SCRIPT), json.dumps(command or {}))
    process = await spawn(WorkerCommand(arguments, os.environ), ears)
    if script is not None:
        await ears.until(lambda: any(isinstance(message, Ready) for message in ears.messages))
        process.send(Execute("r1", json.dumps(script), None, (), "/tmp"))
    return process, ears


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


async def test_messages_go_both_ways() -> None:
    process, ears = await start({}, [])
    process.send(Ping(5))
    await ears.until(lambda: any(isinstance(message, Pong) for message in ears.messages))
    [hello] = [message for message in ears.messages if isinstance(message, Hello)]
    assert hello.pid == process.pid
    process.kill()
    await ears.exit()


async def test_it_has_a_session_of_its_own() -> None:
    """Ctrl-C in a terminal must not reach it: whoever started it decides what that means."""
    process, ears = await start()
    assert os.getsid(process.pid) == process.pid
    process.kill()
    await ears.exit()


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "SIGHUP"])
async def test_death_by_a_signal_is_named(name: str) -> None:
    _, ears = await start({}, [["die", name]])
    exit = await ears.exit()
    assert (exit.code, exit.signal) == (None, name)
    assert name in exit.reason


async def test_an_exit_code_comes_with_the_last_words() -> None:
    _, ears = await start({"exit": 7})
    exit = await ears.exit()
    assert (exit.code, exit.signal, exit.stderr_tail) == (7, None, ("this worker has no wish to live",))


async def test_what_was_said_before_death_is_heard_before_it_is_told() -> None:
    _, ears = await start({}, [["log", "info", str(number)] for number in range(2000)] + [["die", "SIGKILL"]])
    await ears.exit()
    assert [message.message for message in ears.messages if isinstance(message, LogLine)][-1] == "1999"


async def test_death_is_told_at_once() -> None:
    process, ears = await start({}, [["hang"]])
    began = time.monotonic()
    os.kill(process.pid, signal.SIGKILL)
    await ears.exit()
    assert time.monotonic() - began < 0.4


async def test_a_grandchild_that_holds_the_pipes_delays_nothing_and_dies_too() -> None:
    _, ears = await start({}, [["breed"], ["die", "SIGKILL"]])
    began = time.monotonic()
    await ears.exit()
    assert time.monotonic() - began < 5
    [child] = [message.message for message in ears.messages if isinstance(message, LogLine)]
    pid = int(child.split()[1])
    await ears.until(lambda: not is_alive(pid))


@pytest.fixture
def small_room() -> Iterator[Path]:
    """A control group with little memory; only who may make one can really run out of it."""
    for base, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        room = Path(base) / f"dw-lsp-test-{os.getpid()}"
        try:
            room.mkdir()
            (room / limit).write_text(str(200 * 1024 * 1024))
        except OSError:
            if room.is_dir():
                room.rmdir()
            continue
        yield room
        room.rmdir()
        return
    pytest.skip("no control group can be made here")


async def test_death_for_want_of_memory_is_told_as_such(small_room: Path) -> None:
    process, ears = await start({}, [])
    (small_room / "cgroup.procs").write_text(str(process.pid))
    process.send(Execute("r2", json.dumps([["eat"]]), None, (), "/tmp"))
    exit = await ears.exit()
    assert (exit.signal, exit.reason) == (
        "SIGKILL",
        "The worker was killed by SIGKILL: the system ran out of memory and ended it.",
    )


async def test_terminate_reaches_the_children() -> None:
    process, ears = await start({}, [["breed"], ["hang"]])
    await ears.until(lambda: any(isinstance(message, LogLine) for message in ears.messages))
    [child] = [message.message for message in ears.messages if isinstance(message, LogLine)]
    process.terminate()
    assert (await ears.exit()).signal == "SIGTERM"
    pid = int(child.split()[1])
    await ears.until(lambda: not is_alive(pid))


async def test_kill_ends_what_ignores_everything_else() -> None:
    process, ears = await start({}, [["obey_not"], ["log", "info", "deaf"], ["hang"]])
    await ears.until(lambda: any(isinstance(message, LogLine) for message in ears.messages))
    process.terminate()
    await asyncio.sleep(0.3)
    assert not ears.exits
    process.kill()
    assert (await ears.exit()).signal == "SIGKILL"


async def test_the_end_of_its_input_ends_it() -> None:
    process, ears = await start({}, [])
    process.close_input()
    assert (await ears.exit()).code == 0


async def test_stacks_are_written_on_demand() -> None:
    process, ears = await start({}, [["log", "info", "here"], ["hang"]])
    await ears.until(lambda: any(isinstance(message, LogLine) for message in ears.messages))
    process.dump_stacks(process.pid)
    await ears.until(lambda: "stack of the main thread" in ears.lines)
    process.kill()
    await ears.exit()


async def test_stacks_are_written_by_a_worker_behind_a_wrapper_too() -> None:
    ears = Ears()
    wrapped = ("sh", "-c", '"$@"; true', "sh", sys.executable, str(SCRIPT))
    process = await spawn(WorkerCommand(wrapped, os.environ), ears)
    await ears.until(lambda: any(isinstance(message, Ready) for message in ears.messages))
    [hello] = [message for message in ears.messages if isinstance(message, Hello)]
    assert hello.pid != process.pid
    process.dump_stacks(hello.pid)
    await ears.until(lambda: "stack of the main thread" in ears.lines)
    process.kill()
    await ears.exit()


async def test_a_number_that_means_a_foreign_process_gets_no_signal() -> None:
    process, ears = await start({}, [])
    stranger = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    process.dump_stacks(stranger.pid)
    await asyncio.sleep(0.1)
    assert stranger.returncode is None
    stranger.kill()
    await stranger.wait()
    process.kill()
    await ears.exit()


async def test_garbage_is_told_once_and_the_process_can_still_be_ended() -> None:
    process, ears = await start({}, [["write_text", "printed to the wrong place\n" * 5000], ["hang"]])
    await ears.until(lambda: bool(ears.problems))
    await asyncio.sleep(0.1)
    assert len(ears.problems) == 1
    process.kill()
    await ears.exit()


async def test_a_message_that_was_cut_off_by_death_is_not_heard() -> None:
    _, ears = await start({}, [["tear"]])
    assert (await ears.exit()).code == 9
    assert not ears.problems
    assert not any(isinstance(message, LogLine) for message in ears.messages)


async def test_a_flood_on_standard_error_blocks_nothing() -> None:
    process, ears = await start({}, [["flood", 300_000], ["log", "info", "through"]])
    await ears.until(lambda: any(isinstance(message, LogLine) for message in ears.messages))
    assert 0 < len(ears.lines) < 10_000
    process.kill()
    assert len((await ears.exit()).stderr_tail) == 40


async def test_a_worker_that_closes_its_output_is_noticed() -> None:
    process, ears = await start({}, [["close_output"]])
    await ears.until(lambda: ears.is_closed)
    assert not ears.exits
    process.kill()
    await ears.exit()


async def test_writing_to_a_dead_process_is_no_error() -> None:
    process, ears = await start({}, [])
    os.kill(process.pid, signal.SIGKILL)
    for number in range(1000):
        process.send(Ping(number))
        await asyncio.sleep(0)
    await ears.exit()
    process.send(Ping(1))
    process.close_input()
    process.terminate()
    process.kill()
    process.dump_stacks(process.pid)


async def test_a_process_that_is_given_up_is_told_to_be_gone() -> None:
    process, ears = await start({}, [["hang"]])
    process.abandon()
    assert (await ears.exit()).code is None
    # Its end is still waited for by the event loop, which must not be closed before.
    await ears.until(lambda: process._transport.get_returncode() is not None)
    assert len(ears.exits) == 1


@pytest.mark.parametrize(
    ("program", "cause"),
    [("/nowhere/python", "No such file"), (str(SCRIPT.parent), "Permission denied"), ("a\0b", "null")],
)
async def test_a_command_that_cannot_be_started(program: str, cause: str) -> None:
    with pytest.raises(CannotSpawn, match=cause):
        await spawn(WorkerCommand((program,), {}), Ears())


async def test_the_environment_is_the_given_one() -> None:
    ears = Ears()
    arguments = (sys.executable, str(SCRIPT), json.dumps({"environment": "FLAVOUR"}))
    process = await spawn(WorkerCommand(arguments, {"FLAVOUR": "lemon"}), ears)
    await ears.until(lambda: bool(ears.lines))
    assert ears.lines == ["lemon"]
    process.kill()
    await ears.exit()
