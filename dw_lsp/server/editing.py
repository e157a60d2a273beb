"""Requests that change a document: code actions and formatting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from lsprotocol import types

from dw_lsp.analysis.code_actions import Action, fix_all, quick_fixes, wanted
from dw_lsp.analysis.diagnose import LARGEST_DOCUMENT
from dw_lsp.analysis.refactorings import extract_variable, inline_variable
from dw_lsp.server.convert import diagnostics_of, lsp_range, offset_range
from dw_lsp.server.diagnostics import is_large
from dw_lsp.text.document import Document
from dw_lsp.text.edits import Edit
from dw_lsp.text.formatting import format_document
from dw_lsp.text.positions import Encoding
from dw_lsp.text.syntax_tree import Range
from dw_lsp.workflow.recognition import is_workflow

if TYPE_CHECKING:
    from dw_lsp.server.app import Server

_Result = TypeVar("_Result")
#: Deeper indentation is nobody's wish.
_WIDEST_TAB = 16


async def code_action(server: Server, params: types.CodeActionParams) -> list[types.CodeAction]:
    document = _workflow(server, params.text_document.uri)
    if document is None:
        return []
    encoding = server.encoding()
    actions = await _in_time(document, lambda: _actions(server, document, params))
    return [_converted(server, document, action, encoding) for action in actions]


def _workflow(server: Server, uri: str) -> Document | None:
    """The open document, if it is a workflow that is read at all."""
    document = server.documents.get(uri)
    if document is None or len(document.text) > LARGEST_DOCUMENT:
        return None
    return document if is_workflow(document.root, document.uri, document.language_id) else None


async def _in_time(document: Document, work: Callable[[], _Result]) -> _Result:
    return await asyncio.to_thread(work) if is_large(document) else work()


def _actions(server: Server, document: Document, params: types.CodeActionParams) -> list[Action]:
    only = None if params.context.only is None else [str(getattr(kind, "value", kind)) for kind in params.context.only]
    place = offset_range(document.lines, params.range, server.encoding())
    actions: list[Action] = []
    if wanted("quickfix", only):
        actions += quick_fixes(server.diagnostics.latest(document), place)
    if wanted("refactor.extract", only):
        actions += extract_variable(document, place)
    if wanted("refactor.inline", only):
        actions += _some(inline_variable(document, place))
    # While the cursor moves, nobody asks for what concerns the whole document.
    moving = params.context.trigger_kind == types.CodeActionTriggerKind.Automatic and not only
    if wanted("source.fixAll.dw", only) and not moving:
        actions += _some(fix_all(document, server.diagnostics.findings))
    return actions


def _some(action: Action | None) -> Sequence[Action]:
    return () if action is None else (action,)


def _converted(server: Server, document: Document, action: Action, encoding: Encoding) -> types.CodeAction:
    return types.CodeAction(
        title=action.title,
        kind=action.kind,
        diagnostics=diagnostics_of(document, action.findings, encoding) or None,
        is_preferred=action.preferred or None,
        edit=_workspace_edit(server, document, _text_edits(document, action.edits, encoding)),
    )


def _text_edits(document: Document, edits: Sequence[Edit], encoding: Encoding) -> list[types.TextEdit]:
    return [types.TextEdit(range=lsp_range(document.lines, edit.range, encoding), new_text=edit.text) for edit in edits]


def _workspace_edit(server: Server, document: Document, edits: list[types.TextEdit]) -> types.WorkspaceEdit:
    """Edits of this version of the document, where the client can tell versions apart."""
    workspace = server.client_capabilities.workspace
    if not (workspace and workspace.workspace_edit and workspace.workspace_edit.document_changes):
        return types.WorkspaceEdit(changes={document.uri: edits})
    identifier = types.OptionalVersionedTextDocumentIdentifier(uri=document.uri, version=document.version)
    return types.WorkspaceEdit(document_changes=[types.TextDocumentEdit(text_document=identifier, edits=edits)])


async def formatting(server: Server, params: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
    return await _format(server, params.text_document.uri, params.options, None)


async def range_formatting(server: Server, params: types.DocumentRangeFormattingParams) -> list[types.TextEdit] | None:
    return await _format(server, params.text_document.uri, params.options, params.range)


async def _format(
    server: Server, uri: str, options: types.FormattingOptions, within: types.Range | None
) -> list[types.TextEdit] | None:
    """Edits for the layout; `None` for a document that is not ours to lay out."""
    document, encoding = _workflow(server, uri), server.encoding()
    if document is None:
        return None
    unit = " " * min(max(options.tab_size, 0), _WIDEST_TAB) if options.insert_spaces else "\t"
    place = None if within is None else _whole_lines(document, offset_range(document.lines, within, encoding))
    edits = await _in_time(document, lambda: format_document(document, unit, place))
    return _text_edits(document, edits, encoding)


def _whole_lines(document: Document, place: Range) -> Range:
    """The stretch, from the start of its first line; a last line of which nothing is chosen does not count."""
    lines = document.lines
    start = lines.line_start(lines.line_of(place.start))
    last = lines.line_of(place.end)
    if place.end > place.start and place.end == lines.line_start(last):
        last -= 1
    return Range(start, lines.line_start(last) + len(lines.line_text(last)))
