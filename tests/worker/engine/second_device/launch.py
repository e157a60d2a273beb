"""A worker that computes on a second device: `PYTHON launch.py LIBRARY CAPACITY`, the latter a file with a number.

What it needs beside the library is what torch asks of the module of any device (`torch.cuda` is one).
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import mmap
import sys
import types
from pathlib import Path
from typing import Any

import diffusers
import torch

LAUNCHER = Path(__file__).resolve().parents[4] / "dw_lsp" / "worker" / "launch.py"
NAME = "second"


def register(library: str, capacity: str) -> None:
    """Make a device of that name known to torch."""
    native = ctypes.CDLL(library)
    with open(capacity, "r+b") as file:
        shared = mmap.mmap(file.fileno(), 8)
    size = ctypes.c_int64.from_buffer(shared)
    for name in ("used_bytes", "peak_bytes"):
        getattr(native, name).restype = ctypes.c_int64
    torch.utils.rename_privateuse1_backend(NAME)
    native.use_capacity(ctypes.byref(size))
    torch._register_device_module(NAME, module(native, size))


def module(native: Any, size: ctypes.c_int64) -> types.ModuleType:
    """What stands under `torch.second`."""
    made = types.ModuleType(f"torch.{NAME}")
    answers: dict[str, Any] = {
        "is_available": True, "is_initialized": True, "_is_in_bad_fork": False, "device_count": 1, "current_device": 0,
        "get_device_name": "a second device", "get_amp_supported_dtype": [torch.float16, torch.bfloat16],
        "stream": contextlib.nullcontext(), "current_stream": types.SimpleNamespace(synchronize=lambda: None),
    }  # fmt: skip
    for name in ("manual_seed", "manual_seed_all", "set_device", "synchronize", "empty_cache", "_lazy_init"):
        answers[name] = None
    for name, answer in answers.items():
        setattr(made, name, lambda *_, answer=answer: answer)
    for name in ("memory_allocated", "memory_reserved"):
        setattr(made, name, lambda *_: native.used_bytes())
    vars(made).update(
        max_memory_allocated=lambda *_: native.peak_bytes(),
        reset_peak_memory_stats=lambda *_: native.reset_peak(),
        mem_get_info=lambda *_: (size.value - native.used_bytes(), size.value),
    )
    return made


def take_files_for_folders() -> None:
    """Load as single files such that name a model's folder: nothing writes whole pipelines into one file any more."""
    diffusers.StableDiffusionPipeline.from_single_file = classmethod(
        lambda cls, file, torch_dtype, **_: cls.from_pretrained(Path(file).read_text(), torch_dtype=torch_dtype)
    )


def launch() -> int:
    """Start the worker, which finds this device to be its machine's best. Returns its exit status."""
    spec = importlib.util.spec_from_file_location("launch_worker", LAUNCHER)
    assert spec is not None and spec.loader is not None
    launcher = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(launcher)
    launcher.keep_own_folder_off_the_path()
    launcher.make_package_importable()
    register(sys.argv[1], sys.argv[2])
    take_files_for_folders()
    from dw_lsp.worker.engine import devices
    from dw_lsp.worker.main import main

    devices.default_device = lambda: torch.device(NAME, 0)
    return main()


if __name__ == "__main__":
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]
    sys.exit(launch())
