"""The values of variables as they are declared, also of those whose default is another variable."""

from __future__ import annotations

from collections.abc import Mapping

from dw_lsp.text.syntax_tree import Node, String
from dw_lsp.workflow.model import Workflow
from dw_lsp.workflow.references import parse_reference


def resolved_values(workflow: Workflow) -> Mapping[str, Node]:
    """The default of each variable; of one that refers to another, that one's. Without those that lead nowhere."""
    declared = {variable.name: variable.member.value for variable in workflow.variables}
    found = {name: _followed(node, declared) for name, node in declared.items()}
    return {name: node for name, node in found.items() if node is not None}


def _followed(node: Node, declared: Mapping[str, Node]) -> Node | None:
    """The value at the end of a chain of references."""
    seen: set[str] = set()
    while isinstance(node, String) and (reference := parse_reference(node.value)) and reference.kind == "variable":
        following = declared.get(reference.name)
        if following is None or reference.name in seen:
            return None
        seen.add(reference.name)
        node = following
    return node
