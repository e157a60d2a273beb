"""Carrying out a task: its models in memory and on their device while it computes, watched like a pipeline's."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from dw_lsp.worker.engine.devices import bring, named_device
from dw_lsp.worker.engine.failures import OUT_OF_MEMORY, StepFailed, release_frames
from dw_lsp.worker.engine.instruments import before_each, blocks_of
from dw_lsp.worker.engine.interruptible import LoadingWatch
from dw_lsp.worker.engine.out_of_memory import asked_bytes, is_out_of_memory, need_in_words, ways_of_task
from dw_lsp.worker.engine.pipelines import Loaded, gather_components
from dw_lsp.worker.engine.prepare import PreparedPipeline
from dw_lsp.worker.engine.progress import StepReporter
from dw_lsp.worker.engine.room import Room
from dw_lsp.worker.engine.run_context import RunContext
from dw_lsp.worker.tasks.models import Models
from dw_lsp.worker.tasks.registry import run_task, unused_arguments
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

logger = logging.getLogger(__name__)


class TaskCalls:
    """The calls of one task step.

    Arguments: the step; its models, once they are on this machine, `None` for a task without; the folder of the
    workflow file; who is told of what was loaded, and where what was done otherwise is noted.
    """

    def __init__(
        self,
        step: ResolvedStep,
        models: PreparedPipeline | None,
        folder: Path | None,
        context: RunContext,
        reporter: StepReporter,
        loaded: Callable[[Loaded], None],
        notes: list[str],
    ):
        self._step, self._models, self._folder, self._context = step, models, folder, context
        self._reporter, self._loaded, self._notes = reporter, loaded, notes
        self._command = str(step.body.get("command"))

    def answer(self, arguments: Mapping[str, Any], seed: int | None) -> Any:
        """What the command gives. Arguments: live values; the seed of what it draws.

        Raises `InvalidInput` for values that do not fit, `StepFailed` when a library fails.
        """
        computing = self._context.resources.computing
        try:
            return computing.call(lambda: self._answer(arguments, seed))
        except InvalidInput as error:
            raise InvalidInput(error.message, error.range or self._step.range, self._step.name, error.hint) from error
        except Exception as error:
            if not is_out_of_memory(error):
                raise self._failed(error) from error
            release_frames(error)
        computing.spoil()
        self._spare()
        try:
            return computing.call(lambda: self._answer(arguments, seed))
        except Exception as error:
            raise self._failed(error) from error

    def _answer(self, arguments: Mapping[str, Any], seed: int | None) -> Any:
        media = self._context.media_of(self._folder)
        self._tell_unused(arguments)
        with contextlib.ExitStack() as around:
            models = None if self._models is None else around.enter_context(self._ready(self._models, arguments, seed))
            self._reporter.phase("task", self._command)
            try:
                return run_task(self._command, arguments, media, models)
            except InvalidInput:
                raise
            except ValueError as error:
                if is_out_of_memory(error):
                    raise
                place = self._step.place("task", "arguments")
                raise InvalidInput(str(error), place, self._step.name) from error

    def _tell_unused(self, arguments: Mapping[str, Any]) -> None:
        for name in unused_arguments(self._command, arguments):
            note = f"step {self._step.name!r}: the task {self._command} has no use for the argument {name!r}"
            if name != "device" and note not in self._notes:
                self._notes.append(note)
                logger.warning(note)

    @contextlib.contextmanager
    def _ready(self, prepared: PreparedPipeline, arguments: Mapping[str, Any], seed: int | None) -> Iterator[Models]:
        """The models, on the device; between any two of their blocks the run can be stopped."""
        device, warning = _device(arguments.get("device"), self._context.resources.device)
        if warning:
            logger.warning(warning)
        loaded = self._gathered(prepared)
        with contextlib.ExitStack() as undo:
            models = [model for model in loaded.live.values() if isinstance(model, torch.nn.Module)]
            with LoadingWatch(self._reporter.goes_on, once=True):
                for model in models:
                    bring(model, device)
            for model in models:
                for block in blocks_of(model):
                    undo.enter_context(before_each(block, self._reporter.goes_on))
            yield Models(loaded.live, device, self._reporter.unit_done, seed)

    def _gathered(self, prepared: PreparedPipeline) -> Loaded:
        def listener(name: str, count: int, total: int) -> None:
            self._reporter.phase("loading", f"{self._command}: {name}", count, total, "component")

        context, resources = self._context, self._context.resources
        room = Room(context.budgets, resources.meter.free)
        required = prepared.required
        try:
            with LoadingWatch(self._reporter.goes_on):
                loaded = gather_components(
                    required, None, resources.components, context.loader, room, listener, self._folder
                )
        except InvalidInput:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            place = self._step.place("task", "arguments", "model_name")
            doing = f"the model of {self._command} cannot be loaded"
            raise StepFailed(doing, self._step.name, place, error) from error
        resources.task_models.update(loaded.keys.values())
        context.ledger.note_components(loaded.loaded, loaded.reused)
        self._loaded(loaded)
        return loaded

    def _spare(self) -> None:
        """Memory has run out: everything leaves that this task does not need."""
        needed = {part.key for part in self._models.required.parts} if self._models is not None else set()
        gone = self._context.resources.components.drop_others(needed)
        left = f"{', '.join(part.name for part in gone)} left memory; " if gone else ""
        note = f"step {self._step.name!r} ran out of memory; {left}trying again"
        self._notes.append(note)
        logger.warning(note)
        self._context.cancellation.check()

    def _failed(self, error: BaseException) -> Exception:
        step, place = self._step, self._step.place("task", "command")
        if isinstance(error, (InvalidInput, StepFailed)):
            return error
        if not is_out_of_memory(error):
            return StepFailed(f"the task {self._command} failed", step.name, place, error)
        resources = self._context.resources
        needed = need_in_words(resources.meter.peak(), asked_bytes(error))
        hint = ways_of_task(step.body, resources.device.type, self._models is not None)
        return StepFailed(f"step {step.name!r} ran out of memory{needed}", step.name, place, error, OUT_OF_MEMORY, hint)


def _device(name: Any, default: torch.device) -> tuple[torch.device, str | None]:
    if name is None:
        return default, None
    try:
        return named_device(str(name), default)
    except ValueError as error:
        raise InvalidInput(f"`device`: {error}") from error
