"""The calls of one step's pipeline, made again in a more sparing way when memory runs out.

Only the call that failed is made again: what earlier steps and iterations gave is kept.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from dw_lsp.planning.activations import picture_of
from dw_lsp.planning.estimate import computing_of
from dw_lsp.planning.placing import places_of
from dw_lsp.worker.engine.failures import OUT_OF_MEMORY, StepFailed, release_frames
from dw_lsp.worker.engine.out_of_memory import (
    AS_WRITTEN,
    SAVING_SWITCHES,
    Relief,
    asked_bytes,
    had_no_code,
    is_out_of_memory,
    memory_words,
    need_in_words,
    next_relief,
    ways_to_reduce,
)
from dw_lsp.worker.engine.pipeline_steps import Call, ReadyPipeline, call_pipeline
from dw_lsp.worker.engine.placement import takes_turns
from dw_lsp.worker.engine.prepare import PreparedPipeline
from dw_lsp.worker.engine.progress import StepReporter
from dw_lsp.worker.engine.run_context import RunContext
from dw_lsp.worker.engine.sounds import UNKNOWN, OutputFacts, facts_of
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

logger = logging.getLogger(__name__)

#: Where memory is known by samples, calls that are shorter than this say nothing.
SAMPLED_SECONDS = 1.0
#: Makes the pipeline ready in a certain way, until the context is left.
MakeReady = Callable[[Relief], AbstractContextManager[ReadyPipeline]]


class SparingCalls:
    """Calls the pipeline of one step as often as the step has iterations; a context manager.

    Arguments: the step that calls; the pipeline's definition; how it is made ready; the keys of components that must
    stay in memory besides its own; where what was done is noted.
    """

    def __init__(
        self,
        step: ResolvedStep,
        definer: PreparedPipeline,
        make_ready: MakeReady,
        also_needed: Callable[[], set[str]],
        context: RunContext,
        reporter: StepReporter,
        notes: list[str],
    ):
        self.step, self._definer, self._make_ready = step, definer, make_ready
        self._also_needed, self._context, self._reporter = also_needed, context, reporter
        self._in_use = contextlib.ExitStack()
        self._ready: ReadyPipeline | None = None
        self._switches: tuple[str, ...] = ()
        self.relief = AS_WRITTEN
        self._freed = False
        self._notes = notes

    def __enter__(self) -> SparingCalls:
        return self

    def __exit__(self, *_: object) -> None:
        self._put_away()

    @property
    def as_written(self) -> bool:
        """Whether the results are those of the step's text: in parts, a VAE decodes a little differently."""
        return not self.relief.decode_in_parts

    def facts(self, call: Call) -> OutputFacts:
        """What is known of a call's output besides itself."""
        return UNKNOWN if self._ready is None else facts_of(self._ready.pipeline, call.arguments)

    def call(self, call: Call) -> Any:
        """Call the pipeline and return its output.

        Raises `StepFailed`: of type "OutOfMemory" when memory did not suffice in any way that could be tried.
        """
        computing = self._context.resources.computing
        while True:
            try:
                return computing.call(lambda: self._call(call))
            except StepFailed as error:
                if not is_out_of_memory(error.cause):
                    raise
                failure = error
                unmade = had_no_code(error.cause) and not computing.is_spoilt
                asked, told = asked_bytes(error.cause), type(error.cause).__name__
                # From here on no frame of the failed call holds a tensor.
                traceback = release_frames(error)
            computing.spoil()
            if unmade:
                self._put_away()
                self._tell(f"step {self.step.name!r}: the processor's code could not be made; trying on a new thread")
            else:
                self._spare(failure, asked, told, traceback)

    def _call(self, call: Call) -> Any:
        if self._ready is None:
            self._ready = self._made_ready()
            self._switches = _switches(self._ready.pipeline)
        meter, started = self._context.resources.meter, time.monotonic()
        before = meter.begin_in_use()
        output = call_pipeline(self._ready, self.step, call, self._context, self._reporter)
        peak = meter.peak_in_use()
        if before is not None and peak is not None and self.relief == AS_WRITTEN:
            self._note_need(call, peak - before, time.monotonic() - started, self._ready)
        return output

    def _made_ready(self) -> ReadyPipeline:
        """The pipeline on its device. Raises `StepFailed` where it does not fit there, as a call does."""
        try:
            return self._in_use.enter_context(self._make_ready(self.relief))
        except (InvalidInput, StepFailed):
            raise
        except Exception as error:
            step, device = self._definer.step, self._context.resources.device
            doing = f"{self._definer.required.class_name} cannot be brought to {device}"
            raise StepFailed(doing, step.name, step.place("pipeline", "configuration"), error) from error

    def _note_need(self, call: Call, measured: int, seconds: float, ready: ReadyPipeline) -> None:
        """Keep what a call has really needed, for later estimates."""
        resources = self._context.resources
        if ready.loaded.seconds or (seconds < SAMPLED_SECONDS and not resources.meter.is_exact):
            return
        if not places_of(self._definer.step, resources.device.type).all_on_device:
            return  # What came to the device during the call are weights, too.
        picture = picture_of({**self._definer.step.body, "arguments": dict(call.arguments)})
        predicted = computing_of(self._definer.required, picture, ready.device.type, None)
        if predicted is not None:
            resources.measurements.note(predicted.kind, predicted.expected, measured)

    def _spare(self, failure: StepFailed, asked: int | None, told: str, traceback: str) -> None:
        """Prepare the next try, or raise when there is none."""
        resources = self._context.resources
        peak = resources.meter.peak()
        needed = {part.key for part in self._definer.required.parts} | self._also_needed()
        needed |= set(self._ready.loaded.keys.values()) if self._ready is not None else set()
        self._put_away()
        gone = resources.components.drop_others(needed)
        settings = self._definer.step.body.get("configuration")
        written = settings if isinstance(settings, dict) else {}
        device = resources.device.type
        # What leaves makes another try worth while once: what is loaded for that try may leave as well.
        freed, self._freed = bool(gone) and not self._freed, True
        relief = next_relief(self.relief, written, device, self._switches, freed, takes_turns(self._definer.chosen))
        if relief is None:
            raise self._given_up(failure, asked, peak, told, traceback)
        if relief.offload:
            # What is brought into the models before they are placed finds the device empty.
            resources.components.park(needed)
        note = f"{self._asked(asked)}; "
        if gone:
            note += f"{', '.join(part.name for part in gone)} of other steps left memory; "
        note += f"trying again with {relief.words}"
        self.relief = relief
        self._tell(note)
        self._context.cancellation.check()

    def _put_away(self) -> None:
        self._ready = None
        in_use, self._in_use = self._in_use, contextlib.ExitStack()
        in_use.close()

    def _asked(self, asked: int | None) -> str:
        free = self._context.resources.meter.free()
        request = "" if asked is None else f": another {memory_words(asked)} were asked for"
        return f"step {self.step.name!r} ran out of memory{request} ({memory_words(free)} free after clearing up)"

    def _tell(self, note: str) -> None:
        self._notes.append(note)
        logger.warning(note)

    def _given_up(
        self, failure: StepFailed, asked: int | None, peak: int | None, told: str, traceback: str
    ) -> StepFailed:
        body, device = self._definer.step.body, self._context.resources.device.type
        settings = body.get("configuration")
        tried = dict(self.relief.applied(settings if isinstance(settings, dict) else {}))
        hint = ways_to_reduce({**body, "configuration": tried, "arguments": self.step.body.get("arguments")}, device)
        message = f"step {self.step.name!r} ran out of memory{need_in_words(peak, asked)}"
        if self._notes:
            message += f". It was also tried with {self.relief.words}"
        self._tell(f"step {self.step.name!r}: nothing is left that would need less memory")
        return StepFailed(message, failure.step, failure.range, failure.cause, OUT_OF_MEMORY, hint, traceback)


def _switches(pipeline: Any) -> tuple[str, ...]:
    """What the VAE of a pipeline could do to save memory and does not do yet."""
    vae = getattr(pipeline, "vae", None)
    return tuple(
        name
        for name in SAVING_SWITCHES
        if hasattr(vae, name) and not getattr(vae, name.replace("enable", "use"), False)
    )
