"""Carrying out a checked workflow, step by step: iterations, results, what later steps need and what is released."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from dw_lsp.planning.artifact import Artifact
from dw_lsp.planning.called_workflows import error_in_child, understand
from dw_lsp.planning.chains import Chain, Round, chain_of
from dw_lsp.planning.output_names import safe_name
from dw_lsp.planning.step_keys import base_seed, in_parts, takes_no_generator
from dw_lsp.planning.task_models import DRAWN
from dw_lsp.protocol import StepEnded, StepOutcome, StepSummary
from dw_lsp.text.syntax_tree import Value
from dw_lsp.worker.cancellation import RunCancelled
from dw_lsp.worker.engine.artifact_codec import live_values
from dw_lsp.worker.engine.artifacts import of_pipeline, of_task
from dw_lsp.worker.engine.chains import CallOnce, ChainRun
from dw_lsp.worker.engine.cleanup import after_step
from dw_lsp.worker.engine.failures import StepFailed
from dw_lsp.worker.engine.manifest import RepeatableRun
from dw_lsp.worker.engine.out_of_memory import Relief
from dw_lsp.worker.engine.pipeline_steps import (
    Call,
    ReadyPipeline,
    load_components,
    load_part,
    ready_pipeline,
)
from dw_lsp.worker.engine.pipelines import Loaded, key_of_made
from dw_lsp.worker.engine.prepare import PreparedPipeline, PreparedWorkflow, prepare
from dw_lsp.worker.engine.progress import StepReporter
from dw_lsp.worker.engine.publishing import Iteration, Publisher
from dw_lsp.worker.engine.recalling import LARGEST_SEED, IterationKeys, fresh
from dw_lsp.worker.engine.references import Results, is_result, read_last_by
from dw_lsp.worker.engine.remembering import Finished
from dw_lsp.worker.engine.run_context import RunContext
from dw_lsp.worker.engine.single_files import keys_of_file
from dw_lsp.worker.engine.sparing_calls import SparingCalls
from dw_lsp.worker.engine.sub_workflows import handed_over, read_child
from dw_lsp.worker.engine.task_calls import TaskCalls
from dw_lsp.workflow.iteration import combinations
from dw_lsp.workflow.references import parse_reference
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep


@dataclass(frozen=True)
class Surroundings:
    """Where a called workflow runs: the calling step, what stands before its files' names, values handed to it."""

    reporter: StepReporter
    prefix: str
    handed: Mapping[str, Artifact] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class WorkflowRun:
    """Runs one workflow's steps, as far as their results are not remembered.

    Arguments: the checked workflow; the run's surroundings; the seed of the whole run; `caller` for a called workflow.
    """

    def __init__(self, prepared: PreparedWorkflow, context: RunContext, seed: int, caller: Surroundings | None = None):
        self._prepared, self._context, self._seed, self._caller = prepared, context, seed, caller
        self._results = Results(self._live_values, caller.handed if caller else None)
        self._keys = IterationKeys(prepared, context)
        self._shared: dict[str, tuple[str, Any]] = {}
        # What the pipelines are made of that this run has put together, by the step that defines them.
        self._used: dict[str, frozenset[str]] = {}
        self._step_load_seconds = 0.0
        # What was done otherwise than the text has it; of a called workflow, told with the calling step.
        self._notes: list[str] = caller.notes if caller else []
        self.load_seconds = 0.0  # Of all steps so far.
        self.all_reused = True  # Nothing had to be carried out so far.
        resources = context.resources
        self.repeatable = RepeatableRun(
            prepared.workflow, prepared.steps, seed, resources.versions, resources.device.type
        )

    def carry_out(self) -> list[Artifact]:
        """Run all steps. Returns the artifacts of the last one.

        Raises what a step raises, and `CannotRestore` for a remembered result that turns out to be lost.
        """
        no_longer_read = read_last_by(self._prepared.steps)
        artifacts: list[Artifact] = []
        for step in self._prepared.steps:
            artifacts = self._run_step(step)
            self._results.keep(step.name, artifacts)
            self._results.release(no_longer_read.get(step.index, ()))
            if step.release_pipeline or step.release_models:
                self._release(step)
        return artifacts

    # ------------------------------------------------------------ one step

    def _run_step(self, step: ResolvedStep) -> list[Artifact]:
        context, caller = self._context, self._caller
        reporter = self._reporter(step)
        prefix, told_as = (caller.prefix, caller.reporter.step) if caller else ("", None)
        publisher = Publisher(step, context, self.repeatable, prefix, told_as)
        started, self._step_load_seconds = time.monotonic(), 0.0
        artifacts: list[Artifact] = []
        outcome: StepOutcome = "failed"
        reused = True
        try:
            context.cancellation.check()
            with contextlib.closing(self._iterations(step, reporter)) as iterations:
                for iteration in iterations:
                    self._publish(iteration, publisher, reporter)
                    artifacts.extend(iteration.artifacts)
                    reused = reused and iteration.reused
            outcome = "reused" if reused else "ran"
        except RunCancelled:
            outcome = "notRun"
            raise
        finally:
            self.all_reused = self.all_reused and reused
            seconds = time.monotonic() - started
            if caller is None:
                peak = None if outcome == "reused" else context.resources.meter.peak()
                summary = StepSummary(step.name, outcome, seconds, self._step_load_seconds, peak, tuple(self._notes))
                self._notes.clear()
                context.ledger.steps[step.name] = summary
        if not reused and step is not self._prepared.steps[-1]:  # After the last one the whole run is tidied up.
            after_step(seconds)
        if caller is None:
            written = tuple(publisher.written)
            context.send(StepEnded(context.request.run_id, step.name, step.index, outcome, seconds, written))
        return artifacts

    def _publish(self, iteration: Iteration, publisher: Publisher, reporter: StepReporter) -> None:
        """Write what an iteration gave, and remember it, also where it cannot be written."""
        try:
            publisher.publish(iteration, reporter)
        finally:
            self._remember(iteration)

    def _remember(self, iteration: Iteration) -> None:
        if iteration.key is not None and not iteration.reused:
            finished = Finished(
                iteration.artifacts, iteration.contents, iteration.separate, iteration.seed, iteration.seconds
            )
            self._context.memory.remember(iteration.key, finished)

    def _live_values(self, value: Any) -> Any:
        return live_values(value, self._context.memory.read)

    def _reporter(self, step: ResolvedStep) -> StepReporter:
        if self._caller is not None:
            self._caller.reporter.inside(step.name)
            return self._caller.reporter
        context = self._context
        count = len(self._prepared.steps)
        return StepReporter(context.request.run_id, context.send, context.cancellation, step.name, step.index, count)

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

    # ------------------------------------------------------------ pipelines

    def _pipeline(self, step: ResolvedStep, reporter: StepReporter) -> Generator[Iteration, None, None]:
        values = self._context.arguments_of(self._prepared.source.folder, films=False)
        chosen = self._combinations(step, step.body.get("arguments"), "arguments")
        seed = None if takes_no_generator(step) else base_seed(step, step.body, self._seed)
        definer = self._keys.pipeline_of(step, reporter)
        calls, chain = self._calls(step, definer, reporter), chain_of(step)

        def once(arguments: Mapping[str, Any], own: int | None) -> Iteration:
            key = self._keys.of_pipeline(step, definer, arguments, own)
            if (known := self._known_call(step, key)) is not None:
                return known
            self._begin_work()
            live = self._live(step, values, arguments)
            started = time.monotonic()
            call = Call(live, own, self._keys.of_latents(step, definer, arguments, own))
            output = of_pipeline(calls.call(call), calls.facts(call))
            # What was made otherwise than the text says is not what it says: it is known by another key.
            return fresh(output, key if calls.as_written else in_parts(key), own, time.monotonic() - started)

        with calls:
            for index, arguments in enumerate(chosen):
                own = None if seed is None else (seed + index) % LARGEST_SEED
                if chain is None:
                    reporter.begin_iteration(index, len(chosen))
                    yield once(arguments, own)
                    continue
                prompts = [self._first(step, prompt) for prompt in chain.prompts]
                turn = Round(index, len(chosen), arguments, prompts, own)
                yield self._chained(chain, definer, turn, once, calls, reporter)

    def _chained(
        self, chain: Chain, definer: PreparedPipeline, turn: Round, once: CallOnce, calls: SparingCalls,
        reporter: StepReporter,
    ) -> Iteration:  # fmt: skip
        """The film of a chain, whose segments are remembered one by one: one that was broken off goes on from there."""
        key = self._keys.of_chain(calls.step, definer, chain, turn)
        if (known := self._known_call(calls.step, key)) is not None:
            return known

        def segment(arguments: Mapping[str, Any], own: int | None) -> Iteration:
            made = once(arguments, own)
            self._remember(made)
            return made

        context, started, step = self._context, time.monotonic(), calls.step
        prefix = self._caller.prefix if self._caller else ""
        stem = f"{prefix}{safe_name(self.repeatable.workflow.id)}-{safe_name(step.name)}"
        run = ChainRun(chain, step, segment, self._live_values, reporter, context.types, context.folder, stem)
        film = run.film(turn)
        return fresh([film], key if calls.as_written else in_parts(key), turn.seed, time.monotonic() - started)

    def _known_call(self, step: ResolvedStep, key: str | None) -> Iteration | None:
        """What is remembered of a call; else of the same call when memory had not sufficed for it as it is written."""
        if (known := self._keys.recall(key)) is not None:
            return known
        known = self._keys.recall(in_parts(key))
        note = f"step {step.name!r}: taken from an earlier run that decoded in parts, since memory had run out"
        if known is not None and note not in self._notes:
            self._notes.append(note)
        return known

    def _first(self, step: ResolvedStep, value: Value) -> Any:
        """A text, or the first of the results that it refers to."""
        if not is_result(value):
            return value
        reference = parse_reference(str(value))
        found = self._results.of(reference) if reference is not None else ()
        if not found:
            raise InvalidInput(f"{value!r} gives nothing", step.place(step.kind, "chain", "prompts"), step.name)
        return found[0]

    def _calls(self, step: ResolvedStep, definer: PreparedPipeline, reporter: StepReporter) -> SparingCalls:
        return SparingCalls(
            step,
            definer,
            lambda relief: self._ready(definer, reporter, relief),
            lambda: {key for key, _ in self._shared.values()} | self._used.get(definer.step.name, frozenset()),
            self._context,
            reporter,
            self._notes,
        )

    def _begin_work(self) -> None:
        if self._caller is None:
            self._context.resources.meter.begin_peak()

    def _ready(
        self, definer: PreparedPipeline, reporter: StepReporter, relief: Relief
    ) -> AbstractContextManager[ReadyPipeline]:
        """The pipeline that a step defines, on its device, until the context is left."""
        context = self._context
        try:
            self._bring_shared(definer, reporter)
            pipeline, loaded = load_components(definer, self._shared, context, reporter)
        except InvalidInput:
            raise
        except Exception as error:
            place = definer.step.place("pipeline", "from_pretrained_arguments")
            doing = f"{definer.required.class_name} cannot be loaded"
            raise StepFailed(doing, definer.step.name, place, error) from error
        self._note_loaded(loaded)
        self._used[definer.step.name] = frozenset(loaded.keys.values()) | {key for key, _ in loaded.originals.values()}
        self._shared.update({name: loaded.shareable(name) for name in definer.shared & loaded.live.keys()})
        return ready_pipeline(pipeline, loaded, definer.step, context, reporter.goes_on, relief)

    def _note_loaded(self, loaded: Loaded) -> None:
        self._step_load_seconds += loaded.seconds
        self.load_seconds += loaded.seconds

    def _bring_shared(self, definer: PreparedPipeline, reporter: StepReporter) -> None:
        """Load what an earlier step shares where that step itself did not have to be carried out."""
        for name in definer.reused - self._shared.keys():
            owner = self._keys.owner_of(name, definer)
            loaded = None if owner is None else load_part(owner, name, self._context, reporter)
            if loaded is not None and name in loaded.live:  # Else its reader says so.
                self._shared[name] = (loaded.keys[name], loaded.live[name])
                self._note_loaded(loaded)

    def _live(self, step: ResolvedStep, values: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
        live: dict[str, Any] = {}
        for key, value in arguments.items():
            try:
                live.update(values.live({key: self._live_values(value)}))
            except InvalidInput as error:
                place = step.place(step.kind, "arguments", key)
                raise InvalidInput(error.message, place, step.name, error.hint) from error
        return live

    def _release(self, step: ResolvedStep) -> None:
        """Forget what a step's pipeline is made of, except what later steps of this run use as well.

        With `release_models` what tasks have loaded, in this run or before, goes too.
        """
        resources = self._context.resources
        later = self._prepared.steps[step.index + 1 :]
        kept = {key for key, _ in self._shared.values()}.union(*map(self._components_of, later))
        gone = self._components_of(step) - kept
        if step.release_models:
            gone |= resources.task_models
            resources.task_models.clear()
        resources.components.drop(*gone)

    def _components_of(self, step: ResolvedStep) -> frozenset[str]:
        """The keys of what a step's pipeline is made of, also where another step defines it."""
        name = str(step.body.get("reference_name", step.name))
        definer = self._prepared.pipelines.get(name)
        if definer is None:
            return frozenset()
        planned = {part.name: part.key for part in definer.required.parts}
        made = key_of_made(planned)
        out_of_file = keys_of_file(definer.required, self._context)
        return self._used.get(name) or out_of_file.union(planned.values(), () if made is None else (made,))

    # ------------------------------------------------------------ tasks

    def _task(self, step: ResolvedStep, reporter: StepReporter) -> Generator[Iteration, None, None]:
        command = str(step.body.get("command"))
        inputs = step.body.get("inputs")
        if inputs is None:
            chosen = self._combinations(step, step.body.get("arguments"), "arguments")
        else:
            items = inputs if isinstance(inputs, list) else [inputs]
            chosen = [each for item in items for each in self._combinations(step, item, "inputs")]
        whole_items = command == "gather_inputs" and inputs is not None
        models, seed = self._keys.models_of(step, reporter), None
        if command in DRAWN:
            seed = base_seed(step, step.body, self._seed)
        folder = self._prepared.source.folder
        calls = TaskCalls(step, models, folder, self._context, reporter, self._note_loaded, self._notes)
        for index, arguments in enumerate(chosen):
            reporter.begin_iteration(index, len(chosen))
            own = None if seed is None else (seed + index) % LARGEST_SEED
            key = self._keys.of_task(command, whole_items, arguments, models, own)
            if (known := self._keys.recall(key)) is not None:
                yield known
                continue
            self._begin_work()
            reporter.phase("task", command)
            started = time.monotonic()
            if whole_items:
                answer = self._live_values(arguments)
            else:
                answer = calls.answer(self._live(step, self._context.arguments_of(folder), arguments), own)
            separate = isinstance(answer, list) and not whole_items
            results = [answer] if whole_items else of_task(answer)
            yield fresh(results, key, own, time.monotonic() - started, separate=separate)

    # ------------------------------------------------------------ called workflows

    def _called_workflow(self, step: ResolvedStep, reporter: StepReporter) -> Generator[Iteration, None, None]:
        context, source = self._context, self._prepared.source
        child = read_child(step, source, context.allowed)
        chosen = self._combinations(step, step.body.get("arguments") or {}, "arguments")
        for index, arguments in enumerate(chosen):
            reporter.begin_iteration(index, len(chosen))
            plain, handed = handed_over(arguments, self._live_values)
            prefix = (self._caller.prefix if self._caller else "") + f"{safe_name(step.name)}."
            try:
                workflow = understand(child, plain)
                prepared = prepare(child, workflow, context, handed=handed)
                seed = workflow.seed
                if seed is None:
                    seed = ((base_seed(step, {}, self._seed) or 0) + index) % LARGEST_SEED
                run = WorkflowRun(prepared, context, seed, Surroundings(reporter, prefix, handed, self._notes))
                artifacts = run.carry_out()
                self._step_load_seconds += run.load_seconds
                self.load_seconds += run.load_seconds
            except InvalidInput as error:
                raise error_in_child(error, child, step) from error
            except StepFailed as error:
                place = step.place("workflow", "path")
                raise error.inside(f"{child.path and child.path.name}", step.name, place) from error
            finally:
                reporter.inside(None)
            yield Iteration(artifacts, seed, reused=run.all_reused)
