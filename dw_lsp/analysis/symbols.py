"""The outline of a workflow: its variables, its steps, and the components that a step loads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dw_lsp.analysis.names import workflow_of
from dw_lsp.analysis.workspace import Workspace
from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Array, Member, Missing, Node, Object, Range, String
from dw_lsp.workflow.model import Step, Workflow

SymbolKind: TypeAlias = Literal["workflow", "variables", "variable", "steps", "step", "component"]
_LONGEST_DETAIL = 60
#: Names that a search over all files gives at most.
MOST_FOUND = 500


@dataclass(frozen=True)
class Symbol:
    """Something that has a name: `range` is all of it, `selection` what names it."""

    name: str
    kind: SymbolKind
    detail: str
    range: Range
    selection: Range
    children: tuple[Symbol, ...] = ()


@dataclass(frozen=True)
class FoundSymbol:
    """A symbol of some file, and the workflow that it belongs to."""

    document: Document
    symbol: Symbol
    container: str


def document_symbols(document: Document) -> tuple[Symbol, ...]:
    """The outline of a document; nothing for one that is no workflow."""
    workflow = workflow_of(document)
    return () if workflow is None else tuple(_outline(document.text, workflow))


def _outline(text: str, workflow: Workflow) -> Iterator[Symbol]:
    for member in workflow.root.members:
        key, value = member.key.value, member.value
        if key == "variables" and isinstance(value, Object):
            variables = tuple(_variable(text, variable.member) for variable in workflow.variables)
            yield Symbol("variables", "variables", str(len(variables)), member.range, member.key.range, variables)
        elif key == "steps" and isinstance(value, Array):
            steps = tuple(_step(step) for step in workflow.steps)
            yield Symbol("steps", "steps", str(len(steps)), member.range, member.key.range, steps)


def _variable(text: str, member: Member) -> Symbol:
    value = member.value
    detail = "" if isinstance(value, Missing) else _shortened(text[value.range.start : value.range.end])
    return Symbol(member.key.value or '""', "variable", detail, member.range, member.key.range)


def _shortened(text: str) -> str:
    text = " ".join(text[: 4 * _LONGEST_DETAIL].split())
    return text if len(text) <= _LONGEST_DETAIL else text[:_LONGEST_DETAIL] + "…"


# ---------------------------------------------------------------- steps


def _step(step: Step) -> Symbol:
    name = step.name.value if step.name is not None and step.name.value.strip() else f"step {step.index + 1}"
    start = step.node.range.start
    selection = step.name.range if step.name is not None else Range(start, start + 1)
    children = tuple(_components(step.body)) if step.kind == "pipeline" and isinstance(step.body, Object) else ()
    return Symbol(name, "step", step_detail(step), step.node.range, selection, children)


def step_detail(step: Step) -> str:
    """What a step does, in a few words: its pipeline's class, its command, the file that it calls."""
    body = step.body if isinstance(step.body, Object) else None
    if body is None or step.kind is None:
        return ", ".join(step.kinds)
    if step.kind == "pipeline":
        return _component_type(body) or "pipeline"
    key, words = {
        "task": ("command", "task {}"),
        "workflow": ("path", "workflow {}"),
        "pipeline_reference": ("reference_name", "pipeline of {}"),
    }[step.kind]
    named = _text(body.get(key))
    return _shortened(words.format(named)) if named else step.kind


def _components(body: Object) -> Iterator[Symbol]:
    for member in body.members:
        key, value = member.key.value, member.value
        if key == "loras" and isinstance(value, Array):
            loras = tuple(_adapter(item) for item in value.items if isinstance(item, Object))
            yield Symbol("loras", "component", str(len(loras)), member.range, member.key.range, loras)
        elif isinstance(value, Object) and key.strip() and _is_component(key, value):
            detail = _component_type(value) or _text(value.get("model_name"))
            yield Symbol(key, "component", detail, member.range, member.key.range)


def _is_component(key: str, value: Object) -> bool:
    if key in ("configuration", "arguments", "from_pretrained_arguments", "chain"):
        return False
    return key == "ip_adapter" or bool(value.member("configuration") or value.member("from_pretrained_arguments"))


def _adapter(item: Object) -> Symbol:
    node = item.get("model_name")
    start = item.range.start
    selection = node.range if isinstance(node, String) else Range(start, start + 1)
    return Symbol(_text(node).strip() or "lora", "component", _text(item.get("weight_name")), item.range, selection)


def _component_type(body: Object) -> str:
    configuration = body.get("configuration")
    if not isinstance(configuration, Object):
        return ""
    return _text(configuration.get("component_type")) or _text(configuration.get("scheduler_type"))


def _text(node: Node | None) -> str:
    return node.value if isinstance(node, String) else ""


# ---------------------------------------------------------------- all files


def workspace_symbols(query: str, workspace: Workspace) -> tuple[FoundSymbol, ...]:
    """Workflows, variables and steps of the open folders whose name holds the letters of a query in their order."""
    wanted = query.lower().replace(" ", "")
    found: list[FoundSymbol] = []
    for document in workspace.workflows():
        for result in _named_in(document):
            if is_subsequence(wanted, result.symbol.name.lower()):
                found.append(result)
                if len(found) == MOST_FOUND:
                    return tuple(found)
    return tuple(found)


def _named_in(document: Document) -> Iterator[FoundSymbol]:
    workflow = workflow_of(document)
    if workflow is None:
        return
    file = document.uri.rpartition("/")[2]
    name = workflow.root.get("id")
    root = workflow.root.range
    if isinstance(name, String) and name.value.strip():
        yield FoundSymbol(document, Symbol(name.value, "workflow", "", root, name.range), file)
    for group in document_symbols(document):
        for symbol in group.children:
            yield FoundSymbol(document, symbol, _text(name) or file)


def is_subsequence(letters: str, text: str) -> bool:
    """Whether all letters stand in a text, in their order."""
    rest = iter(text)
    return all(letter in rest for letter in letters)
