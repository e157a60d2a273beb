"""Workflows that call others: which a place speaks of, who calls it, whom it calls."""

from __future__ import annotations

import os
from dataclasses import dataclass

from dw_lsp.analysis.names import workflow_of
from dw_lsp.analysis.workflow_calls import Call, call_at, called_document, callers_of, calls_of
from dw_lsp.analysis.workspace import Workspace
from dw_lsp.text.cursor import locate
from dw_lsp.text.document import Document, path_of
from dw_lsp.text.syntax_tree import Range, String


@dataclass(frozen=True)
class CallItem:
    """A workflow as a whole: `range` is all of it, `selection` its id."""

    document: Document
    name: str
    range: Range
    selection: Range


@dataclass(frozen=True)
class CallEdge:
    """The workflow at the other end of some calls, and where the calls stand in the text of the one that makes them."""

    item: CallItem
    places: tuple[Range, ...]


def call_item(document: Document) -> CallItem | None:
    """A document as an item; `None` for one that is no workflow."""
    workflow = workflow_of(document)
    if workflow is None:
        return None
    name = workflow.root.get("id")
    whole = workflow.root.range
    if isinstance(name, String) and name.value.strip():
        return CallItem(document, name.value, whole, name.range)
    return CallItem(document, document.uri.rpartition("/")[2], whole, Range(whole.start, whole.start + 1))


def prepare_calls(document: Document, offset: int, workspace: Workspace) -> CallItem | None:
    """The workflow that a place speaks of: the called one at its path or step, this one at its id and elsewhere."""
    if workflow_of(document) is None:
        return None
    call = call_at(document, offset, workspace) or _call_of_step(document, offset, workspace)
    if call is not None:
        called = called_document(call, workspace)
        return None if called is None else call_item(called)
    path = locate(document, offset).path
    at_top = len(path) <= 1 or (len(path) == 3 and path[0] == "steps" and path[2] == "name")
    return call_item(document) if at_top else None


def _call_of_step(document: Document, offset: int, workspace: Workspace) -> Call | None:
    """The call of a step whose name, or key `workflow`, a cursor touches."""
    place = locate(document, offset)
    if len(place.path) != 3 or place.path[0] != "steps" or place.path[2] not in ("name", "workflow"):
        return None
    if place.path[2] == "workflow" and not place.on_key:
        return None
    return next((call for call in calls_of(document, workspace) if call.step.index == place.path[1]), None)


def incoming_calls(document: Document, workspace: Workspace) -> tuple[CallEdge, ...]:
    """The workflows of the open folders that call a document's file."""
    path = path_of(document.uri)
    grouped: dict[str, list[Call]] = {}
    for call in callers_of(path, workspace) if path is not None else ():
        grouped.setdefault(call.caller.uri, []).append(call)
    return tuple(edge for calls in grouped.values() if (edge := _edge(calls[0].caller, calls)) is not None)


def outgoing_calls(document: Document, workspace: Workspace) -> tuple[CallEdge, ...]:
    """The workflows that a document calls, those that are there."""
    grouped: dict[str, list[Call]] = {}
    for call in calls_of(document, workspace):
        grouped.setdefault(os.path.realpath(call.path), []).append(call)
    found = []
    for calls in grouped.values():
        called = called_document(calls[0], workspace)
        edge = _edge(called, calls) if called is not None else None
        if edge is not None:
            found.append(edge)
    return tuple(found)


def _edge(document: Document, calls: list[Call]) -> CallEdge | None:
    item = call_item(document)
    return None if item is None else CallEdge(item, tuple(call.node.range for call in calls))
