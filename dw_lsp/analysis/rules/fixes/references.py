"""Fixes of references: another name, a variable declared or removed, a step moved."""

from __future__ import annotations

from dw_lsp.analysis.findings import Fix
from dw_lsp.analysis.rules.fixes.names import change_to
from dw_lsp.analysis.rules.fixes.placeholders import variable_default
from dw_lsp.text.cursor import locate
from dw_lsp.text.document import Document
from dw_lsp.text.edits import insert_member, move_item, remove_member
from dw_lsp.text.syntax_tree import Array, Object, Value
from dw_lsp.workflow.model import Step, Use, Variable, Workflow


def fix_unknown_variable(document: Document, workflow: Workflow, use: Use, near: str | None) -> tuple[Fix, ...]:
    """Change the name to the near one, or declare the variable."""
    name = use.reference.name
    renamed = change_to(use.node.range, name, near, before="variable:")
    declared = _declared(document, workflow, use) if name else None
    return renamed if declared is None else (*renamed, declared)


def _declared(document: Document, workflow: Workflow, use: Use) -> Fix | None:
    name, text, block = use.reference.name, document.text, workflow.root.get("variables")
    path = locate(document, use.node.range.start + 1).path
    default: Value = variable_default(workflow.root, path)
    if block is None:
        before = "steps" if workflow.root.member("steps") is not None else None
        edits = insert_member(text, workflow.root, "variables", {name: default}, before)
    elif isinstance(block, Object):
        # The older dialect replaces in the order of the text: a variable that another one needs comes before that.
        user = str(path[1]) if len(path) > 1 and path[0] == "variables" else None
        edits = insert_member(text, block, name, default, user)
    else:
        return None
    return Fix(f"Declare the variable `{name}`", edits)


def fix_unused_variable(document: Document, workflow: Workflow, variable: Variable) -> tuple[Fix, ...]:
    """Remove the variable. Not certain: it may just not be used yet."""
    block = workflow.root.get("variables")
    if not isinstance(block, Object):
        return ()
    edits = remove_member(document.text, block, variable.member)
    return (Fix(f"Remove the variable `{variable.name}`", edits, preferred=True),)


def fix_unknown_step(use: Use, name: str, near: str | None) -> tuple[Fix, ...]:
    """Change the name to the near one; a property behind it stays."""
    target = use.reference.target
    behind = target[len(name) :] if target.startswith(name) else ""
    return change_to(use.node.range, name, near, "" if use.bare else f"{use.reference.kind}:", behind)


def fix_step_order(
    document: Document, workflow: Workflow, use: Use, step: Step, used: dict[int, set[int]]
) -> tuple[Fix, ...]:
    """Move the step that is referred to before the one that refers to it, if it needs nothing from there on itself.

    Arguments: `used` maps the index of a step to those of the steps that it refers to.
    """
    steps = workflow.root.get("steps")
    if use.step is None or step.index <= use.step or not isinstance(steps, Array) or step.name is None:
        return ()
    if any(needed >= use.step for needed in used.get(step.index, ())):
        return ()
    edits = move_item(document.text, steps, step.index, use.step)
    return (Fix(f"Move the step `{step.name.value}` before this one", edits, preferred=True),)
