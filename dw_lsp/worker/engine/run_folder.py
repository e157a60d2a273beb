"""The folder of one run: where it lies, that nothing in it is overwritten, that each file is whole or absent."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dw_lsp.planning.output_names import safe_name
from dw_lsp.worker.engine.whole_files import write_whole
from dw_lsp.workflow.resolved import InvalidInput


@dataclass(frozen=True)
class WrittenFile:
    """A file of a run: where it is, how large, and the SHA-256 of its content."""

    path: Path
    bytes: int
    digest: str


class RunFolder:
    """A run's own folder: `output directory / workflow id / time-number`.

    Arguments: `makes_room` is asked once when a file of so many bytes could not be written, and says whether to try
    again. Raises `InvalidInput` when the folder cannot be made.
    """

    def __init__(
        self,
        output_directory: Path,
        workflow: str,
        run_id: str,
        began: float | None = None,
        makes_room: Callable[[OSError, int], bool] = lambda error, size: False,
    ):
        self._makes_room = makes_room
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(began))
        self._written: set[Path] = set()
        self._outdated: set[Path] = set()
        parent = output_directory / safe_name(workflow)
        wanted = parent / f"{stamp}-{safe_name(run_id)[:12]}"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            self.path = _make_new(wanted)
        except OSError as error:
            raise InvalidInput(
                f"the output folder {parent} cannot be written: {error.strerror or error}",
                hint="Set dw.outputDirectory to a folder that may be written.",
            ) from error
        # A link could lead the workflow's own folder elsewhere.
        if Path(os.path.realpath(output_directory)) not in Path(os.path.realpath(self.path)).parents:
            raise InvalidInput(f"the output folder {parent} leads out of {output_directory}")

    def write(self, name: str, data: bytes, subfolder: str | None = None) -> WrittenFile:
        """Write a file of that name; where there is one already, `-2`, `-3`, ... is put before its extension.

        Arguments: `name` and `subfolder` are safe parts of a path. Raises `OSError` when the disk does not take it.
        """
        folder = self.path / subfolder if subfolder else self.path
        folder.mkdir(parents=True, exist_ok=True)
        place = self._free(folder / name)
        self._write(place, data)
        self._written.add(place)
        return WrittenFile(place, len(data), hashlib.sha256(data).hexdigest())

    def begin_again(self) -> None:
        """From now on files are written as if there were none yet, in place of those of the same names."""
        self._outdated, self._written = self._outdated | self._written, set()

    def _free(self, wanted: Path) -> Path:
        number, place = 1, wanted
        while place not in self._outdated and place.exists():
            number += 1
            place = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
        self._outdated.discard(place)
        return place

    def replace(self, name: str, data: bytes) -> Path:
        """Write a file of that name in place of an earlier one of this run (the manifest, as the run goes on)."""
        place = self.path / name
        self._write(place, data)
        return place

    def _write(self, place: Path, data: bytes) -> None:
        try:
            write_whole(str(place), data)
        except OSError as error:
            if not self._makes_room(error, len(data)):
                raise
            write_whole(str(place), data)


def _make_new(wanted: Path) -> Path:
    number = 1
    while True:
        place = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            place.mkdir()
        except FileExistsError:
            number += 1
        else:
            return place
