"""Which components are in memory, and why: kept by content key across steps, runs and files, until room is needed.

Pipelines are never kept: they are put together from these for each step. Only the working thread changes what is here;
any thread may ask for the records.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import torch

from dw_lsp.protocol import Component
from dw_lsp.worker.engine.devices import empty_caches, same_device
from dw_lsp.worker.engine.eviction import NOTHING, Budgets, Held, moves
from dw_lsp.worker.engine.host_memory import return_free_memory


@dataclass(frozen=True)
class Resident:
    """A component in memory: what is told about it, the live object, what is inside (LoRAs), its last turn of use."""

    record: Component
    live: Any
    inside: tuple[Component, ...] = ()
    used: int = 0

    @property
    def bytes(self) -> int:
        """Bytes that it fills, with what is inside."""
        return self.record.bytes + sum(part.bytes for part in self.inside)


class Components:
    """The components in memory, least recently used first, each on the device or parked in host memory.

    Arguments: the worker's device; what a step has brought to another one counts for neither. `None`: any is.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self._device = device
        self._lock = threading.Lock()
        self._residents: dict[str, Resident] = {}
        self._turn = 0

    def begin_turn(self) -> None:
        """A pipeline is about to be put together: what is used from now on is more recent than all before."""
        self._turn += 1

    def get(self, key: str) -> Resident | None:
        """The component of that key, which counts as used now."""
        with self._lock:
            found = self._residents.pop(key, None)
            if found is not None:
                found = self._residents[key] = replace(found, used=self._turn)
            return found

    def add(self, key: str, name: str, live: Any, seconds: float) -> Resident:
        """Keep a component that was just loaded. Arguments: `seconds` is what loading took."""
        record = Component(key, name, type(live).__name__, size_of(live), device_of(live), seconds)
        resident = Resident(record, live, used=self._turn)
        with self._lock:
            self._residents[key] = resident
        return resident

    def put_inside(self, key: str, part: Component) -> None:
        """Note that something has been put into a component, which it takes along when it goes."""
        with self._lock:
            owner = self._residents.get(key)
            if owner is not None:
                self._residents[key] = replace(owner, inside=(*owner.inside, part))

    def take_out(self, key: str, of: str | None = None) -> None:
        """Note that what was put into components under that key is no longer in them, or in the one of the key `of`."""
        with self._lock:
            for owner, resident in self._residents.items():
                left = tuple(part for part in resident.inside if part.key != key)
                if left != resident.inside and of in (None, owner):
                    self._residents[owner] = replace(resident, inside=left)

    def drop(self, *keys: str) -> bool:
        """Forget components and give their memory back. Returns whether any was there."""
        with self._lock:
            found = [self._residents.pop(key) for key in keys if key in self._residents]
        if not found:
            return False
        found.clear()
        release_memory()
        return True

    def drop_others(self, keep: Collection[str]) -> tuple[Component, ...]:
        """Forget every component but some and give all memory back that is not in use. Returns those with weights."""
        with self._lock:
            others = [key for key in self._residents if key not in keep]
            gone = [self._residents.pop(key).record for key in others]
        release_memory()
        return tuple(record for record in gone if record.bytes)

    def park(self, keys: Collection[str]) -> None:
        """Bring components to host memory, where they can be there."""
        with self._lock:
            found = [self._residents[key].live for key in keys if key in self._residents]
        for live in found:
            if isinstance(live, torch.nn.Module):
                _park(live)

    def drop_all(self) -> None:
        """Forget every component and give their memory back."""
        with self._lock:
            self._residents.clear()
        release_memory()

    def records(self) -> tuple[Component, ...]:
        """What is in memory, and where it is now; what is inside of several components is one."""
        with self._lock:
            residents = list(self._residents.values())
        found: dict[str, Component] = {}
        for resident in residents:
            device = device_of(resident.live)
            for record in (resident.record, *resident.inside):
                more = found[record.key].bytes if record.key in found else 0
                found[record.key] = replace(record, device=device, bytes=record.bytes + more)
        return tuple(found.values())

    def bytes_in_all(self) -> int:
        """Bytes of all that is kept, wherever it is."""
        with self._lock:
            return sum(each.bytes for each in self._residents.values())

    def bytes_on_device(self, one_tier: bool) -> int:
        """Bytes of what is on the device now. Arguments: `one_tier`: the device is the host."""
        return sum(each.bytes for each in self._held(one_tier) if each.on_device)

    def bytes_in_host(self) -> int:
        """Bytes of what is in host memory now, beside a device of its own."""
        return sum(each.bytes for each in self._held(False) if not each.on_device)

    def _held(self, one_tier: bool) -> list[Held]:
        """What is in either tier, least recently used first."""
        with self._lock:
            residents = list(self._residents.items())
        found = []
        for key, each in residents:
            place = None if one_tier else torch.device(device_of(each.live))
            on_device = place is None or place.type != "cpu"
            if place is None or not on_device or self._device is None or same_device(place, self._device):
                found.append(Held(key, each.bytes, on_device, each.record.seconds, each.used))
        return found

    def make_room(
        self, to_device: int, to_host: int, budgets: Budgets, keep: Collection[str]
    ) -> tuple[tuple[Component, ...], tuple[Component, ...]]:
        """Let what is worth least go until so many more bytes fit into the budgets (see `eviction`).

        Arguments: `keep` are keys that must stay. Returns what went to host memory, and what is gone.
        """
        found = moves(self._held(budgets.one_tier), self._turn, to_device, to_host, budgets, keep)
        if found == NOTHING:
            return (), ()
        with self._lock:
            gone = [self._residents.pop(key).record for key in found.drop]
            leaving = [self._residents[key] for key in found.park]
        parked: list[Component] = []
        for resident in leaving:
            if _park(resident.live):
                parked.append(resident.record)
                continue
            with self._lock:
                gone.append(self._residents.pop(resident.record.key).record)
        if parked or gone:
            leaving.clear()
            release_memory()
        return tuple(parked), tuple(gone)


def _park(live: Any) -> bool:
    """Move a component to host memory. Returns whether it can be there: some quantized ones cannot."""
    try:
        live.to("cpu")
    except (ValueError, RuntimeError, NotImplementedError):
        return False
    return device_of(live).startswith("cpu")


def settle_garbage() -> None:
    """Collect, then set what is left aside: modules and models live on and need not be looked through again."""
    gc.collect()
    gc.freeze()


def size_of(live: Any) -> int:
    """Bytes of a component's parameters and buffers; shared ones count once. 0 for what is no model."""
    if not isinstance(live, torch.nn.Module):
        return 0
    seen: dict[int, int] = {}
    for tensor in (*live.parameters(), *live.buffers()):
        seen[id(tensor)] = size_of_tensor(tensor)
    return sum(seen.values())


def size_of_tensor(tensor: torch.Tensor) -> int:
    """Bytes of a tensor; of a quantized one, which stands for a wider type, those of what it really holds."""
    if hasattr(tensor, "__tensor_flatten__"):
        inner, _ = tensor.__tensor_flatten__()
        return sum(size_of_tensor(getattr(tensor, name)) for name in inner)
    return tensor.numel() * tensor.element_size()


def device_of(live: Any) -> str:
    """The device that a component rests on; `cpu` for what is no model."""
    if isinstance(live, torch.nn.Module):
        for tensor in live.parameters():
            # While layers come to the device one by one, their weights are elsewhere: in host memory.
            return "cpu" if tensor.is_meta else str(tensor.device)
    return "cpu"


def release_memory() -> None:
    """Collect what is unreachable now and give memory back to the device and the system.

    What was set aside for good may be part of a cycle that has just died, so it is looked through once more.
    """
    gc.unfreeze()
    settle_garbage()
    empty_caches()
    return_free_memory()
