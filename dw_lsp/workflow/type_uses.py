"""Where a workflow names Python types, and what kind of thing is wanted at each place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from dw_lsp.text.syntax_tree import Object, String
from dw_lsp.workflow.model import Workflow
from dw_lsp.workflow.references import parse_reference

#: The pipeline of a step, a part of it, its scheduler, a quantization config, a number type, any other object.
Role: TypeAlias = Literal["pipeline", "component", "scheduler", "quantization", "number", "object"]
#: Keys that end like those of types and mean something else.
_NO_TYPES = frozenset({"content_type", "offload_type", "media_type"})
_NUMBERS = frozenset({"torch_dtype", "dtype", "storage_dtype", "compute_dtype"})
_BY_KEY: dict[str, Role] = {"scheduler_type": "scheduler", "config_type": "quantization"}


@dataclass(frozen=True)
class TypeUse:
    """A string that names a type: under which key of which object, and what is wanted there."""

    node: String
    key: str
    owner: Object
    role: Role

    @property
    def name(self) -> str:
        """The type's name."""
        return self.node.value


def names_type(key: str) -> bool:
    """Whether text under a key is resolved to a Python type."""
    return (key.endswith(("_type", "_dtype")) or key == "dtype") and key not in _NO_TYPES


def type_uses(workflow: Workflow) -> tuple[TypeUse, ...]:
    """Every type that steps name, in the order of the text; without references, and `{text}` for plain text."""
    own = {id(step.body.get("configuration")) for step in workflow.steps if isinstance(step.body, Object)}
    found = [
        TypeUse(member.value, key, owner, _role(key, id(owner) in own))
        for key, members in workflow.members.items()
        if names_type(key)
        for owner, member in members
        if isinstance(member.value, String) and is_type_name(member.value.value)
    ]
    return tuple(sorted(found, key=lambda use: use.node.range.start))


def _role(key: str, of_pipeline: bool) -> Role:
    if key == "component_type":
        return "pipeline" if of_pipeline else "component"
    return "number" if key in _NUMBERS else _BY_KEY.get(key, "object")


def is_type_name(text: str) -> bool:
    """Whether text under a type's key names one: no reference, and not the plain text in braces."""
    return bool(text) and parse_reference(text) is None and not (text.startswith("{") and text.endswith("}"))
