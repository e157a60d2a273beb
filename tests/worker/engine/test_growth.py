"""Growth from run to run: a trend is found and named, chance is not. Sizes of the tests' own."""

from __future__ import annotations

import random

import pytest

from dw_lsp.worker.engine.cleanup import LEAST_RETURNED, pays, unused_heap
from dw_lsp.worker.engine.growth import FEWEST, WARMING_UP, WINDOW, Growth, Pools, mann_kendall, theil_sen, trends

MEGABYTE = 1024 * 1024


def noisy(draw: random.Random, runs: int, slope: float, noise: float = 4 * MEGABYTE) -> list[Pools]:
    return [Pools(host=int(400 * MEGABYTE + slope * run + draw.gauss(0, noise))) for run in range(runs)]


def test_the_slope_is_the_median_of_all_pairs() -> None:
    assert theil_sen([0, 2, 4, 6]) == 2 and theil_sen([0, 2, 4, 1000, 8]) == 2
    assert theil_sen([5]) == 0 and theil_sen([]) == 0


def test_the_deviate_is_that_of_the_textbook() -> None:
    # S = 45 for ten rising values; variance = 10 * 9 * 25 / 18 = 125; (45 - 1) / sqrt(125).
    assert mann_kendall(list(range(10))) == pytest.approx(3.935, abs=1e-3)
    assert mann_kendall(list(range(9, -1, -1))) == pytest.approx(-3.935, abs=1e-3)
    assert mann_kendall([7] * 10) == 0
    # Two pairs of equal values: S = 13, variance = (6 * 5 * 17 - 2 * 18) / 18.
    assert mann_kendall([1, 1, 2, 2, 3, 4]) == pytest.approx(12 / ((510 - 36) / 18) ** 0.5)


def test_a_leak_of_one_megabyte_a_run_is_found_within_twelve_runs_and_named() -> None:
    (trend,) = trends(noisy(random.Random(1), 12, MEGABYTE, 0.3 * MEGABYTE))
    assert trend.pool == "host" and trend.slope == pytest.approx(MEGABYTE, rel=0.2)
    assert "memory of the process (host)" in trend.words and "1.0 MB" in trend.words and "12" in trend.words


@pytest.mark.parametrize("seed", range(20))
def test_chance_is_no_trend(seed: int) -> None:
    growth, draw = Growth(), random.Random(seed)
    assert [growth.note("kind", pools) for pools in noisy(draw, 100, 0.0)] == [()] * 100


def test_a_first_rise_that_ends_is_no_trend_for_long() -> None:
    growth = Growth()
    values = [100 + 20 * min(run, 3) for run in range(30)]
    assert growth.note("kind", Pools(host=MEGABYTE * 90)) == ()
    assert [growth.note("kind", Pools(host=MEGABYTE * value)) for value in values][-1] == ()


def test_a_leak_is_told_after_a_warming_up_and_as_few_runs_as_prove_it() -> None:
    growth = Growth()
    told = [bool(growth.note("kind", Pools(host=run * MEGABYTE))) for run in range(WARMING_UP + FEWEST)]
    assert told == [False] * (WARMING_UP + FEWEST - 1) + [True]


def test_filling_a_cache_is_no_leak() -> None:
    growth = Growth()
    filling = [int(36 * MEGABYTE * (1 - 0.8**run)) for run in range(40)]
    assert [growth.note("kind", Pools(host=size)) for size in filling] == [()] * 40


def test_other_kinds_of_runs_are_counted_apart() -> None:
    growth = Growth()
    for run in range(3 * FEWEST):
        kind, base = ("large", 900) if run % 2 else ("small", 100)
        assert growth.note(kind, Pools(host=base * MEGABYTE)) == ()


@pytest.mark.parametrize(
    ("pool", "step"),
    [("device", MEGABYTE), ("python_objects", 5000), ("file_handles", 1), ("device_reserve", 4 * MEGABYTE)],
)
def test_each_pool_is_named_as_what_it_is(pool: str, step: int) -> None:
    (trend,) = trends([Pools(**{pool: 100 + step * run}) for run in range(FEWEST)])
    assert trend.pool == pool
    said = {"python_objects": "Python objects", "file_handles": "file handles"}.get(pool, "device")
    assert said in trend.words


def test_nothing_is_said_of_a_few_runs_or_of_what_is_unknown() -> None:
    rising = [Pools(host=run * 10 * MEGABYTE) for run in range(FEWEST)]
    assert trends(rising[:-1]) == () and trends([Pools()] * WINDOW) == ()


def test_a_rise_that_is_too_small_to_matter_is_left_alone() -> None:
    assert trends([Pools(host=run * 1000, python_objects=run * 10) for run in range(WINDOW)]) == ()


def test_after_a_cleanup_it_counts_anew() -> None:
    growth = Growth()
    for run in range(WARMING_UP + FEWEST):
        last = growth.note("kind", Pools(host=run * MEGABYTE))
    assert last
    growth.forget()
    assert growth.note("kind", Pools(host=99 * MEGABYTE)) == ()


# ---------------------------------------------------------------- giving memory back


def test_memory_is_given_back_where_it_costs_little_of_the_run() -> None:
    assert pays(100 * MEGABYTE, 10**12, seconds=10.0)
    assert not pays(100 * MEGABYTE, 10**12, seconds=0.2)
    assert not pays(LEAST_RETURNED - 1, 0, seconds=100.0)


def test_memory_is_given_back_where_it_is_short() -> None:
    assert pays(100 * MEGABYTE, 200 * MEGABYTE, seconds=0.2)
    assert not pays(None, 200 * MEGABYTE, seconds=100.0)


def test_the_heap_tells_what_it_keeps_or_that_it_does_not_tell() -> None:
    kept = unused_heap()
    assert kept is None or 0 <= kept < 2**40
