"""Commands for moving pictures: their frames, parts and joins. A video is a list of frames; it has no sound here."""

from __future__ import annotations

from typing import Annotated, Any

import numpy
from PIL import Image

from dw_lsp.worker.engine.artifacts import as_images
from dw_lsp.worker.tasks.constraints import Above, MediaReader, NotBelow, NotEmpty
from dw_lsp.workflow.resolved import InvalidInput

#: A video as an answer: one result that is a list, not a list of results.
Video = list[list[Image.Image]]


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
) -> Video:
    """One span of a video.

    Args:
        video: its frames.
        start_frame: the first frame that is kept.
        num_frames: how many are kept.
        fps: frames a second, for a sound track; without one it has no effect.
    """
    frames = _frames(video)
    if start_frame + num_frames > len(frames):
        raise ValueError(f"the video has {len(frames)} frames, not the {start_frame + num_frames} that are asked for")
    return [frames[start_frame : start_frame + num_frames]]


def loop_frames(video: Any, num_frames: Annotated[int, Above(0)]) -> Video:
    """A video repeated until it has a number of frames.

    Args:
        video: its frames.
        num_frames: how many it is to have.
    """
    frames = _frames(video)
    return [(frames * -(-num_frames // len(frames)))[:num_frames]]


def concat_videos(
    videos: Annotated[list[Any], NotEmpty()],
    trim_frames: Annotated[int, NotBelow(0)] = 0,
    crossfade_ms: Annotated[float, NotBelow(0)] = 75,
    fps: Annotated[float, Above(0)] | None = None,
) -> Video:
    """Videos one after another.

    Args:
        videos: each one's frames.
        trim_frames: how many frames are left out at the beginning of each but the first.
        crossfade_ms: how long sound fades from one into the next; without sound it has no effect.
        fps: frames a second, for sound; without any it has no effect.
    """
    joined = _frames(videos[0])
    for number, video in enumerate(videos[1:], 1):
        frames = _frames(video)
        if frames[0].size != joined[0].size:
            raise ValueError(f"the video {number} has frames of {frames[0].size}, the first of {joined[0].size}")
        if trim_frames >= len(frames):
            raise ValueError(f"the video {number} has {len(frames)} frames, of which {trim_frames} cannot be left out")
        joined = [*joined, *frames[trim_frames:]]
    return [joined]


def gather_videos(media: MediaReader, glob: str | None = None, urls: list[str] | None = None) -> Video:
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
    try:
        return as_images(video)
    except InvalidInput as error:
        raise ValueError(f"this is no list of frames: {error.message}") from error
