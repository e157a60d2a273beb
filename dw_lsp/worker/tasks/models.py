"""What a task that computes with models is handed by the engine: the models in memory, and who is told of progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

#: Told after each unit of work: how many are done, of how many (`None`: unknown), what a unit is. May raise to stop.
UnitDone = Callable[[int, int | None, str], None]


@dataclass(frozen=True)
class Models:
    """The components of a command by name, on `device`. `seed` is that of the call, `None` where nothing is drawn."""

    live: Mapping[str, Any]
    device: torch.device
    unit_done: UnitDone
    seed: int | None = None

    def __getitem__(self, name: str) -> Any:
        return self.live[name]
