"""What a run will need, told when it begins: the most demanding call of its workflow and of those that it calls."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from dw_lsp.planning.estimate import PipelineCall, estimate, pipeline_calls
from dw_lsp.planning.measured import Measurements
from dw_lsp.planning.requirements import RequiredPipeline
from dw_lsp.protocol import RunEstimate
from dw_lsp.worker.engine.pipelines import component_names
from dw_lsp.worker.engine.prepare import PreparedPipeline, PreparedWorkflow


def run_estimate(prepared: PreparedWorkflow, device: str, known: Measurements) -> RunEstimate | None:
    """The need of a run; `None` where a model, or a value that chooses one, is not here yet."""
    found = None if prepared.open else estimate(list(_calls(prepared)), device, known)
    return None if found is None else RunEstimate(found.need, found.weights, found.computing, found.measured)


def _calls(prepared: PreparedWorkflow) -> Iterator[PipelineCall]:
    with_models = {**prepared.pipelines, **prepared.tasks}
    # Steps of one definition share what they require, and are estimated once.
    taken = {id(each.required): _taken(each) for each in with_models.values()}
    defined = {name: (each.step, taken[id(each.required)]) for name, each in with_models.items()}
    yield from pipeline_calls(prepared.steps, defined)
    for called in prepared.called:
        yield from _calls(called)


def _taken(prepared: PreparedPipeline) -> RequiredPipeline:
    """What a step requires without the parts of its model that its class has no use for."""
    required = prepared.required
    names = None if prepared.chosen is None or required.model is None else component_names(prepared.chosen)
    if names is None:
        return required
    return dataclasses.replace(required, parts=tuple(part for part in required.parts if part.name in names))
