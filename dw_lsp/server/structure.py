"""Requests on a document's structure: outline, folding, selections, links, words with a meaning."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from dw_lsp.analysis.document_links import document_links
from dw_lsp.analysis.folding import folds
from dw_lsp.analysis.selection import selections
from dw_lsp.analysis.semantic_tokens import TOKEN_MODIFIERS, TOKEN_TYPES, SemanticToken, semantic_tokens
from dw_lsp.analysis.symbols import Symbol, SymbolKind, document_symbols, workspace_symbols
from dw_lsp.server.convert import lsp_range
from dw_lsp.server.subject import Subject, subject_of
from dw_lsp.text.positions import Position
from dw_lsp.text.syntax_tree import Range

if TYPE_CHECKING:
    from dw_lsp.server.app import Server

_TYPE_NUMBER = {name: number for number, name in enumerate(TOKEN_TYPES)}
_MODIFIER_BIT = {name: 1 << number for number, name in enumerate(TOKEN_MODIFIERS)}
_KIND: dict[SymbolKind, types.SymbolKind] = {
    "workflow": types.SymbolKind.Module,
    "variables": types.SymbolKind.Namespace,
    "variable": types.SymbolKind.Variable,
    "steps": types.SymbolKind.Array,
    "step": types.SymbolKind.Function,
    "component": types.SymbolKind.Class,
}


# ---------------------------------------------------------------- symbols


def document_symbol(
    server: Server, params: types.DocumentSymbolParams
) -> Sequence[types.DocumentSymbol] | Sequence[types.SymbolInformation] | None:
    """The outline: a tree, or a list for clients that know no trees."""
    subject = subject_of(server, params.text_document.uri)
    if subject is None:
        return None
    found = document_symbols(subject.document)
    text_document = server.client_capabilities.text_document
    symbols = text_document.document_symbol if text_document else None
    if symbols and symbols.hierarchical_document_symbol_support:
        return [_tree(subject, symbol) for symbol in found]
    return [item for symbol in found for item in _flat(subject, symbol, None)]


def _tree(subject: Subject, symbol: Symbol) -> types.DocumentSymbol:
    return types.DocumentSymbol(
        name=symbol.name,
        kind=_KIND[symbol.kind],
        detail=symbol.detail or None,
        range=subject.range(symbol.range),
        selection_range=subject.range(symbol.selection),
        children=[_tree(subject, child) for child in symbol.children] or None,
    )


def _flat(subject: Subject, symbol: Symbol, container: str | None) -> list[types.SymbolInformation]:
    own = types.SymbolInformation(
        name=symbol.name,
        kind=_KIND[symbol.kind],
        location=subject.location(subject.document, symbol.range),
        container_name=container,
    )
    return [own, *(item for child in symbol.children for item in _flat(subject, child, symbol.name))]


async def workspace_symbol(server: Server, params: types.WorkspaceSymbolParams) -> list[types.WorkspaceSymbol]:
    """Workflows, variables and steps of all open folders."""
    found = await asyncio.to_thread(workspace_symbols, params.query, server.documents.workspace(""))
    encoding = server.encoding()
    return [
        types.WorkspaceSymbol(
            name=result.symbol.name,
            kind=_KIND[result.symbol.kind],
            container_name=result.container,
            location=types.Location(
                uri=result.document.uri,
                range=lsp_range(result.document.lines, result.symbol.selection, encoding),
            ),
        )
        for result in found
    ]


# ---------------------------------------------------------------- folding and selections


def folding_range(server: Server, params: types.FoldingRangeParams) -> list[types.FoldingRange] | None:
    """What can be folded away."""
    subject = subject_of(server, params.text_document.uri)
    if subject is None:
        return None
    text_document = server.client_capabilities.text_document
    folding = text_document.folding_range if text_document else None
    limit = folding.range_limit if folding else None
    return [
        types.FoldingRange(
            start_line=fold.first,
            end_line=fold.last,
            kind=types.FoldingRangeKind.Comment if fold.comment else None,
        )
        for fold in folds(subject.document)[:limit]
    ]


def selection_range(server: Server, params: types.SelectionRangeParams) -> list[types.SelectionRange] | None:
    """Ever larger selections around each position."""
    subject = subject_of(server, params.text_document.uri)
    if subject is None:
        return None
    return [_selection(subject, position) for position in params.positions]


def _selection(subject: Subject, position: types.Position) -> types.SelectionRange:
    *inner, outermost = selections(subject.document, subject.offset(position))
    result = types.SelectionRange(range=subject.range(outermost))
    for place in reversed(inner):
        result = types.SelectionRange(range=subject.range(place), parent=result)
    return result


# ---------------------------------------------------------------- links


def document_link(server: Server, params: types.DocumentLinkParams) -> list[types.DocumentLink] | None:
    """What can be followed; where to, is told when it is."""
    subject = subject_of(server, params.text_document.uri)
    if subject is None:
        return None
    document = server.client_capabilities.text_document
    tooltips = bool(document and document.document_link and document.document_link.tooltip_support)
    return [
        types.DocumentLink(
            range=subject.range(link.range),
            tooltip=link.tooltip if tooltips else None,
            data={"target": link.address or (link.path.as_uri() if link.path is not None else "")},
        )
        for link in document_links(subject.document, subject.workspace)
    ]


def document_link_resolve(server: Server, link: types.DocumentLink) -> types.DocumentLink:
    """A link with its target."""
    target = link.data.get("target") if isinstance(link.data, dict) else getattr(link.data, "target", None)
    if not isinstance(target, str):
        raise JsonRpcInvalidParams("documentLink/resolve: 'data' is not that of a link of this server")
    link.target = target
    return link


# ---------------------------------------------------------------- words with a meaning


def semantic_tokens_full(server: Server, params: types.SemanticTokensParams) -> types.SemanticTokens | None:
    """All words of a document that mean something."""
    subject = subject_of(server, params.text_document.uri)
    if subject is None:
        return None
    return types.SemanticTokens(data=_numbers(subject, semantic_tokens(subject.document)))


def semantic_tokens_range(server: Server, params: types.SemanticTokensRangeParams) -> types.SemanticTokens | None:
    """Those of a stretch."""
    subject = subject_of(server, params.text_document.uri)
    if subject is None:
        return None
    within = Range(subject.offset(params.range.start), subject.offset(params.range.end))
    return types.SemanticTokens(data=_numbers(subject, semantic_tokens(subject.document, within)))


def _numbers(subject: Subject, tokens: Sequence[SemanticToken]) -> list[int]:
    """Five numbers for each token, places counted from the one before."""
    data: list[int] = []
    lines, last = subject.document.lines, Position(0, 0)
    for token in tokens:
        start, end = (lines.position(offset, subject.encoding) for offset in (token.range.start, token.range.end))
        character = start.character - (last.character if start.line == last.line else 0)
        modifiers = sum(_MODIFIER_BIT[modifier] for modifier in token.modifiers)
        data += [
            start.line - last.line,
            character,
            end.character - start.character,
            _TYPE_NUMBER[token.type],
            modifiers,
        ]
        last = start
    return data
