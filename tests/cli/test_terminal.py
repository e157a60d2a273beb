"""What people and programs see of a run."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest

from dw_lsp.cli.terminal import (
    BarView,
    JsonView,
    LineView,
    count_words,
    error_lines,
    make_view,
    phase_words,
    size_words,
    speed_words,
    summary_words,
    time_words,
)
from dw_lsp.protocol import Component, MemoryReport, RunError, StepResult, StepSummary
from dw_lsp.supervisor.events import (
    Event,
    Log,
    MemoryChanged,
    RunFinished,
    RunProgress,
    RunStarted,
    StepFinished,
    WorkerState,
)

REPORT = MemoryReport("cpu", "a processor", 1, None, 5, 10, 3, 2, 5, 1)
VAE = Component("k", "vae", "AutoencoderKL", 2_500_000, "cpu", 0.2)
RESULT = StepResult("draw", 0, "/out/draw.png", "image/png", 100)
PROGRESS = RunProgress("r1", "draw", 0, 1, 0, 1, "denoising", 12, 25, "step", 0.25, 3.25)
FINISHED = RunFinished(
    "r1",
    "u",
    "succeeded",
    3.2,
    1,
    7,
    (StepSummary("draw", "ran", 3.0, 0.5, 420_000_000),),
    (RESULT,),
    (VAE,),
    (),
    REPORT,
)
TEXT = '{"a": "😀", "b": 1}'
PATH = Path("a.dw.json")


def progress(**changes: Any) -> RunProgress:
    return dataclasses.replace(PROGRESS, **changes)


def failed(error: RunError, outcome: Any = "failed") -> RunFinished:
    return dataclasses.replace(FINISHED, outcome=outcome, error=error, results=())


def shown(*events: Event) -> tuple[list[str], list[str]]:
    """The lines on standard output and standard error that these events make in a pipe."""
    output, errors = io.StringIO(), io.StringIO()
    view = LineView(output, errors)
    view.begin(TEXT, PATH)
    for event in events:
        view.show(event)
    view.close()
    return output.getvalue().splitlines(), errors.getvalue().splitlines()


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (PROGRESS, "draw: denoising"),
        (progress(phase="loading", message="FluxPipeline: vae"), "draw: loading FluxPipeline: vae"),
        (progress(iteration=1, iteration_count=4), "draw 2/4: denoising"),
    ],
)
def test_the_phase_is_told(event: RunProgress, words: str) -> None:
    assert phase_words(event) == words


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (PROGRESS, "12/25"),
        (progress(total=None), "12"),
        (progress(current=None), ""),
        (progress(current=1_200_000_000, total=23_800_000_000, unit="byte"), "1.2/23.8 GB"),
    ],
)
def test_the_count_is_told(event: RunProgress, words: str) -> None:
    assert count_words(event) == words


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (PROGRESS, "4.0 steps/s"),
        (progress(seconds_per_unit=2.5), "2.5 s/step"),
        (progress(seconds_per_unit=2.5, unit="steps"), "2.5 s/step"),
        (progress(seconds_per_unit=1e-8, unit="bytes"), "100.0 MB/s"),
        (progress(seconds_per_unit=None), ""),
        (progress(seconds_per_unit=0.0), ""),
    ],
)
def test_the_speed_has_a_number_above_one(event: RunProgress, words: str) -> None:
    assert speed_words(event) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.42, "0.4 s"), (12.3, "12 s"), (59.9, "60 s"), (185, "3:05"), (3729, "1:02:09")]
)
def test_times_are_short(seconds: float, words: str) -> None:
    assert time_words(seconds) == words


@pytest.mark.parametrize(("count", "words"), [(12, "12 bytes"), (1500, "1.5 kB"), (2_500_000, "2.5 MB")])
def test_sizes_are_short(count: int, words: str) -> None:
    assert size_words(count) == words


def test_the_summary_tells_seed_loading_and_peak() -> None:
    assert summary_words(FINISHED) == (
        "succeeded after 3.2 s (seed 7, loaded 1 component, 2.5 MB, at most 420.0 MB in use)"
    )


def test_the_summary_of_a_warm_run_says_that_nothing_was_loaded() -> None:
    warm = dataclasses.replace(FINISHED, loaded=(), reused=(VAE,), steps=(), seed=None)
    assert summary_words(warm) == "succeeded after 3.2 s (nothing had to be loaded)"


def test_the_summary_of_a_run_that_only_remembered_says_so() -> None:
    steps = tuple(dataclasses.replace(step, outcome="reused", peak_bytes=None) for step in FINISHED.steps)
    remembered = dataclasses.replace(FINISHED, loaded=(), steps=steps, seed=None)
    assert summary_words(remembered) == "succeeded after 3.2 s (all of it remembered, nothing had to be run)"


def test_an_error_tells_its_place_and_the_remedy() -> None:
    error = RunError("no such model", "InvalidInput", step="draw", start=12, end=15, hint="Name another.")
    assert error_lines(error, TEXT, PATH) == ["a.dw.json:1:13: no such model (step 'draw')", "  Name another."]


def test_an_error_without_a_place_names_the_file() -> None:
    assert error_lines(RunError("no memory", "OutOfMemory"), TEXT, PATH) == ["a.dw.json: no memory"]


# ---------------------------------------------------------------- JSON


def test_json_is_one_event_a_line() -> None:
    output = io.StringIO()
    view = JsonView(output)
    view.begin(TEXT, PATH)
    for event in (WorkerState("starting"), PROGRESS, FINISHED):
        view.show(event)
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    assert [line["method"] for line in lines] == ["dw/workerState", "dw/runProgress", "dw/runFinished"]
    assert lines[1]["params"] == PROGRESS.to_json()


def test_json_places_count_as_an_editor_does() -> None:
    output = io.StringIO()
    view = JsonView(output)
    view.begin(TEXT, PATH)
    view.show(failed(RunError("wrong", "InvalidInput", start=11, end=14)))
    error = json.loads(output.getvalue())["params"]["error"]
    # The face before it is one character of the text and two units of UTF-16.
    assert error["range"] == {"start": {"line": 0, "character": 12}, "end": {"line": 0, "character": 15}}
    assert "offsets" not in error


# ---------------------------------------------------------------- lines


def test_results_are_all_that_stands_on_standard_output() -> None:
    output, _ = shown(WorkerState("starting"), PROGRESS, Log("error", "oh"), FINISHED)
    assert output == ["/out/draw.png"]


def test_a_result_that_was_not_saved_has_no_line() -> None:
    unsaved = dataclasses.replace(RESULT, path=None)
    assert shown(dataclasses.replace(FINISHED, results=(unsaved,)))[0] == []


def test_a_pipe_gets_a_line_for_each_phase_and_none_for_each_step() -> None:
    events = [progress(current=step) for step in range(25)]
    _, errors = shown(progress(phase="loading"), *events, progress(phase="decoding"))
    assert errors == ["draw: loading", "draw: denoising", "draw: decoding"]


def test_starting_is_said_once() -> None:
    _, errors = shown(WorkerState("starting"), WorkerState("starting", pid=1), WorkerState("idle"))
    assert errors == ["starting worker"]


def test_the_run_and_its_steps_are_said() -> None:
    _, errors = shown(
        RunStarted("r1", "u", "shapes", ("draw", "grid"), {}), StepFinished("r1", "draw", 0, "ran", 2, ())
    )
    assert errors == ["running shapes: draw, grid", "draw: ran in 2.0 s"]


def test_complaints_of_libraries_are_kept_for_a_failure() -> None:
    complaint = Log("warning", "this is deprecated", "1")
    assert shown(complaint, FINISHED)[1] == [summary_words(FINISHED)]
    _, errors = shown(complaint, failed(RunError("wrong", "X")))
    assert errors[:2] == ["log: this is deprecated", "a.dw.json: wrong"]


def test_memory_says_nothing_on_a_pipe() -> None:
    assert shown(MemoryChanged(REPORT)) == ([], [])


# ---------------------------------------------------------------- bar


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("as_json", "errors", "kind"),
    [(True, Terminal(), JsonView), (False, Terminal(), BarView), (False, io.StringIO(), LineView)],
)
def test_the_view_fits_the_stream(as_json: bool, errors: io.StringIO, kind: type) -> None:
    assert type(make_view(as_json, io.StringIO(), errors)) is kind


def test_a_bar_shows_step_count_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    output, errors = io.StringIO(), Terminal()
    view = BarView(output, errors)
    view.begin(TEXT, PATH)
    view.show(PROGRESS)
    view.refresh()
    view.show(FINISHED)
    view.close()
    drawn = errors.getvalue()
    for word in ("draw: denoising", "12/25", "4.0 steps/s", "3.2 s left", "succeeded after 3.2 s"):
        assert word in drawn
    assert output.getvalue() == "/out/draw.png\n"


def test_a_bar_shows_names_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Square brackets are no markup."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    errors = Terminal()
    view = BarView(io.StringIO(), errors)
    view.begin(TEXT, PATH)
    view.show(progress(step="[bold]draw[/bold]"))
    view.refresh()
    view.show(failed(RunError("wrong [/red] key", "X")))
    view.close()
    assert "[bold]draw[/bold]: denoising" in errors.getvalue()
    assert "wrong [/red] key" in errors.getvalue()
