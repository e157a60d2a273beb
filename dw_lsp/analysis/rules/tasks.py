"""Rules on tasks: the command exists, and is given what it takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from dw_lsp.analysis.findings import Finding, Fix, Rule
from dw_lsp.analysis.rules.arguments import ARGUMENT_TYPE, MISSING_ARGUMENT, UNKNOWN_ARGUMENT
from dw_lsp.analysis.rules.context import Context, finding, meant, narrow, nearest
from dw_lsp.analysis.rules.fixes.names import change_to
from dw_lsp.analysis.rules.fixes.placeholders import placeholder
from dw_lsp.analysis.rules.values import fits, value_findings, wanted
from dw_lsp.text.edits import insert_member
from dw_lsp.text.syntax_tree import Array, Member, Missing, Node, Null, Object, String, Unknown
from dw_lsp.workflow.format.command import Command
from dw_lsp.workflow.format.commands import COMMANDS
from dw_lsp.workflow.format.shapes import AnyOf, AnyShape, ListShape, Shape
from dw_lsp.workflow.references import parse_reference

UNKNOWN_TASK = Rule(
    "unknown-task",
    "error",
    "A task command that does not exist.",
    "The workflow stops when the step is reached, after all that came before it.",
    '"task": { "command": "cany", "arguments": { "image": "variable:photo" } }',
    "Correct it to the name in the message.",
)


def tasks(context: Context) -> Iterator[Finding]:
    """All findings on the commands of tasks and on their arguments."""
    for step in context.workflow.steps if context.workflow else ():
        task = step.node.get("task")
        command = task.get("command") if isinstance(task, Object) else None
        if isinstance(task, Object) and isinstance(command, String) and parse_reference(command.value) is None:
            known = COMMANDS.get(command.value)
            if known is not None:
                yield from _arguments(context, known, command, task.get("arguments"))
            elif command.closed and command.value:
                yield _unknown_task(command)


def _unknown_task(command: String) -> Finding:
    fixes = change_to(command.range, command.value, nearest(command.value, COMMANDS))
    message = f"There is no task command `{command.value}`.{meant(command.value, COMMANDS)}"
    return finding(UNKNOWN_TASK, command.range, message, fixes=fixes)


def _arguments(context: Context, command: Command, name: String, arguments: Node | None) -> Iterator[Finding]:
    if not isinstance(arguments, Object):
        return  # A reference, a list of inputs, or nothing: other rules tell of it.
    for member in arguments.members:
        known = command.argument(member.key.value)
        if known is not None:
            yield from _value(member.value, known.shape, f"`{known.name}`")
        elif not command.accepts(member.key.value) and not isinstance(member.value, Missing):
            yield from _unknown(member, command)
    if _is_whole(context, arguments):
        yield from _missing(context.document.text, command, name, arguments)


def _unknown(member: Member, command: Command) -> Iterator[Finding]:
    if command.others == "passed on":
        return
    name = member.key.value
    names = [argument.name for argument in command.arguments]
    near = nearest(name, names)
    hint = f" Did you mean `{near}`?" if near else f" It takes {', '.join(f'`{each}`' for each in names)}."
    ignored = command.others == "ignored"
    end = "; it would be ignored." if ignored else "."
    fixes = change_to(member.key.range, name, near)
    message = f"`{command.name}` has no argument `{name}`{end}{hint}"
    found = finding(UNKNOWN_ARGUMENT, member.key.range, message, fixes=fixes)
    yield dataclasses.replace(found, severity="warning") if ignored else found


def _missing(text: str, command: Command, place: String, arguments: Object) -> Iterator[Finding]:
    given = {member.key.value for member in arguments.members}
    strangers = [name for name in given if not command.accepts(name)]
    for needed in command.arguments:
        # An argument whose name is misspelt is told of there.
        if needed.required and needed.name not in given and nearest(needed.name, strangers) is None:
            message = f"`{command.name}` needs the argument `{needed.name}`: {needed.meaning}"
            edits = insert_member(text, arguments, needed.name, placeholder(needed))
            fix = Fix(f"Add `{needed.name}`", edits, preferred=True)
            yield finding(MISSING_ARGUMENT, place.range, message, fixes=(fix,))


def _is_whole(context: Context, node: Object) -> bool:
    """Whether all of the object could be read: what is absent from a broken one may only be unreadable."""
    inside = any(node.range.contains(problem.range.start) for problem in context.document.parsed.problems)
    return node.closed and not inside


def _value(node: Node, shape: Shape, name: str) -> Iterator[Finding]:
    """A literal that an argument cannot be."""
    if isinstance(node, (Null, Missing, Unknown)) or _is_item(node) or isinstance(shape, AnyShape):
        return
    if not fits(node, shape):
        yield finding(ARGUMENT_TYPE, narrow(node), f"{name} is {wanted(shape)}.")
        return
    if isinstance(shape, AnyOf):
        shape = next(option for option in shape.options if fits(node, option))
    yield from value_findings(node, shape, name)
    if isinstance(shape, ListShape) and isinstance(node, Array):
        for item in node.items:
            yield from _value(item, shape.item, f"An item of {name}")


def _is_item(node: Node) -> bool:
    """Whether the object stands for a member of a `for_each` entry."""
    return isinstance(node, Object) and node.member("item") is not None
