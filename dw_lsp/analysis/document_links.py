"""What can be followed out of a document: called workflows, media that are there, model cards, addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dw_lsp.analysis.names import workflow_of
from dw_lsp.analysis.navigation import file_of
from dw_lsp.analysis.workflow_calls import calls_of
from dw_lsp.analysis.workspace import Workspace
from dw_lsp.catalog.models import looks_local
from dw_lsp.text.document import Document, folder_of
from dw_lsp.text.escapes import content_range
from dw_lsp.text.syntax_tree import Node, Range, String, walk
from dw_lsp.workflow.path_uses import PathUse, path_uses
from dw_lsp.workflow.references import parse_reference

MODEL_CARDS = "https://huggingface.co/"
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_ADDRESS = re.compile(r"https?://[^\s\"<>]+")


@dataclass(frozen=True)
class Link:
    """A stretch of text that leads somewhere: to a file, or to an address."""

    range: Range
    tooltip: str
    path: Path | None = None
    address: str | None = None


def document_links(document: Document, workspace: Workspace) -> tuple[Link, ...]:
    """All links of a document, in the order of the text."""
    workflow = workflow_of(document)
    if workflow is None:
        return ()
    found: dict[int, Link] = {}
    for link in (*_calls(document, workspace), *_uses(document, workspace), *_addresses(document, workflow.root)):
        found.setdefault(link.range.start, link)
    return tuple(sorted(found.values(), key=lambda link: link.range.start))


def _calls(document: Document, workspace: Workspace) -> Iterator[Link]:
    for call in calls_of(document, workspace):
        if parse_reference(call.node.value) is None and workspace.exists(call.path):
            yield Link(content_range(document.text, call.node), "Open the workflow", call.path)


def _uses(document: Document, workspace: Workspace) -> Iterator[Link]:
    workflow = workflow_of(document)
    for use in path_uses(workflow) if workflow is not None else ():
        link = _model(use, document, workspace) if use.purpose == "model" else _file(use, document, workspace)
        if link is not None:
            yield link


def _file(use: PathUse, document: Document, workspace: Workspace) -> Link | None:
    if use.purpose in ("media", "file", "workflow", "weights"):
        path = file_of(use, document, workspace)
        if path is not None:
            tooltip = "Open the workflow" if use.purpose == "workflow" else "Open the file"
            return Link(content_range(document.text, use.node), tooltip, path)
    return None


def _model(use: PathUse, document: Document, workspace: Workspace) -> Link | None:
    """A hub model's card; of a model in a folder, the file that describes it."""
    folder = folder_of(document.uri)
    local = folder is not None and workspace.exists(folder / use.text)
    where = content_range(document.text, use.node)
    if looks_local(use.text) or local:
        path = file_of(use, document, workspace)
        return None if path is None else Link(where, "Open the model's description", path)
    if _HUB_NAME.fullmatch(use.text):
        return Link(where, "Open the model card", address=MODEL_CARDS + use.text)
    return None


def _addresses(document: Document, root: Node) -> Iterator[Link]:
    for node in walk(root):
        if isinstance(node, String) and _ADDRESS.fullmatch(node.value):
            yield Link(content_range(document.text, node), "Open the address", address=node.value)
