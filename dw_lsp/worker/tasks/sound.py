"""Commands for sound: cut, joined, given to a film. A sound is a recording, a film that has one, or a file's path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from dw_lsp.worker.engine.joining import alike, as_film, crossfaded, fitted
from dw_lsp.worker.engine.sound_files import resampled
from dw_lsp.worker.engine.sounds import Film, Sound, as_sound, channels
from dw_lsp.worker.tasks.constraints import Above, MediaReader, NotBelow, NotEmpty
from dw_lsp.workflow.resolved import InvalidInput


def pair_audio(
    media: MediaReader,
    video: Any,
    audio: Any,
    sample_rate: Annotated[int, Above(0)] | None = None,
    fps: Annotated[float, Above(0)] | None = None,
    fit: Literal["video"] | None = None,
) -> Film:
    """A video with another sound.

    Args:
        video: its frames.
        audio: the sound, or a file that has one.
        sample_rate: samples a second that it is to have; of bare samples, what they have.
        fps: frames a second of the video.
        fit: with `video` the sound becomes as long as the video: cut, or with silence behind it.
    """
    sound = _sound(media, audio, sample_rate)
    try:
        film = as_film(video, fps)
    except InvalidInput as error:
        raise ValueError(f"this is no list of frames: {error.message}") from error
    paired = Film(film.frames, sound, film.fps)
    try:
        return paired if fit is None else fitted(paired)
    except InvalidInput as error:
        raise ValueError(f"{error.message}. {error.hint}") from error


def slice_audio(
    media: MediaReader,
    audio: Any,
    start_seconds: Annotated[float, NotBelow(0)] | None = None,
    duration_seconds: Annotated[float, Above(0)] | None = None,
    start_frame: Annotated[int, NotBelow(0)] | None = None,
    num_frames: Annotated[int, Above(0)] | None = None,
    fps: Annotated[float, Above(0)] | None = None,
    sample_rate: Annotated[int, Above(0)] | None = None,
    lead_frames: Annotated[int, NotBelow(0)] = 0,
) -> Sound:
    """A part of a sound; without a length, all the rest of it.

    Args:
        audio: the sound, or a file that has one.
        start_seconds: where the part begins.
        duration_seconds: how long it is.
        start_frame: where it begins, in frames of a video with `fps`.
        num_frames: how long it is, in such frames.
        fps: frames a second.
        sample_rate: samples a second that it is to have; of bare samples, what they have.
        lead_frames: how many frames before `start_frame` it begins; it is none the longer.
    """
    sound = _sound(media, audio, sample_rate)
    if sound.sample_rate is None:
        raise ValueError("the samples a second of this sound are not known: name them as 'sample_rate'")
    start = _seconds(start_seconds, None if start_frame is None else start_frame - lead_frames, fps) or 0.0
    length = _seconds(duration_seconds, num_frames, fps)
    samples = channels(sound)
    first = round(start * sound.sample_rate)
    last = samples.shape[1] if length is None else first + round(length * sound.sample_rate)
    if last > samples.shape[1] or first >= last:
        seconds = samples.shape[1] / sound.sample_rate
        raise ValueError(f"the sound is {seconds:.3f} s long; there is nothing from {start:g} s on of that length")
    return Sound(samples[:, first:last], sound.sample_rate)


def check_slice_audio(arguments: Mapping[str, Any]) -> str | None:
    """What is wrong with the arguments of `slice_audio` together."""
    for seconds, frames in (("start_seconds", "start_frame"), ("duration_seconds", "num_frames")):
        if arguments.get(seconds) is not None and arguments.get(frames) is not None:
            return f"{seconds!r} and {frames!r} of slice_audio rule each other out"
        if arguments.get(frames) is not None and arguments.get("fps") is None:
            return f"{frames!r} of slice_audio needs 'fps'"
    lead, start = arguments.get("lead_frames") or 0, arguments.get("start_frame")
    if lead and start is None:
        return "'lead_frames' of slice_audio needs 'start_frame'"
    if isinstance(lead, int) and isinstance(start, int) and lead > start:
        return f"'lead_frames' of slice_audio is {lead}, but before frame {start} there are no more than {start}"
    return None


def crossfade_audio(
    media: MediaReader,
    audios: Annotated[list[Any], NotEmpty()],
    crossfade_ms: Annotated[float, NotBelow(0)] = 75,
    sample_rate: Annotated[int, Above(0)] | None = None,
) -> Sound:
    """Sounds one after another, each blended into the next.

    Args:
        audios: the sounds, or files that have one.
        crossfade_ms: how long two of them are heard at once.
        sample_rate: samples a second that the result is to have; of bare samples, what they have.
    """
    sounds = [_sound(media, audio, sample_rate) for audio in audios]
    try:
        tracks, rate = alike(sounds)
    except InvalidInput as error:
        raise ValueError(error.message) from error
    if rate is None and crossfade_ms:
        raise ValueError("the samples a second of these sounds are not known: name them as 'sample_rate'")
    whole = tracks[0]
    for track in tracks[1:]:
        whole = crossfaded(whole, track, round(crossfade_ms / 1000 * (rate or 0)))
    return Sound(whole, rate)


def _sound(media: MediaReader, audio: Any, rate: int | None) -> Sound:
    """The recording that an argument is, with the samples a second that are wished for."""
    location = audio.get("location") if isinstance(audio, Mapping) else audio
    try:
        found = media.sound(location) if isinstance(location, str) else as_sound(audio, rate)
        return found if rate is None else resampled(found, rate)
    except InvalidInput as error:
        raise ValueError(error.message) from error


def _seconds(seconds: float | None, frames: int | None, fps: float | None) -> float | None:
    return frames / fps if frames is not None and fps is not None else seconds
