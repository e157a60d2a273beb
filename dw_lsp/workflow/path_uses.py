"""Where a workflow names files, folders and models: what each place is for, and the text that says it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dw_lsp.text.syntax_tree import Array, Node, Object, String
from dw_lsp.workflow.model import Workflow
from dw_lsp.workflow.references import KINDS, parse_reference

#: A picture or film, another file, another workflow, a model (folder or hub name), one file of weights, a pattern.
Purpose: TypeAlias = Literal["media", "file", "workflow", "model", "weights", "pattern"]
_KEYS: dict[str, Purpose] = {
    "location": "media", "from_file": "file", "model_name": "model", "from_single_file": "weights", "glob": "pattern",
}  # fmt: skip
_ADDRESS = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]+://|^data:")


@dataclass(frozen=True)
class PathUse:
    """A path or a model's name. `node` is the text itself: where a variable feeds the place, that of its default."""

    node: String
    key: str
    purpose: Purpose
    owner: Object

    @property
    def text(self) -> str:
        """The path, or the name."""
        return self.node.value


def path_uses(workflow: Workflow) -> tuple[PathUse, ...]:
    """Every path and model name, each once; without addresses on the network and references to anything else."""
    defaults = {variable.name: variable.member.value for variable in workflow.variables}
    found: dict[tuple[int, Purpose], PathUse] = {}
    for use in _all(workflow):
        node: Node | None = use.node
        reference = parse_reference(use.text)
        if reference is not None and reference.kind == "variable":
            node = defaults.get(reference.name)
        if isinstance(node, String) and is_path(node.value):
            followed = PathUse(node, use.key, use.purpose, use.owner)
            found.setdefault((node.range.start, use.purpose), followed)
    return tuple(found.values())


def is_path(text: str) -> bool:
    """Whether text names something on this machine or on the hub: no address, no reference, not empty."""
    return bool(text.strip()) and not _ADDRESS.match(text) and text.partition(":")[0] not in KINDS


def _all(workflow: Workflow) -> Iterator[PathUse]:
    for step in workflow.steps:
        if (
            step.kind == "workflow"
            and isinstance(step.body, Object)
            and isinstance(path := step.body.get("path"), String)
        ):
            yield PathUse(path, "path", "workflow", step.body)
        if step.body is not None:
            yield from _in(step.body, "")
    block = workflow.root.get("variables")
    if isinstance(block, Object):
        for member in block.members:
            if isinstance(member.value, (Object, Array)):
                yield from _in(member.value, "")


def _in(node: Node, key: str) -> Iterator[PathUse]:
    if isinstance(node, Object):
        for member in node.members:
            name, value = member.key.value, member.value
            if isinstance(value, String) and (purpose := _purpose(name)):
                yield PathUse(value, name, purpose, node)
            elif isinstance(value, Array) and _purpose(name) == "media":
                yield from (PathUse(item, name, "media", node) for item in value.items if isinstance(item, String))
                yield from _in(value, name)
            else:
                yield from _in(value, name)
    elif isinstance(node, Array):
        for item in node.items:
            yield from _in(item, key)


def _purpose(key: str) -> Purpose | None:
    if key in ("image", "video") or key.endswith(("_image", "_video")):
        return "media"
    return _KEYS.get(key)
