"""Memory of this machine and of this process, asked of each system in its own way; `None` for what it does not tell."""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.util
import os
import platform
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class HostMemory:
    """Bytes: the machine's memory, what of it is free for use, this process's share now and at its highest."""

    total: int | None
    free: int | None
    process: int | None
    process_peak: int | None


def host_memory() -> HostMemory:
    """The host's memory now."""
    if platform.system() == "Linux":
        return _linux()
    if importlib.util.find_spec("psutil") is not None:
        return _psutil(importlib.import_module("psutil"))
    if platform.system() == "Windows":
        return _windows()
    return HostMemory(_sysconf("SC_PHYS_PAGES"), _sysconf("SC_AVPHYS_PAGES"), None, _peak_usage())


def process_memory() -> int | None:
    """Bytes of this process now: what is asked several times a run, and so must cost little."""
    if platform.system() != "Linux":
        return host_memory().process
    try:
        return int(_content("/proc/self/statm").split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return None


# ---------------------------------------------------------------- Linux

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


#: The system's own files are asked several times a run, and opening one takes as long as reading it ten times.
_OPEN: dict[tuple[int, str], int] = {}
_LARGEST = 65536


def _content(path: str) -> bytes:
    """What one of the system's own files says now. Raises `OSError` where there is none."""
    # Of a process that was forked, "self" is another one.
    key = (os.getpid(), path)
    if key not in _OPEN:
        _OPEN[key] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return os.pread(_OPEN[key], _LARGEST, 0)


def _linux() -> HostMemory:
    total, free = _fields("/proc/meminfo", "MemTotal", "MemAvailable")
    limit, used = _container_limit()
    if limit is not None and (total is None or limit < total):
        total = limit
        free = min(free or limit, max(0, limit - (used or 0)))
    return HostMemory(total, free, *_fields("/proc/self/status", "VmRSS", "VmHWM"))


def _fields(path: str, *names: str) -> list[int | None]:
    """What stands behind these names, on lines of the form `Name:   123 kB`, in bytes."""
    try:
        text = _content(path).decode("ascii", "replace")
    except OSError:
        return [None for _ in names]
    return [_kilobytes(text, name) for name in names]


def _kilobytes(text: str, name: str) -> int | None:
    _, found, rest = f"\n{text}".partition(f"\n{name}:")
    words = rest.partition("\n")[0].split()
    return int(words[0]) * 1024 if found and len(words) == 2 and words[1] == "kB" and words[0].isdigit() else None


def _container_limit() -> tuple[int | None, int | None]:
    """A container's limit and use, where one is set: it counts, not the machine's memory."""
    for limit, used in _limits():
        value = _number(limit)
        if value is not None:
            return value, _number(used)
    return None, None


@functools.lru_cache(maxsize=1)
def _limits() -> tuple[tuple[str, str], ...]:
    """The files of a limit and of what is used of it, of both kinds of containers, as far as they exist."""
    known = (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    )
    return tuple(pair for pair in known if os.path.exists(pair[0]))


def _number(path: str) -> int | None:
    try:
        text = _content(path).decode("ascii", "replace").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


# ---------------------------------------------------------------- other systems


def _psutil(psutil: Any) -> HostMemory:
    machine, process = psutil.virtual_memory(), psutil.Process().memory_info()
    return HostMemory(
        machine.total, machine.available, process.rss, getattr(process, "peak_wset", None) or _peak_usage()
    )


def _sysconf(name: str) -> int | None:
    if not hasattr(os, "sysconf") or name not in os.sysconf_names:
        return None
    pages = os.sysconf(name)
    return pages * os.sysconf("SC_PAGE_SIZE") if pages > 0 else None


def _peak_usage() -> int | None:
    """The process's highest memory use; macOS counts it in bytes, other systems in kilobytes."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


class _MemoryStatus(ctypes.Structure):
    """What Windows' GlobalMemoryStatusEx fills in."""

    _fields_ = (
        ("length", ctypes.c_ulong),
        ("load", ctypes.c_ulong),
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("others", ctypes.c_ulonglong * 5),
    )


def _windows() -> HostMemory:
    status = _MemoryStatus()
    status.length = ctypes.sizeof(status)
    kernel: Any = getattr(ctypes, "windll", None)
    if kernel is None or not kernel.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return HostMemory(None, None, None, None)
    return HostMemory(int(status.total), int(status.free), None, None)


def open_handles() -> int | None:
    """How many files, pipes and sockets this process has open; `None` where the system does not tell."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return len(os.listdir(folder))
        except OSError:
            continue
    if importlib.util.find_spec("psutil") is not None:
        process = importlib.import_module("psutil").Process()
        return int(process.num_handles() if sys.platform == "win32" else process.num_fds())
    return None


def return_free_memory() -> None:
    """Give memory that the C library keeps for reuse back to the system, where that can be asked for (glibc)."""
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
