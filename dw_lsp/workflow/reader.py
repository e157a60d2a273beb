"""Tree to model: what can be understood of a document, however broken the rest of it is. Judges nothing."""

from __future__ import annotations

from dw_lsp.text.syntax_tree import Array, Node, Object, String
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
    return Workflow(root, variables, steps, tuple(_uses(root, steps_node)))


def _step(index: int, node: Object) -> Step:
    name = node.get("name")
    kinds = tuple(kind for kind in STEP_KINDS if node.member(kind) is not None)
    return Step(
        index, node, name if isinstance(name, String) else None, kinds, node.get(kinds[0]) if len(kinds) == 1 else None
    )


def _uses(root: Object, steps: Node | None) -> list[Use]:
    found: list[Use] = []
    for member in root.members:
        if member.value is steps and isinstance(steps, Array):
            for index, item in enumerate(steps.items):
                _add_uses(item, index, None, found)
        elif member.key.value not in PROSE:
            _add_uses(member.value, None, None, found)
    return found


def _add_uses(node: Node, step: int | None, key: str | None, found: list[Use]) -> None:
    if isinstance(node, String):
        reference = parse_reference(node.value) if ":" in node.value else None
        if reference is not None:
            found.append(Use(reference, node, step))
        elif key in STEP_NAME_KEYS:
            name, dot, rest = node.value.partition(".")
            found.append(Use(Reference("previous_result", name, rest if dot else None), node, step, bare=True))
    elif isinstance(node, Object):
        for member in node.members:
            if not (member.key.value == "name" and step is not None and key is None):
                _add_uses(member.value, step, member.key.value, found)
    elif isinstance(node, Array):
        for item in node.items:
            _add_uses(item, step, key or "", found)
