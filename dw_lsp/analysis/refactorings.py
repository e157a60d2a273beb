"""Values made into variables, and variables made into values again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dw_lsp.analysis.code_actions import Action
from dw_lsp.analysis.rules.fixes.names import free_name, variable_name
from dw_lsp.analysis.rules.references import named_in_catalogue
from dw_lsp.text.cursor import Path, locate
from dw_lsp.text.document import Document
from dw_lsp.text.edits import Edit, insert_copy, insert_member, remove_member, replace_with_copy
from dw_lsp.text.syntax_tree import (
    Array,
    Boolean,
    Node,
    Null,
    Number,
    Object,
    Range,
    String,
    at_path,
    to_value,
    walk,
)
from dw_lsp.text.writing import quote
from dw_lsp.workflow.model import Variable, Workflow
from dw_lsp.workflow.reader import STEP_NAME_KEYS, read
from dw_lsp.workflow.references import parse_reference

#: Objects whose content is the author's: what lies in them may be of any form, so a reference may stand for all of it.
_FREE = frozenset({"arguments", "inputs", "from_config_args"})
#: Keys whose text says what a step is: without it nothing of the step can be checked.
_DECIDING = STEP_NAME_KEYS | {"command", "component_type"}


@dataclass(frozen=True)
class _Value:
    """A value inside of a step, and the path to it."""

    node: Node
    path: Path

    @property
    def key(self) -> str:
        """The nearest key around it."""
        return next((part for part in reversed(self.path) if isinstance(part, str)), "")


def extract_variable(document: Document, place: Range) -> Iterator[Action]:
    """Declare a variable for the value at a place; where the same key has an equal value elsewhere, for all of them."""
    workflow, chosen = read(document.root), _chosen(document, place)
    if workflow is None or chosen is None or not _may_be_extracted(chosen):
        return
    name = free_name(variable_name(chosen.key), {variable.name for variable in workflow.variables})
    declaration = _declaration(document.text, workflow.root, name, chosen.node)
    if declaration is None:
        return
    reference = quote(f"variable:{name}")
    here = Edit(chosen.node.range, reference)
    yield Action(f"Extract value to variable `{name}`", "refactor.extract", (*declaration, here))
    equal = [value for value in _values(workflow) if value.key == chosen.key and _equal(value.node, chosen.node)]
    everywhere = tuple(Edit(value.node.range, reference) for value in equal if _may_be_extracted(value))
    if len(everywhere) > 1:
        title = f"Extract value to variable `{name}`, at all {len(everywhere)} places"
        yield Action(title, "refactor.extract", (*declaration, *everywhere))


def _chosen(document: Document, place: Range) -> _Value | None:
    """The value under the cursor; the smallest around a selection."""
    spot = locate(document, place.start)
    if spot.spot == "value" and spot.node is not None and _covers(spot.node, place):
        return _Value(spot.node, spot.path)
    if place.start == place.end:
        return None
    around = [_Value(node, spot.path[:depth]) for depth, node in enumerate(spot.ancestors)]
    return next((value for value in reversed(around) if _covers(value.node, place)), None)


def _covers(node: Node, place: Range) -> bool:
    return node.range.start <= place.start and place.end <= node.range.end


def _may_be_extracted(value: _Value) -> bool:
    node, path = value.node, value.path
    if len(path) < 3 or path[0] != "steps" or value.key in _DECIDING or (len(path) == 3 and path[2] == "name"):
        return False
    if isinstance(node, String):
        return node.closed and parse_reference(node.value) is None
    if isinstance(node, (Object, Array)):
        return bool(_FREE.intersection(part for part in path[:-1] if isinstance(part, str))) and _is_plain(node)
    return isinstance(node, (Number, Boolean))


def _is_plain(node: Node) -> bool:
    """Whether a value means the same wherever it stands: no results of steps in it, no types to make objects of."""
    for inner in walk(node):
        if isinstance(inner, Object) and any(member.key.value.endswith("_type") for member in inner.members):
            return False
        reference = parse_reference(inner.value) if isinstance(inner, String) else None
        if reference is not None and reference.kind != "variable":
            return False
    return True


def _declaration(text: str, root: Object, name: str, node: Node) -> tuple[Edit, ...] | None:
    block = root.get("variables")
    if block is None:
        return insert_member(text, root, "variables", {name: to_value(node)}, "steps")
    return insert_copy(text, block, name, node) if isinstance(block, Object) else None


def _values(workflow: Workflow) -> Iterator[_Value]:
    """Every value inside of steps."""
    waiting = [_Value(step.node, ("steps", step.index)) for step in reversed(workflow.steps)]
    while waiting:
        value = waiting.pop()
        yield value
        if isinstance(value.node, Object):
            inner: list[tuple[str | int, Node]] = [(member.key.value, member.value) for member in value.node.members]
        else:
            inner = list(enumerate(value.node.items)) if isinstance(value.node, Array) else []
        waiting += [_Value(node, (*value.path, part)) for part, node in reversed(inner)]


def _equal(one: Node, other: Node) -> bool:
    """Whether two values are the same; 1, 1.0 and true are not."""
    return type(one) is type(other) and repr(to_value(one)) == repr(to_value(other))


def inline_variable(document: Document, place: Range) -> Action | None:
    """Write the value of the variable at a place wherever it is used, and remove its declaration."""
    workflow = read(document.root)
    name = _variable_at(document, place)
    block = workflow.root.get("variables") if workflow is not None else None
    if workflow is None or name is None or not isinstance(block, Object):
        return None
    declared = [variable for variable in workflow.variables if variable.name == name]
    uses = [use.node for use in workflow.uses if use.reference.kind == "variable" and use.reference.name == name]
    if len(declared) != 1 or not uses or not _may_be_inlined(workflow, declared[0]):
        return None
    text, value = document.text, declared[0].member.value
    written = tuple(replace_with_copy(text, node, value) for node in uses)
    alone = workflow.root.member("variables") if len(block.members) == 1 else None
    removed = (
        remove_member(text, block, declared[0].member) if alone is None else remove_member(text, workflow.root, alone)
    )
    places = f" at {len(uses)} places" if len(uses) > 1 else ""
    return Action(f"Inline variable `{name}`{places}", "refactor.inline", (*removed, *written))


def _variable_at(document: Document, place: Range) -> str | None:
    spot = locate(document, place.start)
    if len(spot.path) == 2 and spot.path[0] == "variables" and spot.spot in ("key", "value"):
        return str(spot.path[1])
    node = None if document.root is None else at_path(document.root, spot.path)
    reference = parse_reference(node.value) if isinstance(node, String) and spot.spot == "value" else None
    return reference.name if reference is not None and reference.kind == "variable" else None


def _may_be_inlined(workflow: Workflow, variable: Variable) -> bool:
    """Whether nothing but the references needs the variable, and its value means the same in their places."""
    node = variable.member.value
    if isinstance(node, String) and (not node.closed or parse_reference(node.value) is not None):
        return False
    if not isinstance(node, (String, Number, Boolean, Null, Object, Array)):
        return False
    constrained = {use.reference.name for use in workflow.uses if use.reference.kind == "constraint"}
    return variable.name not in constrained | named_in_catalogue(workflow.root)
