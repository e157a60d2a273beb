"""Films cut and put one after another, so that picture and sound stay together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from dw_lsp.worker.engine.artifacts import as_images
from dw_lsp.worker.engine.seams import HARD, Cut
from dw_lsp.worker.engine.sound_files import resampled
from dw_lsp.worker.engine.sounds import Film, Sound, channels
from dw_lsp.workflow.resolved import InvalidInput


def as_film(value: Any, fps: float | None = None) -> Film:
    """A video as frames, with its sound if it has one. Arguments: `fps`, if known, goes before what it says itself.

    Raises `InvalidInput` for what is no video.
    """
    frames = as_images(value)
    audio, told = (value.audio, value.fps) if isinstance(value, Film) else (None, None)
    return Film(frames, audio, fps if fps is not None else told)


def cut(film: Film, start: int, count: int) -> Film:
    """A stretch of a film: `count` frames from frame `start` on.

    Raises `InvalidInput` where its sound cannot be cut.
    """
    if film.audio is None:
        return Film(film.frames[start : start + count], None, film.fps)
    samples, rate = channels(film.audio), _rate_of(film)
    first, last = (round(frame * rate / _fps_of(film)) for frame in (start, start + count))
    return Film(film.frames[start : start + count], Sound(samples[:, first:last], film.audio.sample_rate), film.fps)


def repeated(film: Film, count: int) -> Film:
    """A film over and over, until it has `count` frames."""
    frames = film.frames
    looped = (frames * -(-count // len(frames)))[:count]
    if film.audio is None:
        return Film(looped, None, film.fps)
    samples = _as_long_as_its_frames(film)
    times = -(-count // len(frames))
    wanted = round(count * _rate_of(film) / _fps_of(film))
    return Film(looped, Sound(numpy.tile(samples, times)[:, :wanted], film.audio.sample_rate), film.fps)


def fitted(film: Film) -> Film:
    """A film whose sound is as long as its frames: cut at the end, or with silence behind it.

    Raises `InvalidInput` where it is not known how long either is.
    """
    if film.audio is None:
        return film
    return Film(film.frames, Sound(_as_long_as_its_frames(film), film.audio.sample_rate), film.fps)


def joined(films: Sequence[Film], trim: int, crossfade: float, cut: Cut = HARD) -> Film:
    """Films one after another. Arguments: `trim` frames are left out at the head of each but the first; `crossfade` are
    seconds in which the sound of such a head is blended into what goes before, so that the whole keeps its length;
    `cut` says how sounds meet where nothing is blended.

    Raises `InvalidInput` when the films do not fit together.
    """
    frames = list(films[0].frames)
    for number, film in enumerate(films[1:], 1):
        if film.frames[0].size != frames[0].size:
            message = f"the video {number} has frames of {film.frames[0].size}, the first of {frames[0].size}"
            raise InvalidInput(message)
        if trim >= len(film.frames):
            have = f"the video {number} has {len(film.frames)} frames"
            raise InvalidInput(f"{have}, of which {trim} cannot be left out")
        frames += film.frames[trim:]
    fps = films[0].fps
    if all(film.audio is None for film in films):
        return Film(frames, None, fps)
    return Film(frames, _joined_sound(films, trim, crossfade, cut), fps)


def crossfaded(first: Any, second: Any, overlap: int) -> Any:
    """Two recordings (channel, sample) as one: the end of the first is blended with `overlap` samples of the second."""
    overlap = min(overlap, first.shape[1], second.shape[1])
    if overlap == 0:
        return numpy.concatenate([first, second], axis=1)
    # The powers of both always add up to one, so that no dip is heard.
    angle = numpy.linspace(0.0, numpy.pi / 2, overlap, dtype=numpy.float32)
    blend = first[:, -overlap:] * numpy.cos(angle) + second[:, :overlap] * numpy.sin(angle)
    return numpy.concatenate([first[:, :-overlap], blend, second[:, overlap:]], axis=1)


def alike(sounds: Sequence[Sound]) -> tuple[list[Any], int | None]:
    """Recordings with equal samples a second and equally many channels, and that rate."""
    rate = next((sound.sample_rate for sound in sounds if sound.sample_rate), None)
    found = [channels(sound if rate is None else resampled(sound, rate)) for sound in sounds]
    most = max(len(samples) for samples in found)
    return [numpy.repeat(samples, most, axis=0) if len(samples) == 1 else _of(samples, most) for samples in found], rate


def _of(samples: Any, count: int) -> Any:
    if len(samples) != count:
        raise InvalidInput(f"sounds of {len(samples)} and of {count} channels cannot be put together")
    return samples


def _joined_sound(films: Sequence[Film], trim: int, crossfade: float, cut: Cut) -> Sound:
    heard = [film for film in films if film.audio is not None]
    tracks, rate = alike([film.audio for film in heard if film.audio is not None])
    fps = _fps_of(next((film for film in films if film.fps is not None), films[0]))
    samples = rate or _rate_of(heard[0])
    waiting = iter(tracks)
    whole: Any = None
    for film in films:
        track = next(waiting) if film.audio is not None else numpy.zeros((len(tracks[0]), 0), numpy.float32)
        track = _of_length(track, round(len(film.frames) * samples / fps))
        if whole is None:
            whole = track
            continue
        head = round(trim * samples / fps)
        overlap = min(round(crossfade * samples), head, whole.shape[1])
        rest = track[:, head - overlap :]
        whole = crossfaded(whole, rest, overlap) if overlap else cut.joined(whole, rest, samples)
    return Sound(whole, rate)


def _as_long_as_its_frames(film: Film) -> Any:
    if film.audio is None:
        raise InvalidInput("the film has no sound")
    return _of_length(channels(film.audio), round(len(film.frames) * _rate_of(film) / _fps_of(film)))


def _of_length(samples: Any, length: int) -> Any:
    """Cut at the end, or with silence behind it."""
    missing = length - samples.shape[1]
    return samples[:, :length] if missing <= 0 else numpy.pad(samples, ((0, 0), (0, missing)))


def _fps_of(film: Film) -> float:
    if film.fps is None:
        message = "it has sound, but it is not known how many frames a second belong to it"
        raise InvalidInput(message, hint="Say so with `fps`, here or where the sound is given to it.")
    return film.fps


def _rate_of(film: Film) -> int:
    if film.audio is None or film.audio.sample_rate is None:
        message = "the samples a second of its sound are not known"
        raise InvalidInput(message, hint="Say so with `sample_rate` where the sound is given to it.")
    return film.audio.sample_rate
