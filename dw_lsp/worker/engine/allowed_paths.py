"""Which files a workflow may read: those of the workspace, of folders the user allowed, of the model cache.

A path counts as what it really is: links are followed before it is judged.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from dw_lsp.catalog.models import hub_cache
from dw_lsp.workflow.resolved import InvalidInput

LONGEST_PATH = 4096
LONGEST_NAME = 255
_DEVICES = ("/dev/", "/proc/", "/sys/")


class AllowedPaths:
    """Judges paths. Arguments: the folders inside which files may be read."""

    def __init__(self, folders: Iterable[Path]):
        self._folders = tuple(dict.fromkeys(folder.expanduser().resolve() for folder in folders))

    @classmethod
    def of_run(cls, roots: Iterable[str], allowed: Iterable[str], document: Path | None) -> AllowedPaths:
        """What a run may read: the workspace's folders, those of the setting, the document's own, the model cache."""
        folders = [Path(folder) for folder in (*roots, *allowed)]
        if document is not None:
            folders.append(document.parent)
        return cls([*folders, hub_cache()])

    def resolve(self, text: str, folder: Path | None, purpose: str) -> Path:
        """The real path of what a workflow names.

        Arguments: `folder` is where relative paths start; `purpose` is what the path is for, in words ("the image").
        Raises `InvalidInput` when the path leads out of the allowed folders, or cannot be a path.
        """
        if "\0" in text or len(text) > LONGEST_PATH or any(len(part) > LONGEST_NAME for part in Path(text).parts):
            raise InvalidInput(f"{purpose} has a path that no system takes (length {len(text)})")
        path = Path(text).expanduser()
        if not path.is_absolute():
            if folder is None:
                raise InvalidInput(
                    f"{purpose} is {text!r}, a relative path, but this document has no folder yet",
                    hint="Save the document, or write an absolute path.",
                )
            path = folder / path
        real = Path(os.path.realpath(path))
        if not self.holds(real):
            raise InvalidInput(
                f"{purpose} is {text!r}, which lies outside the folders that this workflow may read"
                + (f" (it leads to {real})" if real != path else ""),
                hint="Add its folder to dw.security.allowedPaths to allow it.",
            )
        return real

    def check_links(self, folder: Path, purpose: str) -> None:
        """Raise `InvalidInput` when a file of the folder is a link that leads out of the allowed folders."""
        for file in folder.iterdir():
            if file.is_symlink():
                self.resolve(str(file), None, purpose)

    def holds(self, real: Path) -> bool:
        """Whether a real path (links followed) lies in one of the folders."""
        if str(real).startswith(_DEVICES):
            return False
        return any(real == folder or folder in real.parents for folder in self._folders)

    def find(self, pattern: str, folder: Path | None) -> list[Path]:
        """The files that a pattern finds, sorted. What lies outside the allowed folders is an error, not left out.

        Raises `InvalidInput` when the pattern begins, or one of its files really lies, outside the allowed folders.
        """
        fixed = pattern
        while glob.has_magic(fixed):
            fixed = os.path.dirname(fixed)
        self.resolve(fixed or ".", folder, "the pattern")
        start = "" if Path(pattern).is_absolute() or folder is None else str(folder)
        found = sorted(glob.glob(os.path.join(glob.escape(start), pattern) if start else pattern, recursive=True))
        return [self.resolve(path, folder, "a file of the pattern") for path in found if os.path.isfile(path)]
