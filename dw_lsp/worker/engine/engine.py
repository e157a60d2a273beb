"""What outlives a run: the components in memory, the device, the count of runs. Every run begins and ends here."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path

from dw_lsp.planning.called_workflows import Source, understand
from dw_lsp.planning.plan import run_seed, steps_until
from dw_lsp.planning.step_keys import drawn_for, surroundings
from dw_lsp.protocol import (
    Execute,
    MemoryReport,
    MemoryReported,
    Message,
    RunBegan,
    RunEnded,
    RunError,
    RunEstimate,
    RunOutcome,
    StepSummary,
)
from dw_lsp.worker.cancellation import Cancellation, RunCancelled
from dw_lsp.worker.engine.allowed_paths import AllowedPaths
from dw_lsp.worker.engine.artifact_codec import CannotRestore
from dw_lsp.worker.engine.cleanup import Housekeeping
from dw_lsp.worker.engine.components import Components, release_memory
from dw_lsp.worker.engine.devices import default_device, device_name
from dw_lsp.worker.engine.eviction import Budgets
from dw_lsp.worker.engine.execute import WorkflowRun
from dw_lsp.worker.engine.failures import OUT_OF_MEMORY, run_error
from dw_lsp.worker.engine.growth import Growth
from dw_lsp.worker.engine.host_memory import host_memory
from dw_lsp.worker.engine.loading import Loader
from dw_lsp.worker.engine.manifest import MANIFEST, RunRecord, manifest
from dw_lsp.worker.engine.memory import Meter, Sampler, budget_bytes
from dw_lsp.worker.engine.prepare import PreparedWorkflow, prepare
from dw_lsp.worker.engine.profiling import profiled
from dw_lsp.worker.engine.prompts import Prompts
from dw_lsp.worker.engine.recalling import LARGEST_SEED
from dw_lsp.worker.engine.room import keep_within
from dw_lsp.worker.engine.run_context import Resources, RunContext
from dw_lsp.worker.engine.run_estimate import run_estimate
from dw_lsp.worker.engine.run_folder import RunFolder
from dw_lsp.worker.engine.trusted_types import TrustedTypes
from dw_lsp.workflow.resolved import InvalidInput, ResolvedWorkflow

#: A seed that is drawn has so many bits: a JSON number holds it exactly everywhere.
SEED_BITS = 53
#: A run in which remembered results turn out to be lost so many times is given up.
MOST_LOST = 5

logger = logging.getLogger(__name__)

Send = Callable[[Message], None]


class Engine:
    """Carries out runs, one at a time. Arguments: the versions of the libraries, for manifests."""

    def __init__(self, versions: Mapping[str, str]):
        self.device = default_device()
        self.device_name = device_name(self.device)
        self.run_count = 0
        self._components = Components(self.device)
        prompts = Prompts()
        self._meter = Meter(self.device, self.device_name, lambda: prompts.bytes)
        self._sampler = Sampler(self._meter)
        self._resources = Resources(self._components, self._meter, self.device, versions, prompts=prompts)
        self._housekeeping = Housekeeping(self.device)
        self._growth = Growth()
        self._growth_warning: int | None = None
        self._rising: tuple[str, ...] = ()
        self._told: set[str] = set()

    def memory_report(self) -> MemoryReport:
        """The memory now. Any thread may ask."""
        return self._meter.report(self._components.records(), self.run_count, self._growth_warning, self._rising)

    def clear(self) -> None:
        """Drop every component, give the memory back, and count anew."""
        self._resources.latent_views.clear()
        self._resources.single_files.clear()
        self._resources.prompts.clear()
        self._components.drop_all()
        self._housekeeping.give_back()
        self._meter.forget()
        self._growth.forget()
        self._rising = ()
        self._told.clear()

    def evict(self, key: str) -> bool:
        """Drop a component, or take a LoRA or adapter out of its models. Returns whether there was any of that key."""
        resources = self._resources
        resources.latent_views.pop(key, None)
        if any(each.take_out(key, self._components) for each in (resources.loras, resources.ip_adapters)):
            release_memory()
            return True
        return self._components.drop(key)

    def execute(self, request: Execute, cancellation: Cancellation, send: Send) -> RunEnded:
        """Carry out a run, whatever comes of it. What happens on the way is sent; how it ended is returned."""
        self.run_count += 1
        self._growth_warning = request.options.growth_warning_bytes
        run = _Run(request, cancellation, send, self._resources)
        profile = profiled(request.options.profile_memory, self.device, send, lambda: run.folder)
        with self._sampler.during(lambda: send(MemoryReported(self.memory_report()))), profile as heard:
            run.tell_to(heard)
            outcome, error = self._resources.computing.call(run.carry_out)
        run.keep_budgets()
        self._housekeeping.after_run(run.seconds)
        if outcome == "succeeded":
            self._watch_growth(run.kind)
        report = self.memory_report()
        send(MemoryReported(report))
        return run.ended(outcome, error, self.run_count, report)

    def _watch_growth(self, kind: Hashable) -> None:
        """Compare what is in use with earlier runs. Before a warning, what is merely unused is given back."""
        records, limit = self._components.records(), self._growth_warning
        if limit is not None and any(growth > limit for growth in self._meter.growth(records).values()):
            self._housekeeping.give_back()
        self._meter.note_run(records)
        rising = self._growth.note(kind, self._meter.pools(records))
        for trend in rising:
            if trend.pool not in self._told:
                logger.warning(trend.words)
        self._told |= {trend.pool for trend in rising}
        self._rising = tuple(trend.words for trend in rising)


class _Run:
    """One run from its text to its end."""

    def __init__(self, request: Execute, cancellation: Cancellation, send: Send, resources: Resources):
        self._request, self._cancellation, self._send, self._resources = request, cancellation, send, resources
        self._began, self._started = time.time(), time.monotonic()
        self._seed: int | None = None
        self._drawn: ResolvedWorkflow | None = None
        self._context: RunContext | None = None
        self._workflow_run: WorkflowRun | None = None
        self._step_names: tuple[str, ...] = ()

    def tell_to(self, send: Send) -> None:
        """From now on, what happens is told there."""
        self._send = send

    @property
    def folder(self) -> Path | None:
        """Where the run's files are, once it has a place for them."""
        return self._context.folder.path if self._context and self._context.folder else None

    def carry_out(self) -> tuple[RunOutcome, RunError | None]:
        """Run it. Returns how it ended and, where it failed, why."""
        outcome: RunOutcome = "succeeded"
        error: RunError | None = None
        try:
            self._run()
        except RunCancelled:
            outcome = "cancelled"
        except (Exception, SystemExit) as problem:
            # A library that calls `sys.exit` ends the run, not the worker.
            outcome, error = "failed", run_error(problem)
            if error.type == OUT_OF_MEMORY:
                self._resources.computing.spoil()
        if outcome != "failed":
            self._note_drawn(ended=True)
        return self._with_manifest(outcome, error)

    def ended(self, outcome: RunOutcome, error: RunError | None, run_count: int, report: MemoryReport) -> RunEnded:
        """The run's last message."""
        ledger = self._context.ledger if self._context else None
        return RunEnded(
            run_id=self._request.run_id,
            outcome=outcome,
            seconds=time.monotonic() - self._started,
            run_count=run_count,
            seed=self._seed,
            steps=self._summaries(),
            results=tuple(ledger.results) if ledger else (),
            loaded=tuple(ledger.loaded.values()) if ledger else (),
            reused=tuple(ledger.reused.values()) if ledger else (),
            memory=report,
            error=error,
        )

    def keep_budgets(self) -> None:
        """Let go what is more than the budgets allow, which may have shrunk, but for what this run has used."""
        if self._context is not None:
            ledger = self._context.ledger
            keep_within(self._resources.components, self._context.budgets, {*ledger.loaded, *ledger.reused})

    @property
    def seconds(self) -> float:
        """How long the run has taken so far."""
        return time.monotonic() - self._started

    @property
    def kind(self) -> Hashable:
        """What makes runs comparable in memory: components, what became of the steps, and what they gave."""
        ledger = self._context.ledger if self._context else None
        if ledger is None:
            return ()
        return (
            frozenset((*ledger.loaded, *ledger.reused)),
            tuple((step.name, step.outcome) for step in ledger.steps.values()),
            tuple((each.content_type, each.width, each.height) for each in ledger.results),
        )

    def _run(self) -> None:
        request = self._request
        self._cancellation.check()
        path = Path(request.document_path) if request.document_path else None
        source = Source(request.text, path)
        workflow = understand(source, request.arguments)
        steps = steps_until(workflow, request.step)
        self._step_names = tuple(step.name for step in steps)
        self._seed = self._given_seed(workflow)
        told: RunEstimate | None = None
        try:
            context = self._context = self._surroundings(path)
            self._seed = self._draw(workflow, context)
            prepared = prepare(source, workflow, context, request.step)
            told = run_estimate(prepared, self._resources.device.type, self._resources.measurements)
        finally:
            variables = dict(workflow.variables)
            self._send(RunBegan(request.run_id, workflow.id, self._step_names, variables, told, self._seed))
        folder = RunFolder(
            self._output_directory(path), workflow.id, request.run_id, self._began, context.memory.makes_room
        )
        context = self._context = context.with_folder(folder)
        context.memory.begin_run(context.options.remembered_bytes)
        context.memory.note_surroundings(context.surroundings, self._resources.device.type)
        self._note_drawn()
        self._carry_out(prepared, context, self._seed)

    def _carry_out(self, prepared: PreparedWorkflow, context: RunContext, seed: int) -> None:
        """Run all steps; from the beginning where a remembered result turns out to be lost, which is then made anew."""
        for _ in range(MOST_LOST):
            self._context, self._workflow_run = context, WorkflowRun(prepared, context, seed)
            try:
                self._workflow_run.carry_out()
            except CannotRestore as error:
                logger.warning("%s; it is made anew", error)
                context.memory.drop(error.objects)
                context, lost = context.begun_again(), error
            else:
                return
        raise InvalidInput(f"{lost}", hint="Run it again: what is not remembered is made anew.") from lost

    def _given_seed(self, workflow: ResolvedWorkflow) -> int | None:
        if self._request.seed is not None:
            if not 0 <= self._request.seed < LARGEST_SEED:
                raise InvalidInput(f"a seed is a whole number from 0 to 2^64 - 1, not {self._request.seed}")
            return self._request.seed
        return workflow.seed

    def _draw(self, workflow: ResolvedWorkflow, context: RunContext) -> int:
        """The seed of a run; of one that none was given for, that of the last such run if it is to go on."""
        if self._seed is not None:
            return self._seed
        self._drawn = workflow
        known = run_seed(workflow, None, context.memory, context.options.reuse_unseeded)
        return random.SystemRandom().getrandbits(SEED_BITS) if known is None else known

    def _note_drawn(self, ended: bool = False) -> None:
        """Keep a seed that was drawn: one whose run comes to no end is taken again. A cancel is an end."""
        run, workflow, context = self._workflow_run, self._drawn, self._context
        if workflow is None or context is None or self._seed is None or (ended and run is None):
            return
        context.memory.note_seed(workflow.id, self._seed, "" if ended else drawn_for(workflow))

    def _surroundings(self, path: Path | None) -> RunContext:
        request, resources = self._request, self._resources
        types = TrustedTypes(request.options.allowed_modules, request.options.trust_remote_code)
        allowed = AllowedPaths.of_run(request.roots, request.options.allowed_paths, path)
        budgets = self._budgets()
        loader = Loader(types, allowed, request.options, resources.device)
        memory = resources.memory_of(self._output_directory(path))
        around = surroundings(resources.versions, resources.device.type, os.environ)
        return RunContext(
            request, self._send, self._cancellation, resources, types, allowed, loader, budgets, memory, around
        )

    def _budgets(self) -> Budgets:
        options, resources = self._request.options, self._resources
        found: list[int | None] = []
        for name, setting, capacity in (
            ("budget", options.memory_budget, resources.meter.capacity()),
            ("hostBudget", options.host_memory_budget, host_memory().total),
        ):
            try:
                found.append(budget_bytes(setting, capacity))
            except ValueError as error:
                raise InvalidInput(f"dw.memory.{name}: {error}") from error
        return Budgets(found[0], found[1], resources.device.type == "cpu")

    def _output_directory(self, path: Path | None) -> Path:
        directory = Path(self._request.output_directory).expanduser()
        if directory.is_absolute():
            return directory
        roots = [Path(root) for root in self._request.roots]
        if path is None and not roots:
            raise InvalidInput(
                f"the output folder {directory} is relative, but this document has no folder yet",
                hint="Save the document, or set dw.outputDirectory to an absolute path.",
            )
        return (roots[0] if roots else path.parent if path else Path()) / directory

    def _summaries(self) -> tuple[StepSummary, ...]:
        done = self._context.ledger.steps if self._context else {}
        return tuple(done.get(name, StepSummary(name, "notRun")) for name in self._step_names)

    def _with_manifest(self, outcome: RunOutcome, error: RunError | None) -> tuple[RunOutcome, RunError | None]:
        """Write the manifest, where the run has come to have a folder; that it cannot be written is a failure."""
        context, run = self._context, self._workflow_run
        if context is None or run is None or context.folder is None:
            return outcome, error
        ledger = context.ledger
        record = RunRecord(
            outcome=outcome,
            began=self._began,
            seconds=time.monotonic() - self._started,
            steps=self._summaries(),
            results=ledger.results,
            files=ledger.files,
            components=[*ledger.loaded.values(), *ledger.reused.values()],
            error=error,
        )
        try:
            context.folder.replace(MANIFEST, manifest(self._request, run.repeatable, record, context.folder.path))
        except OSError as problem:
            if error is None:
                return "failed", RunError(f"the manifest cannot be written: {problem}", type(problem).__name__)
        return outcome, error
