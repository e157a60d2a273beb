"""Requests from a place to others: definition, references, highlights, rename, call hierarchy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from dw_lsp.analysis.call_hierarchy import (
    CallEdge,
    CallItem,
    call_item,
    incoming_calls,
    outgoing_calls,
    prepare_calls,
)
from dw_lsp.analysis.navigation import Destination, definitions, highlights, references
from dw_lsp.analysis.rename import DocumentEdits, Refusal, prepare_rename, rename
from dw_lsp.server.subject import Subject, subject_of, subject_on_disk
from dw_lsp.text.syntax_tree import Range

if TYPE_CHECKING:
    from dw_lsp.server.app import Server

_START = types.Range(start=types.Position(line=0, character=0), end=types.Position(line=0, character=0))


# ---------------------------------------------------------------- definition, references, highlights


def definition(
    server: Server, params: types.DefinitionParams
) -> Sequence[types.Location] | Sequence[types.LocationLink] | None:
    """Where the thing under the cursor is declared."""
    subject = subject_of(server, params.text_document.uri)
    if subject is None:
        return None
    found = definitions(subject.document, subject.offset(params.position), subject.workspace)
    text_document = server.client_capabilities.text_document
    if text_document and text_document.definition and text_document.definition.link_support:
        return [_link(subject, place) for place in found]
    return [_location(subject, place) for place in found]


def _link(subject: Subject, place: Destination) -> types.LocationLink:
    target = _location(subject, place)
    whole = target.range
    if place.document is not None and place.whole.end:
        whole = subject.range_in(place.document, place.whole)
    return types.LocationLink(
        target_uri=target.uri,
        target_range=whole,
        target_selection_range=target.range,
        origin_selection_range=subject.range(place.origin),
    )


def _location(subject: Subject, place: Destination) -> types.Location:
    if place.document is not None:
        return subject.location(place.document, place.range)
    return types.Location(uri=(place.path or Path.cwd()).as_uri(), range=_START)


async def find_references(server: Server, params: types.ReferenceParams) -> list[types.Location] | None:
    """Every place that names the same thing."""
    subject = subject_of(server, params.text_document.uri)
    if subject is None:
        return None
    offset, declarations = subject.offset(params.position), params.context.include_declaration
    # Other files may have to be read.
    found = await asyncio.to_thread(references, subject.document, offset, subject.workspace, declarations=declarations)
    return [subject.location(place.document, place.range) for place in found]


def document_highlight(server: Server, params: types.DocumentHighlightParams) -> list[types.DocumentHighlight] | None:
    """The places in this document that name the same thing."""
    subject = subject_of(server, params.text_document.uri)
    if subject is None:
        return None
    found = highlights(subject.document, subject.offset(params.position), subject.workspace)
    kinds = {True: types.DocumentHighlightKind.Write, False: types.DocumentHighlightKind.Read}
    return [
        types.DocumentHighlight(range=subject.range(place.range), kind=kinds[place.declares]) for place in found
    ] or None


# ---------------------------------------------------------------- rename


def prepare(server: Server, params: types.PrepareRenameParams) -> types.PrepareRenamePlaceholder | None:
    """What a rename here would change."""
    subject = subject_of(server, params.text_document.uri)
    if subject is None:
        return None
    found = prepare_rename(subject.document, subject.offset(params.position), subject.workspace)
    if found is None:
        return None
    return types.PrepareRenamePlaceholder(range=subject.range(found.range), placeholder=found.name)


async def rename_symbol(server: Server, params: types.RenameParams) -> types.WorkspaceEdit | None:
    """Another name for the thing under the cursor."""
    subject = subject_of(server, params.text_document.uri)
    if subject is None:
        return None
    offset = subject.offset(params.position)
    found = await asyncio.to_thread(rename, subject.document, offset, params.new_name, subject.workspace)
    if isinstance(found, Refusal):
        raise JsonRpcException(found.message, types.LSPErrorCodes.RequestFailed.value)
    return workspace_edit(server, subject, found)


def workspace_edit(server: Server, subject: Subject, changes: Iterable[DocumentEdits]) -> types.WorkspaceEdit:
    """Edits of several documents, each bound to its version where the client understands that."""
    edits = {
        change.document.uri: (
            change.document,
            [
                types.TextEdit(range=subject.range_in(change.document, edit.range), new_text=edit.text)
                for edit in change.edits
            ],
        )
        for change in changes
    }
    workspace = server.client_capabilities.workspace
    if not (workspace and workspace.workspace_edit and workspace.workspace_edit.document_changes):
        return types.WorkspaceEdit(changes={uri: texts for uri, (_, texts) in edits.items()})
    return types.WorkspaceEdit(
        document_changes=[
            types.TextDocumentEdit(
                text_document=types.OptionalVersionedTextDocumentIdentifier(
                    uri=uri, version=document.version if server.documents.get(uri) is not None else None
                ),
                edits=texts,
            )
            for uri, (document, texts) in edits.items()
        ]
    )


# ---------------------------------------------------------------- call hierarchy


def prepare_call_hierarchy(
    server: Server, params: types.CallHierarchyPrepareParams
) -> list[types.CallHierarchyItem] | None:
    """The workflow that the cursor speaks of."""
    subject = subject_of(server, params.text_document.uri)
    if subject is None:
        return None
    item = prepare_calls(subject.document, subject.offset(params.position), subject.workspace)
    return None if item is None else [_item(subject, item)]


def _item(subject: Subject, item: CallItem) -> types.CallHierarchyItem:
    return types.CallHierarchyItem(
        name=item.name,
        kind=types.SymbolKind.Module,
        detail=item.document.uri.rpartition("/")[2],
        uri=item.document.uri,
        range=subject.range_in(item.document, item.range),
        selection_range=subject.range_in(item.document, item.selection),
    )


async def call_hierarchy_incoming(
    server: Server, params: types.CallHierarchyIncomingCallsParams
) -> list[types.CallHierarchyIncomingCall] | None:
    """The workflows that call one."""
    subject = subject_on_disk(server, params.item.uri)
    if subject is None:
        return None
    found = await asyncio.to_thread(incoming_calls, subject.document, subject.workspace)
    return [
        types.CallHierarchyIncomingCall(from_=_item(subject, edge.item), from_ranges=_ranges(subject, edge, edge.item))
        for edge in found
    ]


async def call_hierarchy_outgoing(
    server: Server, params: types.CallHierarchyOutgoingCallsParams
) -> list[types.CallHierarchyOutgoingCall] | None:
    """The workflows that one calls."""
    subject = subject_on_disk(server, params.item.uri)
    own = None if subject is None else call_item(subject.document)
    if subject is None or own is None:
        return None
    found = await asyncio.to_thread(outgoing_calls, subject.document, subject.workspace)
    return [
        types.CallHierarchyOutgoingCall(to=_item(subject, edge.item), from_ranges=_ranges(subject, edge, own))
        for edge in found
    ]


def _ranges(subject: Subject, edge: CallEdge, caller: CallItem) -> list[types.Range]:
    """Where the calls stand, in the text of the one that makes them."""
    return [subject.range_in(caller.document, Range(place.start, place.end)) for place in edge.places]
