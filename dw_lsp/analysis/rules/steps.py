"""Rules on the steps as a whole: what kind each is, and that each has a name of its own."""

from __future__ import annotations

from collections.abc import Iterator

from dw_lsp.analysis.findings import Finding, Related, Rule
from dw_lsp.analysis.rules.context import Context, finding, narrow
from dw_lsp.analysis.rules.fixes.steps import fix_duplicate_step, fix_no_kind, fix_several_kinds
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
    workflow, text = context.workflow, context.document.text
    for step in workflow.steps if workflow else ():
        if not step.kinds and workflow:
            place = step.name.range if step.name else narrow(step.node)
            message = f"This step does nothing; it needs one of {wanted}."
            yield finding(STEP_KIND, place, message, fixes=fix_no_kind(text, workflow, step))
        for extra in step.kinds[1:]:
            member, first = step.node.member(extra), step.node.member(step.kinds[0])
            if member is not None and first is not None:
                related = Related(first.key.range, f"already a {step.kinds[0]} step")
                message = f"A step has just one of {wanted}; make `{extra}` a step of its own."
                fixes = fix_several_kinds(text, step.node, step.kinds, extra)
                yield finding(STEP_KIND, member.key.range, message, (related,), fixes=fixes)


def duplicate_step(context: Context) -> Iterator[Finding]:
    """Steps whose name an earlier step has already."""
    first: dict[str, Range] = {}
    workflow = context.workflow
    for step in workflow.steps if workflow else ():
        if workflow and step.name is not None and step.name.value:
            earlier = first.setdefault(step.name.value, step.name.range)
            if earlier != step.name.range:
                message = f"Another step is named `{step.name.value}` already; names of steps are unique."
                related = Related(earlier, "the first one")
                fixes = fix_duplicate_step(workflow, step)
                yield finding(DUPLICATE_STEP, step.name.range, message, (related,), fixes=fixes)
