"""Which device the worker computes on, what it is called, and what a workflow's `device` means here."""

from __future__ import annotations

import contextlib
import platform
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import torch


def default_device() -> torch.device:
    """The best device of this machine: CUDA (or ROCm), Apple's MPS, Intel's XPU, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if torch.backends.mps.is_available():
        return torch.device("mps")
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        return torch.device("xpu")
    return torch.device("cpu")


def device_name(device: torch.device) -> str:
    """The device's name, as its maker gives it."""
    library: Any = None if device.type == "cpu" else getattr(torch, device.type, None)
    return str(library.get_device_name(device)) if hasattr(library, "get_device_name") else processor_name()


def memory_library(device: torch.device) -> Any:
    """What of torch tells of a device's memory (`torch.cuda`, `torch.xpu`); `None` for the CPU and for MPS.

    It has `memory_allocated`, `memory_reserved`, `max_memory_allocated`, `reset_peak_memory_stats`, `empty_cache`.
    """
    library = None if device.type in ("cpu", "mps") else getattr(torch, device.type, None)
    return library if hasattr(library, "memory_allocated") else None


def free_and_total(device: torch.device, library: Any) -> tuple[int, int]:
    """Free bytes and all bytes of a device's memory. Arguments: `library` as from `memory_library`."""
    if hasattr(library, "mem_get_info"):
        free, total = library.mem_get_info(device)
        return int(free), int(total)
    # Older releases tell of Intel's devices only how large they are.
    total = int(library.get_device_properties(device).total_memory)
    return total - int(library.memory_reserved(device)), total


def empty_caches() -> None:
    """Give back what the allocators of devices keep for reuse, and what torch keeps of pinned host memory."""
    for name in ("cuda", "xpu", "mps"):
        library = getattr(torch, name, None)
        if library is not None and (torch.backends.mps if name == "mps" else library).is_available():
            library.empty_cache()
    if torch.cuda.is_available() and hasattr(torch._C, "_host_emptyCache"):
        torch._C._host_emptyCache()


def synchronize(device: torch.device) -> None:
    """Wait until a device has done all that it was asked for."""
    library: Any = getattr(torch, device.type, None)
    if device.type != "cpu" and hasattr(library, "synchronize"):
        library.synchronize(*(() if device.type == "mps" else (device,)))


def processor_name() -> str:
    """The processor's name; the bare architecture where the system does not tell."""
    if sys.platform == "linux":
        for line in _lines("/proc/cpuinfo"):
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        asked = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        if asked.stdout.strip():
            return asked.stdout.strip()
    return platform.processor() or platform.machine()


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def named_device(name: str, default: torch.device) -> tuple[torch.device, str | None]:
    """The device that a workflow names, and a warning if it has to be another.

    Raises `ValueError` for a name that is no device's at all.
    """
    try:
        wanted = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"{name!r} is no device: use cuda, cuda:1, mps or cpu") from error
    if is_present(wanted):
        return wanted, None
    return default, f"this machine has no device {name!r}; {default} is used"


def is_present(device: torch.device) -> bool:
    """Whether this machine has the device."""
    if device.type == "cpu":
        return True
    if device.type == "mps":
        return bool(torch.backends.mps.is_available())
    library = getattr(torch, device.type, None)
    if library is None or not hasattr(library, "is_available") or not library.is_available():
        return False
    return (device.index or 0) < library.device_count()


#: Models whose parts may be on several devices: a move was broken off, or some parts have a place of their own.
_SCATTERED: weakref.WeakSet[torch.nn.Module] = weakref.WeakSet()
_HOST = torch.device("cpu")


def scattered(module: torch.nn.Module) -> None:
    """Note that one part of a model no longer tells where the others are."""
    _SCATTERED.add(module)


def bring(module: torch.nn.Module, device: torch.device) -> None:
    """Move a model to a device unless it is there. Where it does not fit, all of it is in host memory afterwards."""
    # One weight speaks for all: looking at each takes longer than a small model's whole step.
    first = next(module.parameters(), None)
    if module not in _SCATTERED and same_device(_HOST if first is None else first.device, device):
        return
    _SCATTERED.add(module)
    try:
        module.to(device)
    except BaseException:
        with contextlib.suppress(Exception):  # Some quantized models cannot be there.
            module.to(_HOST)
            _SCATTERED.discard(module)
        raise
    _SCATTERED.discard(module)


def same_device(one: torch.device, other: torch.device) -> bool:
    """Whether both mean the same device: `cuda` is `cuda:0`."""
    return one.type == other.type and (one.index or 0) == (other.index or 0)
