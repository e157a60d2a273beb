"""A run's memory as a timeline: samples with what was being done, as JSON and as a picture; on CUDA torch's snapshot.

Only on demand: on CUDA each allocation is noted with its Python stack, which costs time.
"""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw

from dw_lsp.protocol import Message, StepEnded, StepProgress
from dw_lsp.worker.engine.devices import memory_library
from dw_lsp.worker.engine.host_memory import process_memory
from dw_lsp.worker.engine.whole_files import write_whole

logger = logging.getLogger(__name__)

SECONDS_BETWEEN = 0.01
#: Beyond so many samples every other one is left out, and they are taken half as often.
MOST_SAMPLES = 8000
#: Allocations and releases that torch's snapshot reaches back.
MOST_ALLOCATIONS = 200_000
TIMELINE, PICTURE, SNAPSHOT = "memory.json", "memory.png", "memory_snapshot.pickle"
_WIDTH, _HEIGHT, _MARGIN = 1200, 480, 70
_COLOURS = {"process": (31, 119, 180), "allocated": (214, 39, 40), "reserved": (255, 152, 150)}
_PHASES = ((245, 245, 245), (228, 236, 246))


@dataclass(frozen=True)
class Sample:
    """Bytes at a moment: of the process, and on a device what is allocated and what is reserved; `doing` says what."""

    seconds: float
    doing: str
    process: int | None
    allocated: int | None
    reserved: int | None


class MemoryProfile:
    """Samples memory while it is entered. Arguments: the device; what else is told of each message of the run."""

    def __init__(self, device: torch.device):
        self._device, self._library = device, memory_library(device)
        self._started = time.monotonic()
        self._samples: list[Sample] = []
        self._doing = "preparing"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory profile", daemon=True)

    def __enter__(self) -> MemoryProfile:
        if self._device.type == "cuda":
            torch.cuda.memory._record_memory_history(max_entries=MOST_ALLOCATIONS, stacks="python")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.end()
        finally:
            if self._device.type == "cuda":
                torch.cuda.memory._record_memory_history(enabled=None)

    def end(self) -> None:
        """Take no more samples. What torch notes of allocations is there until the profile is left."""
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join()
            self._take()

    def heard(self, message: Message) -> None:
        """What the run says: from it follows what is being done."""
        if isinstance(message, StepProgress):
            self._doing = f"{message.step}: {message.phase}"
        elif isinstance(message, StepEnded):
            self._doing = "between steps"

    def write(self, folder: Path) -> list[Path]:
        """Write what was found into a folder. Returns the files."""
        written = [folder / TIMELINE, folder / PICTURE]
        told = {"device": str(self._device), "samples": [asdict(sample) for sample in self._samples]}
        write_whole(str(written[0]), json.dumps(told).encode("utf-8"))
        data = io.BytesIO()
        draw(self._samples).save(data, "PNG")
        write_whole(str(written[1]), data.getvalue())
        if self._device.type == "cuda":
            written.append(folder / SNAPSHOT)
            torch.cuda.memory._dump_snapshot(str(written[2]))
        return written

    def _watch(self) -> None:
        between = SECONDS_BETWEEN
        while not self._stop.wait(between):
            self._take()
            if len(self._samples) > MOST_SAMPLES:
                self._samples[:] = self._samples[::2]
                between *= 2

    def _take(self) -> None:
        allocated = reserved = None
        if self._library is not None:
            allocated = int(self._library.memory_allocated(self._device))
            reserved = int(self._library.memory_reserved(self._device))
        moment = time.monotonic() - self._started
        self._samples.append(Sample(moment, self._doing, process_memory(), allocated, reserved))


@contextmanager
def profiled(
    wanted: bool, device: torch.device, send: Callable[[Message], None], folder: Callable[[], Path | None]
) -> Iterator[Callable[[Message], None]]:
    """Profile what is done inside, if that is wanted. Gives the `send` that is to be used there.

    Arguments: `folder` tells, at the end, where the files go; `None`: there is nothing to be written.
    """
    if not wanted:
        yield send
        return
    profile = MemoryProfile(device)

    def both(message: Message) -> None:
        profile.heard(message)
        send(message)

    with profile:
        yield both
        profile.end()
        _write(profile, folder())


def _write(profile: MemoryProfile, place: Path | None) -> None:
    if place is None:
        logger.warning("there is no memory profile: the run ended before it had a folder")
        return
    try:
        for file in profile.write(place):
            logger.info("memory profile: %s", file)
    except (OSError, RuntimeError) as error:
        logger.warning("the memory profile cannot be written: %s", error)


def draw(samples: Sequence[Sample]) -> Image.Image:
    """The timeline: a line for each value, and a band for each thing that was done, with its name."""
    image = Image.new("RGB", (_WIDTH, _HEIGHT), (255, 255, 255))
    pen = ImageDraw.Draw(image)
    if not samples:
        return image
    end = max(samples[-1].seconds, 1e-6)
    values = [value for sample in samples for name in _COLOURS if (value := getattr(sample, name)) is not None]
    top = max(values, default=1) * 1.05
    left, right, bottom = _MARGIN, _WIDTH - 20, _HEIGHT - 60

    def across(seconds: float) -> float:
        return left + (right - left) * seconds / end

    def up(size: float) -> float:
        return bottom - (bottom - 20) * size / top

    _bands(pen, samples, across, bottom)
    for part in range(6):
        size = top * part / 5
        pen.line((left, up(size), right, up(size)), fill=(210, 210, 210))
        pen.text((8, up(size) - 6), f"{size / 1e6:.0f} MB", fill=(60, 60, 60))
        pen.text((across(end * part / 5) - 10, bottom + 4), f"{end * part / 5:.2f} s", fill=(60, 60, 60))
    for number, (name, colour) in enumerate(_COLOURS.items()):
        points = [(across(each.seconds), up(size)) for each in samples if (size := getattr(each, name)) is not None]
        if points:
            pen.line(points, fill=colour, width=2)
            pen.text((left + 10 + 120 * number, _HEIGHT - 22), name, fill=colour)
    return image


def _bands(pen: Any, samples: Sequence[Sample], across: Callable[[float], float], bottom: int) -> None:
    begin, number = 0, 0
    for index in range(1, len(samples) + 1):
        if index < len(samples) and samples[index].doing == samples[begin].doing:
            continue
        last = samples[min(index, len(samples) - 1)].seconds
        edges = (across(samples[begin].seconds), 20, across(last), bottom)
        pen.rectangle(edges, fill=_PHASES[number % 2])
        if edges[2] - edges[0] > 40:
            room = int((edges[2] - edges[0]) / 6.5)
            pen.text((edges[0] + 3, 22 + 12 * (number % 2)), samples[begin].doing[:room], fill=(90, 90, 90))
        begin, number = index, number + 1
