"""Who leaves which memory when room is needed: from the device to the host, from the host to nowhere. A pure policy.

Sizes are bytes. Where the device is the host itself there is one tier, and what leaves it is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

#: A component that was last used n turns ago counts 1.3^-n as much as one in use: the chance that it is wanted again.
FORGETTING = 1.3
#: What loading is taken to cost at least, so that a component that came out of the page cache still ranks by its age.
LEAST_SECONDS = 0.001


@dataclass(frozen=True)
class Held:
    """A component in memory: `seconds` is what loading it again would take, `used` the turn it was last used in."""

    key: str
    bytes: int
    on_device: bool
    seconds: float
    used: int


@dataclass(frozen=True)
class Budgets:
    """Bytes that kept components may fill; `None`: as many as there are. `one_tier`: the device is the host."""

    device: int | None
    host: int | None
    one_tier: bool

    def within(self, available: int | None, working: int) -> Budgets:
        """The same, with no more on the device than leaves `working` bytes for computing.

        Arguments: `available` is what components could fill if nothing else came to need memory; `None`: unknown.
        """
        if available is None:
            return self
        room = max(0, available - working)
        return Budgets(room if self.device is None else min(self.device, room), self.host, self.one_tier)

    def with_host(self, available: int) -> Budgets:
        """The same, with no more in host memory than there is. Arguments: what is parked there, and what is free."""
        return Budgets(self.device, available if self.host is None else min(self.host, available), self.one_tier)


@dataclass(frozen=True)
class Moves:
    """What has to leave the device for the host, and what memory altogether."""

    park: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


NOTHING = Moves()


def worth(held: Held, turn: int) -> float:
    """Seconds saved by each byte that the component fills, if it is wanted again: what is worth least leaves first.

    Expected seconds = seconds to load x chance of being wanted, which falls by `FORGETTING` each turn.
    """
    chance = FORGETTING ** -float(turn - held.used)
    return max(held.seconds, LEAST_SECONDS) * chance / max(held.bytes, 1)


def moves(
    held: Sequence[Held], turn: int, to_device: int, to_host: int, budgets: Budgets, keep: Collection[str] = ()
) -> Moves:
    """What must move so that so many more bytes fit on the device and on the host.

    Arguments: `held` least recently used first, which decides between equals; `keep` are keys that must stay where they
    are. What is not enough even so is left to the load, which will tell.
    """
    movable = sorted((each for each in held if each.bytes and each.key not in keep), key=lambda one: worth(one, turn))
    on_device = [each for each in movable if each.on_device]
    used = sum(each.bytes for each in held if each.on_device)
    leaving = _leaving(on_device, used + to_device, budgets.device)
    if budgets.one_tier:
        return Moves((), tuple(each.key for each in leaving))
    parked = {each.key for each in leaving}
    in_host = [each for each in movable if not each.on_device or each.key in parked]
    used = sum(each.bytes for each in held if not each.on_device or each.key in parked)
    gone = {each.key for each in _leaving(in_host, used + to_host, budgets.host)}
    return Moves(
        park=tuple(each.key for each in leaving if each.key not in gone),
        drop=tuple(each.key for each in in_host if each.key in gone),
    )


def _leaving(candidates: Sequence[Held], used: int, budget: int | None) -> list[Held]:
    """As many of the candidates, in their order, as must go; none that a later, larger one makes unnecessary."""
    if budget is None or used <= budget:
        return []
    chosen: list[Held] = []
    for each in candidates:
        if used <= budget:
            break
        chosen.append(each)
        used -= each.bytes
    for each in list(chosen):
        if used + each.bytes <= budget:
            chosen.remove(each)
            used += each.bytes
    return chosen
