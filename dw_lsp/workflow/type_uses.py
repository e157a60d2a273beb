"""Where a workflow names Python types, and what kind of thing is wanted at each place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dw_lsp.text.syntax_tree import Array, Node, Object, String
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


def type_uses(steps: Node | None) -> Iterator[TypeUse]:
    """Every type that steps name; without references and the `{text}` that stands for plain text."""
    for step in steps.items if isinstance(steps, Array) else ():
        if isinstance(step, Object):
            for member in step.members:
                if member.key.value in ("pipeline", "pipeline_reference", "task", "workflow"):
                    yield from _in(member.value, member.value if member.key.value == "pipeline" else None)


def _in(node: Node, pipeline: Node | None) -> Iterator[TypeUse]:
    if isinstance(node, Array):
        for item in node.items:
            yield from _in(item, pipeline)
    elif isinstance(node, Object):
        for member in node.members:
            key, value = member.key.value, member.value
            if isinstance(value, String) and names_type(key) and is_type_name(value.value):
                yield TypeUse(value, key, node, _role(key, node, pipeline))
            else:
                yield from _in(value, pipeline)


def _role(key: str, owner: Object, pipeline: Node | None) -> Role:
    if key == "component_type":
        own = isinstance(pipeline, Object) and pipeline.get("configuration") is owner
        return "pipeline" if own else "component"
    return "number" if key in _NUMBERS else _BY_KEY.get(key, "object")


def is_type_name(text: str) -> bool:
    """Whether text under a type's key names one: no reference, and not the plain text in braces."""
    return bool(text) and parse_reference(text) is None and not (text.startswith("{") and text.endswith("}"))
