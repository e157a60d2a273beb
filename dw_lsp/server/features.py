"""What a client may ask of a document: who answers it, and what the client is told of it.

A feature's module is imported when it is first asked for, or when the start is over: all together they take as long to
import as the first diagnostics take to find.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lsprotocol import types


@dataclass(frozen=True)
class Feature:
    """A function of a module of this package. `waits`: it is a coroutine function."""

    module: str
    function: str
    options: Any = None
    waits: bool = False

    def load(self) -> Callable[..., Any]:
        """The function."""
        found: Callable[..., Any] = getattr(importlib.import_module(f"dw_lsp.server.{self.module}"), self.function)
        return found


#: What asks for completion by itself: the first quote, the colon behind a key or a prefix, parts of paths and names.
_COMPLETION = types.CompletionOptions(trigger_characters=['"', ":", "/", ".", ",", " "], resolve_provider=True)
_RENAMES = types.RenameOptions(prepare_provider=True)
_SIGNATURES = types.SignatureHelpOptions(trigger_characters=["{", ",", '"'])
_NOTES = types.InlayHintOptions(resolve_provider=True)
_CODE_ACTIONS = types.CodeActionOptions(
    code_action_kinds=[
        types.CodeActionKind.QuickFix,
        types.CodeActionKind.RefactorExtract,
        types.CodeActionKind.RefactorInline,
        "source.fixAll.dw",
    ],
    resolve_provider=False,
)
#: What the numbers of semantic tokens mean: the kinds of words that the analysis tells apart, in its order.
LEGEND = types.SemanticTokensLegend(
    token_types=["variable", "function", "property", "class", "type", "namespace", "keyword", "enumMember", "method"],
    token_modifiers=["declaration", "readonly"],
)

FEATURES: Mapping[str, Feature] = {
    types.TEXT_DOCUMENT_CODE_LENS: Feature(
        "hover", "code_lens", types.CodeLensOptions(resolve_provider=False), waits=True
    ),
    types.TEXT_DOCUMENT_HOVER: Feature("hover", "hover_at"),
    types.TEXT_DOCUMENT_SIGNATURE_HELP: Feature("hover", "signature_at", _SIGNATURES),
    types.TEXT_DOCUMENT_INLAY_HINT: Feature("hover", "inlay_hints_in", _NOTES),
    types.INLAY_HINT_RESOLVE: Feature("hover", "inlay_hint_resolve"),
    types.TEXT_DOCUMENT_COMPLETION: Feature("completion", "complete_at", _COMPLETION, waits=True),
    types.COMPLETION_ITEM_RESOLVE: Feature("completion", "resolve", waits=True),
    types.TEXT_DOCUMENT_DEFINITION: Feature("navigation", "definition"),
    types.TEXT_DOCUMENT_REFERENCES: Feature("navigation", "find_references", waits=True),
    types.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT: Feature("navigation", "document_highlight"),
    types.TEXT_DOCUMENT_PREPARE_RENAME: Feature("navigation", "prepare"),
    types.TEXT_DOCUMENT_RENAME: Feature(
        "navigation", "rename_symbol", types.RenameOptions(prepare_provider=True), waits=True
    ),
    types.TEXT_DOCUMENT_PREPARE_CALL_HIERARCHY: Feature("navigation", "prepare_call_hierarchy"),
    types.CALL_HIERARCHY_INCOMING_CALLS: Feature("navigation", "call_hierarchy_incoming", waits=True),
    types.CALL_HIERARCHY_OUTGOING_CALLS: Feature("navigation", "call_hierarchy_outgoing", waits=True),
    types.TEXT_DOCUMENT_DOCUMENT_SYMBOL: Feature("structure", "document_symbol"),
    types.WORKSPACE_SYMBOL: Feature("structure", "workspace_symbol", waits=True),
    types.TEXT_DOCUMENT_FOLDING_RANGE: Feature("structure", "folding_range"),
    types.TEXT_DOCUMENT_SELECTION_RANGE: Feature("structure", "selection_range"),
    types.TEXT_DOCUMENT_DOCUMENT_LINK: Feature("structure", "document_link"),
    types.DOCUMENT_LINK_RESOLVE: Feature("structure", "document_link_resolve"),
    types.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL: Feature("structure", "semantic_tokens_full", LEGEND),
    types.TEXT_DOCUMENT_SEMANTIC_TOKENS_RANGE: Feature("structure", "semantic_tokens_range", LEGEND),
    types.TEXT_DOCUMENT_CODE_ACTION: Feature("editing", "code_action", _CODE_ACTIONS, waits=True),
    types.TEXT_DOCUMENT_FORMATTING: Feature("editing", "formatting", waits=True),
    types.TEXT_DOCUMENT_RANGE_FORMATTING: Feature("editing", "range_formatting", waits=True),
}


def load_all() -> None:
    """Import what was not asked for yet."""
    for feature in FEATURES.values():
        feature.load()
