"""Chains: one pipeline called several times, each time from the end of what it made before, joined into one film."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.identity import canonical, content_digest
from dw_lsp.workflow.iteration import MOST_ITERATIONS
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

MOST_SEGMENTS = 1000
LAST_FRAME, LAST_SEGMENT = "last_frame", "last_segment"
KEYS = frozenset(
    {
        "segments", "match_audio", "continuity", "segment_argument", "carry_frames", "carry_audio", "trim_frames",
        "crossfade_ms", "fps", "frame_snap", "prompts", "save_segments", "keep_segments",
    }
)  # fmt: skip
_USUAL_TRIM, _USUAL_CROSSFADE = 1, 75


@dataclass(frozen=True)
class Chain:
    """How a step's segments are made and joined.

    `segments` is `None` where the length of a sound decides; `crossfade` are seconds; `fps` is `None` where nothing
    tells it; `prompts` are the values in the text, references to results too; `modulus` and `remainder` are those of
    the numbers of frames that the model can make.
    """

    segments: int | None
    continuity: str
    argument: str
    carry_frames: int | None
    carry_audio: bool
    trim: int
    crossfade: float
    fps: float | None
    prompts: tuple[Value, ...]
    save: bool
    keep: bool
    num_frames: int | None
    modulus: int = 1
    remainder: int = 0
    least: int = 1

    def definition(self, pipeline: str) -> str:
        """What of it decides the result, with the definition of the pipeline, as a digest."""
        told: dict[str, Value] = {
            "segments": self.segments, "continuity": self.continuity, "argument": self.argument,
            "carry": [self.carry_frames, self.carry_audio], "trim": self.trim, "crossfade": self.crossfade,
            "fps": self.fps, "snap": [self.modulus, self.remainder, self.least],
        }  # fmt: skip
        return content_digest(f"chain {pipeline} {canonical(told)}")

    def snapped(self, frames: int) -> int:
        """The least number of frames that the model can make and that is not below the one that is wanted."""
        wanted = max(frames, self.least)
        return wanted + (self.remainder - wanted) % self.modulus


@dataclass(frozen=True)
class Round:
    """One iteration of a step that has a chain: which of how many, its arguments, prompts and seed."""

    index: int
    count: int
    arguments: Mapping[str, Any]
    prompts: Sequence[Any]
    seed: int | None


def chain_of(step: ResolvedStep) -> Chain | None:
    """The chain of a step, if it has one. Raises `InvalidInput` where it cannot be."""
    value = step.body.get("chain")
    if value is None:
        return None
    if "chain" not in step.facts:
        step.facts["chain"] = _Reader(step, value).chain()
    found: Chain = step.facts["chain"]
    return found


def chained_arguments(arguments: Any, prompts: Sequence[Any]) -> dict[str, Any]:
    """What counts as the arguments of a whole chain."""
    return {"arguments": arguments, "prompts": list(prompts)}


def segment_seed(seed: int | None, segment: int, largest: int) -> int | None:
    """The seed of a segment: each has noise of its own, and no iteration of the step has the same."""
    return None if seed is None else (seed + segment * MOST_ITERATIONS) % largest


def segment_name(stem: str, iteration: int, segment: int) -> str:
    """The name of a segment's own file. Arguments: what begins the names of the step's files; both count from 0."""
    return f"{stem}.{iteration}.segment-{segment + 1:03}.mp4"


class _Reader:
    """Reads the `chain` of a step. Arguments: the step; the value."""

    def __init__(self, step: ResolvedStep, value: Value):
        self._step = step
        if not isinstance(value, dict):
            raise self._wrong(None, "`chain` should be an object")
        self._value: Mapping[str, Value] = value

    def chain(self) -> Chain:
        for key in self._value:
            if key not in KEYS:
                raise self._wrong(key, f"`{key}` of a chain is not carried out by this engine yet")
        continuity = self._value.get("continuity", LAST_FRAME)
        if continuity not in (LAST_FRAME, LAST_SEGMENT):
            raise self._wrong("continuity", f"`continuity` is {LAST_FRAME} or {LAST_SEGMENT}, not {continuity!r}")
        carried = self._whole("carry_frames", None, 1)
        if carried is not None and continuity == LAST_FRAME:
            raise self._wrong("carry_frames", f"`carry_frames` is for the continuity {LAST_SEGMENT}")
        argument = self._value.get("segment_argument", "image")
        if not isinstance(argument, str) or not argument:
            raise self._wrong("segment_argument", "`segment_argument` should be the name of an argument")
        given = self._step.body.get("arguments")
        arguments: Mapping[str, Value] = given if isinstance(given, dict) else {}
        frames = arguments.get("num_frames")
        fps = self._number("fps", arguments.get("frame_rate"))
        if self._flag("save_segments", False) and not fps:
            raise self._wrong("save_segments", "segments can be saved only if `fps` says how fast they are")
        modulus, remainder, least = self._snap(frames)
        return Chain(
            self._segments(),
            continuity,
            argument,
            carried,
            self._flag("carry_audio", True),
            self._trim(frames),
            (self._number("crossfade_ms", _USUAL_CROSSFADE) or 0.0) / 1000,
            fps or None,
            self._prompts(),
            self._flag("save_segments", False),
            self._flag("keep_segments", False),
            frames if isinstance(frames, int) else None,
            modulus,
            remainder,
            least,
        )

    def _segments(self) -> int | None:
        segments, match = self._whole("segments", None, 1), self._flag("match_audio", False)
        if (segments is None) == (not match):
            raise self._wrong("segments", "a chain has either `segments` or `match_audio: true`")
        if segments is not None and segments > MOST_SEGMENTS:
            raise self._wrong("segments", f"{segments} segments are too many; a chain may have {MOST_SEGMENTS}")
        if match:
            raise self._wrong("match_audio", "`match_audio` is not carried out by this engine yet", "Use `segments`.")
        return segments

    def _trim(self, frames: Value) -> int:
        trim = self._whole("trim_frames", _USUAL_TRIM, 0) or 0
        if isinstance(frames, int) and trim >= frames:
            raise self._wrong("trim_frames", f"of segments of {frames} frames, {trim} cannot be left out")
        return trim

    def _snap(self, frames: Value) -> tuple[int, int, int]:
        snap = self._value.get("frame_snap")
        if snap is None:
            return 1, 0, 1
        if not isinstance(snap, dict):
            raise self._wrong("frame_snap", "`frame_snap` should be an object with `modulus` and `remainder`")
        numbers = [snap.get(key, usual) for key, usual in (("modulus", None), ("remainder", None), ("min_frames", 1))]
        if not all(isinstance(each, int) and not isinstance(each, bool) for each in numbers):
            raise self._wrong("frame_snap", "`frame_snap` needs whole numbers as `modulus` and `remainder`")
        modulus, remainder, least = (int(str(each)) for each in numbers)
        most = snap.get("max_frames")
        if modulus < 1 or remainder < 0:
            raise self._wrong("frame_snap", "`modulus` is 1 or above, `remainder` 0 or above")
        if isinstance(frames, int):
            fits = frames % modulus == remainder % modulus and frames >= least
            if not fits or (isinstance(most, int) and frames > most):
                message = f"`num_frames` is {frames}, which `frame_snap` does not allow"
                raise self._wrong("frame_snap", message, f"Allowed are {modulus} x n + {remainder}.")
        return modulus, remainder, least

    def _prompts(self) -> tuple[Value, ...]:
        prompts = self._value.get("prompts")
        if prompts is None:
            return ()
        if not isinstance(prompts, list) or not prompts or not all(isinstance(each, str) for each in prompts):
            raise self._wrong("prompts", "`prompts` should be a list of texts")
        return tuple(prompts)

    def _whole(self, key: str, usual: int | None, least: int) -> int | None:
        value = self._value.get(key, usual)
        if isinstance(value, str) and value.strip().isdigit():
            value = int(value)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self._wrong(key, f"`{key}` should be a whole number from {least}, not {value!r}")
        return value

    def _number(self, key: str, usual: Value) -> float | None:
        value: Any = self._value.get(key, usual)
        try:
            number = float(value) if value is not None and not isinstance(value, (bool, list, dict)) else None
        except ValueError:
            number = -1.0
        if (number is None and key in self._value) or (number is not None and number < 0):
            raise self._wrong(key, f"`{key}` should be a number from 0, not {value!r}")
        return number

    def _flag(self, key: str, usual: bool) -> bool:
        value = self._value.get(key, usual)
        if not isinstance(value, bool):
            raise self._wrong(key, f"`{key}` is true or false")
        return value

    def _wrong(self, key: str | None, message: str, hint: str | None = None) -> InvalidInput:
        path = (self._step.kind, "chain") if key is None else (self._step.kind, "chain", key)
        return InvalidInput(message, self._step.place(*path), self._step.name, hint)
