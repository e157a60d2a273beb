"""Rules on the arguments of other workflows that a step runs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

from dw_lsp.analysis.findings import Finding, Fix, Related
from dw_lsp.analysis.rules.arguments import ARGUMENT_TYPE, UNKNOWN_ARGUMENT
from dw_lsp.analysis.rules.context import Context, finding, meant, narrow, nearest
from dw_lsp.analysis.sub_workflows import called_document, called_path
from dw_lsp.text.document import Document
from dw_lsp.text.edits import Edit
from dw_lsp.text.syntax_tree import Member, Missing, Node, Object, String, Unknown, to_value
from dw_lsp.workflow.conversion import convert
from dw_lsp.workflow.model import Step, Workflow
from dw_lsp.workflow.references import parse_reference
from dw_lsp.workflow.resolved import InvalidInput


def sub_workflow_arguments(context: Context) -> Iterator[Finding]:
    """Arguments that the called workflow declares no variable for, or that its variable cannot be."""
    workflow = context.workflow
    for step in workflow.steps if workflow else ():
        arguments = step.body.get("arguments") if isinstance(step.body, Object) and step.kind == "workflow" else None
        if workflow is None or not isinstance(arguments, Object) or not arguments.members:
            continue
        path = called_path(workflow, step, context.folder)
        called = called_document(context.workspace, path) if path is not None else None
        if called is not None:
            yield from _checked(arguments, called[0], called[1], _by_variable(step))


def _by_variable(step: Step) -> bool:
    """Whether a caller may put another workflow in the place of the one that is read here."""
    path = step.body.get("path") if isinstance(step.body, Object) else None
    return isinstance(path, String) and parse_reference(path.value) is not None


def _checked(arguments: Object, document: Document, called: Workflow, exchangeable: bool) -> Iterator[Finding]:
    variables = {variable.name: variable.member for variable in called.variables}
    if document.parsed.problems:
        return  # What it declares may only be unreadable.
    for member in arguments.members:
        declared = variables.get(member.key.value)
        if declared is not None:
            yield from _value(member, declared, document)
        elif not isinstance(member.value, Missing):
            found = _unknown(member, document, called, variables)
            yield dataclasses.replace(found, severity="warning") if exchangeable or not variables else found


def _unknown(member: Member, document: Document, called: Workflow, variables: dict[str, Member]) -> Finding:
    name, file = member.key.value, document.uri.rpartition("/")[2]
    block = called.root.member("variables")
    if block is None:
        related = Related(called.root.range, "it declares no variables", document)
        message = f"`{file}` has no variable `{name}`: it declares none."
    else:
        related = Related(block.key.range, "its variables", document)
        message = f"`{file}` has no variable `{name}`.{meant(name, variables)}"
    near = nearest(name, variables)
    fix = Fix(f"Change to `{near}`", (Edit(member.key.range, json.dumps(near)),), preferred=True)
    return finding(UNKNOWN_ARGUMENT, member.key.range, message, (related,), fixes=(fix,) if near else ())


def _value(member: Member, declared: Member, document: Document) -> Iterator[Finding]:
    """A literal that cannot be converted to the type of the variable's default."""
    if not _is_literal(member.value) or not _is_literal(declared.value):
        return
    try:
        convert(member.key.value, to_value(member.value), to_value(declared.value))
    except InvalidInput as error:
        message = error.message.removeprefix("variable ")
        related = Related(declared.range, "the variable", document)
        yield finding(ARGUMENT_TYPE, narrow(member.value), f"Variable {message}.", (related,))


def _is_literal(node: Node) -> bool:
    if isinstance(node, (Missing, Unknown)):
        return False
    return not (isinstance(node, String) and parse_reference(node.value) is not None)
