"""A server whose editor has died leaves too, even if its input stays open."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable

LOOK_SECONDS = 3.0


def leave_with(process_id: int, leave: Callable[[], None]) -> None:
    """Call `leave` once the process is gone. Arguments: the editor's process, as it says in `initialize`.

    A process that cannot be seen from here (the editor is outside of our container) says nothing by its absence.
    """
    loop = asyncio.get_running_loop()
    if not is_alive(process_id):
        return

    def look() -> None:
        if is_alive(process_id):
            loop.call_later(LOOK_SECONDS, look)
        else:
            leave()

    loop.call_later(LOOK_SECONDS, look)


def is_alive(process_id: int) -> bool:
    """Whether there is a process of that number (one that we may not ask is there)."""
    if sys.platform == "win32":
        return _is_alive_on_windows(process_id)
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_alive_on_windows(process_id: int) -> bool:
    import ctypes

    synchronize, timed_out = 0x00100000, 0x00000102
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined, unused-ignore]
    handle = kernel.OpenProcess(synchronize, False, process_id)
    if not handle:
        return False
    try:
        return bool(kernel.WaitForSingleObject(handle, 0) == timed_out)
    finally:
        kernel.CloseHandle(handle)
