"""What computing has really needed on this machine, kept beside the catalogue: it corrects later estimates."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dw_lsp.catalog.store import cache_folder

FILE = "needs.json"
#: Samples that are kept of each kind, and kinds.
MOST_SAMPLES, MOST_KINDS = 12, 200
#: Corrections beyond this are taken for a mistake of the measurement.
LARGEST_FACTOR = 20.0


class Measurements:
    """Ratios of measured to predicted bytes, by kind (device, classes, precision). Arguments: the file."""

    def __init__(self, file: Path | None = None):
        self._file = file or cache_folder() / FILE
        self._ratios: dict[str, list[float]] = {}
        self._changed = -1

    def factor(self, kind: str) -> float | None:
        """By what a prediction is to be multiplied: the median of the last ratios; `None` before there was one."""
        self._refresh()
        ratios = self._ratios.get(kind)
        return statistics.median(ratios) if ratios else None

    def note(self, kind: str, predicted: int, measured: int) -> None:
        """Keep what a call of that kind has needed. Never raises: without the file, estimates stay uncorrected."""
        ratio = measured / predicted if predicted > 0 else 0.0
        if not 1 / LARGEST_FACTOR <= ratio <= LARGEST_FACTOR:
            return
        self._refresh()
        ratios = [*self._ratios.pop(kind, []), round(ratio, 4)][-MOST_SAMPLES:]
        self._ratios[kind] = ratios
        while len(self._ratios) > MOST_KINDS:
            del self._ratios[next(iter(self._ratios))]
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            partial = self._file.with_suffix(f".{os.getpid()}.partial")
            partial.write_text(json.dumps(self._ratios), encoding="utf-8")
            os.replace(partial, self._file)

    def _refresh(self) -> None:
        try:
            changed = self._file.stat().st_mtime_ns
            if changed != self._changed:
                self._ratios = _checked(json.loads(self._file.read_text(encoding="utf-8")))
                self._changed = changed
        except (OSError, ValueError):
            return


def _checked(value: Any) -> dict[str, list[float]]:
    """What is read may be anything: only lists of sound ratios are taken."""
    found: dict[str, list[float]] = {}
    for kind, ratios in value.items() if isinstance(value, Mapping) else ():
        if isinstance(ratios, list):
            sound = [float(each) for each in ratios if isinstance(each, (int, float)) and 0 < each <= LARGEST_FACTOR]
            if sound:
                found[str(kind)] = sound[-MOST_SAMPLES:]
    return found
