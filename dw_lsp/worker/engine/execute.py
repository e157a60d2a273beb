"""Carrying out a checked workflow, step by step: iterations, results, what later steps need and what is released."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dw_lsp.planning.output_names import safe_name
from dw_lsp.protocol import StepEnded, StepOutcome, StepSummary
from dw_lsp.text.syntax_tree import Value
from dw_lsp.worker.cancellation import RunCancelled
from dw_lsp.worker.engine.artifacts import of_pipeline, of_task
from dw_lsp.worker.engine.failures import StepFailed
from dw_lsp.worker.engine.manifest import RepeatableRun
from dw_lsp.worker.engine.pipeline_steps import call_pipeline, load_components, ready_pipeline
from dw_lsp.worker.engine.prepare import PreparedWorkflow, prepare
from dw_lsp.worker.engine.progress import StepReporter
from dw_lsp.worker.engine.publishing import Iteration, Publisher
from dw_lsp.worker.engine.references import Results, last_readers
from dw_lsp.worker.engine.run_context import RunContext
from dw_lsp.worker.engine.sub_workflows import error_in_child, handed_over, read_child, understand
from dw_lsp.worker.tasks.registry import run_task
from dw_lsp.workflow.iteration import combinations
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

#: Seeds are numbers of 64 bits; counting on from the last one begins at 0 again.
LARGEST_SEED = 2**64


@dataclass(frozen=True)
class Surroundings:
    """Where a called workflow runs: the calling step, what stands before its files' names, values handed to it."""

    reporter: StepReporter
    prefix: str
    handed: Mapping[str, Any] = field(default_factory=dict)


class WorkflowRun:
    """Runs one workflow's steps.

    Arguments: the checked workflow; the run's surroundings; the seed of the whole run; `caller` for a called workflow.
    """

    def __init__(self, prepared: PreparedWorkflow, context: RunContext, seed: int, caller: Surroundings | None = None):
        self._prepared, self._context, self._seed, self._caller = prepared, context, seed, caller
        self._results = Results(caller.handed if caller else None)
        self._shared: dict[str, tuple[str, Any]] = {}
        self._step_load_seconds = 0.0
        self.load_seconds = 0.0  # Of all steps so far.
        resources = context.resources
        self.repeatable = RepeatableRun(
            prepared.workflow, prepared.steps, seed, resources.versions, resources.device.type
        )

    def carry_out(self) -> list[Any]:
        """Run all steps. Returns the artifacts of the last one. Raises what a step raises."""
        readers = last_readers(self._prepared.steps)
        artifacts: list[Any] = []
        for step in self._prepared.steps:
            artifacts = self._run_step(step)
            self._results.keep(step.name, artifacts)
            self._results.release(readers, step.index)
            if step.release_pipeline:
                self._release_pipeline(step)
        return artifacts

    # ------------------------------------------------------------ one step

    def _run_step(self, step: ResolvedStep) -> list[Any]:
        context, caller = self._context, self._caller
        reporter = self._reporter(step)
        prefix, told_as = (caller.prefix, caller.reporter.step) if caller else ("", None)
        publisher = Publisher(step, context, self.repeatable, prefix, told_as)
        started, self._step_load_seconds = time.monotonic(), 0.0
        if caller is None:
            context.resources.meter.begin_peak()
        artifacts: list[Any] = []
        outcome: StepOutcome = "failed"
        try:
            context.cancellation.check()
            with contextlib.closing(self._iterations(step, reporter)) as iterations:
                for iteration in iterations:
                    publisher.publish(iteration, reporter)
                    artifacts.extend(iteration.artifacts)
            outcome = "ran"
        except RunCancelled:
            outcome = "notRun"
            raise
        finally:
            if caller is None:
                self._sum_up(step, outcome, time.monotonic() - started)
        if caller is None:
            seconds, written = time.monotonic() - started, tuple(publisher.written)
            context.send(StepEnded(context.request.run_id, step.name, step.index, "ran", seconds, written))
        return artifacts

    def _reporter(self, step: ResolvedStep) -> StepReporter:
        if self._caller is not None:
            self._caller.reporter.inside(step.name)
            return self._caller.reporter
        context = self._context
        count = len(self._prepared.steps)
        return StepReporter(context.request.run_id, context.send, context.cancellation, step.name, step.index, count)

    def _sum_up(self, step: ResolvedStep, outcome: StepOutcome, seconds: float) -> None:
        peak = self._context.resources.meter.peak()
        summary = StepSummary(step.name, outcome, seconds, self._step_load_seconds, peak)
        self._context.ledger.steps[step.name] = summary

    def _iterations(self, step: ResolvedStep, reporter: StepReporter) -> Generator[Iteration, None, None]:
        if step.kind == "task":
            return self._task(step, reporter)
        if step.kind == "workflow":
            return self._called_workflow(step, reporter)
        return self._pipeline(step, reporter)

    def _combinations(self, step: ResolvedStep, value: Value, name: str) -> list[Any]:
        """The values of all iterations. Raises `InvalidInput` when there are none: such a step is a mistake."""
        try:
            found = combinations(value, self._results.of)
        except InvalidInput as error:
            raise InvalidInput(
                error.message, error.range or step.place(step.kind, name), step.name, error.hint
            ) from error
        if not found:
            empty = self._results.empty_among(step)
            message = f"step {step.name!r} would not run at all: {empty!r} gives an empty list"
            raise InvalidInput(message, step.place(step.kind, name), step.name)
        return found

    def _base_seed(self, step: ResolvedStep, definition: Mapping[str, Value]) -> int:
        """The seed of a step's first iteration: the pipeline's, the step's own, the run's."""
        own = definition.get("seed")
        if isinstance(own, int) and not isinstance(own, bool):
            return own
        if step.seed is not None and ("seed",) in step.places:
            return step.seed
        return self._seed

    # ------------------------------------------------------------ pipelines

    def _pipeline(self, step: ResolvedStep, reporter: StepReporter) -> Generator[Iteration, None, None]:
        context = self._context
        definer = self._prepared.pipelines[str(step.body.get("reference_name", step.name))]
        values = context.arguments_of(self._prepared.source.folder)
        chosen = self._combinations(step, step.body.get("arguments"), "arguments")
        seed: int | None = self._base_seed(step, step.body)
        configuration = step.body.get("configuration")
        if isinstance(configuration, dict) and configuration.get("no_generator"):
            seed = None
        reporter.begin_iteration(0, len(chosen))
        try:
            pipeline, loaded = load_components(definer, self._shared, context, reporter)
        except InvalidInput:
            raise
        except Exception as error:
            place = definer.step.place("pipeline", "from_pretrained_arguments")
            raise StepFailed(f"{definer.required.class_name} cannot be loaded", step.name, place, error) from error
        self._step_load_seconds += loaded.seconds
        self.load_seconds += loaded.seconds
        self._shared.update(
            {name: (loaded.keys[name], loaded.live[name]) for name in definer.shared & loaded.live.keys()}
        )
        with ready_pipeline(pipeline, loaded, definer.step, context) as ready:
            for index, arguments in enumerate(chosen):
                reporter.begin_iteration(index, len(chosen))
                live = self._live(step, values, arguments)
                own = None if seed is None else (seed + index) % LARGEST_SEED
                yield Iteration(of_pipeline(call_pipeline(ready, step, live, own, context, reporter)), own)

    def _live(self, step: ResolvedStep, values: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
        live: dict[str, Any] = {}
        for key, value in arguments.items():
            try:
                live.update(values.live({key: value}))
            except InvalidInput as error:
                place = step.place(step.kind, "arguments", key)
                raise InvalidInput(error.message, place, step.name, error.hint) from error
        return live

    def _release_pipeline(self, step: ResolvedStep) -> None:
        """Forget a step's components, except those that a later step of this run uses as well."""
        pipelines = self._prepared.pipelines
        later = {
            part.key
            for other in self._prepared.steps[step.index + 1 :]
            if other.name in pipelines
            for part in pipelines[other.name].required.parts
        }
        kept = later | {key for key, _ in self._shared.values()}
        if step.name in pipelines:
            for part in pipelines[step.name].required.parts:
                if part.key not in kept:
                    self._context.resources.components.drop(part.key)

    # ------------------------------------------------------------ tasks

    def _task(self, step: ResolvedStep, reporter: StepReporter) -> Generator[Iteration, None, None]:
        command = str(step.body.get("command"))
        inputs = step.body.get("inputs")
        if inputs is None:
            chosen = self._combinations(step, step.body.get("arguments"), "arguments")
        else:
            items = inputs if isinstance(inputs, list) else [inputs]
            chosen = [each for item in items for each in self._combinations(step, item, "inputs")]
        for index, arguments in enumerate(chosen):
            reporter.begin_iteration(index, len(chosen))
            reporter.phase("task", command)
            if command == "gather_inputs" and inputs is not None:
                yield Iteration([arguments])
                continue
            yield self._run_task(step, command, arguments)

    def _run_task(self, step: ResolvedStep, command: str, arguments: Any) -> Iteration:
        folder = self._prepared.source.folder
        live = self._live(step, self._context.arguments_of(folder), arguments)
        try:
            answer = run_task(command, live, self._context.media_of(folder))
        except InvalidInput as error:
            raise InvalidInput(error.message, error.range or step.range, step.name, error.hint) from error
        except ValueError as error:
            raise InvalidInput(str(error), step.place("task", "arguments"), step.name) from error
        except Exception as error:
            raise StepFailed(f"the task {command} failed", step.name, step.place("task", "command"), error) from error
        return Iteration(of_task(answer), None, separate=isinstance(answer, list))

    # ------------------------------------------------------------ called workflows

    def _called_workflow(self, step: ResolvedStep, reporter: StepReporter) -> Generator[Iteration, None, None]:
        context, source = self._context, self._prepared.source
        child = read_child(step, source, context.allowed)
        chosen = self._combinations(step, step.body.get("arguments") or {}, "arguments")
        for index, arguments in enumerate(chosen):
            reporter.begin_iteration(index, len(chosen))
            plain, handed = handed_over(arguments)
            prefix = (self._caller.prefix if self._caller else "") + f"{safe_name(step.name)}."
            try:
                workflow = understand(child, plain)
                prepared = prepare(child, workflow, context, handed=handed)
                seed = (
                    workflow.seed if workflow.seed is not None else (self._base_seed(step, {}) + index) % LARGEST_SEED
                )
                run = WorkflowRun(prepared, context, seed, Surroundings(reporter, prefix, handed))
                artifacts = run.carry_out()
                self._step_load_seconds += run.load_seconds
                self.load_seconds += run.load_seconds
            except InvalidInput as error:
                raise error_in_child(error, child, step) from error
            except StepFailed as error:
                place = step.place("workflow", "path")
                raise StepFailed(f"{child.path and child.path.name}: {error}", step.name, place, error.cause) from error
            finally:
                reporter.inside(None)
            yield Iteration(artifacts, seed)
