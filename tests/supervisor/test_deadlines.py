"""Waits and their limits, with a made-up clock."""

from __future__ import annotations

import dataclasses

from dw_lsp.settings import Settings
from dw_lsp.supervisor.deadlines import Deadlines, Limits, with_settings

LIMITS = Limits(starting=120, progress=300, run=None, ping=3, answer=10)


def test_nothing_is_waited_for_at_first() -> None:
    assert Deadlines().next(LIMITS) is None
    assert Deadlines().passed(LIMITS, 1e9) == ()


def test_a_wait_ends_its_limit_after_its_beginning() -> None:
    waits = Deadlines().start(100, "starting")
    assert waits.next(LIMITS) == 220
    assert waits.passed(LIMITS, 219.9) == ()
    assert waits.passed(LIMITS, 220) == ("starting",)


def test_the_next_is_the_earliest() -> None:
    waits = Deadlines().start(0, "progress").start(5, "answer")
    assert waits.next(LIMITS) == 15


def test_the_passed_come_in_the_order_of_their_ends() -> None:
    waits = Deadlines().start(0, "starting", "ping").start(50, "answer")
    assert waits.passed(LIMITS, 1000) == ("ping", "answer", "starting")


def test_beginning_anew_moves_the_end() -> None:
    waits = Deadlines().start(0, "answer").start(7, "answer")
    assert waits.passed(LIMITS, 16) == ()


def test_a_stopped_wait_never_ends() -> None:
    waits = Deadlines().start(0, "answer", "ping").stop("answer")
    assert not waits.waiting("answer")
    assert waits.passed(LIMITS, 1000) == ("ping",)


def test_no_limit_is_for_ever() -> None:
    assert Deadlines().start(0, "run").next(LIMITS) is None


def test_a_changed_limit_holds_for_what_is_already_waited_for() -> None:
    waits = Deadlines().start(0, "progress")
    assert waits.passed(dataclasses.replace(LIMITS, progress=5), 6) == ("progress",)


def test_the_user_sets_the_limits_of_runs() -> None:
    settings = Settings()
    settings = dataclasses.replace(settings, run=dataclasses.replace(settings.run, timeout_seconds=7, max_seconds=60))
    limits = with_settings(Limits(), settings)
    assert (limits.progress, limits.run) == (7, 60)


def test_zero_is_never() -> None:
    settings = Settings()
    settings = dataclasses.replace(settings, run=dataclasses.replace(settings.run, timeout_seconds=0, max_seconds=0))
    limits = with_settings(Limits(), settings)
    assert (limits.progress, limits.run) == (None, None)


def test_by_default_silence_of_300_seconds_ends_a_run() -> None:
    limits = with_settings(Limits(), Settings())
    assert (limits.progress, limits.run) == (300, None)
