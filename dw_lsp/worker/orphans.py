"""A worker never outlives who started it: the system's own means, beside the end of stdin that is always watched."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Ask Linux to kill this process when its parent dies; elsewhere the end of stdin has to do.

    Arguments: `parent` is the parent's process id as it was when this process began: if it is another now, the parent
    died before the request was made and nobody would send the signal.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def leave_interrupts_to_the_parent() -> None:
    """Ctrl-C in a terminal reaches the whole process group: who started this process decides what it means.

    A function, not `SIG_IGN`: ignored signals are inherited by the programs that a library may start.
    """
    signal.signal(signal.SIGINT, lambda number, frame: None)
