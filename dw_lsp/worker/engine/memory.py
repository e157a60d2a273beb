"""Memory reports with real values: the device's, the host's, this process's; and what grew from run to run."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from dw_lsp.protocol import Component, MemoryReport
from dw_lsp.worker.engine.cleanup import heap_in_use
from dw_lsp.worker.engine.devices import free_and_total, memory_library, same_device
from dw_lsp.worker.engine.growth import Pools
from dw_lsp.worker.engine.host_memory import HostMemory, host_memory, open_handles, process_memory

#: How often memory is looked at while a run is busy, and how often it is reported. Seconds.
SAMPLING_SECONDS = 0.1
#: A run that is over sooner tells of memory at its end alone.
FIRST_SAMPLE_SECONDS = 0.02
REPORTING_SECONDS = 1.0
_HOST = torch.device("cpu")


class Meter:
    """Measures memory. Any thread may ask; the run that ends first after a cleanup sets the baseline for growth.

    Arguments: the device and its name; `also_kept` tells how many bytes of the host's are kept besides components.
    """

    def __init__(self, device: torch.device, name: str, also_kept: Callable[[], int] = lambda: 0):
        self._device, self._name, self._also_kept = device, name, also_kept
        self._library = memory_library(device)
        # By the kind of memory: of the device, and of the host beside it.
        self._baseline: dict[str, int] = {}
        self._peak: int | None = None
        self._in_use_peak: int | None = None
        # Of the process before it has carried out anything: what a full cleanup should come back to.
        self._process_at_start = process_memory()

    @property
    def is_exact(self) -> bool:
        """Whether the device's allocator itself tells its highest use."""
        return self._library is not None

    def used(self) -> int | None:
        """Bytes in use now: on the device, or of this process where the device is the CPU itself."""
        if self._library is not None:
            return int(self._library.memory_allocated(self._device))
        if self._device.type == "mps":
            return int(torch.mps.current_allocated_memory())
        return process_memory()

    def _unaccounted(self, components: Sequence[Component]) -> dict[str, int]:
        """Bytes in use that no kept component fills: what may not grow from run to run. By the kind of memory."""
        found = {self._device.type: self.used()}
        if self._device.type != "cpu":
            found["cpu"] = process_memory()
        kept = {self._device.type: self._kept(components), "cpu": self._kept_in_host(components)}
        return {kind: used - kept[kind] for kind, used in found.items() if used is not None}

    def _kept(self, components: Sequence[Component]) -> int:
        return self._kept_in_host(components) if self._device.type == "cpu" else _kept_on(components, self._device)

    def _kept_in_host(self, components: Sequence[Component]) -> int:
        return _kept_on(components, _HOST) + self._also_kept()

    def pools(self, components: Sequence[Component]) -> Pools:
        """What is in use beyond the kept components, by pool."""
        host = process_memory()
        in_host = self._kept_in_host(components)
        device = reserve = None
        if self._library is not None:
            allocated = int(self._library.memory_allocated(self._device))
            reserve = int(self._library.memory_reserved(self._device)) - allocated
            device = allocated - self._kept(components)
        return Pools(
            device=device,
            device_reserve=reserve,
            host=None if host is None else host - in_host,
            # Those that a collection looks through: models and modules are set aside. A count of all costs a walk
            # through all memory, 1 to 2 ms.
            python_objects=len(gc.get_objects()),
            file_handles=open_handles(),
        )

    def growth(self, components: Sequence[Component]) -> dict[str, int]:
        """Bytes by which memory has grown since the first run after a cleanup, beyond the kept components.

        By the kind of memory: of the device, and of the host beside it; nothing before there was such a run.
        """
        now = self._unaccounted(components) if self._baseline else {}
        return {kind: used - self._baseline[kind] for kind, used in now.items() if kind in self._baseline}

    def report(
        self,
        components: Sequence[Component],
        run_count: int,
        warning_bytes: int | None = None,
        warnings: Sequence[str] = (),
    ) -> MemoryReport:
        """The memory now.

        Arguments: `warning_bytes` is the growth from which on the report warns, `None`: never; `warnings` are others.
        """
        host = host_memory()
        allocated, reserved, free, total, peak = self._device_values(host, components)
        growth = self.growth(components)
        return MemoryReport(
            device=self._device.type,
            device_name=self._name,
            allocated_bytes=allocated,
            reserved_bytes=reserved,
            free_bytes=free,
            total_bytes=total,
            peak_bytes=peak,
            process_bytes=host.process,
            host_free_bytes=host.free,
            run_count=run_count,
            components=tuple(components),
            growth_bytes=growth.get(self._device.type),
            warnings=(*_growth_warnings(growth, warning_bytes), *warnings),
            baseline_bytes=self._process_at_start,
        )

    def _device_values(
        self, host: HostMemory, components: Sequence[Component]
    ) -> tuple[int | None, int | None, int | None, int | None, int | None]:
        """Allocated, reserved, free, total and peak bytes. On a CPU: the components', the process's, the machine's."""
        if (library := self._library) is not None:
            free, total = free_and_total(self._device, library)
            allocated, reserved = (
                int(ask(self._device)) for ask in (library.memory_allocated, library.memory_reserved)
            )
            return allocated, reserved, free, total, int(library.max_memory_allocated(self._device))
        if self._device.type == "mps":
            allocated = int(torch.mps.current_allocated_memory())
            reserved = int(torch.mps.driver_allocated_memory())
            limit = int(torch.mps.recommended_max_memory())
            return allocated, reserved, max(0, limit - reserved), limit, None
        return sum(each.bytes for each in components), host.process, host.free, host.total, host.process_peak

    def note_run(self, components: Sequence[Component] = ()) -> None:
        """A run has ended: the first one after a cleanup sets what later growth is measured against."""
        if not self._baseline:
            self._baseline = self._unaccounted(components)

    def forget(self) -> None:
        """Everything was cleaned up: growth and peaks count anew."""
        self._baseline, self._peak = {}, None
        if self._library is not None:
            self._library.reset_peak_memory_stats(self._device)

    def begin_peak(self) -> None:
        """From now on `peak` tells the highest use since this call."""
        if self._library is not None:
            self._library.reset_peak_memory_stats(self._device)
        self._peak = self.used()

    def begin_in_use(self) -> int | None:
        """From now on `peak_in_use` tells the most that was handed out. Returns what is handed out now."""
        self._in_use_peak = self.in_use()
        return self._in_use_peak

    def in_use(self) -> int | None:
        """Bytes that are handed out now, without what allocators keep for reuse; `None` where nobody tells."""
        return self.used() if self._device.type != "cpu" else heap_in_use()

    def peak_in_use(self) -> int | None:
        """The most handed out since `begin_in_use`: exact where the allocator keeps it, else of the samples."""
        return self.peak() if self.is_exact else self._in_use_peak

    def sample(self) -> None:
        """Look once more: what is in use now may be the highest so far."""
        in_use = self.in_use()
        if in_use is not None:
            self._in_use_peak = max(self._in_use_peak or 0, in_use)
        self._note(self.used())

    def _note(self, used: int | None) -> None:
        if used is not None:
            self._peak = max(self._peak or 0, used)

    def peak(self) -> int | None:
        """The highest use since `begin_peak`: exact where the allocator keeps it, else the highest of the samples."""
        if self._library is not None:
            return int(self._library.max_memory_allocated(self._device))
        self._note(self.used())
        return self._peak

    def free(self) -> int | None:
        """Bytes of the device's memory that nobody uses; what its allocator keeps for reuse counts as free."""
        if self._library is not None:
            kept = self._library.memory_reserved(self._device) - self._library.memory_allocated(self._device)
            return free_and_total(self._device, self._library)[0] + int(kept)
        if self._device.type == "mps":
            return max(0, int(torch.mps.recommended_max_memory()) - int(torch.mps.driver_allocated_memory()))
        return host_memory().free

    def capacity(self) -> int | None:
        """Bytes of the device's memory in all."""
        if self._library is not None:
            return free_and_total(self._device, self._library)[1]
        if self._device.type == "mps":
            return int(torch.mps.recommended_max_memory())
        return host_memory().total


def _growth_warnings(growth: Mapping[str, int], warning_bytes: int | None) -> Iterator[str]:
    megabytes = 1024 * 1024
    for kind, size in growth.items():
        if warning_bytes is None or size <= warning_bytes:
            continue
        pool = "process (host)" if kind == "cpu" else "device"
        yield (
            f"Memory of the {pool} has grown by {size // megabytes} MB since the first run, beyond the kept models: "
            f"more than {warning_bytes // megabytes} MB (dw.memory.growthWarningMb). dw.clear gives all of it back."
        )


def _kept_on(components: Sequence[Component], device: torch.device) -> int:
    return sum(each.bytes for each in components if same_device(torch.device(each.device), device))


class Sampler:
    """Looks at memory while a run is busy, and reports about once a second, on a thread that all runs share.

    To start a thread for each run, and to wait for its end, would cost a short run a hundredth of its time.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._report: Callable[[], None] | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def during(self, report: Callable[[], None]) -> Iterator[None]:
        """While this lasts, memory is sampled and reported; afterwards no report comes any more."""
        with self._changed:
            self._report = report
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)
                self._thread.start()
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._report = None
                self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._report is not None)
                self._watch_run(self._report)

    def _watch_run(self, report: Callable[[], None] | None) -> None:
        """Sample until a run is over. Reports are made under the lock, so none can come after the end."""
        samples, every = 0, round(REPORTING_SECONDS / SAMPLING_SECONDS)
        # What a run needs at its beginning is known soon, whatever becomes of it.
        pause = FIRST_SAMPLE_SECONDS
        while not self._changed.wait_for(lambda: self._report is not report, pause):
            self._meter.sample()
            if samples % every == 0 and report is not None:
                report()
            samples, pause = samples + 1, SAMPLING_SECONDS


def budget_bytes(setting: float | str, capacity: int | None) -> int | None:
    """How many bytes a budget setting allows: a part of the capacity (0.9) or an amount ("20GB").

    Returns `None` when it cannot be known. Raises `ValueError` for text that is no amount.
    """
    if isinstance(setting, str):
        return _amount(setting)
    return None if capacity is None else int(capacity * setting)


_UNITS = {"": 1, "B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}


def _amount(text: str) -> int:
    digits = text.strip().rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    unit = text.strip()[len(digits) :].strip().upper().replace("IB", "B")
    try:
        return int(float(digits) * _UNITS[unit])
    except (KeyError, ValueError):
        raise ValueError(f'{text!r} is no amount of memory: write 0.9 or "20GB"') from None
