"""Tree to model: what can be understood of a document, however broken the rest of it is. Judges nothing."""

from __future__ import annotations

from typing import NamedTuple

from dw_lsp.text.syntax_tree import Array, Member, Node, Object, String
from dw_lsp.workflow.model import Step, Use, Variable, Workflow
from dw_lsp.workflow.references import Reference, parse_reference
from dw_lsp.workflow.resolved import STEP_KINDS

#: Keys whose text is for people, whatever it begins with.
PROSE = frozenset({"description", "summary", "id", "name", "reason"})
#: Keys whose text is the bare name of an earlier step.
STEP_NAME_KEYS = frozenset({"reference_name", "from_previous_result"})


def read(root: Node | None) -> Workflow | None:
    """The model of a document; `None` when its top level is no object."""
    if not isinstance(root, Object):
        return None
    block = root.get("variables")
    variables = (
        tuple(Variable(member.key.value, member) for member in block.members) if isinstance(block, Object) else ()
    )
    steps_node = root.get("steps")
    items = steps_node.items if isinstance(steps_node, Array) else ()
    steps = tuple(_step(index, item) for index, item in enumerate(items) if isinstance(item, Object))
    found = _Found([], {}, [])
    for member in root.members:
        if member.value is steps_node and isinstance(steps_node, Array):
            for index, item in enumerate(items):
                _collect(item, index, None, found)
        elif member.key.value not in PROSE:
            _collect(member.value, None, None, found)
    return Workflow(root, variables, steps, tuple(found.uses), found.members, tuple(found.texts))


def _step(index: int, node: Object) -> Step:
    name = node.get("name")
    kinds = tuple(kind for kind in STEP_KINDS if node.member(kind) is not None)
    return Step(
        index, node, name if isinstance(name, String) else None, kinds, node.get(kinds[0]) if len(kinds) == 1 else None
    )


class _Found(NamedTuple):
    """What one walk collects: three walks would take three times as long, at each key stroke."""

    uses: list[Use]
    members: dict[str, list[tuple[Object, Member]]]
    texts: list[String]


def _collect(node: Node, step: int | None, key: str | None, found: _Found) -> None:
    """Collect what stands in a value. Arguments: the index of the step around it; the key that it is under."""
    if type(node) is String:
        _collect_text(node, step, key, found)
    elif type(node) is Object:
        for member in node.members:
            name = member.key.value
            if step is not None:
                found.members.setdefault(name, []).append((node, member))
            if not (name == "name" and step is not None and key is None):
                _collect(member.value, step, name, found)
    elif type(node) is Array:
        for item in node.items:
            _collect(item, step, key or "", found)


def _collect_text(node: String, step: int | None, key: str | None, found: _Found) -> None:
    reference = None
    if ":" in node.value:
        reference = parse_reference(node.value)
        if key not in PROSE:
            found.texts.append(node)
    if reference is not None:
        found.uses.append(Use(reference, node, step))
    elif key in STEP_NAME_KEYS:
        name, dot, rest = node.value.partition(".")
        found.uses.append(Use(Reference("previous_result", name, rest if dot else None), node, step, bare=True))
