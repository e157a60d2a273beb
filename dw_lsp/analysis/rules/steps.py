"""Rules on the steps as a whole: what kind each is, and that each has a name of its own."""

from __future__ import annotations

from collections.abc import Iterator

from dw_lsp.analysis.findings import Finding, Related, Rule
from dw_lsp.analysis.rules.context import Context, finding, narrow
from dw_lsp.text.syntax_tree import Range
from dw_lsp.workflow.resolved import STEP_KINDS

STEP_KIND = Rule(
    "step-kind",
    "error",
    "A step does not say what kind it is, or says it twice.",
    "A step is exactly one of pipeline, pipeline_reference, task and workflow.",
    '{ "name": "draw" }',
    "Give the step one of the four keys, or part it in two.",
)
DUPLICATE_STEP = Rule(
    "duplicate-step",
    "error",
    "Two steps have one name.",
    "The results of the second would take the place of the first's without a word.",
    '[{ "name": "draw", ... }, { "name": "draw", ... }]',
    "Rename one of them, and the references to it.",
)


def step_kind(context: Context) -> Iterator[Finding]:
    """Steps that are of no kind, or of several."""
    wanted = ", ".join(f"`{kind}`" for kind in STEP_KINDS)
    for step in context.workflow.steps if context.workflow else ():
        if not step.kinds:
            place = step.name.range if step.name else narrow(step.node)
            yield finding(STEP_KIND, place, f"This step does nothing; it needs one of {wanted}.")
        for extra in step.kinds[1:]:
            member, first = step.node.member(extra), step.node.member(step.kinds[0])
            if member is not None and first is not None:
                related = Related(first.key.range, f"already a {step.kinds[0]} step")
                message = f"A step has just one of {wanted}; make `{extra}` a step of its own."
                yield finding(STEP_KIND, member.key.range, message, (related,))


def duplicate_step(context: Context) -> Iterator[Finding]:
    """Steps whose name an earlier step has already."""
    first: dict[str, Range] = {}
    for step in context.workflow.steps if context.workflow else ():
        if step.name is not None and step.name.value:
            earlier = first.setdefault(step.name.value, step.name.range)
            if earlier != step.name.range:
                message = f"Another step is named `{step.name.value}` already; names of steps are unique."
                yield finding(DUPLICATE_STEP, step.name.range, message, (Related(earlier, "the first one"),))
