"""Every message that can pass between the supervisor and the worker process, and how one travels.

One JSON object behind a four-byte length (big-endian). Times are seconds, sizes bytes, positions code-point offsets into
the text that was sent. Standard library only: both processes import this module, the worker's Python may have nothing else.
"""

from __future__ import annotations

import dataclasses
import json
import struct
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias, Union

#: Raised at each change that an older counterpart would misunderstand; both sides compare it in `Hello`.
PROTOCOL_VERSION = 1
HEADER = struct.Struct(">I")
LARGEST_FRAME = 64 * 1024 * 1024

Phase: TypeAlias = Literal["loading", "downloading", "encoding", "denoising", "decoding", "task", "saving"]
RunOutcome: TypeAlias = Literal["succeeded", "failed", "cancelled", "timedOut", "crashed"]
StepOutcome: TypeAlias = Literal["ran", "reused", "failed", "notRun"]
JsonObject: TypeAlias = dict[str, Any]


class MalformedMessage(Exception):
    """What arrived is no message of this protocol: the counterpart is broken or of another version."""


# ---------------------------------------------------------------- shared facts


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
    """The device's and the worker's memory; `None` stands for what cannot be known, never zero."""

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
    """How one step of a run ended."""

    name: str
    outcome: StepOutcome
    seconds: float = 0.0
    load_seconds: float = 0.0
    peak_bytes: int | None = None


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
        "diffusers",
        "transformers",
        "torch",
        "accelerate",
        "peft",
        "torchao",
        "bitsandbytes",
        "sdnq",
        "optimum",
        "gguf",
    )
    allowed_paths: tuple[str, ...] = ()
    memory_budget: float | str = 0.9
    host_memory_budget: float | str = 0.5
    growth_warning_bytes: int = 500 * 1024 * 1024
    reuse_unseeded: bool = False


# ---------------------------------------------------------------- supervisor to worker


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
    request_id: int


@dataclass(frozen=True)
class ReportMemory:
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
class Shutdown:
    """Leave, in good order."""


# ---------------------------------------------------------------- worker to supervisor


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
class RunBegan:
    """The run's file was understood: its workflow id, the steps to come and the values of its variables."""

    run_id: str
    workflow: str
    steps: tuple[str, ...]
    arguments: JsonObject


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


ToWorker: TypeAlias = Union[Execute, Cancel, Ping, ReportMemory, ClearMemory, Evict, Shutdown]
FromWorker: TypeAlias = Union[
    Hello,
    Ready,
    StartFailed,
    Pong,
    MemoryReported,
    RequestFailed,
    RunBegan,
    StepProgress,
    PreviewMade,
    StepEnded,
    RunEnded,
    LogLine,
]
Message: TypeAlias = Union[ToWorker, FromWorker]


# ---------------------------------------------------------------- how a message travels


class _Kinds:
    by_name: ClassVar[dict[str, type]] = {kind.__name__: kind for kind in typing.get_args(Message)}


def encode(message: Message) -> bytes:
    """The message as one frame: length, then JSON.

    Raises `ValueError` when the frame would be larger than `LARGEST_FRAME`.
    """
    body = json.dumps({"kind": type(message).__name__, **dataclasses.asdict(message)}, ensure_ascii=False, default=str)
    data = body.encode("utf-8", "surrogatepass")
    if len(data) > LARGEST_FRAME:
        raise ValueError(f"a {type(message).__name__} of {len(data)} bytes is larger than a frame may be ({LARGEST_FRAME})")
    return HEADER.pack(len(data)) + data


def frame_length(header: bytes) -> int:
    """How many bytes follow a frame's header. Raises `MalformedMessage` when no frame is that long."""
    length: int = HEADER.unpack(header)[0]
    if length > LARGEST_FRAME:
        raise MalformedMessage(f"a frame of {length} bytes was announced; the largest is {LARGEST_FRAME}")
    return length


def decode(body: bytes) -> Message:
    """The message in a frame's body. Raises `MalformedMessage`, saying which field is at fault."""
    try:
        data = json.loads(body.decode("utf-8", "surrogatepass"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise MalformedMessage(f"a frame is not JSON: {error}") from error
    kind = data.pop("kind", None) if isinstance(data, dict) else None
    if kind not in _Kinds.by_name:
        raise MalformedMessage(f"a frame of unknown kind {kind!r}")
    message: Message = _build(_Kinds.by_name[kind], data, kind)
    return message


def _build(kind: type, data: Mapping[str, Any], place: str) -> Any:
    hints = _hints(kind)
    known = {name: _convert(hints[name], value, f"{place}.{name}") for name, value in data.items() if name in hints}
    try:
        return kind(**known)
    except TypeError as error:
        raise MalformedMessage(f"{place}: {error}") from error


def _hints(kind: type) -> dict[str, Any]:
    cached: dict[str, Any] | None = _HINTS.get(kind)
    if cached is None:
        cached = _HINTS[kind] = typing.get_type_hints(kind)
    return cached


_HINTS: dict[type, dict[str, Any]] = {}
_JSON_TYPES: dict[Any, tuple[type, ...]] = {str: (str,), int: (int,), float: (int, float), bool: (bool,)}


def _convert(hint: Any, value: Any, place: str) -> Any:
    """The value as the type hint has it: tuples from lists, dataclasses from objects, the rest checked."""
    origin = typing.get_origin(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _convert_union(typing.get_args(hint), value, place)
    if origin is tuple and isinstance(value, list):
        item = typing.get_args(hint)[0]
        return tuple(_convert(item, part, f"{place}[{index}]") for index, part in enumerate(value))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, dict):
        return _build(hint, value, place)
    if origin is dict and isinstance(value, dict):
        return value
    if origin is Literal and value in typing.get_args(hint):
        return value
    if hint in _JSON_TYPES and isinstance(value, _JSON_TYPES[hint]) and (hint is bool or not isinstance(value, bool)):
        return value
    raise MalformedMessage(f"{place} is {type(value).__name__} {str(value)[:80]!r}, which does not fit {hint}")


def _convert_union(options: tuple[Any, ...], value: Any, place: str) -> Any:
    if value is None and type(None) in options:
        return None
    problem: MalformedMessage | None = None
    for option in options:
        if option is not type(None):
            try:
                return _convert(option, value, place)
            except MalformedMessage as error:
                problem = error
    raise problem or MalformedMessage(f"{place} may not be null")
