"""Commands for moving pictures: their frames, parts and joins, with their sound."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy
from PIL import Image

from dw_lsp.worker.engine.joining import as_film, cut, joined, repeated
from dw_lsp.worker.engine.seams import USUAL_FADE, Cut, Measure, from_decibels, levelled
from dw_lsp.worker.engine.sound_files import resampled
from dw_lsp.worker.engine.sounds import Film
from dw_lsp.worker.tasks.constraints import Above, Between, MediaReader, NotBelow, NotEmpty
from dw_lsp.workflow.resolved import InvalidInput


def get_first_frame(video: Any) -> Image.Image:
    """The first frame of a video.

    Args:
        video: its frames.
    """
    return get_frame(video, 0)


def get_last_frame(video: Any) -> Image.Image:
    """The last frame of a video.

    Args:
        video: its frames.
    """
    return get_frame(video, -1)


def get_frame(video: Any, frame_index: int = 0) -> Image.Image:
    """One frame of a video.

    Args:
        video: its frames.
        frame_index: which one; negative numbers count from the end.
    """
    frames = _frames(video)
    if not -len(frames) <= frame_index < len(frames):
        raise ValueError(f"there is no frame {frame_index}: the video has {len(frames)}")
    return frames[frame_index]


def video_frames(video: Any) -> Any:
    """The frames of a video as one array of bytes: frame, row, column, colour.

    Args:
        video: its frames.
    """
    return numpy.stack([numpy.asarray(frame.convert("RGB")) for frame in _frames(video)])


def trim_video(
    video: Any,
    start_frame: Annotated[int, NotBelow(0)],
    num_frames: Annotated[int, Above(0)],
    fps: Annotated[float, Above(0)] | None = None,
) -> Film:
    """One span of a video.

    Args:
        video: its frames.
        start_frame: the first frame that is kept.
        num_frames: how many are kept.
        fps: frames a second, where the video does not say it itself; its sound is cut by it.
    """
    film = _film(video, fps)
    count = len(film.frames)
    if start_frame + num_frames > count:
        raise ValueError(f"the video has {count} frames, not the {start_frame + num_frames} that are asked for")
    with _sentences():
        return cut(film, start_frame, num_frames)


def loop_frames(video: Any, num_frames: Annotated[int, Above(0)]) -> Film:
    """A video repeated until it has a number of frames.

    Args:
        video: its frames.
        num_frames: how many it is to have.
    """
    with _sentences():
        return repeated(_film(video), num_frames)


def concat_videos(
    videos: Annotated[list[Any], NotEmpty()],
    trim_frames: Annotated[int, NotBelow(0)] = 0,
    crossfade_ms: Annotated[float, NotBelow(0)] = 75,
    audio_bleed_ms: Annotated[float, NotBelow(0)] = 0,
    audio_bleed_gain_db: Annotated[float, Between(-200, 200)] = 0,
    seam_fade_ms: Annotated[float, NotBelow(0)] | None = None,
    fps: Annotated[float, Above(0)] | None = None,
    match_levels: Measure | None = None,
    match_levels_dbfs: Annotated[float, Between(-200, 200)] | None = None,
    sample_rate: Annotated[int, Above(0)] | None = None,
) -> Film:
    """Videos one after another.

    Args:
        videos: each one's frames.
        trim_frames: how many frames are left out at the beginning of each but the first.
        crossfade_ms: how long the sound of frames that are left out fades into what goes before.
        audio_bleed_ms: how long the end of a sound dies away in the next one, where nothing is left out.
        audio_bleed_gain_db: how much louder than itself it does so.
        seam_fade_ms: how long sounds are faded on both sides of a seam that has neither; usually just not to click.
        fps: frames a second, where the videos do not say it themselves; their sound is joined by it.
        match_levels: by what the sounds are made equally loud: their mean power, or their loudest samples.
        match_levels_dbfs: how loud, in dB below full scale.
        sample_rate: samples a second that the sound is to have; of bare samples, what they have.
    """
    fade = USUAL_FADE if seam_fade_ms is None else seam_fade_ms / 1000
    meeting = Cut(audio_bleed_ms / 1000, from_decibels(audio_bleed_gain_db), fade)
    with _sentences():
        films = [_at_rate(_film(video, fps), sample_rate) for video in videos]
        if match_levels is not None:
            films = levelled(films, match_levels, match_levels_dbfs)
        return joined(films, trim_frames, crossfade_ms / 1000, meeting)


def check_concat_videos(arguments: Mapping[str, Any]) -> str | None:
    """What is wrong with the arguments of `concat_videos` together."""
    if arguments.get("match_levels_dbfs") is not None and arguments.get("match_levels") is None:
        return "'match_levels_dbfs' of concat_videos needs 'match_levels'"
    return None


def gather_videos(media: MediaReader, glob: str | None = None, urls: list[str] | None = None) -> list[Film]:
    """Videos from files and addresses, each a result of its own: first those of the pattern, sorted by path.

    Args:
        glob: a pattern such as "clips/*.mp4", relative to the workflow file's folder.
        urls: http(s) addresses or paths.
    """
    locations = [str(path) for path in media.find_videos(glob)] if glob is not None else []
    if glob is not None and not locations:
        raise ValueError(f"the pattern {glob!r} finds no file")
    return [media.video(location) for location in [*locations, *(urls or [])]]


def _frames(video: Any) -> list[Image.Image]:
    return list(_film(video).frames)


def _at_rate(film: Film, rate: int | None) -> Film:
    if rate is None or film.audio is None:
        return film
    return dataclasses.replace(film, audio=resampled(film.audio, rate))


def _film(video: Any, fps: float | None = None) -> Film:
    try:
        return as_film(video, fps)
    except InvalidInput as error:
        raise ValueError(f"this is no list of frames: {error.message}") from error


@contextlib.contextmanager
def _sentences() -> Iterator[None]:
    """What is wrong with a video is told as what is wrong with the argument."""
    try:
        yield
    except InvalidInput as error:
        raise ValueError(f"{error.message}. {error.hint}" if error.hint else error.message) from error
