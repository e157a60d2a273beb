"""Giving a process that works with the least share of the processor its usual share back, from outside.

It cannot always do that itself: the thread that would may wait for a lock of the interpreter, which the thread that is
to be hurried holds and, with next to no share, does not let go of for a minute.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

#: The kernel takes one change of a session's share in a tenth of a second.
_TRIES, _SECONDS_BETWEEN = 8, 0.02


def hurry(pid: int) -> bool:
    """Let a process and its threads run as usual. Returns whether all of them do now."""
    if sys.platform != "linux":
        return True
    _usual_share(Path(f"/proc/{pid}/autogroup"))
    usual = True
    for thread in _threads(pid):
        with contextlib.suppress(ProcessLookupError):
            try:
                if os.sched_getscheduler(thread) == os.SCHED_IDLE:
                    os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
            except PermissionError:
                usual = False
    return usual


def _usual_share(session: Path) -> None:
    for _ in range(_TRIES):
        try:
            session.write_text("0", encoding="ascii")
        except BlockingIOError:
            time.sleep(_SECONDS_BETWEEN)
            continue
        except OSError:
            pass  # No such thing here, or the process is gone: its end is told by itself.
        return


def _threads(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []
