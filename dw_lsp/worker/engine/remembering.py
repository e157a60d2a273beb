"""Writing the store of remembered steps, and reading it with suspicion: whole or absent, verified, of bounded size.

Whatever goes wrong here costs the memory of a step, never its run: it is said once and the run goes on.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dw_lsp.planning.artifact import Artifact, contents_of
from dw_lsp.planning.step_store import (
    DEVICE,
    ENTRIES,
    OBJECTS,
    SEEDS,
    SURROUNDINGS,
    Entry,
    StepStore,
    entry_text,
    read_entry,
)
from dw_lsp.worker.engine.artifact_codec import CannotRestore, Contents
from dw_lsp.worker.engine.whole_files import UNFINISHED, write_whole
from dw_lsp.workflow.identity import bytes_digest, content_digest

logger = logging.getLogger(__name__)

#: What the store of one output directory may fill; the least recently used entries go first, down to a part of it.
LARGEST_STORE = 8 * 1024**3
KEPT_PART = 0.8
#: Other workers write to the same store: after writing such a part of it, what is there is counted again.
COUNTED_PART = 0.05
#: Seeds are kept of so many workflows, those that ran last.
MOST_SEEDS = 1000
#: Results of one iteration that are larger than this part of the store are not remembered.
LARGEST_PART = 0.25
#: An entry's time of use, that of its file, is noted when it is older than this. Seconds.
_USED_LATELY = 60
#: An unfinished file of this age was left behind by a process that is no more. Seconds.
_GIVEN_UP = 3600
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Finished:
    """One iteration that was carried out, as it is remembered."""

    artifacts: Sequence[Artifact]
    contents: Contents
    separate: bool
    seed: int | None
    seconds: float


class StepMemory(StepStore):
    """The store of one output directory. Arguments: the directory; how many bytes it may fill."""

    def __init__(self, output_directory: Path, largest: int = LARGEST_STORE):
        super().__init__(output_directory)
        self._largest = largest
        # What the store holds as far as is known, and how much of it was written here since it was counted.
        self._bytes: int | None = None
        self._uncounted = 0
        self._verified: dict[str, tuple[int, int]] = {}
        self._shared: set[str] = set()
        self._in_use: set[str] = set()
        self._complained = False

    def begin_run(self, largest: int) -> None:
        """A run begins: what it finds and writes stays until the next one does. Arguments: what the store may fill."""
        self._in_use.clear()
        self._complained = False
        if largest < self._largest:
            self._bytes = None
        self._largest = largest
        if largest == 0 and os.path.isdir(self.root / ENTRIES):
            self._evict(0)

    # ------------------------------------------------------------ reading

    def is_there(self, name: str, size: int) -> bool:
        """Whether an object is there and holds what its name says. What was verified once is, until it changes."""
        try:
            status = os.stat(self.object_path(name))
            if status.st_size != size:
                return False
            seen = (status.st_mtime_ns, status.st_ino)
            if self._verified.get(name) == seen:
                return True
            with open(self.object_path(name), "rb") as stream:
                whole = bytes_digest(stream.read()) == name.partition(".")[0]
        except OSError:
            return False
        if whole:
            self._verified[name] = seen
        return whole

    def used(self, path: str, last: float) -> None:
        """Note that an entry was used: in the time of its file, since systems note reading as they like."""
        self._in_use.add(path)
        now = time.time()
        if now - last > _USED_LATELY:
            try:
                os.utime(path, (now, now))
            except OSError as error:
                self._complain(error)

    def read(self, name: str) -> bytes:
        """An object's bytes. Raises `CannotRestore` when they are gone or not what they were."""
        try:
            with open(self.object_path(name), "rb") as stream:
                data = stream.read()
        except OSError as error:
            raise CannotRestore(f"a remembered result is gone: {error}", [name]) from error
        if bytes_digest(data) != name.partition(".")[0]:
            raise CannotRestore("a remembered result has been changed", [name])
        return data

    # ------------------------------------------------------------ writing

    def remember(self, key: str, finished: Finished) -> None:
        """Keep an iteration's results under its key. What cannot be written is said, not raised."""
        try:
            self._remember(key, finished)
        except (OSError, MemoryError, ValueError, KeyError) as error:
            self._complain(error)

    def forget(self, key: str) -> None:
        """Remove what is remembered under a key, with its contents. What cannot be removed is said, not raised."""
        entry = self.find(key)
        if entry is None:
            return
        try:
            Path(self.entry_path(key)).unlink(missing_ok=True)
            for name in entry.sizes.keys() - self._shared:
                Path(self.object_path(name)).unlink(missing_ok=True)
        except OSError as error:
            self._complain(error)

    def drop(self, objects: Collection[str]) -> None:
        """Remove objects that are of no use: the entries with them count as none from now on."""
        for name in objects:
            self._verified.pop(name, None)
            try:
                Path(self.object_path(name)).unlink(missing_ok=True)
            except OSError as error:
                self._complain(error)

    def note_surroundings(self, surroundings: str, device: str) -> None:
        """Tell plans in which surroundings keys are made now, and on which kind of device."""
        if self.surroundings != surroundings:
            self._write_note(self.root / SURROUNDINGS, surroundings)
        if self.device != device:
            self._write_note(self.root / DEVICE, device)

    def note_seed(self, workflow: str, seed: int, unfinished: str = "") -> None:
        """Keep the seed that was drawn for a workflow without one.

        Arguments: `unfinished` is the identity of what it was drawn for, as long as that has come to no end.
        """
        self._write_note(self.root / SEEDS / content_digest(workflow), f"{seed} {unfinished}".strip())

    def _write_note(self, path: Path, text: str) -> None:
        try:
            self._write(str(path), text.encode())
        except OSError as error:
            self._complain(error)

    def _remember(self, key: str, finished: Finished) -> None:
        data: dict[str, bytes] = {}
        stored: dict[str, str] = {}
        for artifact in finished.artifacts:
            for content in contents_of(artifact.tree):
                if content in stored:
                    continue
                made, ending = self._bytes_of(artifact, content, finished.contents)
                if made is None:
                    stored[content] = artifact.stored[content]
                    continue
                name = f"{bytes_digest(made)}.{ending}"
                stored[content], data[name] = name, made
        sizes = {name: len(made) for name, made in data.items()}
        sizes.update({name: os.stat(self.object_path(name)).st_size for name in stored.values() if name not in sizes})
        trees = tuple(artifact.tree for artifact in finished.artifacts)
        entry = Entry(trees, finished.separate, finished.seed, finished.seconds, stored, sizes)
        text = entry_text(entry).encode("utf-8", "surrogatepass")
        size = len(text) + sum(map(len, data.values()))
        if size > self._largest * LARGEST_PART or not self._has_room(size):
            logger.info("the results are too large to be remembered beside all else that this run uses")
            return
        path = self.entry_path(key)
        try:
            self._write_all(path, text, data)
        except OSError as error:
            if not self.makes_room(error, size):
                raise
            self._write_all(path, text, data)
        self.note(key, os.stat(path).st_ino, entry)
        self._in_use.add(path)
        for artifact in finished.artifacts:
            artifact.stored = {**artifact.stored, **stored}

    def _write_all(self, path: str, text: bytes, data: Mapping[str, bytes]) -> None:
        for name, made in data.items():
            if self.is_there(name, len(made)):
                self._shared.add(name)
            else:
                self._write(self.object_path(name), made)
        self._write(path, text)

    def _bytes_of(self, artifact: Artifact, content: str, contents: Contents) -> tuple[bytes | None, str]:
        """A content's bytes, and the ending of its object; no bytes for what is in the store already."""
        if artifact.png is not None and artifact.image_size is not None:
            return artifact.png, "png"
        if content in artifact.stored and content not in contents:
            return None, ""
        return contents[content](), "raw"

    def _write(self, path: str, data: bytes) -> None:
        """Write a file, whole or not at all, in a folder that may have to be made."""
        try:
            write_whole(path, data)
        except FileNotFoundError:
            self._make_folder(path)
            write_whole(path, data)
        self._uncounted += len(data)

    def _make_folder(self, path: str) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        # A link in a workspace could lead the store elsewhere.
        if os.path.realpath(self.root) != os.path.join(
            os.path.realpath(self.root.parent.parent), *self.root.parts[-2:]
        ):
            raise OSError(f"{self.root} leads out of the output directory")

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            reason = getattr(error, "strerror", None) or f"{error}" or type(error).__name__
            logger.warning("results cannot be remembered in %s: %s", self.root, reason)

    # ------------------------------------------------------------ the bound

    def makes_room(self, error: OSError, size: int) -> bool:
        """Whether something was let go of for so many bytes, since the disk, or what may be put there, is full."""
        if error.errno not in _FULL:
            return False
        before = self._count()
        self._evict(min(before - 2 * size, int(before * KEPT_PART)))
        return self._known_bytes < before

    def _has_room(self, size: int) -> bool:
        """Whether so many bytes more stay within the bound, once what has not been used for long has left."""
        if self._bytes is None or self._uncounted > self._largest * COUNTED_PART:
            self._bytes = self._count()
        if self._known_bytes + size > self._largest:
            self._evict(min(int(self._largest * KEPT_PART), self._largest - size))
        return self._known_bytes + size <= self._largest

    @property
    def _known_bytes(self) -> int:
        return (self._bytes or 0) + self._uncounted

    def _count(self) -> int:
        """What the store holds now, other workers' entries too."""
        self._uncounted = 0
        seeds = sorted(_files(self.root / SEEDS), key=lambda each: -each[2])
        for path, _, _ in seeds[MOST_SEEDS:]:
            Path(path).unlink(missing_ok=True)
        return sum(size for _, size, _ in (*_files(self.root / ENTRIES), *_files(self.root / OBJECTS)))

    def _evict(self, bound: int) -> None:
        """Let the entries go that were used longest ago, and with them the objects that no other entry needs.

        What this run uses stays: a set of results that is larger than the bound would else push itself out.
        """
        objects = {os.path.basename(path): (path, size) for path, size, _ in _files(self.root / OBJECTS)}
        kept: set[str] = set()
        total, full = 0, False
        entries = sorted(_files(self.root / ENTRIES), key=lambda each: (each[0] not in self._in_use, -each[2]))
        for path, size, _ in entries:
            in_use = path in self._in_use
            entry = None if full and not in_use else read_entry(Path(path))
            needed = entry.sizes.keys() - kept if entry is not None else set()
            more = size + sum(objects[name][1] for name in needed if name in objects)
            full = full or (total + more > bound and not in_use)
            if entry is None or (full and not in_use):
                Path(path).unlink(missing_ok=True)
            else:
                total += more
                kept |= needed
        for name, (path, _) in objects.items():
            if name not in kept:
                Path(path).unlink(missing_ok=True)
        self._bytes, self._uncounted = total, 0


def _files(folder: Path) -> list[tuple[str, int, float]]:
    """The files in a folder's folders: path, bytes, time of last use. What is still being written does not count."""
    found = []
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            try:
                status = os.stat(path)
            except FileNotFoundError:
                continue
            if not name.endswith(UNFINISHED) or time.time() - status.st_mtime > _GIVEN_UP:
                found.append((path, status.st_size, status.st_mtime))
    return found
