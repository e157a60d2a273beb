"""Asking the store for what a step would give: its keys in this run, remembered iterations in the form of new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dw_lsp.planning.chains import Chain, Round, chained_arguments
from dw_lsp.planning.input_files import names_media
from dw_lsp.planning.step_keys import (
    DECODING,
    iteration_key,
    path_arguments,
    pipeline_definition,
    task_definition,
    weighs_prompts,
)
from dw_lsp.worker.engine.artifact_codec import Contents, encode
from dw_lsp.worker.engine.prepare import PreparedPipeline, PreparedWorkflow
from dw_lsp.worker.engine.progress import StepReporter
from dw_lsp.worker.engine.publishing import Iteration
from dw_lsp.worker.engine.run_context import RunContext
from dw_lsp.worker.engine.sources import obtain
from dw_lsp.workflow.resolved import ResolvedStep

#: Seeds are numbers of 64 bits; counting on from the last one begins at 0 again.
LARGEST_SEED = 2**64
_NOTHING: frozenset[str] = frozenset()


class IterationKeys:
    """The keys of one workflow's iterations. Arguments: the checked workflow; the run's surroundings."""

    def __init__(self, prepared: PreparedWorkflow, context: RunContext):
        self._prepared, self._context = prepared, context
        self._files = context.files_of(prepared.source.folder)
        self._pipelines: dict[str, PreparedPipeline] = dict(prepared.pipelines)
        self._definitions: dict[tuple[object, ...], str | None] = {}

    def pipeline_of(self, step: ResolvedStep, reporter: StepReporter) -> PreparedPipeline:
        """The pipeline that a step calls, once its models are on this machine: only then is it known what they are."""
        name = str(step.body.get("reference_name", step.name))
        self._pipelines[name] = obtain(self._pipelines[name], self._context, reporter)
        return self._pipelines[name]

    def models_of(self, step: ResolvedStep, reporter: StepReporter) -> PreparedPipeline | None:
        """The models of a task, once they are on this machine; `None` for a task without."""
        prepared = self._prepared.tasks.get(step.name)
        return None if prepared is None else obtain(prepared, self._context, reporter)

    def of_pipeline(
        self, step: ResolvedStep, definer: PreparedPipeline, arguments: Any, seed: int | None
    ) -> str | None:
        """The key of one call by a step; `None` if no two such calls are the same."""
        definition = None if seed is None else self._definition(step, definer)
        return None if definition is None else self._key(definition, arguments, seed, _NOTHING)

    def of_chain(self, step: ResolvedStep, definer: PreparedPipeline, chain: Chain, turn: Round) -> str | None:
        """The key of a whole chain: of the film that its segments are joined to."""
        definition = None if turn.seed is None else self._definition(step, definer)
        if definition is None:
            return None
        return self._key(
            chain.definition(definition), chained_arguments(turn.arguments, turn.prompts), turn.seed, _NOTHING
        )

    def of_latents(self, step: ResolvedStep, definer: PreparedPipeline, arguments: Any, seed: int | None) -> str | None:
        """The key of what one call denoises: how that is decoded then does not count, unless pictures are encoded."""
        encoded = isinstance(arguments, dict) and any(names_media(key) for key in arguments)
        definition = None if seed is None else self._definition(step, definer, _NOTHING if encoded else DECODING)
        return None if definition is None else self._key(f"latents {definition}", arguments, seed, _NOTHING)

    def of_task(
        self,
        command: str,
        whole_items: bool,
        arguments: Any,
        models: PreparedPipeline | None = None,
        seed: int | None = None,
    ) -> str | None:
        """The key of one call of a task. Arguments: `models` are those that it computes with, `seed` that of a draw."""
        definition = task_definition(command, whole_items, None if models is None else models.required)
        return None if definition is None else self._key(definition, arguments, seed, path_arguments(command))

    def owner_of(self, name: str, reader: PreparedPipeline) -> PreparedPipeline | None:
        """The step before `reader` that shares a component of that name."""
        before = [
            pipeline
            for pipeline in self._pipelines.values()
            if pipeline.step.index < reader.step.index and name in pipeline.shared
        ]
        last = max(before, key=lambda pipeline: pipeline.step.index, default=None)
        return self.owner_of(name, last) or last if last is not None and name in last.reused else last

    def recall(self, key: str | None) -> Iteration | None:
        """What is remembered under a key, as an iteration."""
        entry = None if key is None else self._context.memory.find(key)
        if entry is None:
            return None
        return Iteration(entry.artifacts(), entry.seed, entry.separate, reused=True, key=key)

    def _key(self, definition: str, arguments: Any, seed: int | None, paths: frozenset[str]) -> str | None:
        return iteration_key(definition, arguments, seed, self._context.surroundings, self._files, paths)

    def _definition(
        self, step: ResolvedStep, definer: PreparedPipeline, without: frozenset[str] = _NOTHING
    ) -> str | None:
        reused = self._reused_keys(definer) if definer.reused else {}
        weighting = weighs_prompts(step)
        # Steps with the same definition have the same components: `prepare` has looked at their files once.
        known = (id(definer.required), without, weighting, *sorted(reused.items()))
        if known not in self._definitions:
            self._definitions[known] = pipeline_definition(definer.step, definer.required, reused, without, weighting)
        return self._definitions[known]

    def _reused_keys(self, definer: PreparedPipeline) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for name in definer.reused:
            owner = self.owner_of(name, definer)
            part = owner.required.part(name) if owner is not None else None
            if part is not None:
                found[name] = part.key
        return found


def fresh(
    results: Sequence[Any], key: str | None, seed: int | None, seconds: float, *, separate: bool = False
) -> Iteration:
    """What a call gave, in the form that is published and remembered. What has no content to compare is forgotten."""
    contents: Contents = {}
    artifacts = [encode(result, contents) for result in results]
    if any(artifact.digest is None for artifact in artifacts):
        key = None
    return Iteration(artifacts, seed, separate, key=key, contents=contents, seconds=seconds)
