"""Which steps of a run are remembered, so that they would not run again: the worker's decision, made without a worker.

A step whose inputs are not known, because an earlier step would run, counts as one that runs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dw_lsp.planning.artifact import Artifact, ObjectArtifact, member_of
from dw_lsp.planning.chains import chain_of, chained_arguments
from dw_lsp.planning.input_files import InputFiles
from dw_lsp.planning.requirements import RequiredPipeline
from dw_lsp.planning.step_keys import (
    base_seed,
    in_parts,
    iteration_key,
    path_arguments,
    pipeline_definition,
    takes_no_generator,
    task_definition,
    weighs_prompts,
)
from dw_lsp.planning.step_store import Entry, StepStore
from dw_lsp.planning.task_models import DRAWN, models_of
from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.iteration import combinations
from dw_lsp.workflow.references import Reference, parse_reference, split_result
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

LARGEST_SEED = 2**64


class _Unknown(Exception):
    """Something that decides a key is known only once the run is under way."""


class Recall:
    """Recalls the steps of one workflow, in their order.

    Arguments: the store, if there is one; the folder of the workflow file; the components that a pipeline step or a
    task needs; the run's seed (`None`: one that is yet to be drawn); artifacts that a calling workflow hands in.
    """

    def __init__(
        self,
        store: StepStore | None,
        folder: Path | None,
        required: Callable[[ResolvedStep], RequiredPipeline],
        seed: int | None,
        handed: Mapping[str, Artifact],
    ):
        self._store, self._required, self._seed = store, required, seed
        self._files, self._around = InputFiles(folder), None if store is None else store.surroundings
        self._artifacts: dict[str, list[Artifact] | None] = {name: [it] for name, it in handed.items()}
        self._pipelines: dict[str, Callable[[bool], str | None]] = {}
        self._shared: dict[str, str] = {}

    def remembers(self, step: ResolvedStep) -> bool:
        """Whether all iterations of a step would be taken from the store. Raises nothing: what is unclear would run."""
        try:
            found = self._recalled(step)
        except (InvalidInput, _Unknown):
            found = None
        self._artifacts[step.name] = found
        return found is not None

    def note(self, step: ResolvedStep, artifacts: list[Artifact] | None) -> None:
        """What a called workflow gives, where that is known."""
        self._artifacts[step.name] = artifacts

    def artifacts(self, step: ResolvedStep) -> list[Artifact] | None:
        """What a step gives, where that is known."""
        return self._artifacts.get(step.name)

    def calls(self, step: ResolvedStep) -> list[object] | None:
        """The values of each call of a workflow; `None` where they depend on what is not known yet."""
        try:
            return combinations(step.body.get("arguments") or {}, self._of)
        except _Unknown:
            return None

    def _recalled(self, step: ResolvedStep) -> list[Artifact] | None:
        if step.kind == "pipeline":
            self._define(step)
        if self._around is None or self._store is None:
            return None
        definition, seed = self._task(step) if step.kind == "task" else self._pipeline(step)
        if definition is None:
            return None
        chain = chain_of(step) if step.kind != "task" else None
        prompts = [] if chain is None else [self._first(prompt) for prompt in chain.prompts]
        if chain is not None:
            definition = chain.definition(definition)
        found: list[Artifact] = []
        paths = path_arguments(str(step.body.get("command")))
        for index, arguments in enumerate(self._iterations(step)):
            own = None if seed is None else (seed + index) % LARGEST_SEED
            if chain is not None:
                arguments = chained_arguments(arguments, prompts)
            key = iteration_key(definition, arguments, own, self._around, self._files, paths)
            entry = self._found(key) or (self._found(in_parts(key)) if step.kind != "task" else None)
            if entry is None:
                return None
            found.extend(entry.artifacts())
        return found or None

    def _found(self, key: str | None) -> Entry | None:
        return None if key is None or self._store is None else self._store.find(key)

    def _task(self, step: ResolvedStep) -> tuple[str | None, int | None]:
        command = str(step.body.get("command"))
        required = self._required(step) if models_of(step) else None
        seed = base_seed(step, step.body, self._seed) if command in DRAWN else None
        if seed is None and command in DRAWN:
            return None, None
        return task_definition(command, command == "gather_inputs" and "inputs" in step.body, required), seed

    def _pipeline(self, step: ResolvedStep) -> tuple[str | None, int | None]:
        definition = self._pipelines.get(str(step.body.get("reference_name", step.name)))
        seed = base_seed(step, step.body, self._seed)
        if definition is None or seed is None or takes_no_generator(step):
            return None, None
        return definition(weighs_prompts(step)), seed

    def _define(self, step: ResolvedStep) -> None:
        required = self._required(step)
        wanted = listed(step, "reused_components")
        reused = {name: self._shared[name] for name in wanted if name in self._shared}
        self._pipelines[step.name] = functools.cache(
            lambda weighting: pipeline_definition(step, required, reused, weighting=weighting)
        )
        for name in listed(step, "shared_components"):
            part = required.part(name)
            key = reused.get(name) or (part.key if part is not None else None)
            if key is not None:
                self._shared[name] = key

    def _iterations(self, step: ResolvedStep) -> list[object]:
        inputs = step.body.get("inputs") if step.kind == "task" else None
        if inputs is None:
            return combinations(step.body.get("arguments"), self._of)
        items = inputs if isinstance(inputs, list) else [inputs]
        return [each for item in items for each in combinations(item, self._of)]

    def _first(self, value: Value) -> object:
        """A text, or the first of the results that it refers to."""
        reference = parse_reference(value) if isinstance(value, str) else None
        if reference is None or reference.kind != "previous_result":
            return value
        return next(iter(self._of(reference)))

    def _of(self, reference: Reference) -> Sequence[object]:
        name, asked = split_result(reference.target, self._artifacts)
        artifacts = self._artifacts.get(name)
        if artifacts is None:
            raise _Unknown
        if asked is None:
            return artifacts
        found = [(artifact, member_of(artifact, asked)) for artifact in artifacts]
        if any(member is None and not isinstance(artifact, ObjectArtifact) for artifact, member in found):
            raise _Unknown
        return [member for _, member in found if member is not None]


def listed(step: ResolvedStep, key: str) -> list[str]:
    """The names under a key that may stand in the pipeline or in its configuration."""
    configuration = step.body.get("configuration")
    places: list[Value] = [step.body.get(key), configuration.get(key) if isinstance(configuration, dict) else None]
    return [str(name) for value in places if isinstance(value, list) for name in value]
