"""Waiting on one event loop: until something has come about, and until it is time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Changes:
    """Those who wait, and how they are told to look again."""

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    def happened(self) -> None:
        """Something has changed: everybody looks."""
        waiters, self._waiters = self._waiters, []
        for change in waiters:
            if not change.done():
                change.set_result(None)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return as soon as the condition holds."""
        while not condition():
            change = asyncio.get_running_loop().create_future()
            self._waiters.append(change)
            await change


class Alarm:
    """Calls at one time, which can be set anew. Arguments: what to call."""

    def __init__(self, ring: Callable[[], None]):
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None

    def set(self, time: float | None) -> None:
        """Call at this time of the event loop's clock, and at no other; `None`: never."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if time is None else asyncio.get_running_loop().call_at(time, self._ring)
