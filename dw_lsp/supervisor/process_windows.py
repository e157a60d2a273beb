"""A process and its children on Windows: one job object, which ends them together, and with us at the latest."""

from __future__ import annotations

import ctypes
import subprocess
import sys

assert sys.platform == "win32", "job objects exist on Windows only"

NEW_GROUP = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW

_EXTENDED_LIMITS = 9
_KILL_ON_CLOSE = 0x2000
_SET_QUOTA_AND_TERMINATE = 0x0101
#: What a process reports that was ended by us; a number that no program uses by itself.
_ENDED_BY_US = 0x40010004


class _BasicLimits(ctypes.Structure):
    _fields_ = (
        ("per_process_user_time_limit", ctypes.c_int64),
        ("per_job_user_time_limit", ctypes.c_int64),
        ("limit_flags", ctypes.c_uint32),
        ("minimum_working_set_size", ctypes.c_size_t),
        ("maximum_working_set_size", ctypes.c_size_t),
        ("active_process_limit", ctypes.c_uint32),
        ("affinity", ctypes.c_size_t),
        ("priority_class", ctypes.c_uint32),
        ("scheduling_class", ctypes.c_uint32),
    )


class _ExtendedLimits(ctypes.Structure):
    _fields_ = (
        ("basic", _BasicLimits),
        ("io_counters", ctypes.c_uint64 * 6),
        ("process_memory_limit", ctypes.c_size_t),
        ("job_memory_limit", ctypes.c_size_t),
        ("peak_process_memory_used", ctypes.c_size_t),
        ("peak_job_memory_used", ctypes.c_size_t),
    )


class ProcessTree:
    """All processes that one process starts. When this program ends, however it ends, Windows ends them too."""

    def __init__(self, pid: int):
        self._kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        for function in ("CreateJobObjectW", "OpenProcess"):
            getattr(self._kernel, function).restype = ctypes.c_void_p
        self._job = ctypes.c_void_p(self._kernel.CreateJobObjectW(None, None))
        limits = _ExtendedLimits()
        limits.basic.limit_flags = _KILL_ON_CLOSE
        self._must(
            self._kernel.SetInformationJobObject(
                self._job, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)
            )
        )
        process = ctypes.c_void_p(self._must(self._kernel.OpenProcess(_SET_QUOTA_AND_TERMINATE, False, pid)))
        try:
            self._must(self._kernel.AssignProcessToJobObject(self._job, process))
        finally:
            self._kernel.CloseHandle(process)

    def terminate(self) -> None:
        """End them all; none may be left already."""
        self._kernel.TerminateJobObject(self._job, _ENDED_BY_US)

    def close(self) -> None:
        """Give the job back, which ends what may still be left of it."""
        self._kernel.CloseHandle(self._job)

    def _must(self, result: int | None) -> int:
        if not result:
            raise ctypes.WinError(ctypes.get_last_error())
        return result
