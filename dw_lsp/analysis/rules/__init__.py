"""All rules: `CHECKS` are the functions that find, `RULES` what the documentation says of each code."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dw_lsp.analysis.findings import Finding, Rule
from dw_lsp.analysis.rules import (
    arguments,
    call_arguments,
    classes,
    deprecated,
    reference_text,
    references,
    results,
    sharing,
    steps,
    structure,
    sub_workflows,
    syntax,
    tasks,
    values,
    variable_types,
)
from dw_lsp.analysis.rules.context import Context

Check = Callable[[Context], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    syntax.syntax,
    syntax.duplicate_key,
    structure.structure,
    steps.step_kind,
    steps.duplicate_step,
    references.unknown_variable,
    references.unused_variable,
    references.unknown_step,
    references.step_order,
    classes.classes,
    classes.modules,
    call_arguments.call_arguments,
    call_arguments.components,
    tasks.tasks,
    sub_workflows.sub_workflow_arguments,
    results.content_type,
    results.unknown_result_property,
    results.ineffective_step,
    sharing.unshared_component,
    sharing.released_pipeline,
    deprecated.deprecated_value,
    reference_text.reference_in_text,
    variable_types.variable_type,
)
RULES: tuple[Rule, ...] = (
    syntax.SYNTAX,
    syntax.DUPLICATE_KEY,
    structure.MISSING_PROPERTY,
    structure.UNKNOWN_PROPERTY,
    values.WRONG_TYPE,
    values.INVALID_VALUE,
    structure.EXCLUSIVE_PROPERTIES,
    steps.STEP_KIND,
    steps.DUPLICATE_STEP,
    references.UNKNOWN_VARIABLE,
    references.UNUSED_VARIABLE,
    references.UNKNOWN_STEP,
    references.STEP_ORDER,
    classes.UNKNOWN_CLASS,
    classes.NOT_INSTALLED,
    classes.WRONG_CLASS,
    arguments.UNKNOWN_ARGUMENT,
    arguments.MISSING_ARGUMENT,
    arguments.ARGUMENT_TYPE,
    tasks.UNKNOWN_TASK,
    results.CONTENT_TYPE,
    results.UNKNOWN_RESULT_PROPERTY,
    results.INEFFECTIVE_STEP,
    sharing.UNSHARED_COMPONENT,
    sharing.RELEASED_PIPELINE,
    deprecated.DEPRECATED_PROPERTY,
    reference_text.REFERENCE_IN_TEXT,
    variable_types.VARIABLE_TYPE,
)
