"""Which memory reports are worth telling."""

from __future__ import annotations

import dataclasses

import pytest

from dw_lsp.protocol import Component, MemoryReport
from dw_lsp.supervisor.memory_watch import MemoryWatch

REPORT = MemoryReport("cuda", "a card", 1000, 2000, 5, 10, 3, 4000, 5, 1)


def watch() -> MemoryWatch:
    """A watch that has told one report."""
    watch = MemoryWatch()
    assert watch.take(REPORT, 0.0, always=False)
    return watch


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, False),
        ({"allocated_bytes": 1010}, False),
        ({"allocated_bytes": 1011}, True),
        ({"allocated_bytes": 980}, True),
        ({"reserved_bytes": 2021}, True),
        ({"process_bytes": 4041}, True),
        ({"process_bytes": None}, True),
        ({"host_free_bytes": 500}, False),
        ({"run_count": 2}, True),
        ({"warnings": ("it grows",)}, True),
        ({"components": (Component("k", "vae", "Auto", 1, "cpu", 0.1),)}, True),
    ],
)
def test_what_changes_by_more_than_one_percent_is_told(change: dict[str, object], told: bool) -> None:
    report = dataclasses.replace(REPORT, **change)  # type: ignore[arg-type]
    assert watch().take(report, 1.0, always=False) is told


def test_small_changes_add_up() -> None:
    watched = watch()
    assert not watched.take(dataclasses.replace(REPORT, allocated_bytes=1008), 1.0, always=False)
    assert watched.take(dataclasses.replace(REPORT, allocated_bytes=1016), 2.0, always=False)


def test_during_a_run_each_report_is_told() -> None:
    assert watch().take(REPORT, 1.0, always=True)


def test_unknown_memory_that_stays_unknown_is_no_change() -> None:
    watched, unknown = MemoryWatch(), dataclasses.replace(REPORT, allocated_bytes=None, reserved_bytes=None)
    watched.take(unknown, 0.0, always=False)
    assert not watched.take(unknown, 1.0, always=False)


def test_the_last_report_is_known() -> None:
    watched = watch()
    watched.take(dataclasses.replace(REPORT, run_count=9), 1.0, always=False)
    assert watched.known.memory is not None
    assert (watched.known.memory.run_count, watched.known.run_count) == (9, 9)


def test_an_answer_to_a_ping_counts_runs() -> None:
    watched = watch()
    watched.count(6)
    assert watched.known.run_count == 6


def test_a_report_gets_old() -> None:
    assert watch().recent(2.0, 2.0) == REPORT
    assert watch().recent(2.1, 2.0) is None


def test_what_a_dead_worker_held_is_gone() -> None:
    watched = MemoryWatch()
    held = dataclasses.replace(REPORT, components=(Component("k", "vae", "Auto", 1, "cpu", 0.1),))
    watched.take(held, 0.0, always=False)
    assert watched.components == held.components
    watched.forget()
    assert (watched.components, watched.known.memory, watched.known.run_count) == ((), None, 0)
