"""Words that mean something in a workflow: variables, steps, Python types; for editors to colour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from dw_lsp.analysis.names import Naming, namings, workflow_of
from dw_lsp.text.document import Document
from dw_lsp.text.escapes import content_range, part_range
from dw_lsp.text.syntax_tree import Array, Node, Object, Range, String
from dw_lsp.workflow.model import Use, Workflow
from dw_lsp.workflow.references import parse_reference
from dw_lsp.workflow.type_uses import is_type_name, names_type

TokenType: TypeAlias = Literal[
    "variable", "function", "property", "class", "type", "namespace", "keyword", "enumMember", "method"
]
TokenModifier: TypeAlias = Literal["declaration", "readonly"]
#: The legend: what the numbers of the protocol mean, in their order.
TOKEN_TYPES: tuple[TokenType, ...] = get_args(TokenType)
TOKEN_MODIFIERS: tuple[TokenModifier, ...] = get_args(TokenModifier)


@dataclass(frozen=True)
class SemanticToken:
    """A word and what it is; it lies on one line."""

    range: Range
    type: TokenType
    modifiers: tuple[TokenModifier, ...] = ()


def semantic_tokens(document: Document, within: Range | None = None) -> tuple[SemanticToken, ...]:
    """All tokens in the order of the text; they do not overlap. Arguments: `within` leaves out what lies elsewhere."""
    workflow = workflow_of(document)
    if workflow is None:
        return ()
    found: list[SemanticToken] = []
    names = {id(naming.node): naming for naming in namings(document)}
    for naming in names.values():
        found += _name(naming)
    for use in workflow.uses:
        found += _reference(document.text, use, names.get(id(use.node)))
    for member in workflow.root.members:
        found += _types(document, member.value, member.key.value)
    found += _commands(document, workflow)
    found = [token for token in found if token.range.end > token.range.start]
    if within is not None:
        found = [token for token in found if token.range.end > within.start and token.range.start < within.end]
    return _apart(sorted(found, key=lambda token: (token.range.start, token.range.end)))


def _apart(tokens: list[SemanticToken]) -> tuple[SemanticToken, ...]:
    kept: list[SemanticToken] = []
    for token in tokens:
        if not kept or token.range.start >= kept[-1].range.end:
            kept.append(token)
    return tuple(kept)


# ---------------------------------------------------------------- references


def _name(naming: Naming) -> Iterator[SemanticToken]:
    kind: TokenType = "variable" if naming.kind == "variable" else "function"
    yield SemanticToken(naming.range, kind, ("declaration",) if naming.declares else ())


def _reference(text: str, use: Use, naming: Naming | None) -> Iterator[SemanticToken]:
    """What stands around the name: the prefix in front of it, and the property behind."""
    node, kind = use.node, use.reference.kind
    behind = 0
    if not use.bare:
        behind = len(kind) + 1
        yield SemanticToken(part_range(text, node, 0, behind), "keyword")
    if kind == "constant" or kind == "item":
        role: TokenType = "variable" if kind == "constant" else "property"
        modifiers: tuple[TokenModifier, ...] = ("readonly",) if kind == "constant" else ()
        yield SemanticToken(part_range(text, node, behind, len(node.value)), role, modifiers)
    elif kind in ("previous_result", "gather") and naming is not None:
        end = behind + len(naming.name)
        if node.value[end : end + 1] == ".":
            yield SemanticToken(part_range(text, node, end + 1, len(node.value)), "property")


# ---------------------------------------------------------------- types


def _types(document: Document, node: Node, key: str) -> Iterator[SemanticToken]:
    if isinstance(node, Object):
        for member in node.members:
            yield from _types(document, member.value, member.key.value)
    elif isinstance(node, Array):
        for item in node.items:
            yield from _types(document, item, key)
    elif isinstance(node, String) and names_type(key):
        yield from _type(document, node)


def _type(document: Document, node: String) -> Iterator[SemanticToken]:
    text = node.value
    if is_type_name(text):
        module, dot, name = text.rpartition(".")
        if dot:
            yield SemanticToken(part_range(document.text, node, 0, len(module)), "namespace")
        kind: TokenType = "class" if name[:1].isupper() else "type"
        yield SemanticToken(part_range(document.text, node, len(module) + len(dot), len(text)), kind)
    elif parse_reference(text) is None and len(text) > 2:
        yield SemanticToken(content_range(document.text, node), "enumMember")


def _commands(document: Document, workflow: Workflow) -> Iterator[SemanticToken]:
    for step in workflow.steps:
        command = step.body.get("command") if step.kind == "task" and isinstance(step.body, Object) else None
        if isinstance(command, String) and parse_reference(command.value) is None:
            yield SemanticToken(content_range(document.text, command), "method")
