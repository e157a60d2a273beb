"""How often the steps of a workflow run and how many results they give, with its variables as they are declared."""

from __future__ import annotations

from dataclasses import dataclass

from dw_lsp.planning.plan import Counts
from dw_lsp.workflow.model import Step, Workflow
from dw_lsp.workflow.resolved import InvalidInput
from dw_lsp.workflow.substitution import resolve


@dataclass(frozen=True)
class StepCounts:
    """How often a step runs, and how many results it gives; `None` where the text does not tell."""

    iterations: int | None = None
    results: int | None = None


UNKNOWN = StepCounts()


def step_counts(workflow: Workflow, step: Step) -> StepCounts:
    """How often a step runs; `UNKNOWN` in a workflow that cannot be run as it is."""
    try:
        resolved = resolve(workflow.root, {})
    except InvalidInput:
        return UNKNOWN
    found = resolved.step(step.name.value) if step.name is not None else None
    if found is None:
        return UNKNOWN
    counts = Counts(resolved)
    return StepCounts(counts.iterations(found), counts.results(found))
