"""The workflow files below folders: found within bounds, read once for each time that they are changed."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from dw_lsp.text.document import Document
from dw_lsp.workflow.recognition import SUFFIXES, is_workflow

#: Bytes above which a file is passed over.
LARGEST_FILE = 1_000_000
#: Files and folders looked at, and levels of folders; what lies beyond is not found.
MOST_ENTRIES = 20_000
DEEPEST = 12
_PASSED_OVER = frozenset({"node_modules", "__pycache__", "venv", "env", "site-packages", "dist", "build"})


def workflows_below(folders: Sequence[Path], *, deep: bool = True) -> tuple[Document, ...]:
    """The workflows in folders and, unless they are not to be searched deeply, the folders inside.

    Hidden folders, those of packages, and large files are passed over.
    """
    found: dict[str, Document] = {}
    for folder in folders:
        for entry in _files(str(folder), DEEPEST if deep else 0):
            document = _read(entry.path) if entry.path not in found else None
            if document is not None:
                found[entry.path] = document
    return tuple(found.values())


def workflow_at(path: Path, folders: Sequence[Path]) -> Document | None:
    """The workflow in a file, if a search through the folders would come to it."""
    inside = [path.relative_to(folder).parts for folder in folders if path.is_relative_to(folder)]
    reached = any(
        not any(part.startswith(".") or part in _PASSED_OVER for part in parts[:-1])
        and not parts[-1].startswith(".")
        and len(parts) <= DEEPEST + 1
        for parts in inside
        if parts
    )
    if not reached or not path.name.lower().endswith((".json", ".jsonc")):
        return None
    return _read(str(path))


def _files(folder: str, levels: int) -> Iterator[os.DirEntry[str]]:
    """The JSON files below a folder, those near its top first."""
    left = MOST_ENTRIES
    waiting = [(folder, levels)]
    while waiting:
        current, deeper = waiting.pop(0)
        for entry in _entries(current):
            left -= 1
            if left < 0:
                return
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                if deeper and entry.name not in _PASSED_OVER:
                    waiting.append((entry.path, deeper - 1))
            elif entry.name.lower().endswith((".json", ".jsonc")):
                yield entry


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []  # Gone, or not ours to read: there are no workflows of ours in it.


def _read(path: str) -> Document | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    if status.st_size > LARGEST_FILE or not stat.S_ISREG(status.st_mode):
        return None
    text = _workflow_text(path, status.st_mtime_ns, status.st_size)
    return None if text is None else _document(path, text)


@functools.lru_cache(maxsize=2048)
def _workflow_text(path: str, changed: int, size: int) -> str | None:
    """The text of a workflow file. Arguments: `changed` and `size` tell its contents from earlier ones."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    if '"steps"' not in text and not path.lower().endswith(SUFFIXES):
        return None
    document = _document(path, text)
    return text if is_workflow(document.root, document.uri) else None


@functools.lru_cache(maxsize=128)
def _document(path: str, text: str) -> Document:
    """The document of a file. Trees take fifteen times the room of their text: few are kept."""
    return Document(Path(path).absolute().as_uri(), text)
