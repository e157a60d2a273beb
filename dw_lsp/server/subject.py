"""What a request is about: a workflow in its newest version, its workspace, and the client's way of counting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lsprotocol import types

from dw_lsp.analysis.diagnose import LARGEST_DOCUMENT
from dw_lsp.analysis.names import workflow_of
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.server.convert import lsp_range
from dw_lsp.text.document import Document, path_of
from dw_lsp.text.positions import Encoding, Position
from dw_lsp.text.syntax_tree import Range

if TYPE_CHECKING:
    from dw_lsp.server.app import Server


@dataclass(frozen=True)
class Subject:
    """A workflow that a request is about."""

    document: Document
    workspace: DiskWorkspace
    encoding: Encoding

    def offset(self, position: types.Position) -> int:
        """The offset of a position."""
        return self.document.lines.offset(Position(position.line, position.character), self.encoding)

    def range(self, place: Range) -> types.Range:
        """A range of this document."""
        return lsp_range(self.document.lines, place, self.encoding)

    def range_in(self, document: Document, place: Range) -> types.Range:
        """A range of another document."""
        return lsp_range(document.lines, place, self.encoding)

    def location(self, document: Document, place: Range) -> types.Location:
        """A place in a document."""
        return types.Location(uri=document.uri, range=self.range_in(document, place))


def subject_of(server: Server, uri: str) -> Subject | None:
    """What a request is about; `None` for a document that is not open, too large, or no workflow."""
    document = server.documents.get(uri)
    return None if document is None else _subject(server, document)


def subject_on_disk(server: Server, uri: str) -> Subject | None:
    """The same, also for a file that is not open."""
    path = path_of(uri)
    if server.documents.get(uri) is not None or path is None:
        return subject_of(server, uri)
    document = server.documents.workspace(uri).document(Path(path))
    return None if document is None else _subject(server, document)


def _subject(server: Server, document: Document) -> Subject | None:
    if len(document.text) > LARGEST_DOCUMENT or workflow_of(document) is None:
        return None
    return Subject(document, server.documents.workspace(document.uri), server.encoding())
