"""Does memory grow from run to run? Statistics over comparable runs, for each pool by itself. Pure.

A difference between two runs says little: caches fill, allocators keep pages. What counts is a trend. Its size is the
Theil-Sen estimator (the median of the slopes between all pairs of runs: a third of the samples may be anything). That
it is none of chance says the Mann-Kendall test: how many pairs rise more than fall, against what a sequence without a
trend would give (H. B. Mann, 1945; M. G. Kendall, 1975; with the correction for ties).
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields

#: Runs that are looked back on, and how many there must be before anything is said.
WINDOW, FEWEST = 20, 10
#: The first runs of a kind after a cleanup fill caches and kernels' buffers: they are no measure.
WARMING_UP = 4
#: The standard normal deviate that a rise must exceed: one in a thousand sequences without a trend does.
DEVIATE = 3.09
#: The slope of the later half must be this part of the whole one.
LATELY = 0.7
#: Kinds of runs that are remembered; those that were not run for longest are forgotten.
MOST_KINDS = 64
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Pools:
    """What was in use after a run, beyond what the kept components fill; `None` for what cannot be known.

    Bytes of the device, of its allocator's unused reserve, of the host; Python objects with others in them; open files.
    """

    device: int | None = None
    device_reserve: int | None = None
    host: int | None = None
    python_objects: int | None = None
    file_handles: int | None = None


@dataclass(frozen=True)
class _Pool:
    name: str
    unit: str
    #: A rise that is smaller with each run does no harm for thousands of runs, and is nothing to be warned of.
    least: float


_POOLS = {
    "device": _Pool("memory of the device", "MB", 0.25 * MEGABYTE),
    "device_reserve": _Pool("memory that the device's allocator keeps", "MB", MEGABYTE),
    "host": _Pool("memory of the process (host)", "MB", 0.5 * MEGABYTE),
    "python_objects": _Pool("the number of Python objects", "objects", 500.0),
    "file_handles": _Pool("the number of open file handles", "handles", 0.5),
}


@dataclass(frozen=True)
class Trend:
    """A rise over the last comparable runs: how much with each run, and the test's standard normal deviate."""

    pool: str
    slope: float
    runs: int
    deviate: float

    @property
    def words(self) -> str:
        """The trend for people."""
        pool = _POOLS[self.pool]
        amount = f"{self.slope / MEGABYTE:.1f} MB" if pool.unit == "MB" else f"{self.slope:.0f} {pool.unit}"
        return (
            f"After each of the last {self.runs} comparable runs, {pool.name} was larger by about {amount}: something "
            "is kept that should not be. dw.clear gives it back."
        )


class Growth:
    """Remembers what was in use after each run, by kind of run."""

    def __init__(self) -> None:
        self._kinds: dict[Hashable, deque[Pools]] = {}
        self._runs: dict[Hashable, int] = {}

    def note(self, kind: Hashable, pools: Pools) -> tuple[Trend, ...]:
        """A run of that kind has ended. Returns the pools that rise with each such run."""
        samples = self._kinds.pop(kind, None)
        if samples is None:
            samples = deque(maxlen=WINDOW)
            self._runs[kind] = 0
        self._runs[kind] += 1
        if self._runs[kind] > WARMING_UP:
            samples.append(pools)
        self._kinds[kind] = samples
        while len(self._kinds) > MOST_KINDS:
            oldest = next(iter(self._kinds))
            del self._kinds[oldest], self._runs[oldest]
        return trends(samples)

    def forget(self) -> None:
        """Everything was cleaned up: what was before is no measure any more."""
        self._kinds.clear()
        self._runs.clear()


def trends(samples: Sequence[Pools] | deque[Pools]) -> tuple[Trend, ...]:
    """The pools that rise significantly, and by enough to matter, over these runs in their order."""
    found = []
    for each in fields(Pools):
        values = [value for pools in samples if (value := getattr(pools, each.name)) is not None]
        if len(values) < FEWEST:
            continue
        slope, deviate = theil_sen(values), mann_kendall(values)
        # What only fills a cache rises less and less; a leak rises to the end.
        lately = theil_sen(values[len(values) // 2 :])
        if deviate > DEVIATE and slope >= _POOLS[each.name].least and lately >= LATELY * slope:
            found.append(Trend(each.name, slope, len(values), deviate))
    return tuple(found)


def theil_sen(values: Sequence[float]) -> float:
    """The median slope between all pairs of values, by their position (P. K. Sen, 1968). 0 for fewer than two."""
    count = len(values)
    slopes = [(values[j] - values[i]) / (j - i) for i in range(count) for j in range(i + 1, count)]
    return statistics.median(slopes) if slopes else 0.0


def mann_kendall(values: Sequence[float]) -> float:
    """The standard normal deviate of the Mann-Kendall statistic: positive for a rise; 0 where all are equal."""
    count = len(values)
    rising = sum((values[j] > values[i]) - (values[j] < values[i]) for i in range(count) for j in range(i + 1, count))
    tied = _occurrences(values)
    variance = (_spread(count) - sum(_spread(times) for times in tied.values())) / 18
    if variance <= 0 or rising == 0:
        return 0.0
    return (rising - math.copysign(1, rising)) / math.sqrt(variance)


def _spread(count: int) -> int:
    return count * (count - 1) * (2 * count + 5)


def _occurrences(values: Sequence[float]) -> Mapping[float, int]:
    found: dict[float, int] = {}
    for value in values:
        found[value] = found.get(value, 0) + 1
    return found
