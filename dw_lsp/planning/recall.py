"""Which steps of a run are remembered, so that they would not run again: the worker's decision, made without a worker.

A step whose inputs are not known, because an earlier step would run, counts as one that runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dw_lsp.planning.artifact import Artifact, ObjectArtifact, member_of, plain_value
from dw_lsp.planning.chains import chain_of, chained_arguments
from dw_lsp.planning.input_files import InputFiles
from dw_lsp.planning.requirements import RequiredPipeline
from dw_lsp.planning.step_keys import (
    base_seed,
    iteration_key,
    path_arguments,
    pipeline_definition,
    takes_no_generator,
    task_definition,
)
from dw_lsp.planning.step_store import StepStore
from dw_lsp.planning.task_models import DRAWN, models_of, required_of
from dw_lsp.text.parser import parse
from dw_lsp.text.syntax_tree import Node, Value
from dw_lsp.workflow.iteration import combinations
from dw_lsp.workflow.references import Reference, parse_reference, split_result
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep
from dw_lsp.workflow.substitution import resolve

LARGEST_SEED = 2**64


_DEEPEST = 16
_LARGEST_FILE = 50 * 1024 * 1024


class _Unknown(Exception):
    """Something that decides a key is known only once the run is under way."""


@dataclass(frozen=True)
class Caller:
    """What a called workflow is handed: artifacts by the name they are read under; the files that are being run."""

    above: tuple[Path, ...] = ()
    handed: Mapping[str, Artifact] = field(default_factory=dict)


class Recall:
    """Recalls the steps of one workflow, in their order.

    Arguments: the store; the folder of the workflow file; the components that a pipeline step or a task needs; the
    run's seed (`None`: one that is yet to be drawn); what a calling workflow hands in; the kind of the worker's device.
    """

    def __init__(
        self,
        store: StepStore,
        folder: Path | None,
        required: Callable[[ResolvedStep], RequiredPipeline],
        seed: int | None,
        caller: Caller | None = None,
        device: str = "cpu",
    ):
        self._store, self._folder, self._required, self._seed = store, folder, required, seed
        self._device = device
        self._files, self._around, self._caller = InputFiles(folder), store.surroundings, caller or Caller()
        self._artifacts: dict[str, list[Artifact] | None] = {name: [it] for name, it in self._caller.handed.items()}
        self._pipelines: dict[str, tuple[ResolvedStep, str | None]] = {}
        self._shared: dict[str, str] = {}

    def remembers(self, step: ResolvedStep) -> bool:
        """Whether all iterations of a step would be taken from the store. Raises nothing: what is unclear would run."""
        try:
            found = self._recalled(step)
        except (InvalidInput, _Unknown):
            found = None
        self._artifacts[step.name] = found
        return found is not None

    def _recalled(self, step: ResolvedStep) -> list[Artifact] | None:
        if step.kind == "pipeline":
            self._define(step)
        if self._around is None:
            return None
        if step.kind == "workflow":
            return self._called(step)
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
            entry = None if key is None else self._store.find(key)
            if entry is None:
                return None
            found.extend(entry.artifacts())
        return found or None

    def _task(self, step: ResolvedStep) -> tuple[str | None, int | None]:
        command = str(step.body.get("command"))
        required = self._required(step) if models_of(step) else None
        seed = base_seed(step, step.body, self._seed) if command in DRAWN else None
        if seed is None and command in DRAWN:
            return None, None
        return task_definition(command, command == "gather_inputs" and "inputs" in step.body, required), seed

    def _pipeline(self, step: ResolvedStep) -> tuple[str | None, int | None]:
        definer, definition = self._pipelines.get(str(step.body.get("reference_name", step.name)), (None, None))
        seed = base_seed(step, step.body, self._seed)
        if definer is None or seed is None or takes_no_generator(step):
            return None, None
        return definition, seed

    def _called(self, step: ResolvedStep) -> list[Artifact] | None:
        """The artifacts of a called workflow, if all of its steps are remembered."""
        path = self._path_of(str(step.body.get("path")))
        found: list[Artifact] = []
        for index, arguments in enumerate(combinations(step.body.get("arguments") or {}, self._of)):
            if not isinstance(arguments, dict):
                return None
            plain, handed = _handed_over(arguments)
            workflow = resolve(_read(path), plain)
            given = base_seed(step, {}, self._seed) if workflow.seed is None else None
            seed = workflow.seed if given is None else (given + index) % LARGEST_SEED
            inner = Recall(
                self._store,
                path.parent,
                _required_in(path.parent, self._device),
                seed,
                Caller((*self._caller.above, path), handed),
                self._device,
            )
            for each in workflow.steps:
                if not inner.remembers(each):
                    return None
            found.extend(inner._artifacts[workflow.steps[-1].name] or ())
        return found or None

    def _path_of(self, name: str) -> Path:
        path = Path(os.path.realpath(os.path.join(self._folder or "", os.path.expanduser(name))))
        if not path.is_file() and path.with_name(path.name + ".json").is_file():
            path = path.with_name(path.name + ".json")
        if path in self._caller.above or len(self._caller.above) >= _DEEPEST:
            raise _Unknown
        return path

    def _define(self, step: ResolvedStep) -> None:
        required = self._required(step)
        wanted = listed(step, "reused_components")
        reused = {name: self._shared[name] for name in wanted if name in self._shared}
        self._pipelines[step.name] = (step, pipeline_definition(step, required, reused))
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


def _required_in(folder: Path, device: str) -> Callable[[ResolvedStep], RequiredPipeline]:
    return lambda step: required_of(step, folder, device)


def _read(path: Path) -> Node | None:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise _Unknown
        parsed = parse(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise _Unknown from error
    if parsed.problems:
        raise _Unknown
    return parsed.root


def _handed_over(arguments: Mapping[str, object]) -> tuple[dict[str, Value], dict[str, Artifact]]:
    plain: dict[str, Value] = {}
    handed: dict[str, Artifact] = {}
    for name, value in arguments.items():
        known = plain_value(value)
        if known is not None:
            plain[name] = known[0]
        elif isinstance(value, Artifact):
            handed[f"@{name}"] = value
            plain[name] = f"previous_result:@{name}"
        else:
            raise _Unknown
    return plain, handed
