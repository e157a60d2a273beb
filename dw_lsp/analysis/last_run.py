"""What is kept of a document's last run, to be shown beside its steps. Steps are known by their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class MadeFile:
    """A file that a step wrote."""

    path: str
    content_type: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class StepRun:
    """How a step ended: `outcome` is ran, reused, failed or notRun; `peak_bytes` of the device, if it was measured."""

    outcome: str
    seconds: float
    peak_bytes: int | None = None
    files: tuple[MadeFile, ...] = ()


@dataclass(frozen=True)
class LastRun:
    """How a run ended: `outcome` is that of the whole, `seconds` its time."""

    outcome: str
    seconds: float
    steps: Mapping[str, StepRun] = field(default_factory=dict)

    def told(self) -> str:
        """The whole run in a few words: `ran 14 s, 2 of 3 reused`."""
        words = {"succeeded": "ran", "failed": "failed after", "cancelled": "cancelled after"}
        text = f"{words.get(self.outcome, self.outcome + ' after')} {time_words(self.seconds)}"
        reused = sum(step.outcome == "reused" for step in self.steps.values())
        return f"{text}, {reused} of {len(self.steps)} reused" if reused else text


def step_words(run: StepRun) -> str:
    """A step's run in a few words: `4.2 s, 3.1 GB`."""
    if run.outcome == "reused":
        return "reused"
    if run.outcome == "notRun":
        return "not run"
    parts = [time_words(run.seconds)] + ([] if run.peak_bytes is None else [size_words(run.peak_bytes)])
    return ("failed after " if run.outcome == "failed" else "") + ", ".join(parts)


def time_words(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def size_words(size: int) -> str:
    """A size as people say it."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"
