"""How a process ended, in words for people: exit codes and signals with their likely causes."""

from __future__ import annotations

import signal
from pathlib import Path

from dw_lsp.supervisor.events import WorkerExit

#: The likely cause of each signal, for somebody who runs models.
_SIGNAL_CAUSES = {
    "SIGKILL": "out of memory, or killed by hand",
    "SIGSEGV": "native code (torch, a driver or another compiled library) touched memory that is not its own",
    "SIGABRT": "native code gave up; its last lines say why",
    "SIGBUS": "a mapped file was cut short, or the disk or shared memory is full",
    "SIGILL": "a compiled library needs a newer processor than this one",
    "SIGFPE": "native code divided by zero",
    "SIGTERM": "somebody asked it to end",
    "SIGINT": "it was interrupted",
    "SIGHUP": "its terminal went away",
    "SIGPIPE": "it wrote where nobody reads",
    "SIGXCPU": "it used up its share of processor time",
    "SIGSYS": "a sandbox forbids a system call that it needs",
}
_CODE_CAUSES = {
    126: "the command may not be executed",
    127: "the command was not found",
    255: "if the command is ssh, the connection failed",
    0xC0000005: "native code touched memory that is not its own (access violation)",
    0xC0000135: "a DLL is missing",
    0xC00000FD: "the stack overflowed",
}
_SHELL_SIGNAL = 128


def kills_for_memory() -> int | None:
    """How many processes the system has killed since its start because memory ran out; `None` where it does not tell.

    Of all users: Linux counts them in one place, which is there in containers too.
    """
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def describe_exit(code: int | None, stderr_tail: tuple[str, ...], memory_ran_out: bool = False) -> WorkerExit:
    """The end of a process.

    Arguments: its return code, negative for a signal, `None` when it never ended; its last lines; whether the system
    has meanwhile killed for want of memory.
    """
    if code is None:
        return WorkerExit(
            None, None, "The worker could not be ended: it is stuck in the operating system.", stderr_tail
        )
    name = signal_behind(code)
    cause = _SIGNAL_CAUSES.get(name) if name else _CODE_CAUSES.get(code)
    if memory_ran_out and name == "SIGKILL":
        cause = "the system ran out of memory and ended it"
    if code < 0:
        return WorkerExit(None, name, f"The worker was killed by {name}{_cause(cause)}.", stderr_tail)
    if code == 0:
        return WorkerExit(0, None, "The worker ended by itself.", stderr_tail)
    if name:
        cause = f"a shell's way to say {name}{_cause(cause)}"
    return WorkerExit(code, None, f"The worker ended with exit code {code}{_cause(cause)}.", stderr_tail)


def signal_behind(code: int | None) -> str | None:
    """The signal that a return code stands for: a negative one itself, or as a shell above the worker tells it."""
    if code is not None and code < 0:
        return signal_name(-code)
    if code is not None and code not in _CODE_CAUSES and _SHELL_SIGNAL < code < _SHELL_SIGNAL + 65:
        return signal_name(code - _SHELL_SIGNAL)
    return None


def signal_name(number: int) -> str:
    """The name of a signal, `signal 35` for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _cause(text: str | None) -> str:
    return f": {text}" if text else ""
