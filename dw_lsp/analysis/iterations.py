"""How often the steps of a workflow run and how many results they give, with its variables as they are declared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dw_lsp.planning.counts import Counts
from dw_lsp.text.document import Document, derived
from dw_lsp.workflow.resolved import InvalidInput
from dw_lsp.workflow.substitution import resolve


@dataclass(frozen=True)
class StepCounts:
    """How often a step runs, and how many results it gives; `None` where the text does not tell."""

    iterations: int | None = None
    results: int | None = None


@derived
def step_counts(document: Document) -> Mapping[str, StepCounts]:
    """How often each step runs, by its name; nothing for a workflow that cannot be run as it is."""
    try:
        workflow = resolve(document.root, {})
    except InvalidInput:
        return {}
    counts = Counts()
    for step in workflow.steps:
        counts.add(step)
    return {step.name: StepCounts(counts.iterations(step), counts.results(step)) for step in workflow.steps}
