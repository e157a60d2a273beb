"""Which device the worker computes on, what it is called, and what a workflow's `device` means here."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

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
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    if device.type == "xpu":
        return str(torch.xpu.get_device_name(device))
    return processor_name()


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


def same_device(one: torch.device, other: torch.device) -> bool:
    """Whether both mean the same device: `cuda` is `cuda:0`."""
    return one.type == other.type and (one.index or 0) == (other.index or 0)
