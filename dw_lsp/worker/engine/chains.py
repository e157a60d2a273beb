"""Carrying out a chain: segment after segment, each from the end of the one before, then all of them as one film."""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dw_lsp.planning.chains import LAST_FRAME, Chain, Round, segment_name, segment_seed
from dw_lsp.worker.engine.artifact_codec import encode
from dw_lsp.worker.engine.artifacts import is_frames, kind_of
from dw_lsp.worker.engine.joining import as_film, cut, joined
from dw_lsp.worker.engine.made_objects import FROM_RESULT, is_type_key, source_of
from dw_lsp.worker.engine.progress import StepReporter
from dw_lsp.worker.engine.publishing import Iteration
from dw_lsp.worker.engine.recalling import LARGEST_SEED
from dw_lsp.worker.engine.run_folder import RunFolder
from dw_lsp.worker.engine.sounds import Film
from dw_lsp.worker.engine.trusted_types import TrustedTypes
from dw_lsp.worker.engine.videos import encode_video
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

logger = logging.getLogger(__name__)

#: Makes one segment, or takes it from what is remembered: its arguments, its seed.
CallOnce = Callable[[Mapping[str, Any], int | None], Iteration]


class ChainRun:
    """Makes the film of a chain. Arguments: the chain; its step; who makes a segment; what makes an artifact live;
    who is told; the types that may be named; where segments are saved, and what their names begin with.
    """

    def __init__(
        self,
        chain: Chain,
        step: ResolvedStep,
        call: CallOnce,
        live: Callable[[Any], Any],
        reporter: StepReporter,
        types: TrustedTypes,
        folder: RunFolder | None,
        stem: str,
    ):
        self._chain, self._step, self._call, self._live, self._reporter = chain, step, call, live, reporter
        self._types, self._folder, self._stem = types, folder, stem
        self._saved: list[Path] = []

    def film(self, turn: Round) -> Film:
        """All segments, joined. Raises `InvalidInput` where they do not fit, and what a call raises."""
        chain, films = self._chain, list[Film]()
        count = chain.segments or 1
        for segment in range(count):
            self._reporter.begin_iteration(turn.index * count + segment, turn.count * count)
            arguments = self._arguments(turn, films[-1] if films else None, segment)
            seed = segment_seed(turn.seed, segment, LARGEST_SEED)
            films.append(self._one(self._call(arguments, seed), segment))
            self._save(films[-1], turn.index, segment)
        try:
            whole = joined(films, chain.trim, chain.crossfade)
        except InvalidInput as error:
            raise self._wrong("the segments do not fit together: " + error.message, error.hint) from error
        for path in self._saved if not chain.keep else ():
            path.unlink(missing_ok=True)
        return whole

    def _one(self, made: Iteration, segment: int) -> Film:
        """The video that a segment is."""
        values = [self._live(artifact) for artifact in made.artifacts]
        if len(values) != 1 or not is_frames(values[0]):
            found = ", ".join(map(kind_of, values)) or "nothing"
            raise self._wrong(f"segment {segment + 1} should be one video; the pipeline gave {found}")
        return as_film(values[0], self._chain.fps)

    def _arguments(self, turn: Round, before: Film | None, segment: int) -> dict[str, Any]:
        """The arguments of a segment's call: with its prompt, and with what goes on from the segment before."""
        chain, arguments = self._chain, dict(turn.arguments)
        if turn.prompts:
            arguments["prompt"] = turn.prompts[min(segment, len(turn.prompts) - 1)]
        if before is not None:
            given, carried = arguments.get(chain.argument), encode(self._carried(before), {})
            if isinstance(given, list):
                arguments[chain.argument] = [*given, self._item(given, carried)]
            else:
                arguments[chain.argument] = carried
        return arguments

    def _carried(self, before: Film) -> Any:
        """What goes on from a segment: its last frame, or its end as a film."""
        chain = self._chain
        if chain.continuity == LAST_FRAME:
            return before.frames[-1]
        count = min(chain.carry_frames or len(before.frames), len(before.frames))
        end = before if chain.carry_audio else dataclasses.replace(before, audio=None)
        try:
            end = cut(end, len(before.frames) - count, count)
        except InvalidInput as error:
            raise self._wrong("the end of a segment cannot be carried on: " + error.message, error.hint) from error
        return end if end.audio is not None else end.frames

    def _item(self, given: Sequence[Any], carried: Any) -> Any:
        """One more item for a list: of objects of a class, one of the class beside it that is made from such things."""
        beside = next((each for each in given if isinstance(each, dict) and source_of(each)), None)
        if beside is None:
            return carried
        key = next(key for key in beside if is_type_key(key))
        module = self._types.value(str(beside[key])).__module__
        wanted = "image" if self._chain.continuity == LAST_FRAME else "video"
        for name, found in vars(sys.modules[module]).items():
            if isinstance(found, type) and dataclasses.is_dataclass(found) and getattr(found, "kind", None) == wanted:
                return {key: f"{module}.{name}", FROM_RESULT: carried}
        raise self._wrong(f"`{self._chain.argument}` has objects of {module}, which has none for a {wanted}")

    def _save(self, film: Film, iteration: int, segment: int) -> None:
        chain = self._chain
        if not chain.save or self._folder is None:
            return
        self._reporter.phase("saving")
        sound = film.audio if film.audio is not None and film.audio.sample_rate else None
        try:
            data = encode_video(film.frames, film.fps or 1.0, sound, self._frame_done)
            self._saved.append(self._folder.write(segment_name(self._stem, iteration, segment), data).path)
        except OSError as error:
            raise self._wrong(f"a segment cannot be saved: {error.strerror or error}") from error

    def _frame_done(self, done: int, total: int) -> None:
        self._reporter.unit_done(done, total, "frame")

    def _wrong(self, message: str, hint: str | None = None) -> InvalidInput:
        return InvalidInput(message, self._step.place(self._step.kind, "chain"), self._step.name, hint)
