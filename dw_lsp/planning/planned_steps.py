"""Walking through the steps that a run would carry out, those of called workflows too: what they need, use and write.

A called workflow is walked through once for each of its calls if their values are known, else once with those that are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any, Literal

from dw_lsp.catalog.catalog import Catalog
from dw_lsp.planning.artifact import Artifact, plain_value
from dw_lsp.planning.called_workflows import (
    Source,
    arguments_of_call,
    beside,
    error_in_child,
    handed_name,
    read_called,
    understand_waiting,
    waits,
)
from dw_lsp.planning.counts import Counts
from dw_lsp.planning.estimate import PipelineCall, pipeline_calls
from dw_lsp.planning.file_contents import with_contents
from dw_lsp.planning.output_names import safe_name
from dw_lsp.planning.recall import LARGEST_SEED, Recall, listed
from dw_lsp.planning.requirements import RequiredComponent, RequiredPipeline, lora_parts
from dw_lsp.planning.result_files import result_files, segment_files
from dw_lsp.planning.step_keys import base_seed, takes_no_generator
from dw_lsp.planning.step_store import StepStore
from dw_lsp.planning.taken_parts import taken_parts
from dw_lsp.planning.task_models import DRAWN, models_of, required_of
from dw_lsp.protocol import Component
from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.references import RESULTS, references_in
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep, ResolvedWorkflow

_NONE: frozenset[str] = frozenset()
#: A workflow that is called more often is walked through once, with what is the same in all calls.
_MOST_WALKS = 1000


@dataclass(frozen=True)
class PlannedStep:
    """A step that would be run: `iterations` is `None` where that depends on what an earlier step will give.

    `seed` is that of its first iteration; `None` where there is none, or it will be drawn. `steps` are those of a
    called workflow.
    """

    name: str
    kind: str
    iterations: int | None
    outcome: Literal["run", "reuse"]
    seed: int | None = None
    steps: tuple[PlannedStep, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The step as `dw.plan` answers it."""
        told: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "iterations": self.iterations,
            "outcome": self.outcome,
            "seed": self.seed,
        }
        return {**told, "steps": [step.to_json() for step in self.steps]} if self.steps else told


@dataclass(frozen=True)
class Known:
    """What is known beside the workflows: the steps that are remembered, and the classes that are installed.

    Of the worker: the kind of its device, and the components in its memory by key.
    """

    store: StepStore | None = None
    catalog: Catalog | None = None
    device: str = "cpu"
    residency: Mapping[str, Component] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """What a walk has come across: components that are needed, by key, and all; calls; files in the run's folder.

    `unjudged` are the names of steps that depend on values which are not known yet. Grows as the walk goes on.
    """

    needed: dict[str, RequiredComponent] = field(default_factory=dict)
    known: list[RequiredComponent] = field(default_factory=list)
    calls: list[PipelineCall] = field(default_factory=list)
    files: list[PurePath] = field(default_factory=list)
    unjudged: list[str] = field(default_factory=list)

    def add(self, other: Found, times: int) -> None:
        """Put in what was found in a called workflow. Arguments: how often its files are written."""
        self.needed.update(other.needed)
        self.known.extend(other.known)
        self.calls.extend(other.calls)
        self.files.extend(other.files * times)
        self.unjudged.extend(other.unjudged)


@dataclass(frozen=True)
class _Caller:
    """What a called workflow is told: the files that are being run, what stands before its files' names, its values.

    `handed` are artifacts by the name that they are read under; `waiting` the names of what is not known yet.
    """

    running: tuple[Path, ...] = ()
    prefix: str = ""
    handed: Mapping[str, Artifact] = field(default_factory=dict)
    waiting: frozenset[str] = _NONE


class Walk:
    """A walk through steps of one workflow.

    Arguments: the workflow, and those of its steps that are to be run; the folder of its file; what is known beside
    these; the run's seed, if it is known; where everything that is found is put; who calls it.
    """

    def __init__(
        self,
        workflow: ResolvedWorkflow,
        steps: Sequence[ResolvedStep],
        folder: Path | None,
        known: Known,
        seed: int | None,
        found: Found,
        caller: _Caller | None = None,
    ):
        self._workflow, self._steps, self._folder, self._known = workflow, steps, folder, known
        self._seed, self._found, self._caller = seed, found, caller or _Caller()
        handed, waiting = self._caller.handed, self._caller.waiting
        self._required: dict[str, RequiredPipeline] = {}
        self._taken: dict[str, RequiredPipeline] = {}
        self._shared: dict[str, RequiredComponent] = {}
        self._unjudged: set[str] = set()
        self._counts = Counts((*handed, *waiting))
        self._recall = Recall(known.store, folder, lambda step: self._required[step.name], seed, handed)

    def planned(self) -> tuple[PlannedStep, ...]:
        """The steps, in their order."""
        planned = tuple(self._step(step) for step in self._steps)
        running = [step for step, told in zip(self._steps, planned, strict=True) if told.outcome == "run"]
        by_name = {step.name: step for step in self._steps}
        defined = {name: (by_name[name], each) for name, each in self._taken.items()}
        self._found.calls.extend(pipeline_calls(running, defined))
        return planned

    def _step(self, step: ResolvedStep) -> PlannedStep:
        if waits(step, self._caller.waiting) or step.body.get("reference_name") in self._unjudged:
            self._unjudged.add(step.name)
            self._found.unjudged.append(step.name)
            self._counts.add(step)
            return PlannedStep(step.name, step.kind, self._counts.iterations(step), "run")
        if step.kind == "workflow":
            return self._called(step)
        if step.kind == "pipeline" or models_of(step):
            required = self._required[step.name] = required_of(step, self._folder, self._known.device)
            # Its parts and its key are those of the whole model, its needs those of its class.
            reused_names = listed(step, "reused_components")
            self._taken[step.name] = taken_parts(step, required, reused_names, self._known.catalog)
        reused = self._recall.remembers(step)
        self._need(step, reused)
        known = self._recall.artifacts(step)
        self._counts.add(step, None if known is None else len(known))
        if not reused:
            self._found.files.extend(segment_files(self._workflow.id, step, self._counts, self._caller.prefix))
        self._found.files.extend(result_files(self._workflow.id, step, self._counts, self._caller.prefix))
        outcome: Literal["run", "reuse"] = "reuse" if reused else "run"
        return PlannedStep(step.name, step.kind, self._counts.iterations(step), outcome, self._seed_of(step))

    def _seed_of(self, step: ResolvedStep) -> int | None:
        if step.kind == "task" and step.body.get("command") not in DRAWN:
            return None
        return None if takes_no_generator(step) else base_seed(step, step.body, self._seed)

    def _need(self, step: ResolvedStep, reused: bool) -> None:
        """Note the components of a step; those too that other steps define for it."""
        defined = self._taken.get(str(step.body.get("reference_name", step.name)))
        if defined is None:
            return
        defined = with_contents(defined, self._known.residency)
        taken = {name: self._shared[name] for name in listed(step, "reused_components") if name in self._shared}
        parts = {part.name: part for part in defined.parts} | taken
        self._shared.update({name: parts[name] for name in listed(step, "shared_components") if name in parts})
        self._found.known.extend((*parts.values(), *lora_parts(defined)))
        if not reused:
            self._found.needed.update({part.key: part for part in (*parts.values(), *lora_parts(defined))})

    # ------------------------------------------------------------ called workflows

    def _called(self, step: ResolvedStep) -> PlannedStep:
        child = read_called(step, self._caller.running, lambda name: beside(self._folder, name))
        arguments, calls = arguments_of_call(step), self._recall.calls(step)
        if calls is not None and len(calls) > _MOST_WALKS:
            calls = None
        try:
            walks = [
                self._inside(step, child, values if isinstance(values, dict) else {}, index)
                for index, values in enumerate([arguments] if calls is None else calls)
            ]
        except InvalidInput as error:
            raise error_in_child(error, child, step) from error
        return self._told(step, [each for each in walks if each is not None], calls is not None)

    def _inside(
        self, step: ResolvedStep, child: Source, values: Mapping[str, object], index: int
    ) -> _CalledWalk | None:
        """A walk through a called workflow; `None` where nothing can be said before all its values are known."""
        plain, handed, waiting = _handed_over(values)
        workflow = understand_waiting(child, plain, waiting)
        if workflow is None:
            return None
        given = base_seed(step, {}, self._seed)
        seed = workflow.seed
        if seed is None and given is not None:
            seed = (given + index) % LARGEST_SEED
        caller = _Caller(
            child.running,
            f"{self._caller.prefix}{safe_name(step.name)}.",
            {handed_name(name): artifact for name, artifact in handed.items()},
            frozenset(map(handed_name, waiting)),
        )
        found = Found()
        walk = Walk(workflow, workflow.steps, child.folder, self._known, seed, found, caller)
        steps, last = walk.planned(), workflow.steps[-1]
        return _CalledWalk(steps, found, walk._recall.artifacts(last), walk._counts.results(last), seed)

    def _told(self, step: ResolvedStep, walks: Sequence[_CalledWalk], each_call: bool) -> PlannedStep:
        """A step as its walks have found it. Arguments: whether there was one for each of its calls, or one for all."""
        gives = [each.artifacts for each in walks]
        is_known = each_call and bool(walks) and None not in gives
        self._recall.note(step, [artifact for artifacts in gives for artifact in artifacts or ()] if is_known else None)
        self._counts.add(step)
        iterations = self._counts.iterations(step)
        times, counts = 1 if each_call else iterations, [each.count for each in walks]
        if times is not None and walks and None not in counts:
            self._counts.add(step, times * sum(count or 0 for count in counts))
        for each in walks:
            self._found.add(each.found, times or 0)
        self._found.unjudged.extend([] if walks else [step.name])
        self._found.files.extend(result_files(self._workflow.id, step, self._counts, self._caller.prefix))
        steps = tuple(map(_merged, zip(*(each.steps for each in walks), strict=True)))
        outcome: Literal["run", "reuse"] = "reuse" if steps and _all_reused(steps) else "run"
        return PlannedStep(step.name, step.kind, iterations, outcome, walks[0].seed if walks else None, steps)


@dataclass(frozen=True)
class _CalledWalk:
    """What a walk through a called workflow has found: its steps, what its last step gives and how much, its seed."""

    steps: tuple[PlannedStep, ...]
    found: Found
    artifacts: list[Artifact] | None
    count: int | None
    seed: int | None


def _merged(rounds: Sequence[PlannedStep]) -> PlannedStep:
    """A step of a called workflow: as in its first call, remembered if it is in all of them."""
    inner = tuple(map(_merged, zip(*(each.steps for each in rounds), strict=True)))
    return replace(rounds[0], outcome="reuse" if _all_reused(rounds) else "run", steps=inner)


def _all_reused(steps: Sequence[PlannedStep]) -> bool:
    return all(step.outcome == "reuse" for step in steps)


def _handed_over(values: Mapping[str, object]) -> tuple[dict[str, Value], dict[str, Artifact], frozenset[str]]:
    """The values of a call by variable: those that a text can hold, artifacts, and the names of what is not known."""
    plain: dict[str, Value] = {}
    handed: dict[str, Artifact] = {}
    for name, value in values.items():
        if any(reference.kind == "previous_result" for reference in references_in(value)):
            continue
        if (known := plain_value(value)) is not None:
            plain[name] = known[0]
        elif isinstance(value, Artifact):
            handed[name] = value
            plain[name] = RESULTS + handed_name(name)
    return plain, handed, frozenset(values.keys() - plain.keys())
