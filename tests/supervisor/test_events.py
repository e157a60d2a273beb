"""Events are written as the public contract says."""

from __future__ import annotations

import json

import pytest

from dw_lsp.protocol import Component, MemoryReport, RunError, StepResult, StepSummary
from dw_lsp.supervisor.events import (
    EVENTS,
    Log,
    MemoryChanged,
    Preview,
    RunFinished,
    RunProgress,
    RunStarted,
    StepFinished,
    WorkerExit,
    WorkerState,
    camel_case,
)

REPORT = MemoryReport("cpu", "a processor", None, None, 5, 10, 3, 2, 5, 1)
FINISHED = RunFinished("r1", "file:///a.dw.json", "succeeded", 1.5, 3, None, (), (), (), (), REPORT)


@pytest.mark.parametrize(
    ("name", "written"),
    [("run_id", "runId"), ("uri", "uri"), ("seconds_per_unit", "secondsPerUnit"), ("class_name", "class")],
)
def test_a_name_becomes_camel_case(name: str, written: str) -> None:
    assert camel_case(name) == written


def test_the_methods_are_those_of_the_contract() -> None:
    assert [event.method for event in EVENTS] == [  # type: ignore[attr-defined]
        "dw/runStarted",
        "dw/runProgress",
        "dw/preview",
        "dw/stepFinished",
        "dw/runFinished",
        "dw/memory",
        "dw/workerState",
        "dw/log",
    ]


def test_run_started() -> None:
    event = RunStarted("r1", "file:///a.dw.json", "a", ("one", "two"), {"snake_name": [1, {"in_side": None}]})
    assert event.to_json() == {
        "runId": "r1",
        "uri": "file:///a.dw.json",
        "workflow": "a",
        "steps": ["one", "two"],
        "arguments": {"snake_name": [1, {"in_side": None}]},
        "position": 0,
    }


def test_progress_says_only_what_is_known() -> None:
    event = RunProgress("r1", "one", 0, 2, 0, 1, "denoising", current=3, total=20, seconds_per_unit=0.5)
    assert event.to_json() == {
        "runId": "r1",
        "step": "one",
        "stepIndex": 0,
        "stepCount": 2,
        "iteration": 0,
        "iterationCount": 1,
        "phase": "denoising",
        "current": 3,
        "total": 20,
        "secondsPerUnit": 0.5,
    }


def test_preview_has_all_fields() -> None:
    written = Preview("r1", "one", 0, 1, 20, "image/jpeg", "AAAA", 64, 32).to_json()
    assert set(written) == {
        "runId",
        "step",
        "iteration",
        "current",
        "total",
        "contentType",
        "data",
        "width",
        "height",
    }


def test_a_result_without_a_file_says_so() -> None:
    result = StepResult("one", 0, None, "image/png", 0)
    written = StepFinished("r1", "one", 0, "ran", 0.5, (result,)).to_json()
    assert written["results"] == [
        {"step": "one", "index": 0, "path": None, "contentType": "image/png", "bytes": 0},
    ]


def test_run_finished_has_all_fields_and_no_error() -> None:
    written = FINISHED.to_json()
    assert set(written) == {
        "runId",
        "uri",
        "outcome",
        "seconds",
        "runCount",
        "seed",
        "steps",
        "results",
        "loaded",
        "reused",
        "memory",
    }
    assert written["seed"] is None


def test_an_error_keeps_its_place_as_offsets() -> None:
    error = RunError("no such step", "InvalidInput", step="two", start=4, end=9)
    written = RunFinished("r1", "u", "failed", 0.0, 0, 1, (), (), (), (), None, error).to_json()
    assert written["error"] == {
        "message": "no such step",
        "type": "InvalidInput",
        "step": "two",
        "offsets": {"start": 4, "end": 9},
    }


def test_an_error_without_a_place_has_no_offsets() -> None:
    written = RunFinished("r1", "u", "failed", 0.0, 0, 1, (), (), (), (), None, RunError("x", "Y")).to_json()
    assert written["error"] == {"message": "x", "type": "Y"}


def test_unknown_memory_is_null_and_never_left_out() -> None:
    written = MemoryChanged(REPORT).to_json()
    assert written["allocatedBytes"] is None
    assert written["growthBytes"] is None
    assert written["components"] == []
    assert written["warnings"] == []


def test_the_peak_of_a_step_is_null_when_it_is_not_known() -> None:
    finished = RunFinished("r1", "u", "failed", 0.0, 0, 1, (StepSummary("one", "ran"),), (), (), (), None)
    assert finished.to_json()["steps"] == [
        {"name": "one", "outcome": "ran", "seconds": 0.0, "loadSeconds": 0.0, "peakBytes": None, "notes": []}
    ]


def test_a_component_has_a_class() -> None:
    report = MemoryReport(
        "cpu", "a processor", 1, 1, 5, 10, 3, 2, 5, 1, (Component("k", "vae", "Auto", 9, "cpu", 0.1),)
    )
    assert MemoryChanged(report).to_json()["components"] == [
        {"key": "k", "name": "vae", "class": "Auto", "bytes": 9, "device": "cpu", "seconds": 0.1}
    ]


def test_the_state_of_no_worker_is_one_word() -> None:
    assert WorkerState("stopped").to_json() == {"state": "stopped"}


def test_the_state_of_a_dead_worker_tells_how_it_ended() -> None:
    state = WorkerState("crashed", exit=WorkerExit(None, "SIGKILL", "killed", ("last",)))
    assert state.to_json() == {
        "state": "crashed",
        "exit": {"code": None, "signal": "SIGKILL", "reason": "killed", "stderrTail": ["last"]},
    }


def test_names_of_packages_stay_as_they_are() -> None:
    assert WorkerState("idle", versions={"hugging_face": "1"}).to_json()["versions"] == {"hugging_face": "1"}


@pytest.mark.parametrize("event", [FINISHED, Log("info", "a line"), WorkerState("idle"), MemoryChanged(REPORT)])
def test_every_event_is_json(event: RunFinished | Log | WorkerState | MemoryChanged) -> None:
    assert json.loads(json.dumps(event.to_json())) == event.to_json()
