"""Who leaves which memory when room is needed: a pure policy, with sizes of its own."""

from __future__ import annotations

import random

import pytest

from dw_lsp.worker.engine.eviction import Budgets, Held, Moves, moves, worth


def held(key: str, size: int = 10, on_device: bool = True, seconds: float = 1.0, used: int = 0) -> Held:
    return Held(key, size, on_device, seconds, used)


def test_nothing_moves_while_all_fits() -> None:
    assert moves([held("a"), held("b")], 1, 10, 0, Budgets(30, 0, False)) == Moves()
    assert moves([held("a")], 1, 10**9, 10**9, Budgets(None, None, False)) == Moves()


def test_what_leaves_the_device_goes_to_the_host() -> None:
    both = [held("old", used=1), held("new", used=5)]
    assert moves(both, 5, 10, 0, Budgets(20, 100, False)) == Moves(park=("old",))


def test_what_leaves_the_host_goes_nowhere() -> None:
    here = [held("parked", on_device=False, used=1), held("old", used=2), held("new", used=5)]
    assert moves(here, 5, 10, 0, Budgets(20, 10, False)) == Moves(park=("old",), drop=("parked",))


def test_without_room_on_the_host_it_is_dropped_at_once() -> None:
    here = [held("parked", on_device=False, used=4), held("old", used=1)]
    assert moves(here, 5, 10, 0, Budgets(10, 10, False)) == Moves(drop=("old",))


def test_on_a_cpu_there_is_one_tier() -> None:
    here = [held("a", used=1), held("b", used=2)]
    assert moves(here, 2, 10, 0, Budgets(20, 100, True)) == Moves(drop=("a",))


def test_what_is_needed_neither_moves_nor_makes_way_for_itself() -> None:
    here = [held("needed", used=1), held("other", used=5)]
    assert moves(here, 5, 10, 0, Budgets(20, 100, False), keep=("needed",)) == Moves(park=("other",))
    assert moves(here[:1], 5, 10**6, 0, Budgets(20, 100, False), keep=("needed",)) == Moves()


def test_of_equal_age_what_loads_quickest_for_its_size_leaves_first() -> None:
    here = [held("slow", seconds=9.0), held("quick", seconds=0.5)]
    assert moves(here, 0, 10, 0, Budgets(20, 100, False)).park == ("quick",)
    sizes = [held("small", 10, seconds=1.0), held("large", 40, seconds=1.0)]
    assert moves(sizes, 0, 10, 0, Budgets(50, 100, False)).park == ("large",)


def test_an_old_component_that_is_slow_to_load_outlives_a_newer_quick_one_for_a_while() -> None:
    slow = held("slow", seconds=3.0, used=0)
    assert worth(slow, 4) > worth(held("quick", used=4), 4) > worth(slow, 5)


def test_none_leaves_that_a_larger_one_makes_unnecessary() -> None:
    here = [held("small", 10, used=0, seconds=0.1), held("large", 100, used=1)]
    assert moves(here, 1, 100, 0, Budgets(110, 1000, False)).park == ("large",)


def test_what_has_no_weights_stays() -> None:
    assert moves([held("tokenizer", 0), held("model")], 9, 100, 0, Budgets(10, None, True)).drop == ("model",)


def test_a_budget_leaves_room_for_computing() -> None:
    assert Budgets(90, 50, False).within(100, 30) == Budgets(70, 50, False)
    assert Budgets(90, 50, False).within(None, 30) == Budgets(90, 50, False)
    assert Budgets(None, 50, False).within(100, 200) == Budgets(0, 50, False)


@pytest.mark.parametrize("seed", range(50))
def test_both_budgets_hold_whatever_is_in_memory(seed: int) -> None:
    draw = random.Random(seed)
    here = [
        held(str(number), draw.randrange(100), draw.random() < 0.5, draw.random() * 10, draw.randrange(9))
        for number in range(draw.randrange(20))
    ]
    budgets = Budgets(draw.randrange(500), draw.randrange(500), False)
    to_device = draw.randrange(0, (budgets.device or 0) + 1)
    found = moves(here, 9, to_device, 0, budgets)
    assert not set(found.park) & set(found.drop)
    on_device = sum(each.bytes for each in here if each.on_device and each.key not in {*found.park, *found.drop})
    in_host = sum(
        each.bytes for each in here if each.key not in found.drop and (not each.on_device or each.key in found.park)
    )
    assert on_device + to_device <= (budgets.device or 0) and in_host <= (budgets.host or 0)
