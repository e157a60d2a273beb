"""What the supervisor tells reaches the client, and each run's progress begins and ends with it."""

from __future__ import annotations

import asyncio
from typing import Any

from lsprotocol import types

from dw_lsp.protocol import RunError
from dw_lsp.server.notifications import Notifications
from dw_lsp.supervisor.events import RunFinished, RunStarted, WorkerState
from dw_lsp.supervisor.runs import Submitted
from dw_lsp.text.document import Document

DOCUMENT = Document("file:///x", '{\n  "é😀": "broken"\n}')


class Wire:
    """Takes down what would be sent; the client agrees to every progress."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    async def send_request_async(self, method: str, params: Any) -> None:
        self.sent.append((method, params))

    def notify(self, method: str, params: Any) -> None:
        self.sent.append((method, params))

    def progress(self) -> list[str]:
        return [params.value.message for method, params in self.sent if method == types.PROGRESS]


def notifications(wire: Wire, shows_progress: bool = True) -> Notifications:
    return Notifications(wire, lambda: "utf-16", lambda: shows_progress)  # type: ignore[arg-type]


def finished(run_id: str = "1", error: RunError | None = None) -> RunFinished:
    outcome: Any = "failed" if error else "succeeded"
    return RunFinished(run_id, DOCUMENT.uri, outcome, 1.0, 1, 7, (), (), (), (), None, error)


async def test_the_place_of_an_error_is_told_in_the_client_s_units() -> None:
    wire = Wire()
    told = notifications(wire)
    told.submitted(Submitted("1", 0), DOCUMENT, "x")
    start = DOCUMENT.text.index('"broken"')
    told.tell(finished(error=RunError("no", "InvalidInput", start=start, end=start + len('"broken"'))))
    error = next(params["error"] for method, params in wire.sent if method == "dw/runFinished")
    assert error["range"] == {"start": {"line": 1, "character": 9}, "end": {"line": 1, "character": 17}}
    assert "offsets" not in error


async def test_a_run_that_ends_while_it_is_submitted_leaves_no_progress_behind() -> None:
    wire = Wire()
    told = notifications(wire)
    told.tell(finished("1", RunError("The worker crashed 3 times in a row.", "NoWorker")))
    told.submitted(Submitted("1", 0), DOCUMENT, "x")
    await asyncio.sleep(0)
    assert [method for method, _ in wire.sent] == ["dw/runFinished"]
    assert told.run_of_token("dw-run-1") is None


async def test_a_run_that_starts_the_worker_says_so() -> None:
    wire = Wire()
    told = notifications(wire)
    told.tell(WorkerState("starting"))
    told.submitted(Submitted("1", 0), DOCUMENT, "x")
    await asyncio.sleep(0)
    assert wire.progress() == ["starting worker"]


def started(run_id: str) -> RunStarted:
    return RunStarted(run_id, DOCUMENT.uri, "x", (), {}, 0)


async def waiting_runs(wire: Wire) -> Notifications:
    """Three accepted runs, of which the first has begun."""
    told = notifications(wire)
    for position, run_id in enumerate("abc"):
        told.submitted(Submitted(run_id, position), DOCUMENT, run_id)
    told.tell(started("a"))
    await asyncio.sleep(0)
    return told


def messages(wire: Wire) -> dict[str, str]:
    """The last message of each run that goes on."""
    shown: dict[str, str] = {}
    for method, params in wire.sent:
        if method == types.PROGRESS:
            shown[params.token.removeprefix("dw-run-")] = params.value.message
    return shown


async def test_a_run_that_waits_says_for_how_many() -> None:
    wire = Wire()
    await waiting_runs(wire)
    assert messages(wire) == {"a": "running", "b": "waiting for 1 other run", "c": "waiting for 2 other runs"}


async def test_a_run_before_it_that_ends_changes_what_one_waits_for() -> None:
    wire = Wire()
    told = await waiting_runs(wire)
    told.tell(finished("b"))
    assert messages(wire)["c"] == "waiting for 1 other run"
    told.tell(finished("a"))
    told.tell(started("c"))
    assert messages(wire)["c"] == "running"


async def test_only_the_foremost_run_waits_for_the_worker() -> None:
    wire = Wire()
    told = await waiting_runs(wire)
    told.tell(WorkerState("crashed"))
    told.tell(finished("a"))
    told.tell(WorkerState("starting"))
    assert messages(wire) == {"a": "succeeded", "b": "starting worker", "c": "waiting for 1 other run"}
    told.tell(WorkerState("idle"))
    told.tell(started("b"))
    told.tell(WorkerState("busy"))
    assert messages(wire)["b"] == "running" and messages(wire)["c"] == "waiting for 1 other run"


async def test_a_client_that_shows_no_progress_is_asked_for_none() -> None:
    wire = Wire()
    told = notifications(wire, shows_progress=False)
    told.submitted(Submitted("1", 0), DOCUMENT, "x")
    told.tell(finished())
    await asyncio.sleep(0)
    assert [method for method, _ in wire.sent] == ["dw/runFinished"]
