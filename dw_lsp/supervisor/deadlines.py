"""What is being waited for, since when, and for how long at most. Pure: the caller brings the clock (seconds).

Since a beginning is kept, not an end, a changed limit has effect at once, on what is already being waited for too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from dw_lsp.settings import Settings

Name: TypeAlias = Literal[
    "starting",
    "stable",
    "ping",
    "answer",
    "silence",
    "progress",
    "run",
    "pause",
    "stacks",
    "cancelling",
    "leaving",
    "closing",
    "telling",
    "terminating",
    "killing",
]


@dataclass(frozen=True)
class Limits:
    """How long each wait may last, in seconds; `None` is for ever.

    `crashes` is the number at the start, in a row, that is borne; `pause` comes after the first of them, and is doubled
    each time; `spare`: how long there is a worker before a spare process is made, and another.
    """

    starting: float | None = 120.0
    stable: float | None = 10.0
    ping: float | None = 3.0
    answer: float | None = 10.0
    silence: float | None = 60.0
    progress: float | None = 300.0
    run: float | None = None
    pause: float | None = 0.25
    stacks: float | None = 0.2
    cancelling: float | None = 3.0
    leaving: float | None = 5.0
    closing: float | None = 2.0
    telling: float | None = 0.2
    terminating: float | None = 3.0
    killing: float | None = 10.0
    crashes: int = 3
    spare: float | None = 1.0
    request: float = 10.0
    cleanup: float = 60.0

    def of(self, name: Name) -> float | None:
        """The limit of one wait."""
        limit: float | None = getattr(self, name)
        return limit


def with_settings(limits: Limits, settings: Settings) -> Limits:
    """The limits with those that the user sets; 0 there means never."""
    return dataclasses.replace(
        limits, progress=settings.run.timeout_seconds or None, run=settings.run.max_seconds or None
    )


@dataclass(frozen=True)
class Deadlines:
    """The waits that are under way, each with the time at which it began."""

    since: Mapping[Name, float] = field(default_factory=dict)

    def waiting(self, name: Name) -> bool:
        """Whether this wait is under way."""
        return name in self.since

    def start(self, now: float, *names: Name) -> Deadlines:
        """With these waits beginning now, whether or not they were under way."""
        return Deadlines({**self.since, **dict.fromkeys(names, now)})

    def stop(self, *names: Name) -> Deadlines:
        """Without these waits."""
        return Deadlines({name: began for name, began in self.since.items() if name not in names})

    def next(self, limits: Limits) -> float | None:
        """The time at which the next limit is reached; `None` when nothing is waited for."""
        return min((end for end, _ in self._ends(limits)), default=None)

    def passed(self, limits: Limits, now: float) -> tuple[Name, ...]:
        """The waits that have lasted too long, in the order in which they ended."""
        return tuple(name for end, name in sorted(self._ends(limits)) if end <= now)

    def _ends(self, limits: Limits) -> list[tuple[float, Name]]:
        ends: list[tuple[float, Name]] = []
        for name, began in self.since.items():
            limit = limits.of(name)
            if limit is not None:
                ends.append((began + limit, name))
        return ends
