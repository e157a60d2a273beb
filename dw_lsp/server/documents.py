"""The open documents, each in its newest version, and the workspace around them: the analysis' port to the world."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from dw_lsp.analysis.diagnose import LARGEST_DOCUMENT
from dw_lsp.analysis.workflow_files import workflows_below
from dw_lsp.analysis.workspace import Device, DiskWorkspace
from dw_lsp.server.dependencies import normal, real
from dw_lsp.settings import Settings
from dw_lsp.text.document import Change, Document, path_of
from dw_lsp.text.positions import Encoding
from dw_lsp.workflow.recognition import LANGUAGE_ID, is_workflow

#: Bytes above which a file that is not open is not read at all.
LARGEST_FILE = 32_000_000


class UnreadableDocument(Exception):
    """A document that is neither open nor a readable file: which, and why."""


class Documents:
    """All open documents, by their URI as the client writes it."""

    def __init__(self) -> None:
        self._open: dict[str, Document] = {}
        self._places: dict[str, tuple[str, str]] = {}
        self._by_place: dict[str, str] = {}
        self.folders: tuple[Path, ...] = ()
        self.settings = Settings()
        self.device: Device | None = None

    def __iter__(self) -> Iterator[Document]:
        return iter(tuple(self._open.values()))

    def get(self, uri: str) -> Document | None:
        """The open document of that URI."""
        return self._open.get(uri)

    def open(self, document: Document) -> None:
        """Keep a document, in place of an older one of its URI."""
        self._open[document.uri] = document
        if (path := path_of(document.uri)) is not None:
            self._places[document.uri] = normal(path), real(str(path))
            self._index()

    def change(self, uri: str, changes: Sequence[Change], encoding: Encoding, version: int) -> Document | None:
        """The document after changes; `None` for one that is not open."""
        document = self._open.get(uri)
        if document is None:
            return None
        changed = document.apply(changes, encoding, version)
        if _stays_workflow(document, changed):
            # What says that it is one may be misspelt just now, and that must not take all findings along.
            changed = replace(changed, language_id=LANGUAGE_ID)
        self._open[uri] = changed
        return changed

    def close(self, uri: str) -> None:
        """Forget a document."""
        self._open.pop(uri, None)
        if self._places.pop(uri, None) is not None:
            self._index()

    def _index(self) -> None:
        """What is open at which place: a path as it is written goes before where its links lead."""
        self._by_place = {place: uri for uri, (_, place) in self._places.items()}
        self._by_place.update((place, uri) for uri, (place, _) in self._places.items())

    def at(self, path: Path) -> Document | None:
        """The open document of a file, by whatever path."""
        uri = self._by_place.get(normal(path)) or (self._by_place.get(real(str(path))) if self._by_place else None)
        return None if uri is None else self._open.get(uri)

    def load(self, uri: str) -> Document:
        """The open document, else the file. Raises `UnreadableDocument`."""
        path = path_of(uri)
        document = self._open.get(uri) or (None if path is None else self.at(path))
        if document is not None:
            return document
        if path is None:
            raise UnreadableDocument(f"{uri!r} is not open, and it names no file")
        try:
            _must_be_text_file(path)
            text = path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UnreadableDocument(f"{path}: byte {error.start} is not UTF-8; save the file in UTF-8") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UnreadableDocument(f"{path} cannot be read: {reason}") from None
        return Document(uri, text)

    def roots(self, uri: str) -> tuple[Path, ...]:
        """The folders that a document may read from: the workspace folder that holds it, its own, the others."""
        path = path_of(uri)
        own = () if path is None else (path.parent,)
        holding = sorted(
            (folder for folder in self.folders if path is not None and path.is_relative_to(folder)),
            key=lambda folder: len(folder.parts),
            reverse=True,
        )
        return tuple(dict.fromkeys((*holding, *own, *self.folders)))

    def workspace(self, uri: str) -> OpenWorkspace:
        """The workspace around a document: files as they are in the editor, else on disk."""
        return OpenWorkspace(self, self.roots(uri))


def _stays_workflow(document: Document, changed: Document) -> bool:
    """Whether a document that was a workflow before a change is still meant to be one."""
    if document.language_id == LANGUAGE_ID or len(changed.text) > LARGEST_DOCUMENT or '"steps"' not in changed.text:
        return False
    return is_workflow(document.root, document.uri, document.language_id)


class OpenWorkspace(DiskWorkspace):
    """The disk with the open documents before their files. `asked` are the paths that were looked at."""

    def __init__(self, documents: Documents, roots: Sequence[Path]):
        super().__init__(roots, documents.settings, documents.device)
        self._documents = documents
        self.asked: set[str] = set()

    def exists(self, path: Path) -> bool:
        """Whether there is a file or a folder."""
        self.asked.add(normal(path))
        return super().exists(path)

    def read(self, path: Path) -> str | None:
        """The text as the editor has it, else as it is on disk."""
        self.asked.add(normal(path))
        document = self._documents.at(path)
        return document.text if document is not None else super().read(path)

    def document(self, path: Path) -> Document | None:
        """The open document of a file, else the file."""
        self.asked.add(normal(path))
        document = self._documents.at(path)
        return document if document is not None else super().document(path)

    def workflows(self) -> Sequence[Document]:
        """The open documents, and the workflow files below the open folders; without these, those beside a document."""
        opened = tuple(self._documents)
        folders = self._documents.folders
        files = workflows_below(folders) if folders else workflows_below(self.roots, deep=False)
        return (*opened, *(file for file in files if not self._is_open(file)))

    def _is_open(self, file: Document) -> bool:
        path = path_of(file.uri)
        return path is not None and self._documents.at(path) is not None


def _must_be_text_file(path: Path) -> None:
    """Refuse what cannot be read to its end: pipes and devices would be waited for, for ever."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise UnreadableDocument(f"{path} is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableDocument(f"{path} is no regular file")
    if status.st_size > LARGEST_FILE:
        raise UnreadableDocument(
            f"{path} has {status.st_size / 1_000_000:.0f} MB; a workflow has at most {LARGEST_FILE // 1_000_000} MB"
        )
