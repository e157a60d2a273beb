"""A worker never outlives who started it: the system's own means, beside the end of stdin that is always watched."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

from dw_lsp.protocol import SUPERVISOR

#: How long a worker whose input has ended may take to leave by itself. Seconds.
GRACE = 0.15
#: How often the input is looked at, in seconds. It is not waited for: some systems wake up for what is to be read.
LOOK = 0.05
_PR_SET_PDEATHSIG = 1
_GONE = 0 if sys.platform == "win32" else select.POLLHUP | select.POLLERR | select.POLLNVAL
#: What a watcher may have inherited and must not keep open lies below this.
_DESCRIPTORS = 1024


def end_with_parent(parent: int) -> None:
    """Ask Linux to kill this process when its parent dies; elsewhere `watch_input` has to do.

    Arguments: `parent` is the parent's process id as it was when this process began: if it is another now, the parent
    died before the request was made and nobody would send the signal.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def watch_input(incoming: int, parent: int) -> None:
    """Let a child kill this process when its input ends, unless the signal at the supervisor's death does it already.

    The thread that reads the input cannot leave while native code holds the interpreter's lock, or while the process
    is stopped. Called before any thread is there. Arguments: the input; the parent's process id.
    """
    if sys.platform == "win32":  # A job object ends the whole tree there.
        return
    if sys.platform == "linux" and os.environ.get(SUPERVISOR) == str(parent):
        return
    worker = os.getpid()
    if os.fork() == 0:
        try:
            _watch(incoming, worker)
        finally:
            os._exit(0)


def _watch(incoming: int, worker: int) -> None:
    end_with_parent(worker)
    # The other ends of these must not be kept waiting by this process.
    os.closerange(0, incoming)
    os.closerange(incoming + 1, _DESCRIPTORS)
    ended = select.poll()
    ended.register(incoming, select.POLLHUP)  # Without reading: the messages are the worker's.
    while os.getppid() == worker:
        if any(event & _GONE for _, event in ended.poll(0)):
            time.sleep(GRACE)
            break
        time.sleep(LOOK)
    if os.getppid() == worker:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)


def leave_interrupts_to_the_parent() -> None:
    """Ctrl-C in a terminal reaches the whole process group: who started this process decides what it means.

    A function, not `SIG_IGN`: ignored signals are inherited by the programs that a library may start.
    """
    signal.signal(signal.SIGINT, lambda number, frame: None)
