"""Where a run is, in words and per cent."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from dw_lsp.server.progress import Progress, share, words
from dw_lsp.supervisor.events import RunProgress

AT = RunProgress("1", "generate", 0, 2, 0, 1, "denoising", current=12, total=25, unit="step")


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({}, "generate: step 12/25"),
        ({"iteration": 1, "iteration_count": 4}, "generate 2/4: step 12/25"),
        ({"total": None}, "generate: step 12"),
        ({"phase": "decoding", "current": None, "total": None}, "decoding"),
        ({"phase": "loading", "unit": "component", "message": "FluxPipeline: vae"}, "loading FluxPipeline: vae"),
        (
            {"phase": "downloading", "unit": "bytes", "current": 1_200_000_000, "total": 23_800_000_000},
            "downloading 1.2/23.8 GB",
        ),
    ],
)
def test_the_words_of_the_contract(changed: dict[str, Any], text: str) -> None:
    assert words(dataclasses.replace(AT, **changed)) == text


@pytest.mark.parametrize(
    ("changed", "done"),
    [
        ({}, 0.24),
        ({"step_index": 1}, 0.74),
        ({"iteration": 1, "iteration_count": 2}, 0.37),
        ({"phase": "saving", "current": None}, 0.5),
        ({"phase": "loading"}, 0.0),
        ({"current": 30}, 0.5),
    ],
)
def test_the_share_that_is_done(changed: dict[str, Any], done: float) -> None:
    assert share(dataclasses.replace(AT, **changed)) == pytest.approx(done)


class Wire:
    """Takes down what would be sent."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    async def send_request_async(self, method: str, params: Any) -> None:
        self.values.append(method)

    def notify(self, method: str, params: Any) -> None:
        self.values.append((type(params.value).__name__.removeprefix("WorkDoneProgress"), params.value.message))


async def test_what_happens_before_the_client_agrees_is_shown_then() -> None:
    wire = Wire()
    progress = Progress(wire, "1", "shapes")  # type: ignore[arg-type]
    progress.report("starting worker", None)
    await progress.begin()
    progress.report("starting worker", None)
    progress.show(AT)
    progress.show(dataclasses.replace(AT, current=3))
    progress.end("succeeded")
    progress.show(AT)
    assert wire.values == [
        "window/workDoneProgress/create",
        ("Begin", "starting worker"),
        ("Report", "generate: step 12/25"),
        ("Report", "generate: step 3/25"),
        ("End", "succeeded"),
    ]


async def test_a_run_that_ended_before_the_client_agreed_shows_nothing() -> None:
    wire = Wire()
    progress = Progress(wire, "1", "shapes")  # type: ignore[arg-type]
    progress.end("failed")
    await progress.begin()
    assert wire.values == ["window/workDoneProgress/create"]
