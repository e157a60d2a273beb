"""Moving pictures as files: frames to H.264 in MP4, with or without sound, and back. The same film, the same bytes."""

from __future__ import annotations

import importlib
import importlib.util
import io
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy
from PIL import Image

from dw_lsp.planning.input_files import VIDEO_ENDINGS
from dw_lsp.worker.engine.sounds import Sound, channels
from dw_lsp.workflow.resolved import InvalidInput

PACKAGE = "av"
EXTENSIONS = VIDEO_ENDINGS
#: Quality of the encoder's own scale: 0 loses nothing, 51 is the worst; at 17 no difference is seen.
QUALITY = "17"
#: More frames, or larger ones in all, are not read: they would fill the memory. Bytes.
MOST_FRAMES = 10_000
#: Samples a second that the sound of an MP4 file can have.
SOUND_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_SOUND_BITS = 192_000
LARGEST_FRAMES = 8 * 1024**3

#: Called with how many frames are done, and of how many.
FrameDone = Callable[[int, int], None]


def uncounted(done: int, total: int) -> None:
    """Nobody wants to know."""


def is_available() -> bool:
    """Whether this Python can read and write videos."""
    return importlib.util.find_spec(PACKAGE) is not None


def encode_video(
    frames: Sequence[Image.Image], fps: float, sound: Sound | None = None, frame_done: FrameDone = uncounted
) -> bytes:
    """Frames as an MP4 file. Odd sides, which the format does not have, get one row or column more.

    Arguments: `fps` are frames a second; `sound`, whose rate must be known, goes beside them; `frame_done` is called
    after each frame and may raise to stop.
    Raises `InvalidInput` when frames differ in size, or the sound has more than two channels.
    """
    width, height = frames[0].size
    if any(frame.size != (width, height) for frame in frames):
        raise InvalidInput("its frames are of different sizes")
    av = library()
    data = io.BytesIO()
    with av.open(data, "w", format="mp4") as container:
        # Two threads or twenty encode differently; one always encodes the same.
        options = {"crf": QUALITY, "preset": "medium", "threads": "1"}
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=options)
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        track = None if sound is None else _Track(av, container, sound)
        for number, frame in enumerate(frames, 1):
            picture = av.VideoFrame.from_image(_even(frame.convert("RGB")))
            container.mux(stream.encode(picture))
            frame_done(number, len(frames))
        container.mux(stream.encode(None))
        if track is not None:
            track.write()
    return data.getvalue()


class _Track:
    """The sound of a film that is being written. Made before anything is written: a file's head names its streams."""

    def __init__(self, av: Any, container: Any, sound: Sound):
        self._av, self._container, self._samples = av, container, channels(sound)
        if len(self._samples) > 2:
            raise InvalidInput(f"its sound has {len(self._samples)} channels; a film has one or two")
        self._rate, self._layout = sound.sample_rate, ("mono", "stereo")[len(self._samples) - 1]
        options = {"threads": "1"}
        rate = next((each for each in SOUND_RATES if each >= (self._rate or 0)), SOUND_RATES[-1])
        self._stream = container.add_stream("aac", rate=rate, layout=self._layout, options=options)
        self._stream.bit_rate = _SOUND_BITS

    def write(self) -> None:
        samples = numpy.ascontiguousarray(self._samples.clip(-1.0, 1.0))
        frame = self._av.AudioFrame.from_ndarray(samples, format="fltp", layout=self._layout)
        frame.sample_rate, frame.pts = self._rate, 0
        self._container.mux(self._stream.encode(frame))
        self._container.mux(self._stream.encode(None))


def decode_video(data: bytes, location: str, check: Callable[[], None] = lambda: None) -> list[Image.Image]:
    """The frames of a video, as RGB.

    Arguments: `location` is what it is called in errors; `check` is called for each frame and may raise to stop.
    Raises `InvalidInput` when it is none, or too long to be held in memory.
    """
    av = library()
    frames: list[Image.Image] = []
    size = 0
    try:
        with av.open(io.BytesIO(data)) as container:
            if not container.streams.video:
                raise InvalidInput(f"{location!r} has no moving picture")
            for frame in container.decode(video=0):
                check()
                size += frame.width * frame.height * 3
                if len(frames) >= MOST_FRAMES or size > LARGEST_FRAMES:
                    raise InvalidInput(f"the video {location!r} is too long: more than {len(frames)} frames")
                frames.append(frame.to_image())
    except (av.FFmpegError, ValueError) as error:
        raise InvalidInput(f"{location!r} is no video that can be read: {error}") from error
    if not frames:
        raise InvalidInput(f"the video {location!r} has no frames")
    return frames


def facts_of(data: bytes) -> tuple[float | None, bool]:
    """Frames a second of a video that has been decoded before, and whether it has sound."""
    with library().open(io.BytesIO(data)) as container:
        rate = container.streams.video[0].average_rate
        return (float(rate) if rate else None), bool(container.streams.audio)


def _even(frame: Image.Image) -> Image.Image:
    width, height = frame.size
    if width % 2 == 0 and height % 2 == 0:
        return frame
    whole = Image.new("RGB", (width + width % 2, height + height % 2))
    whole.paste(frame, (0, 0))
    if width % 2:
        whole.paste(whole.crop((width - 1, 0, width, height)), (width, 0))
    if height % 2:
        whole.paste(whole.crop((0, height - 1, whole.width, height)), (0, height))
    return whole


def library(what: str = "videos need") -> Any:
    """The package that reads and writes. Raises `InvalidInput` where it is not installed."""
    try:
        return importlib.import_module(PACKAGE)
    except ImportError as error:
        raise InvalidInput(
            f"{what} the package {PACKAGE}, which the worker's Python does not have",
            hint=f"Install it there: pip install {PACKAGE}",
        ) from error
