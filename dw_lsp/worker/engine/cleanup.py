"""Three levels of cleaning up: between steps, between runs, and everything. Each costs no more than it is worth.

What is permanent (modules, models) is frozen when it is loaded (`components.settle_garbage`), so that a collection
looks through some thousand objects instead of several hundred thousand: 0.7 ms instead of 190.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import sys
from typing import Any

import torch

from dw_lsp.worker.engine.devices import free_and_total, memory_library
from dw_lsp.worker.engine.host_memory import host_memory, process_memory, return_free_memory

MEGABYTE = 1024 * 1024
#: Less than this is not worth a system call.
LEAST_RETURNED = 32 * MEGABYTE
#: Giving memory back and having it mapped anew, seconds a byte (0.3 ms + 0.25 ms for each MB, measured).
SECONDS_PER_BYTE = 0.55e-3 / MEGABYTE
#: The part of a run's time that giving back may cost, unless memory is short.
SHARE_OF_TIME = 0.01
#: What allocators keep unused may be this part of what is free; beyond it memory counts as short.
SHARE_OF_FREE = 0.25


#: A collection takes about 0.7 ms: steps shorter than this are not worth one of their own. Seconds.
SHORTEST_STEP = 0.05


def after_step(seconds: float) -> None:
    """Collect what a step has left in cycles. Arguments: `seconds` is what it took."""
    if seconds >= SHORTEST_STEP:
        gc.collect()


class Housekeeping:
    """Cleans up after runs on one device."""

    def __init__(self, device: torch.device):
        self._device, self._library = device, memory_library(device)
        # How large the process was after memory was last given back: what malloc calls unused may be gone already.
        self._smallest: int | None = None

    def after_run(self, seconds: float) -> None:
        """Collect, and give memory back where that pays. Arguments: `seconds` is what the run took."""
        gc.collect()
        if (library := self._library) is not None:
            unused = int(library.memory_reserved(self._device) - library.memory_allocated(self._device))
            if unused > SHARE_OF_FREE * free_and_total(self._device, library)[0]:
                library.empty_cache()
        heap = self._unused()
        if heap is not None and heap >= LEAST_RETURNED and pays(heap, host_memory().free, seconds):
            self.give_back()

    def give_back(self) -> None:
        """Give unused host memory back to the system, whatever it costs."""
        return_free_memory()
        self._smallest = process_memory()

    def _unused(self) -> int | None:
        """Bytes of the heap that giving back could free, at most."""
        process = process_memory()
        if process is None or self._smallest is None:
            return unused_heap()
        grown = max(0, process - self._smallest)
        # The C library counts all its blocks for the answer: it is asked only where the answer could matter.
        unused = unused_heap() if grown >= LEAST_RETURNED else 0
        return None if unused is None else min(unused, grown)


def pays(unused: int | None, free: int | None, seconds: float) -> bool:
    """Whether so many unused bytes of the heap are worth giving back after a run of so many seconds."""
    if unused is None or unused < LEAST_RETURNED:
        return False
    short = free is not None and unused > SHARE_OF_FREE * free
    return short or unused * SECONDS_PER_BYTE <= SHARE_OF_TIME * seconds


class _HeapInformation(ctypes.Structure):
    """What glibc's mallinfo2 returns: all fields are numbers of bytes or of blocks."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


@functools.lru_cache(maxsize=1)
def _heap_information() -> Any:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        return None
    library.mallinfo2.restype = _HeapInformation
    return library.mallinfo2


def unused_heap() -> int | None:
    """Bytes that the C library keeps for reuse, given back or not; `None` where it does not tell (glibc 2.33 does)."""
    ask = _heap_information()
    return None if ask is None else int(ask().fordblks)


def heap_in_use() -> int | None:
    """Bytes that the C library has handed out, mapped ones too: without what it keeps for reuse."""
    ask = _heap_information()
    if ask is None:
        return None
    found = ask()
    return int(found.uordblks + found.hblkhd)
