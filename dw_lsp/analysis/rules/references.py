"""Rules on what refers to what: variables, and the results of earlier steps."""

from __future__ import annotations

from collections.abc import Iterator

from dw_lsp.analysis.findings import Finding, Related, Rule
from dw_lsp.analysis.rules.context import Context, asked, finding, nearest
from dw_lsp.analysis.rules.fixes.references import (
    fix_step_order,
    fix_unknown_step,
    fix_unknown_variable,
    fix_unused_variable,
)
from dw_lsp.text.syntax_tree import Array, Node, Object, String
from dw_lsp.workflow.model import Step, Use, Workflow
from dw_lsp.workflow.references import split_result, words_behind

UNKNOWN_VARIABLE = Rule(
    "unknown-variable",
    "error",
    "A reference to a variable that is not declared.",
    "The workflow stops where the value is needed.",
    '"prompt": "variable:promt"',
    "Correct the name, or declare the variable under `variables`.",
)
UNUSED_VARIABLE = Rule(
    "unused-variable",
    "hint",
    "A variable that nothing refers to.",
    "Setting it has no effect; often its name is misspelt somewhere.",
    '"variables": { "promt": "a cat" }',
    "Refer to it, or remove it.",
)
UNKNOWN_STEP = Rule(
    "unknown-step",
    "error",
    "A reference to a step that does not exist.",
    "The workflow stops when the step is reached, after all that came before it.",
    '"image": "previous_result:darft"',
    "Correct the name.",
)
STEP_ORDER = Rule(
    "step-order",
    "error",
    "A reference to this or a later step.",
    "Steps run strictly in order: a step sees the results of earlier steps only.",
    '[{ "name": "a", ... "previous_result:b" }, { "name": "b", ... }]',
    "Move the step that is referred to before this one.",
)
_RESULT_KINDS = frozenset({"previous_result", "gather"})


def unknown_variable(context: Context) -> Iterator[Finding]:
    """References to variables that are not declared."""
    workflow = context.workflow
    if workflow is None:
        return
    declared = {variable.name for variable in workflow.variables}
    for use in workflow.uses:
        name = use.reference.name
        # A name with words behind it is a reference in text, and told as that.
        if use.reference.kind == "variable" and name not in declared and not words_behind(use.reference, declared):
            if not declared:
                near, message = None, f"The variable `{name}` is not declared: this workflow declares none."
            else:
                near = nearest(name, declared)
                message = f"The variable `{name}` is not declared.{asked(near)}"
            fixes = fix_unknown_variable(context.document, workflow, use, near)
            yield finding(UNKNOWN_VARIABLE, use.node.range, message, fixes=fixes)


def unused_variable(context: Context) -> Iterator[Finding]:
    """Declared variables that nothing refers to."""
    workflow = context.workflow
    if workflow is None:
        return
    used = {use.reference.name for use in workflow.uses if use.reference.kind in ("variable", "constraint")}
    used |= named_in_catalogue(workflow.root)
    for variable in workflow.variables:
        if variable.name not in used:
            message = f"The variable `{variable.name}` is not used."
            fixes = fix_unused_variable(context.document, workflow, variable)
            yield finding(UNUSED_VARIABLE, variable.member.key.range, message, tags=("unnecessary",), fixes=fixes)


def named_in_catalogue(root: Object) -> set[str]:
    """Variables that the catalogue's keys name without a prefix."""
    names = set(_texts(root.get("cost_drivers")))
    estimate, constraints = root.get("vram_estimate"), root.get("variable_constraints")
    if isinstance(estimate, Object):
        names |= set(_texts(estimate.get("voxel_variables")))
    if isinstance(constraints, Object):
        names |= {member.key.value for member in constraints.members}
    return names


def _texts(node: Node | None) -> Iterator[str]:
    for item in node.items if isinstance(node, Array) else ():
        if isinstance(item, String):
            yield item.value


def unknown_step(context: Context) -> Iterator[Finding]:
    """References to steps that do not exist."""
    workflow = context.workflow
    for use, name, step in step_uses(workflow):
        if step is None and workflow is not None and not words_behind(use.reference, workflow.step_names()):
            known = [] if use.step is None else _names_before(workflow, use.step)
            near = nearest(name, known or workflow.step_names())
            message = f"There is no step `{name}`.{asked(near)}"
            yield finding(UNKNOWN_STEP, use.node.range, message, fixes=fix_unknown_step(use, name, near))


def step_order(context: Context) -> Iterator[Finding]:
    """References from a step to itself or to a later one."""
    workflow, needs = context.workflow, None
    for use, name, step in step_uses(workflow):
        if step is not None and use.step is not None and step.index >= use.step and step.name is not None and workflow:
            where = "this very step" if step.index == use.step else "a later step"
            message = f"`{name}` is {where}; a step sees the results of earlier steps only."
            related = Related(step.name.range, f"step `{name}`")
            needs = _needs(workflow) if needs is None else needs
            fixes = fix_step_order(context.document, workflow, use, step, needs)
            yield finding(STEP_ORDER, use.node.range, message, (related,), fixes=fixes)


def _needs(workflow: Workflow) -> dict[int, set[int]]:
    """Which steps each step refers to, as indices."""
    needs: dict[int, set[int]] = {}
    for use, _, step in step_uses(workflow):
        if step is not None and use.step is not None:
            needs.setdefault(use.step, set()).add(step.index)
    return needs


def step_uses(workflow: Workflow | None) -> Iterator[tuple[Use, str, Step | None]]:
    """Every reference to a step's results: the reference, the step's name, and the first step of that name."""
    if workflow is None:
        return
    steps: dict[str, Step] = {}
    for step in workflow.steps:
        if step.name is not None:
            steps.setdefault(step.name.value, step)
    for use in workflow.uses:
        if use.reference.kind in _RESULT_KINDS:
            target = use.reference.target
            name = target if use.bare and target in steps else split_result(target, steps)[0]
            # In a group that was made by for_each, a member is named STEP@KEY.
            yield use, name, steps.get(name) or steps.get(name.partition("@")[0])


def _names_before(workflow: Workflow, index: int) -> list[str]:
    return [step.name.value for step in workflow.steps if step.name is not None and step.index < index]
