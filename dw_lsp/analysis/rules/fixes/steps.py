"""Fixes of steps as a whole: their kind, their name."""

from __future__ import annotations

from dw_lsp.analysis.findings import Fix
from dw_lsp.analysis.rules.fixes.names import free_name
from dw_lsp.analysis.rules.fixes.placeholders import skeleton
from dw_lsp.text.edits import Edit, insert_member, remove_member
from dw_lsp.text.syntax_tree import Object, Value
from dw_lsp.text.writing import quote
from dw_lsp.workflow.model import Step, Workflow
from dw_lsp.workflow.resolved import STEP_KINDS, StepKind


def fix_no_kind(text: str, workflow: Workflow, step: Step) -> tuple[Fix, ...]:
    """Give the step one of the kinds, with all that such a step must have."""
    fixes = []
    for kind in STEP_KINDS:
        body = _body(kind, workflow, step)
        if body is not None:
            edits = insert_member(text, step.node, kind, body, "result" if step.node.member("result") else None)
            fixes.append(Fix(f"Add `{kind}`", edits))
    return tuple(fixes)


def _body(kind: StepKind, workflow: Workflow, step: Step) -> Value:
    """What stands under the key of a kind; `None` for a reference where there is no pipeline to refer to."""
    body = skeleton(kind)
    if kind == "pipeline_reference" and isinstance(body, dict):
        names = [other.name.value for other in workflow.steps[: step.index] if other.kind == "pipeline" and other.name]
        return {**body, "reference_name": names[-1]} if names else None
    return body


def fix_several_kinds(text: str, node: Object, kinds: tuple[StepKind, ...], extra: StepKind) -> tuple[Fix, ...]:
    """Remove the one that is too many, or the one before it."""
    members = [member for kind in (extra, kinds[0]) if (member := node.member(kind)) is not None]
    return tuple(Fix(f"Remove `{member.key.value}`", remove_member(text, node, member)) for member in members)


def fix_duplicate_step(workflow: Workflow, step: Step) -> tuple[Fix, ...]:
    """Give the step a name of its own; references go on to mean the first of that name."""
    if step.name is None:
        return ()
    name = free_name(step.name.value, set(workflow.step_names()))
    return (Fix(f"Rename to `{name}`", (Edit(step.name.range, quote(name)),), preferred=True),)
