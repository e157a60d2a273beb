"""Where a workflow names files, folders and models: what each place is for, and the text that says it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dw_lsp.text.syntax_tree import Array, Node, Object, String, walk
from dw_lsp.workflow.model import Workflow
from dw_lsp.workflow.references import KINDS, parse_reference

#: A picture or film, another file, another workflow, a model (folder or hub name), one file of weights, a pattern.
Purpose: TypeAlias = Literal["media", "file", "workflow", "model", "weights", "pattern"]
_KEYS: dict[str, Purpose] = {
    "location": "media", "from_file": "file", "model_name": "model", "from_single_file": "weights", "glob": "pattern",
}  # fmt: skip
_ADDRESS = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]+://|^data:")
#: No system has a file with one of these in its name.
_IMPOSSIBLE = re.compile("[\0\ud800-\udfff]")


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
    return tuple(sorted(found.values(), key=lambda use: use.node.range.start))


def is_path(text: str) -> bool:
    """Whether text names something on this machine or on the hub: no address, no reference, not empty."""
    if not text.strip() or _ADDRESS.match(text) or _IMPOSSIBLE.search(text):
        return False
    return text.partition(":")[0] not in KINDS


def _all(workflow: Workflow) -> Iterator[PathUse]:
    """The places in the steps, and those inside of the variables' objects and lists; the former first."""
    for step in workflow.steps:
        body = step.body
        if step.kind == "workflow" and isinstance(body, Object) and isinstance(path := body.get("path"), String):
            yield PathUse(path, "path", "workflow", body)
    for key, members in workflow.members.items():
        if purpose := purpose_of(key):
            for owner, member in members:
                yield from _at(owner, key, member.value, purpose)
    block = workflow.root.get("variables")
    for node in walk(block) if block is not None else ():
        if isinstance(node, Object) and node is not block:
            for member in node.members:
                if purpose := purpose_of(member.key.value):
                    yield from _at(node, member.key.value, member.value, purpose)


def _at(owner: Object, key: str, value: Node, purpose: Purpose) -> Iterator[PathUse]:
    if isinstance(value, String):
        yield PathUse(value, key, purpose, owner)
    elif isinstance(value, Array) and purpose == "media":
        yield from (PathUse(item, key, purpose, owner) for item in value.items if isinstance(item, String))


def purpose_of(key: str) -> Purpose | None:
    """What text under a key is for, if it names a file or a model."""
    if key in ("image", "video") or key.endswith(("_image", "_video")):
        return "media"
    return _KEYS.get(key)
