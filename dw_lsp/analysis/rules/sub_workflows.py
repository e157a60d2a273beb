"""Rules on the arguments of other workflows that a step runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from dw_lsp.analysis.findings import Finding, Related
from dw_lsp.analysis.rules.arguments import ARGUMENT_TYPE, UNKNOWN_ARGUMENT
from dw_lsp.analysis.rules.context import Context, finding, meant, narrow, nearest
from dw_lsp.analysis.rules.files import may_be_read
from dw_lsp.analysis.rules.fixes.names import change_to
from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Member, Missing, Node, Object, String, Unknown, to_value
from dw_lsp.workflow.conversion import convert
from dw_lsp.workflow.model import Workflow
from dw_lsp.workflow.path_uses import is_path
from dw_lsp.workflow.reader import read
from dw_lsp.workflow.references import parse_reference
from dw_lsp.workflow.resolved import InvalidInput


def sub_workflow_arguments(context: Context) -> Iterator[Finding]:
    """Arguments that the called workflow declares no variable for, or that its variable cannot be."""
    workflow = context.workflow
    for step in workflow.steps if workflow else ():
        arguments = step.body.get("arguments") if isinstance(step.body, Object) and step.kind == "workflow" else None
        if workflow is None or not isinstance(arguments, Object) or not arguments.members:
            continue
        node = step.body.get("path") if isinstance(step.body, Object) else None
        path = _path(workflow, node, context.folder)
        document = context.workspace.document(path) if path is not None and may_be_read(path, context) else None
        if document is not None and not document.parsed.problems:
            # A caller may put another workflow in the place of the one that a variable names.
            exchangeable = isinstance(node, String) and parse_reference(node.value) is not None
            yield from _checked(arguments, document, exchangeable)


def _path(workflow: Workflow, node: Node | None, folder: Path | None) -> Path | None:
    """The file that a step calls, by its default where a variable names it; `None` when it cannot be told."""
    reference = parse_reference(node.value) if isinstance(node, String) else None
    if reference is not None:
        defaults = {variable.name: variable.member.value for variable in workflow.variables}
        node = defaults.get(reference.name) if reference.kind == "variable" else None
    if not isinstance(node, String) or folder is None or not is_path(node.value) or "\0" in node.value:
        return None
    return folder / node.value  # An absolute path stays as it is.


def _checked(arguments: Object, document: Document, exchangeable: bool) -> Iterator[Finding]:
    called = read(document.root)
    if called is None:
        return
    variables = {variable.name: variable.member for variable in called.variables}
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
    fixes = change_to(member.key.range, name, nearest(name, variables))
    return finding(UNKNOWN_ARGUMENT, member.key.range, message, (related,), fixes=fixes)


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
