"""What the analysis may ask of the world outside a document: other files, what is installed, what is allowed."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dw_lsp.analysis.workflow_files import workflows_below
from dw_lsp.catalog.catalog import Catalog, catalog_for
from dw_lsp.catalog.models import hub_cache
from dw_lsp.settings import SecuritySettings, Settings
from dw_lsp.text.document import Document

#: Names in a folder beyond which no more are looked at.
MOST_ENTRIES = 2000


@dataclass(frozen=True)
class FolderEntry:
    """A file or a folder in a folder."""

    name: str
    is_folder: bool
    bytes: int = 0


@dataclass(frozen=True)
class Device:
    """What a worker computes on: the kind (cuda, mps, cpu), and its memory in bytes, where that is known."""

    kind: str
    bytes: int | None


class Workspace(Protocol):
    """The port to everything outside the document."""

    @property
    def roots(self) -> Sequence[Path]:
        """The folders that are open."""

    def exists(self, path: Path) -> bool:
        """Whether there is a file or a folder."""

    def read(self, path: Path) -> str | None:
        """The text of a file as the editor has it, else as it is on disk; `None` if it cannot be read."""

    def document(self, path: Path) -> Document | None:
        """The document in a file, as `read` gives it; its tree is kept as long as the text is the same."""

    def list_folder(self, path: Path) -> Sequence[FolderEntry]:
        """What a folder holds, by name, up to a bound; nothing if it cannot be read."""

    def workflows(self) -> Sequence[Document]:
        """The workflows in the open folders, as the editor has them, else as they are on disk."""

    @property
    def hub_cache(self) -> Path:
        """Where the worker keeps models that it downloads."""

    @property
    def device(self) -> Device | None:
        """The worker's device; `None` until a worker has told."""

    @property
    def catalog(self) -> Catalog:
        """What is installed in the worker's Python."""

    @property
    def security(self) -> SecuritySettings:
        """What a workflow may do."""


class DiskWorkspace:
    """Folders as they are on disk. Arguments: the folders; the settings; the worker's device."""

    def __init__(self, roots: Sequence[Path], settings: Settings | None = None, device: Device | None = None):
        self._device = device
        self._roots = tuple(roots)
        self._settings = settings or Settings()

    @property
    def roots(self) -> Sequence[Path]:
        """The folders."""
        return self._roots

    def exists(self, path: Path) -> bool:
        """Whether there is a file or a folder."""
        return os.path.exists(path)

    def read(self, path: Path) -> str | None:
        """The text of a file; `None` if it is not there or no UTF-8."""
        try:
            return path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError):
            return None

    def document(self, path: Path) -> Document | None:
        """The document in a file; its tree is kept as long as the text is the same."""
        text = self.read(path)
        return None if text is None else _document(path.absolute().as_uri(), text)

    def list_folder(self, path: Path) -> Sequence[FolderEntry]:
        """What a folder holds, by name, up to a bound; nothing if it cannot be read."""
        try:
            with os.scandir(path) as entries:
                found = [_entry(entry) for entry in itertools.islice(entries, MOST_ENTRIES)]
        except (OSError, ValueError):
            return ()
        return tuple(sorted(found, key=lambda entry: entry.name.lower()))

    def workflows(self) -> Sequence[Document]:
        """The workflows in the folders."""
        return workflows_below(self._roots)

    @functools.cached_property
    def hub_cache(self) -> Path:
        """Where the worker keeps models that it downloads."""
        return hub_cache({**os.environ, **self._settings.worker.environment})

    @property
    def device(self) -> Device | None:
        """The worker's device; `None` until a worker has told."""
        return self._device

    @property
    def catalog(self) -> Catalog:
        """What is installed in the worker's Python."""
        return catalog_for(self._settings.worker)

    @property
    def security(self) -> SecuritySettings:
        """What a workflow may do."""
        return self._settings.security


def _entry(entry: os.DirEntry[str]) -> FolderEntry:
    try:
        is_folder = entry.is_dir()
        return FolderEntry(entry.name, is_folder, 0 if is_folder else entry.stat().st_size)
    except OSError:
        return FolderEntry(entry.name, False)  # A link to nothing: there by name alone.


@functools.lru_cache(maxsize=64)
def _document(uri: str, text: str) -> Document:
    """The document of a file that is not open: those of one text share their tree."""
    return Document(uri, text)
