"""Messages survive the journey, and what is no message is refused with the field at fault."""

from __future__ import annotations

import dataclasses
import json
import typing
from typing import Any

import pytest

from dw_lsp import protocol
from dw_lsp.protocol import (
    HEADER,
    Cancel,
    Component,
    Execute,
    Hello,
    MalformedMessage,
    MemoryReport,
    Message,
    PreviewMade,
    RunEnded,
    RunError,
    StepProgress,
    StepResult,
    StepSummary,
    decode,
    encode,
    frame_length,
    frames,
)

KINDS: tuple[type, ...] = typing.get_args(Message)
REPORT = MemoryReport(
    device="cpu",
    device_name="a processor",
    allocated_bytes=1,
    reserved_bytes=None,
    free_bytes=3,
    total_bytes=4,
    peak_bytes=None,
    process_bytes=6,
    host_free_bytes=7,
    run_count=2,
    components=(Component("unet:1", "unet", "UNet2DConditionModel", 10, "cpu", 0.5),),
    warnings=("one",),
)


def sample(hint: Any) -> Any:
    """A value that fits a type hint."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return parts[0]
    if origin is tuple:
        return (sample(parts[0]),)
    if origin is dict or hint is dict:
        return {"name": "wert ß 🙂"}
    if parts:
        return sample(parts[0])
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = typing.get_type_hints(hint)
        return hint(**{field.name: sample(hints[field.name]) for field in dataclasses.fields(hint)})
    return {str: "text \u2028 🙂", int: 3, float: 0.25, bool: True}[hint]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_message_survives_the_journey(kind: type) -> None:
    message = sample(kind)
    frame = encode(message)
    assert frame_length(frame[: HEADER.size]) == len(frame) - HEADER.size
    assert decode(frame[HEADER.size :]) == message


def test_a_whole_run_end_survives_with_all_that_is_inside() -> None:
    message = RunEnded(
        run_id="1",
        outcome="failed",
        seconds=1.5,
        run_count=3,
        seed=None,
        steps=(StepSummary("draw", "failed", 1.0, 0.5, None),),
        results=(StepResult("draw", 0, None, "image/png", 0),),
        loaded=REPORT.components,
        reused=(),
        memory=REPORT,
        error=RunError("no", "ValueError", start=3, end=9),
    )
    assert decode(encode(message)[HEADER.size :]) == message


def test_a_lone_surrogate_of_a_broken_document_does_not_stop_a_message() -> None:
    message = Execute("1", 'a "\ud83d" b', None, (), "out")
    assert decode(encode(message)[HEADER.size :]) == message


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"\xff\xfe", "not JSON"),
        (b"[1]", "unknown kind"),
        (b'{"kind": "Surprise"}', "Surprise"),
        (b'{"kind": "Cancel"}', "run_id"),
        (b'{"kind": "Cancel", "run_id": 3}', "Cancel.run_id"),
        (b'{"kind": "Ping", "request_id": true}', "Ping.request_id"),
        (
            b'{"kind": "Hello", "protocol_version": 1, "pid": 1, "executable": "x", "python_version": null}',
            "python_version",
        ),
    ],
)
def test_what_is_no_message_is_refused_with_the_field_at_fault(body: bytes, told: str) -> None:
    with pytest.raises(MalformedMessage, match=told):
        decode(body)


def test_a_field_from_a_later_version_is_passed_over() -> None:
    body = json.dumps({"kind": "Cancel", "run_id": "7", "new_in_later_versions": 1}).encode()
    assert decode(body) == Cancel("7")


def test_an_absurd_length_is_refused_before_memory_is_taken() -> None:
    with pytest.raises(MalformedMessage, match="announced"):
        frame_length(HEADER.pack(protocol.LARGEST_FRAME + 1))


def test_a_message_too_large_for_a_frame_is_an_error_at_the_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "LARGEST_FRAME", 100)
    with pytest.raises(ValueError, match="larger than a frame"):
        encode(PreviewMade("1", "draw", 0, 1, 2, "image/png", "x" * 200, 8, 8))


def test_numbers_that_are_whole_fit_where_fractions_are_expected() -> None:
    body = encode(StepProgress("1", "draw", 0, 1, 0, 1, "denoising", eta=2))[HEADER.size :]
    assert decode(body).eta == 2  # type: ignore[union-attr]


def test_the_version_travels_in_the_first_message() -> None:
    hello = Hello(protocol.PROTOCOL_VERSION, 1, "python", "3.11")
    assert decode(encode(hello)[HEADER.size :]) == hello
