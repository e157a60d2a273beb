"""What a task's arguments must fulfil, written beside their types: `Annotated[int, Above(0)]`. Checked before a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from dw_lsp.worker.engine.sounds import Film, Sound


class Constraint(Protocol):
    """A rule for a value that has the right type already."""

    def problem(self, value: Any) -> str | None:
        """What is wrong with the value, as the end of a sentence ("must be above 0"), or `None`."""


@dataclass(frozen=True)
class Above:
    """A number larger than the bound."""

    bound: float

    def problem(self, value: Any) -> str | None:
        return None if value > self.bound and math.isfinite(value) else f"must be above {self.bound}"


@dataclass(frozen=True)
class NotBelow:
    """A number that is the bound or larger."""

    bound: float

    def problem(self, value: Any) -> str | None:
        return None if value >= self.bound and math.isfinite(value) else f"must be {self.bound} or above"


@dataclass(frozen=True)
class Between:
    """A number from `least` to `most`, both included."""

    least: float
    most: float

    def problem(self, value: Any) -> str | None:
        return None if self.least <= value <= self.most else f"must be between {self.least} and {self.most}"


@dataclass(frozen=True)
class NotEmpty:
    """A list, text or object with something in it."""

    def problem(self, value: Any) -> str | None:
        return "is empty" if hasattr(value, "__len__") and len(value) == 0 else None


class MediaReader(Protocol):
    """Where a task gets pictures from: only what the workflow may read. Handed in by the engine, not an argument."""

    def image(self, location: str) -> Image.Image:
        """The picture at a path or http(s) address, as RGB."""

    def video(self, location: str) -> Film:
        """The video at a path or http(s) address: its frames as RGB, its sound."""

    def sound(self, location: str) -> Sound:
        """The sound at a path or http(s) address, also that of a video."""

    def find(self, pattern: str) -> list[Path]:
        """The pictures that a pattern finds, in sorted order."""

    def find_videos(self, pattern: str) -> list[Path]:
        """The videos that a pattern finds, in sorted order."""


@dataclass(frozen=True)
class Task:
    """A command: its function, and the packages beyond the worker's own that it needs (import name -> distribution).

    `together` tells, in a sentence, what is wrong with arguments that fit one by one but not together, or gives `None`.
    """

    function: Callable[..., Any]
    packages: Mapping[str, str] | None = None
    together: Callable[[Mapping[str, Any]], str | None] | None = None
