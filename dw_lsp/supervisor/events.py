"""What a front sees of the worker and its runs, and how each event is written as JSON: the public contract in code.

`run --json` and the `dw/...` notifications both print `to_json()`, so they cannot drift apart. Knows no editor: places
in a text stay offsets here (`offsets` of an error); a front replaces them by its own ranges.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from dw_lsp.protocol import (
    Component,
    JsonObject,
    MemoryReport,
    Phase,
    RunError,
    RunEstimate,
    RunOutcome,
    StepOutcome,
    StepResult,
    StepSummary,
)

State: TypeAlias = Literal["stopped", "starting", "idle", "busy", "unresponsive", "crashed"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]

#: Names that are no legal Python, or are shorter in JSON.
_RENAMED = {"class_name": "class"}
#: `None` is said as null where a reader must be able to tell "unknown"; elsewhere a field without a value is left out.
_SAID_WHEN_UNKNOWN = {"growth_bytes", "peak_bytes"}


def camel_case(name: str) -> str:
    """`run_id` as `runId`; `class_name` as `class`."""
    if name in _RENAMED:
        return _RENAMED[name]
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)


def to_json(value: Any) -> Any:
    """A dataclass and all in it as JSON values: fields in camelCase, optional ones without a value left out.

    The keys of dictionaries are data (names of variables, of packages) and stay as they are.
    """
    if isinstance(value, RunError):
        return _error_to_json(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _fields_to_json(value)
    if isinstance(value, Mapping):
        return {str(name): to_json(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(part) for part in value]
    return value


def _fields_to_json(value: Any) -> JsonObject:
    written = {}
    for part in dataclasses.fields(value):
        content = getattr(value, part.name)
        if content is None and part.default is None and part.name not in _SAID_WHEN_UNKNOWN:
            continue
        written[camel_case(part.name)] = to_json(content)
    return written


def _error_to_json(error: RunError) -> JsonObject:
    written = _fields_to_json(error)
    start, end = written.pop("start", None), written.pop("end", None)
    if start is not None and end is not None:
        written["offsets"] = {"start": start, "end": end}
    return written


class _Written:
    def to_json(self) -> JsonObject:
        """The event's parameters as the contract has them."""
        return _fields_to_json(self)


@dataclass(frozen=True)
class RunStarted(_Written):
    """A run left the queue and its file was understood. `position` is its place now: 0."""

    method: ClassVar[str] = "dw/runStarted"
    run_id: str
    uri: str
    workflow: str
    steps: tuple[str, ...]
    arguments: JsonObject
    position: int = 0
    estimate: RunEstimate | None = None
    seed: int | None = None


@dataclass(frozen=True)
class RunProgress(_Written):
    """A sign of life of a running step: `current` of `total` in `unit`; `eta` in seconds; only what is known."""

    method: ClassVar[str] = "dw/runProgress"
    run_id: str
    step: str
    step_index: int
    step_count: int
    iteration: int
    iteration_count: int
    phase: Phase
    current: int | None = None
    total: int | None = None
    unit: str | None = None
    seconds_per_unit: float | None = None
    eta: float | None = None
    message: str | None = None


@dataclass(frozen=True)
class Preview(_Written):
    """The image while it is being denoised; `data` is base64."""

    method: ClassVar[str] = "dw/preview"
    run_id: str
    step: str
    iteration: int
    current: int
    total: int
    content_type: str
    data: str
    width: int
    height: int


@dataclass(frozen=True)
class StepFinished(_Written):
    """A step is done: it ran, or its remembered results were taken."""

    method: ClassVar[str] = "dw/stepFinished"
    run_id: str
    step: str
    step_index: int
    outcome: StepOutcome
    seconds: float
    results: tuple[StepResult, ...]


@dataclass(frozen=True)
class RunFinished(_Written):
    """The end of an accepted run: exactly one for each, whatever happens.

    `memory` is the last report; `None` when there never was one.
    """

    method: ClassVar[str] = "dw/runFinished"
    run_id: str
    uri: str
    outcome: RunOutcome
    seconds: float
    run_count: int
    seed: int | None
    steps: tuple[StepSummary, ...]
    results: tuple[StepResult, ...]
    loaded: tuple[Component, ...]
    reused: tuple[Component, ...]
    memory: MemoryReport | None
    error: RunError | None = None


@dataclass(frozen=True)
class MemoryChanged:
    """The memory of the worker and its device now."""

    method: ClassVar[str] = "dw/memory"
    report: MemoryReport

    def to_json(self) -> JsonObject:
        """The report itself, as the contract has it."""
        return _fields_to_json(self.report)


@dataclass(frozen=True)
class WorkerExit:
    """How the last worker ended. `reason` is a sentence for people; `stderr_tail` its last lines."""

    code: int | None
    signal: str | None
    reason: str
    stderr_tail: tuple[str, ...]


@dataclass(frozen=True)
class WorkerState(_Written):
    """What the worker is doing; `exit` tells of the last one when there is none, or a new one is starting."""

    method: ClassVar[str] = "dw/workerState"
    state: State
    pid: int | None = None
    python: str | None = None
    versions: Mapping[str, str] | None = None
    device: str | None = None
    run_id: str | None = None
    exit: WorkerExit | None = None


@dataclass(frozen=True)
class Log(_Written):
    """One line that the worker's libraries printed, or that the supervisor has to say."""

    method: ClassVar[str] = "dw/log"
    level: LogLevel
    message: str
    run_id: str | None = None


Event: TypeAlias = RunStarted | RunProgress | Preview | StepFinished | RunFinished | MemoryChanged | WorkerState | Log
EVENTS: tuple[type, ...] = (
    RunStarted,
    RunProgress,
    Preview,
    StepFinished,
    RunFinished,
    MemoryChanged,
    WorkerState,
    Log,
)
