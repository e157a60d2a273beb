"""Work that takes of the processor only what nobody else wants: how a spare process imports.

Where Linux schedules sessions as groups, our session gets the least share, which whoever needs the work can give back
from outside (`supervisor/hurrying.py`): we ourselves might wait for a lock that the work holds. Elsewhere a thread of
its own has the idle policy, not the process: who may not raise a priority (every user but root) cannot take it back,
and the threads that compute later must have the usual one.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

#: The niceness of our session among the others, on kernels that have such a thing.
_SESSION = Path("/proc/self/autogroup")
_GROUPED = Path("/proc/sys/kernel/sched_autogroup_enabled")
_LEAST, _USUAL = "19", "0"
#: The kernel takes one change of that in a tenth of a second, of all sessions together.
_TRIES, _SECONDS_BETWEEN = 20, 0.02

Answer = TypeVar("Answer")


class Background(Generic[Answer]):
    """One piece of work on a thread that yields to everything else. Arguments: the work."""

    def __init__(self, work: Callable[[], Answer]):
        self._work = work
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._hurried = False
        self._answers: list[Answer] = []
        self._errors: list[BaseException] = []

    def do(self) -> Answer:
        """Do it, and return what it returns, or raise what it raises."""
        thread = threading.Thread(target=self._on_thread, name="background")
        thread.start()
        thread.join()
        for error in self._errors:
            raise error
        return self._answers[0]

    def hurry(self) -> None:
        """Somebody waits for it now: it shall be done as usual. Any thread may call, also when it is done."""
        with self._lock:
            self._hurried = True
            if self._thread is not None:
                _yield_to_others(self._thread, False)
            _set_session(_USUAL)

    def _on_thread(self) -> None:
        try:
            with self._lock:
                self._thread = threading.get_native_id()
                if not self._hurried and not _set_session(_LEAST):
                    _yield_to_others(self._thread, True)
            self._answers.append(self._work())
        except BaseException as error:
            self._errors.append(error)
        finally:
            with self._lock:
                self._thread = None


def _yield_to_others(thread: int, yields: bool) -> None:
    if sys.platform == "linux":
        # Not allowed everywhere; the other way only for those who may raise priorities.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(thread, os.SCHED_IDLE if yields else os.SCHED_OTHER, os.sched_param(0))


def _set_session(niceness: str) -> bool:
    """Set our session's share. Returns whether there is such a thing here."""
    if sys.platform != "linux":
        return False
    for _ in range(_TRIES):
        try:
            _SESSION.write_text(niceness, encoding="ascii")
        except BlockingIOError:
            time.sleep(_SECONDS_BETWEEN)
        except OSError:
            return False
        else:
            return _GROUPED.is_file() and _GROUPED.read_text(encoding="ascii").strip() == "1"
    return False
