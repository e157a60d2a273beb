"""Building the second device, and the worker that computes on it."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from dw_lsp.protocol import MemoryReport, MemoryReported, Message, ReportMemory, RequestFailed
from tests.worker.conftest import WorkerProcess

HERE = Path(__file__).parent


class CannotBuild(Exception):
    """There is no compiler, or it fails: why."""


class DeviceWorker(WorkerProcess):
    """A worker with a second device. Arguments: its library, and the file that says how much memory it has."""

    def __init__(self, library: Path, capacity: Path):
        self._capacity = capacity
        self.has(64)
        # One thread: what is computed here is small, and the fallback moves each tensor from and to the device.
        command = (sys.executable, str(HERE / "launch.py"), str(library), str(capacity))
        super().__init__(command, OMP_NUM_THREADS="1")

    def has(self, megabytes: float) -> None:
        """From now on the device has so much memory."""
        with self._capacity.open("r+b" if self._capacity.exists() else "wb") as file:
            file.write(struct.pack("=q", int(megabytes * 2**20)))

    def ask(self, message: Any) -> Message:
        """Send a request and return its answer."""
        self.send(message)
        answers: Any = (MemoryReported, RequestFailed)
        answer: Message = self.wait_for(answers, lambda each: each.request_id == message.request_id)
        return answer

    def memory(self) -> MemoryReport:
        """What is in memory now."""
        answer = self.ask(ReportMemory(2))
        assert isinstance(answer, MemoryReported)
        return answer.report


def built_library(folder: Path) -> Path:
    """The device's library in that folder: built once for each release of torch. Raises `CannotBuild`."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None or sys.platform != "linux":
        raise CannotBuild("the second device is built by a C++ compiler on Linux, and there is none here")
    source, home = HERE / "second_device.cpp", Path(torch.__file__).parent
    told = f"{torch.__version__} {torch.__file__} {source.read_text(encoding='utf-8')}"
    library = folder / f"second_device-{hashlib.sha256(told.encode()).hexdigest()[:16]}.so"
    if library.exists():
        return library
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = library.with_suffix(f".{os.getpid()}")
    kind = int(torch._C._GLIBCXX_USE_CXX11_ABI)
    options = ["-O0", "-std=c++20", "-shared", "-fPIC", f"-D_GLIBCXX_USE_CXX11_ABI={kind}"]
    places = [f"-I{home}/include", f"-I{home}/include/torch/csrc/api/include", f"-L{home}/lib"]
    command = [compiler, *options, *places, str(source), "-o", str(unfinished), "-ltorch_cpu", "-lc10"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        raise CannotBuild(f"the second device cannot be built here: {built.stderr[-2000:]}")
    unfinished.replace(library)
    return library
