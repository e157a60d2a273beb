"""Where finished iterations are remembered: a folder beside the outputs, and how an entry is read back from it.

An entry is JSON behind a checksum; pictures and tensors lie in files of their own, named by the digest of their bytes.
Nothing in here is ever executed: no pickles, no names of classes. Reading is all that is done here; the worker writes.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dw_lsp.planning.artifact import Artifact, Tree, artifact_of, check_tree
from dw_lsp.workflow.identity import content_digest

FOLDER = Path(".dw-lsp") / "steps"
ENTRIES, OBJECTS, SEEDS, SURROUNDINGS, DEVICE = "entries", "objects", "seeds", "surroundings", "device"
OBJECT_NAME = re.compile(r"[0-9a-f]{32}\.(raw|png)")
_LARGEST_ENTRY = 64 * 1024 * 1024
_MOST_KNOWN = 20_000


@dataclass(frozen=True)
class Entry:
    """One remembered iteration: its artifacts' trees, where their contents are, and how long it took to make.

    `separate`: each artifact is a result of its own. `stored` maps contents to objects, `sizes` objects to bytes.
    """

    trees: tuple[Tree, ...]
    separate: bool
    seed: int | None
    seconds: float
    stored: Mapping[str, str]
    sizes: Mapping[str, int]

    def artifacts(self) -> list[Artifact]:
        """The artifacts, without their live objects."""
        return [artifact_of(tree, stored=self.stored) for tree in self.trees]


class StepStore:
    """Reads entries. Arguments: the output directory. One object may serve many runs: it knows what it has read."""

    def __init__(self, output_directory: Path):
        self.root = output_directory / FOLDER
        self._root = str(self.root)
        self._known: dict[str, tuple[int, Entry]] = {}

    @property
    def surroundings(self) -> str | None:
        """The surroundings in which the last run worked; `None` before there was one."""
        return _line(self.root / SURROUNDINGS)

    @property
    def device(self) -> str | None:
        """The kind of device that the last run worked on; `None` before there was one."""
        return _line(self.root / DEVICE)

    def seed_of(self, workflow: str, unfinished: str | None = None) -> int | None:
        """The seed that the last run of a workflow without one has drawn.

        Arguments: with `unfinished`, the identity of what it was drawn for, only if that run came to no end.
        """
        seed, _, drawn_for = (_line(self.root / SEEDS / content_digest(workflow)) or "").partition(" ")
        return int(seed) if seed.isdecimal() and unfinished in (None, drawn_for) else None

    def find(self, key: str) -> Entry | None:
        """The entry of a key, if it is whole and its objects are there."""
        path = self.entry_path(key)
        try:
            status = os.stat(path)
        except OSError:
            self._known.pop(key, None)
            return None
        known = self._known.get(key)
        if known is None or known[0] != status.st_ino:
            entry = read_entry(Path(path))
            if entry is None:
                return None
            self.note(key, status.st_ino, entry)
        else:
            entry = known[1]
        for name, size in entry.sizes.items():
            if not self.is_there(name, size):
                return None
        self.used(path, status.st_mtime)
        return entry

    def used(self, path: str, last: float) -> None:
        """An entry was found. Arguments: its file; when it was used last. A reader leaves no traces."""

    def note(self, key: str, file: int, entry: Entry) -> None:
        """Know an entry without reading it again, as long as its file (by its number) is the same one."""
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[key] = (file, entry)

    def is_there(self, name: str, size: int) -> bool:
        """Whether an object is there, in its full size."""
        try:
            return os.stat(self.object_path(name)).st_size == size
        except OSError:
            return False

    def entry_path(self, key: str) -> str:
        """The file of an entry."""
        return f"{self._root}/{ENTRIES}/{key[:2]}/{key}.json"

    def object_path(self, name: str) -> str:
        """The file of an object."""
        return f"{self._root}/{OBJECTS}/{name[:2]}/{name}"


def read_entry(path: Path) -> Entry | None:
    """The entry in a file; `None` when it is not there, torn, or of another form."""
    try:
        if path.stat().st_size > _LARGEST_ENTRY:
            return None
        checksum, _, text = path.read_text(encoding="utf-8", errors="surrogatepass").partition("\n")
        if content_digest(text) != checksum:
            return None
        return _entry(json.loads(text))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def entry_text(entry: Entry) -> str:
    """The content of an entry's file."""
    told = {
        "trees": entry.trees,
        "separate": entry.separate,
        "seed": entry.seed,
        "seconds": round(entry.seconds, 6),
        "stored": dict(entry.stored),
        "sizes": dict(entry.sizes),
    }
    text = json.dumps(told, separators=(",", ":"), ensure_ascii=False)
    return f"{content_digest(text)}\n{text}"


def _entry(told: Any) -> Entry | None:
    stored, sizes = dict(told["stored"]), {str(name): int(size) for name, size in told["sizes"].items()}
    named = {*sizes, *stored.values()}
    if not all(isinstance(name, str) and OBJECT_NAME.fullmatch(name) for name in named) or set(stored.values()) - set(
        sizes
    ):
        return None
    seed = told["seed"]
    if not (seed is None or isinstance(seed, int)):
        return None
    for tree in told["trees"]:
        check_tree(tree)
    return Entry(tuple(told["trees"]), bool(told["separate"]), seed, float(told["seconds"]), stored, sizes)


def _line(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8") as stream:
            return stream.read(200).strip() or None
    except (OSError, ValueError):
        return None
