"""Writing the store of remembered steps, and reading it with suspicion: whole or absent, verified, of bounded size.

Whatever goes wrong here costs the memory of a step, never its run: it is said once and the run goes on.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Collection, Sequence
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
#: Results of one iteration that are larger than this part of the store are not remembered.
LARGEST_PART = 0.25
#: An entry's time of use, that of its file, is noted when it is older than this. Seconds.
_USED_LATELY = 60
#: An unfinished file of this age was left behind by a process that is no more. Seconds.
_GIVEN_UP = 3600


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
        self._bytes: int | None = None
        self._verified: dict[str, tuple[int, int]] = {}
        self._complained = False

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
        except OSError as error:
            self._complain(error)

    def forget(self, key: str) -> None:
        """Remove what is remembered under a key, with its contents. What cannot be removed is said, not raised."""
        entry = self.find(key)
        if entry is None:
            return
        try:
            Path(self.entry_path(key)).unlink(missing_ok=True)
            for name in entry.sizes:
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
        if sum(map(len, data.values())) > self._largest * LARGEST_PART:
            logger.info("the results are too large to be remembered")
            return
        sizes = {name: len(made) for name, made in data.items()}
        sizes.update({name: os.stat(self.object_path(name)).st_size for name in stored.values() if name not in sizes})
        trees = tuple(artifact.tree for artifact in finished.artifacts)
        entry = Entry(trees, finished.separate, finished.seed, finished.seconds, stored, sizes)
        for artifact in finished.artifacts:
            artifact.stored = {**artifact.stored, **stored}
        for name, made in data.items():
            if not self.is_there(name, len(made)):
                self._write(self.object_path(name), made)
        text = entry_text(entry).encode("utf-8", "surrogatepass")
        self._write(self.entry_path(key), text)
        self.note(key, os.stat(self.entry_path(key)).st_ino, entry)
        self._grow(len(text) + sum(map(len, data.values())))

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

    def _make_folder(self, path: str) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        # A link in a workspace could lead the store elsewhere.
        if os.path.realpath(self.root) != os.path.join(
            os.path.realpath(self.root.parent.parent), *self.root.parts[-2:]
        ):
            raise OSError(f"{self.root} leads out of the output directory")

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            logger.warning("results cannot be remembered in %s: %s", self.root, error.strerror or error)

    # ------------------------------------------------------------ the bound

    def _grow(self, more: int) -> None:
        if self._bytes is None:
            self._bytes = sum(size for _, size, _ in (*_files(self.root / ENTRIES), *_files(self.root / OBJECTS)))
        else:
            self._bytes += more
        if self._bytes > self._largest:
            self._evict(int(self._largest * KEPT_PART))

    def _evict(self, bound: int) -> None:
        """Let the entries go that were used longest ago, and with them the objects that no other entry needs."""
        objects = {os.path.basename(path): (path, size) for path, size, _ in _files(self.root / OBJECTS)}
        kept: set[str] = set()
        total, full = 0, False
        for path, size, _ in sorted(_files(self.root / ENTRIES), key=lambda each: -each[2]):
            entry = None if full else read_entry(Path(path))
            needed = entry.sizes.keys() - kept if entry is not None else set()
            more = size + sum(objects[name][1] for name in needed if name in objects)
            full = full or total + more > bound
            if entry is None or full:
                Path(path).unlink(missing_ok=True)
            else:
                total += more
                kept |= needed
        for name, (path, _) in objects.items():
            if name not in kept:
                Path(path).unlink(missing_ok=True)
        self._bytes = total


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
