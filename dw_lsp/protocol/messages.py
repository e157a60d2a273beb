"""Every message that can pass between the supervisor and the worker process.

Times are seconds, sizes bytes, positions code-point offsets into the text that was sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

#: Raised at each change that an older counterpart would misunderstand; both sides compare it in `Hello`.
PROTOCOL_VERSION = 2

Phase: TypeAlias = Literal["loading", "downloading", "encoding", "denoising", "decoding", "task", "saving"]
RunOutcome: TypeAlias = Literal["succeeded", "failed", "cancelled", "timedOut", "crashed"]
StepOutcome: TypeAlias = Literal["ran", "reused", "failed", "notRun"]
JsonObject: TypeAlias = dict[str, Any]


# ---- shared facts


@dataclass(frozen=True)
class Component:
    """One loaded part of a pipeline (text encoder, vae, ...): `key` is its identity, `seconds` what loading took."""

    key: str
    name: str
    class_name: str
    bytes: int
    device: str
    seconds: float


@dataclass(frozen=True)
class MemoryReport:
    """The device's and the worker's memory; `None` stands for what cannot be known, never zero.

    `baseline_bytes` is what the process filled before its first run; `growth_bytes` leaves out kept components.
    """

    device: str
    device_name: str
    allocated_bytes: int | None
    reserved_bytes: int | None
    free_bytes: int | None
    total_bytes: int | None
    peak_bytes: int | None
    process_bytes: int | None
    host_free_bytes: int | None
    run_count: int
    components: tuple[Component, ...] = ()
    growth_bytes: int | None = None
    warnings: tuple[str, ...] = ()
    baseline_bytes: int | None = None


@dataclass(frozen=True)
class StepResult:
    """One result of a step: the file it was written to, and what is in it. `path` is `None` when it was not saved."""

    step: str
    index: int
    path: str | None
    content_type: str
    bytes: int
    seed: int | None = None
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class StepSummary:
    """How one step of a run ended. `notes` say what was done otherwise than the text has it, and why."""

    name: str
    outcome: StepOutcome
    seconds: float = 0.0
    load_seconds: float = 0.0
    peak_bytes: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunError:
    """Why a run did not succeed: for people first. `start` and `end` are offsets into the text that was run."""

    message: str
    type: str
    step: str | None = None
    start: int | None = None
    end: int | None = None
    traceback: str | None = None
    hint: str | None = None


@dataclass(frozen=True)
class RunOptions:
    """The settings that a run obeys in the worker."""

    preview_enabled: bool = True
    preview_every_steps: int = 1
    trust_remote_code: bool = False
    allow_pickle: bool = False
    allowed_modules: tuple[str, ...] = (
        "diffusers", "transformers", "torch", "accelerate", "peft",
        "torchao", "bitsandbytes", "sdnq", "optimum", "gguf",
    )  # fmt: skip
    allowed_paths: tuple[str, ...] = ()
    memory_budget: float | str = 0.9
    host_memory_budget: float | str = 0.5
    growth_warning_bytes: int = 500 * 1024 * 1024
    reuse_unseeded: bool = False
    remembered_bytes: int = 8 * 1024**3
    profile_memory: bool = False


# ---- supervisor to worker


@dataclass(frozen=True)
class Execute:
    """Run a workflow: its text as the editor has it, and where relative paths start.

    `roots` are the folders that it may read from; `step` names the last step to run, `None` runs all.
    """

    run_id: str
    text: str
    document_path: str | None
    roots: tuple[str, ...]
    output_directory: str
    arguments: JsonObject = field(default_factory=dict)
    step: str | None = None
    seed: int | None = None
    options: RunOptions = RunOptions()


@dataclass(frozen=True)
class Cancel:
    """Stop this run at the next possible place; for a run that has ended, nothing happens."""

    run_id: str


@dataclass(frozen=True)
class Ping:
    """Are you there? Answered by `Pong` at once, also during a run."""

    request_id: int


@dataclass(frozen=True)
class ReportMemory:
    """Answered by `MemoryReported`."""

    request_id: int


@dataclass(frozen=True)
class ClearMemory:
    """Drop every component and give the memory back. Answered by `MemoryReported`."""

    request_id: int


@dataclass(frozen=True)
class Evict:
    """Drop one component. Answered by `MemoryReported`, or `RequestFailed` when there is none of that key."""

    request_id: int
    component: str


@dataclass(frozen=True)
class Activate:
    """Be the worker from now on: for a process that was told to stand by, which has no device until then."""


@dataclass(frozen=True)
class TellStacks:
    """Write the stack of each thread to standard error, where no signal can ask for it."""


@dataclass(frozen=True)
class Shutdown:
    """Leave, in good order."""


# ---- worker to supervisor


@dataclass(frozen=True)
class Hello:
    """The first message of a worker, sent before anything slow is imported."""

    protocol_version: int
    pid: int
    executable: str
    python_version: str


@dataclass(frozen=True)
class Ready:
    """The libraries are imported: runs will begin at once."""

    versions: dict[str, str]
    device: str
    device_name: str
    seconds: float


@dataclass(frozen=True)
class StandingBy:
    """The libraries are imported; a process that was told to stand by waits to be activated."""


@dataclass(frozen=True)
class StartFailed:
    """This Python cannot be a worker: what is missing and how to mend it."""

    message: str
    hint: str | None = None


@dataclass(frozen=True)
class Pong:
    request_id: int
    pid: int
    run_count: int
    uptime: float


@dataclass(frozen=True)
class MemoryReported:
    """The memory now: the answer to a request, or unasked (`request_id` is `None`)."""

    report: MemoryReport
    request_id: int | None = None


@dataclass(frozen=True)
class RequestFailed:
    request_id: int
    message: str


@dataclass(frozen=True)
class RunEstimate:
    """Bytes that the run is expected to need on the device at once: weights, and computing beside them.

    `measured`: corrected by what such a computation has needed on this machine before.
    """

    device_bytes: int
    weight_bytes: int
    activation_bytes: int
    measured: bool


@dataclass(frozen=True)
class RunBegan:
    """The run's file was understood: its workflow id, the steps to come, its variables, its need, the seed in use."""

    run_id: str
    workflow: str
    steps: tuple[str, ...]
    arguments: JsonObject
    estimate: RunEstimate | None = None
    seed: int | None = None


@dataclass(frozen=True)
class StepProgress:
    """A sign of life of a running step: `current` of `total` in `unit`, as far as they are known."""

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
class Advanced:
    """The run goes on in a way that has no unit: weights are being loaded."""

    run_id: str


@dataclass(frozen=True)
class PreviewMade:
    """The image while it is being denoised; `data` is base64."""

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
class ResultsWritten:
    """An iteration's results are where they belong, whatever becomes of the step; its end tells of them again."""

    run_id: str
    results: tuple[StepResult, ...]


@dataclass(frozen=True)
class StepEnded:
    run_id: str
    step: str
    step_index: int
    outcome: StepOutcome
    seconds: float
    results: tuple[StepResult, ...] = ()


@dataclass(frozen=True)
class RunEnded:
    """The run is over, as the worker saw it: exactly one for each `Execute` that the worker lives through."""

    run_id: str
    outcome: RunOutcome
    seconds: float
    run_count: int
    seed: int | None
    steps: tuple[StepSummary, ...]
    results: tuple[StepResult, ...]
    loaded: tuple[Component, ...]
    reused: tuple[Component, ...]
    memory: MemoryReport
    error: RunError | None = None


@dataclass(frozen=True)
class LogLine:
    """What a library printed or logged; `level` is one of debug, info, warning, error."""

    level: str
    message: str
    run_id: str | None = None


ToWorker: TypeAlias = Activate | Execute | Cancel | Ping | ReportMemory | ClearMemory | Evict | TellStacks | Shutdown
_Answer: TypeAlias = Hello | Ready | StandingBy | StartFailed | Pong | MemoryReported | RequestFailed | LogLine
_OfRun: TypeAlias = RunBegan | StepProgress | Advanced | PreviewMade | ResultsWritten | StepEnded | RunEnded
FromWorker: TypeAlias = _Answer | _OfRun
Message: TypeAlias = ToWorker | FromWorker
