"""Commands for a picture, carried out on each frame of a video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image

from dw_lsp.worker.engine.artifacts import is_frames
from dw_lsp.worker.engine.joining import as_film
from dw_lsp.worker.engine.sounds import Film
from dw_lsp.workflow.format.commands import COMMANDS
from dw_lsp.workflow.resolved import InvalidInput

#: The argument that image processors work on.
PICTURE = "image"


def works_on_frames(command: str, picture: Any) -> bool:
    """Whether what a command is handed for a picture is a video, on whose frames it then works one by one."""
    return COMMANDS[command].kind == "image processor" and is_frames(picture)


def on_each_frame(video: Any, answer: Callable[[Image.Image], Any]) -> Any:
    """What a command makes of a video: a video with its sound, where the answers are pictures.

    Arguments: `answer` is the command on one frame. Raises `ValueError` for what is no video.
    """
    try:
        film = as_film(video)
    except InvalidInput as error:
        raise ValueError(f"this is no list of frames: {error.message}") from error
    return _together([answer(frame) for frame in film.frames], film)


def _together(answers: Sequence[Any], film: Film) -> Any:
    """The answers of all frames as one: of pictures a film, of objects one object, of tensors a batch."""
    first = answers[0]
    if isinstance(first, Image.Image):
        return Film(list(answers), film.audio, film.fps)
    if isinstance(first, dict):
        return {key: _together([each[key] for each in answers], film) for key in first}
    if isinstance(first, torch.Tensor):
        return torch.cat(list(answers))
    return first  # A size: that of all frames.
