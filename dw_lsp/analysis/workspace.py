"""What the analysis may ask of the world outside a document: other files, and whether they are there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class Workspace(Protocol):
    """The port to everything outside the document."""

    @property
    def roots(self) -> Sequence[Path]:
        """The folders that are open."""

    def exists(self, path: Path) -> bool:
        """Whether there is a file or a folder."""

    def read(self, path: Path) -> str | None:
        """The text of a file as the editor has it, else as it is on disk; `None` if it cannot be read."""


class DiskWorkspace:
    """Folders as they are on disk. Arguments: the folders."""

    def __init__(self, roots: Sequence[Path]):
        self._roots = tuple(roots)

    @property
    def roots(self) -> Sequence[Path]:
        """The folders."""
        return self._roots

    def exists(self, path: Path) -> bool:
        """Whether there is a file or a folder."""
        return path.exists()

    def read(self, path: Path) -> str | None:
        """The text of a file; `None` if it is not there or no UTF-8."""
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
