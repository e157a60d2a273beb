"""The open documents, each in its newest version, and the workspace around them: the analysis' port to the world."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pygls.uris import from_fs_path, to_fs_path

from dw_lsp.analysis.diagnose import LARGEST_DOCUMENT
from dw_lsp.analysis.workflow_files import workflows_below
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.server.dependencies import normal
from dw_lsp.settings import Settings
from dw_lsp.text.document import Change, Document
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
        self.folders: tuple[Path, ...] = ()
        self.settings = Settings()
        self.device_bytes: int | None = None

    def __iter__(self) -> Iterator[Document]:
        return iter(tuple(self._open.values()))

    def get(self, uri: str) -> Document | None:
        """The open document of that URI."""
        return self._open.get(uri)

    def open(self, document: Document) -> None:
        """Keep a document, in place of an older one of its URI."""
        self._open[document.uri] = document

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

    def load(self, uri: str) -> Document:
        """The open document, else the file. Raises `UnreadableDocument`."""
        if (document := self._find(uri)) is not None:
            return document
        path = path_of(uri)
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

    def _find(self, uri: str) -> Document | None:
        """The open document of that URI, or of another spelling of it."""
        if uri in self._open:
            return self._open[uri]
        path = path_of(uri)
        return next((document for document in self if path is not None and path_of(document.uri) == path), None)

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
        super().__init__(roots, documents.settings, documents.device_bytes)
        self._documents = documents
        self.asked: set[str] = set()

    def exists(self, path: Path) -> bool:
        """Whether there is a file or a folder."""
        self.asked.add(normal(path))
        return super().exists(path)

    def read(self, path: Path) -> str | None:
        """The text as the editor has it, else as it is on disk."""
        self.asked.add(normal(path))
        uri = from_fs_path(str(path))
        document = self._documents._find(uri) if uri else None
        return document.text if document is not None else super().read(path)

    def document(self, path: Path) -> Document | None:
        """The open document of a file, else the file."""
        self.asked.add(normal(path))
        uri = from_fs_path(str(path))
        document = self._documents._find(uri) if uri else None
        return document if document is not None else super().document(path)

    def workflows(self) -> Sequence[Document]:
        """The open documents, and the workflow files below the open folders; without these, those beside a document."""
        opened = tuple(self._documents)
        folders = self._documents.folders
        paths = {path_of(document.uri) for document in opened}
        files = workflows_below(folders) if folders else workflows_below(self.roots, deep=False)
        return (*opened, *(file for file in files if path_of(file.uri) not in paths))


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


def path_of(uri: str) -> Path | None:
    """The file that a URI names; `None` for other schemes, such as that of an unsaved document."""
    if not uri.startswith("file:"):
        return None
    path = to_fs_path(uri)
    return Path(path) if path else None
