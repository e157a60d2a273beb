"""Sound as files: recordings written as WAV, FLAC, MP3 and others, and read from any file that holds some.

The same recording gives the same bytes, but for Ogg (each file has a number drawn for it) and floating-point WAV (the
time stands in it).
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import wave
from collections.abc import Callable, Mapping
from typing import Any

import numpy

from dw_lsp.text.syntax_tree import Value
from dw_lsp.worker.engine.sounds import Sound, channels
from dw_lsp.worker.engine.videos import library
from dw_lsp.workflow.resolved import InvalidInput

PACKAGE = "soundfile"
EXTENSIONS = (".wav", ".mp3", ".flac", ".ogg", ".aiff", ".aif", ".m4a", ".opus")
DEFAULT_RATE = 44_100
#: Container and encoding of each content type, as libsndfile names them.
FORMATS: Mapping[str, tuple[str, str | None]] = {
    "audio/wav": ("WAV", None),
    "audio/x-wav": ("WAV", None),
    "audio/aiff": ("AIFF", None),
    "audio/flac": ("FLAC", None),
    "audio/x-flac": ("FLAC", None),
    "audio/mpeg": ("MP3", None),
    "audio/mp3": ("MP3", None),
    "audio/ogg": ("OGG", "VORBIS"),
    "audio/vorbis": ("OGG", "VORBIS"),
    "audio/opus": ("OGG", "OPUS"),
}
BITRATE_MODES = ("CONSTANT", "AVERAGE", "VARIABLE")
#: Containers that have a level of compression; the others would ignore it or fail.
_COMPRESSED = ("FLAC", "MP3", "OGG")
#: Samples a second that a container or an encoding can have, where it cannot have any number.
_RATES = {
    "MP3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "OPUS": (8000, 12000, 16000, 24000, 48000),
}
#: The encoding that Python can write by itself.
_PLAIN = (None, "PCM_16")
#: Longer recordings are not read: they would fill the memory. Bytes of samples.
LARGEST_SOUND = 4 * 1024**3
_FULL_SCALE = 32_767


def is_available() -> bool:
    """Whether this Python can write all kinds of sound."""
    return importlib.util.find_spec(PACKAGE) is not None


def rate_setting(result: Mapping[str, Value]) -> int | None:
    """The samples a second that a step's `result` names."""
    rate = result.get("sample_rate", result.get("samplerate"))
    return rate if isinstance(rate, int) else None


def problem_of(content_type: str, result: Mapping[str, Value]) -> tuple[str, str, str | None] | None:
    """What hinders a step's sound from being written: the key at fault, a sentence, a mend; `None` where nothing does.

    Arguments: `result` is the step's.
    """
    container, encoding = _form(content_type, result)
    if not is_available():
        if container == "WAV" and encoding in _PLAIN and "bitrate_mode" not in result:
            return None
        message = f"writing {content_type} needs the package {PACKAGE}, which the worker's Python does not have"
        return "content_type", message, f"Install it there: pip install {PACKAGE}. Plain audio/wav needs nothing."
    known = _writer()
    if container not in known.available_formats():
        return "format", f"`format` names no container of sound: {container}", _among(known.available_formats())
    if encoding is not None and not known.check_format(container, encoding):
        return "subtype", f"{container} has no encoding {encoding!r}", _among(known.available_subtypes(container))
    if result.get("bitrate_mode") not in (None, *BITRATE_MODES):
        return "bitrate_mode", f"`bitrate_mode` is one of {', '.join(BITRATE_MODES)}", None
    level = result.get("compression_level")
    if level is not None and not (isinstance(level, (int, float)) and 0 <= level <= 1):
        return "compression_level", "`compression_level` is a number from 0 to 1", None
    if level is not None and container not in _COMPRESSED:
        return "compression_level", f"{container} is not compressed, so it has no `compression_level`", "Remove it."
    return None


def encode_sound(sound: Sound, content_type: str, result: Mapping[str, Value]) -> bytes:
    """A recording as the bytes of a file. Arguments: `result` is the step's.

    Raises `InvalidInput` when the content type cannot hold it.
    """
    container, encoding = _form(content_type, result)
    rate = rate_setting(result)
    if rate is None:
        rate = sound.sample_rate or DEFAULT_RATE
        possible = _RATES.get(encoding or container, ()) or _RATES.get(container, ())
        rate = next((each for each in possible if each >= rate), possible[-1] if possible else rate)
        sound = sound if sound.sample_rate else Sound(sound.samples, DEFAULT_RATE)
    samples = channels(resampled(sound, rate))
    if not is_available():
        return _plain_wav(samples, rate)
    data = io.BytesIO()
    written = _writer()
    try:
        written.write(
            data,
            samples.T,
            rate,
            subtype=encoding,
            format=container,
            compression_level=result.get("compression_level"),
            bitrate_mode=result.get("bitrate_mode"),
        )
    except (RuntimeError, ValueError, TypeError) as error:
        reason = str(error).rpartition("Error : ")[2]
        raise InvalidInput(
            f"a sound of {samples.shape[0]} channels at {rate} a second does not fit: {reason}"
        ) from error
    return data.getvalue()


def resampled(sound: Sound, rate: int) -> Sound:
    """The same recording with other samples a second; one whose rate is not known is taken to have this one."""
    if sound.sample_rate is None or sound.sample_rate == rate:
        return Sound(sound.samples, rate)
    av = library("changing samples a second needs")
    return Sound(numpy.concatenate([_resampled(av, each, sound.sample_rate, rate) for each in channels(sound)]), rate)


def _resampled(av: Any, samples: Any, before: int, rate: int) -> Any:
    """One channel, as (1, sample)."""
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
    frame = av.AudioFrame.from_ndarray(numpy.ascontiguousarray(samples[None]), format="fltp", layout="mono")
    frame.sample_rate = before
    parts = [part.to_ndarray() for part in (*resampler.resample(frame), *resampler.resample(None))]
    return numpy.concatenate(parts, axis=1) if parts else numpy.zeros((1, 1), numpy.float32)


def _form(content_type: str, result: Mapping[str, Value]) -> tuple[str, str | None]:
    """Container and encoding, as the content type has them or the step's `result` wants them."""
    container, encoding = FORMATS.get(content_type, ("WAV", None))
    named, within = result.get("format"), result.get("subtype")
    if isinstance(named, str) and named.upper() != container:
        container, encoding = named.upper(), None
    return container, within.upper() if isinstance(within, str) else encoding


def _plain_wav(samples: Any, rate: int) -> bytes:
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(samples.shape[0])
        file.setsampwidth(2)
        file.setframerate(rate)
        whole = (samples.T.clip(-1.0, 1.0) * _FULL_SCALE).round().astype("<i2")
        file.writeframes(numpy.ascontiguousarray(whole).tobytes())
    return data.getvalue()


def decode_sound(data: bytes, location: str, check: Callable[[], None] = lambda: None) -> Sound:
    """The first recording in a file of sound or moving pictures.

    Arguments: `location` is what it is called in errors; `check` is called now and then and may raise to stop.
    Raises `InvalidInput` when there is none, or it is too long to be held in memory.
    """
    av = library("reading sound needs")
    try:
        with av.open(io.BytesIO(data)) as container:
            if not container.streams.audio:
                raise InvalidInput(f"{location!r} has no sound")
            rate = container.streams.audio[0].rate
            return Sound(_samples(av, container, location, check), rate)
    except (av.FFmpegError, ValueError) as error:
        raise InvalidInput(f"{location!r} is no sound that can be read: {error}") from error


def _samples(av: Any, container: Any, location: str, check: Callable[[], None]) -> Any:
    """The samples of the first stream, as (channel, sample)."""
    parts: list[Any] = []
    size = 0
    plain = av.AudioResampler(format="fltp")
    for frame in container.decode(audio=0):
        check()
        for part in plain.resample(frame):
            parts.append(part.to_ndarray())
            size += parts[-1].nbytes
        if size > LARGEST_SOUND:
            raise InvalidInput(f"the sound {location!r} is too long to be held in memory")
    if not parts:
        raise InvalidInput(f"the sound {location!r} is empty")
    return numpy.concatenate(parts, axis=1)


def _among(names: Mapping[str, str]) -> str:
    return f"There are {', '.join(sorted(names))}."


def _writer() -> Any:
    return importlib.import_module(PACKAGE)
