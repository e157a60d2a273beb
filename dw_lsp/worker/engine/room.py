"""Making room for a pipeline's components before they are loaded or brought to the device."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from dw_lsp.planning.placing import ON_DEVICE, Places
from dw_lsp.planning.requirements import RequiredComponent
from dw_lsp.worker.engine.components import Components, Resident, device_of
from dw_lsp.worker.engine.eviction import Budgets
from dw_lsp.worker.engine.host_memory import host_memory

logger = logging.getLogger(__name__)

_LEFT = ("went to host memory", "left memory")


@dataclass(frozen=True)
class Room:
    """How room is made for a pipeline's components, ahead of need.

    `budgets` are what components may fill; `free` tells how many bytes of the device nobody uses; `working` is what the
    call itself will need; `places`: where they rest; `keep` are keys of other components that must stay.
    """

    budgets: Budgets
    free: Callable[[], int | None]
    working: int = 0
    places: Places = ON_DEVICE
    keep: frozenset[str] = frozenset()

    def make(self, components: Components, missing: Sequence[RequiredComponent], there: Sequence[Resident]) -> None:
        """Let others go until the missing ones can be loaded, all can be where they belong, and the call can work."""
        to_load = [(part.name, part.bytes or 0) for part in missing]
        parked = [] if self.budgets.one_tier else [each for each in there if device_of(each.live) == "cpu"]
        places = ON_DEVICE if self.budgets.one_tier else self.places
        to_device = places.on_device([*to_load, *((each.record.name, each.bytes) for each in parked)])
        to_host = sum(size for name, size in to_load if places.of(name) != "device")
        free = self.free()
        if not to_device and not to_host and (free is None or free >= self.working):
            return
        keep = {part.key for part in missing} | {each.record.key for each in there} | self.keep
        on_device = components.bytes_on_device(self.budgets.one_tier)
        budgets = self.budgets.within(None if free is None else on_device + free, self.working)
        _move(components, to_device, to_host, budgets, keep)


def keep_within(components: Components, budgets: Budgets, keep: Collection[str]) -> None:
    """Let components go that are more than the budgets allow. Arguments: `keep` are keys of those that must stay."""
    if budgets.one_tier and (budgets.device is None or components.bytes_in_all() <= budgets.device):
        return  # As after nearly every run.
    _move(components, 0, 0, budgets, keep)


def _move(components: Components, to_device: int, to_host: int, budgets: Budgets, keep: Collection[str]) -> None:
    if not budgets.one_tier and (free := host_memory().free) is not None:
        budgets = budgets.with_host(components.bytes_in_host() + free)
    for done, records in zip(_LEFT, components.make_room(to_device, to_host, budgets, keep), strict=True):
        for record in records:
            logger.info("%s (%s) %s to make room", record.name, record.key, done)
