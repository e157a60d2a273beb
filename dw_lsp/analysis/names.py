"""Every place of a document where a variable or a step is named: its declarations and all that refers to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dw_lsp.text.document import Document, derived
from dw_lsp.text.escapes import content_range, part_range
from dw_lsp.text.syntax_tree import Array, Node, Object, Range, String
from dw_lsp.workflow.model import Use, Workflow
from dw_lsp.workflow.reader import read
from dw_lsp.workflow.recognition import is_workflow
from dw_lsp.workflow.references import split_result

NameKind: TypeAlias = Literal["variable", "step"]
_RESULTS = frozenset({"previous_result", "gather"})
_VARIABLES = frozenset({"variable", "constraint"})


@dataclass(frozen=True)
class Naming:
    """A place that names a variable or a step.

    `node` is the whole text, `range` the name alone; `declares`: it is the declaration.
    """

    kind: NameKind
    name: str
    node: String
    range: Range
    declares: bool = False


@derived
def workflow_of(document: Document) -> Workflow | None:
    """The model of a document, made once for each version; `None` for one that is no workflow."""
    if not is_workflow(document.root, document.uri, document.language_id):
        return None
    return read(document.root)


@derived
def namings(document: Document) -> tuple[Naming, ...]:
    """All places that name variables and steps, in the order of the text."""
    workflow = workflow_of(document)
    if workflow is None:
        return ()
    found = [*_variables(document, workflow), *_steps(document, workflow), *_uses(document, workflow)]
    return tuple(sorted(found, key=lambda naming: naming.range.start))


def naming_at(document: Document, offset: int) -> Naming | None:
    """What is named in the text that a cursor touches."""
    return next((naming for naming in namings(document) if naming.node.range.contains(offset)), None)


def same_name(document: Document, kind: NameKind, name: str) -> tuple[Naming, ...]:
    """All places that name one variable or step."""
    return tuple(naming for naming in namings(document) if naming.kind == kind and naming.name == name)


# ---------------------------------------------------------------- variables


def _variables(document: Document, workflow: Workflow) -> Iterator[Naming]:
    for variable in workflow.variables:
        yield _whole(document, "variable", variable.member.key, declares=True)
    for node in _bare_variables(workflow.root):
        yield _whole(document, "variable", node)


def _bare_variables(root: Object) -> Iterator[String]:
    """Where the keys of the catalogue name variables without a prefix."""
    yield from _texts(root.get("cost_drivers"))
    estimate, constraints = root.get("vram_estimate"), root.get("variable_constraints")
    if isinstance(estimate, Object):
        yield from _texts(estimate.get("voxel_variables"))
    if isinstance(constraints, Object):
        yield from (member.key for member in constraints.members)
    costs = root.get("cost")
    for cost in costs.items if isinstance(costs, Array) else ():
        entry = cost.get("per_entry") if isinstance(cost, Object) else None
        name = entry.get("variable") if isinstance(entry, Object) else None
        if isinstance(name, String):
            yield name


def _texts(node: Node | None) -> Iterator[String]:
    for item in node.items if isinstance(node, Array) else ():
        if isinstance(item, String):
            yield item


# ---------------------------------------------------------------- steps


def _steps(document: Document, workflow: Workflow) -> Iterator[Naming]:
    for step in workflow.steps:
        if step.name is not None:
            yield _whole(document, "step", step.name, declares=True)
        if step.kind == "task" and isinstance(step.body, Object):
            name = step.body.get("pipeline_reference")
            if isinstance(name, String):
                yield _whole(document, "step", name)


def _uses(document: Document, workflow: Workflow) -> Iterator[Naming]:
    names = frozenset(workflow.step_names())
    for use in workflow.uses:
        prefix = 0 if use.bare else len(use.reference.kind) + 1
        if use.reference.kind in _VARIABLES:
            name = use.reference.name
            yield Naming("variable", name, use.node, part_range(document.text, use.node, prefix, prefix + len(name)))
        elif use.reference.kind in _RESULTS:
            name = step_name_of(use, names)
            yield Naming("step", name, use.node, part_range(document.text, use.node, prefix, prefix + len(name)))


def step_name_of(use: Use, names: frozenset[str]) -> str:
    """The name of the step that a use refers to; of a member of a group (STEP@KEY) the group's.

    Arguments: the use; the names of all steps.
    """
    target = use.reference.target
    name = split_result(target, names)[0]
    group = target.partition("@")[0]
    return group if name not in names and group in names else name


def _whole(document: Document, kind: NameKind, node: String, *, declares: bool = False) -> Naming:
    return Naming(kind, node.value, node, content_range(document.text, node), declares)
