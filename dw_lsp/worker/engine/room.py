"""Making room for a pipeline's components before they are loaded or brought to the device."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dw_lsp.planning.requirements import RequiredComponent
from dw_lsp.worker.engine.components import Components, Resident, device_of
from dw_lsp.worker.engine.eviction import Budgets

logger = logging.getLogger(__name__)

_LEFT = ("went to host memory", "left memory")


@dataclass(frozen=True)
class Room:
    """How room is made for a pipeline's components, ahead of need.

    `budgets` are what components may fill; `free` tells how many bytes of the device nobody uses; `working` is what the
    call itself will need; `offloaded`: they rest in host memory and go to the device one after another; `keep` are keys
    of other components that must stay.
    """

    budgets: Budgets
    free: Callable[[], int | None]
    working: int = 0
    offloaded: bool = False
    keep: frozenset[str] = frozenset()

    def make(self, components: Components, missing: Sequence[RequiredComponent], there: Sequence[Resident]) -> None:
        """Let others go until the missing ones can be loaded, all can be where they belong, and the call can work."""
        sizes = [part.bytes or 0 for part in missing]
        parked = [] if self.budgets.one_tier else [each.bytes for each in there if device_of(each.live) == "cpu"]
        if self.offloaded and not self.budgets.one_tier:
            to_device, to_host = max((*sizes, *parked), default=0), sum(sizes)
        else:
            to_device, to_host = sum(sizes) + sum(parked), 0
        free = self.free()
        if not to_device and (free is None or free >= self.working):
            return
        keep = {part.key for part in missing} | {each.record.key for each in there} | self.keep
        on_device = components.bytes_on_device(self.budgets.one_tier)
        budgets = self.budgets.within(None if free is None else on_device + free, self.working)
        for done, records in zip(_LEFT, components.make_room(to_device, to_host, budgets, keep), strict=True):
            for record in records:
                logger.info("%s (%s) %s to make room", record.name, record.key, done)
