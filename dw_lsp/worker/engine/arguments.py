"""A workflow's JSON values as Python values: pictures, dtypes and classes, constants; by the key they stand under."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from dw_lsp.planning.input_files import PENDING, is_video_file, is_video_key, location_of, medium, names_media
from dw_lsp.worker.engine.made_objects import check_made, is_type_key, made, source_of
from dw_lsp.worker.engine.media import Media
from dw_lsp.worker.engine.sounds import Film, Sound
from dw_lsp.worker.engine.trusted_types import TrustedTypes
from dw_lsp.workflow.resolved import InvalidInput

logger = logging.getLogger(__name__)

#: How text that stands for something else begins.
CONSTANT = "constant:"


class Arguments:
    """Turns values into live ones.

    Arguments: where pictures come from; what may be named; `films`: whether videos keep their sound, as tasks take
    them; for pipelines they are lists of frames.
    """

    def __init__(self, media: Media, types: TrustedTypes, films: bool = True):
        self._media, self._types, self._films = media, types, films

    def live(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as they are handed to a pipeline or a task. Raises `InvalidInput` where one cannot be."""
        return {key: self._live(key, value) for key, value in arguments.items()}

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raise `InvalidInput` where an argument cannot be made live, without reading any picture's content."""
        for key, value in arguments.items():
            self._check(key, value)

    def _live(self, key: str, value: Any) -> Any:
        if names_media(key):
            return self._medium(key, value)
        if isinstance(value, list):
            return [self._live(key, item) for item in value]
        if isinstance(value, dict):
            if medium(value) is not None:
                return self._medium(key, value)
            return made(value, self.live, self._types, self._media) if source_of(value) else self.live(value)
        return self._text(key, value) if isinstance(value, str) else self._as_taken(value)

    def _as_taken(self, value: Any) -> Any:
        """A film or a recording as pipelines take it: its frames, its samples."""
        if self._films or not isinstance(value, (Film, Sound)):
            return value
        return value.frames if isinstance(value, Film) else value.samples

    def _text(self, key: str, value: str) -> Any:
        if not is_type_key(key) or value.startswith((PENDING, CONSTANT)) or _is_plain(value):
            return plain(key, value, self._types)
        found = self._types.value(value)
        if found is None:
            logger.warning(
                "%s is no type of diffusers; %r is passed on as text. Write {%s} to say so", value, key, value
            )
            return value
        return found

    def _medium(self, key: str, value: Any) -> Any:
        if isinstance(value, list):
            return [self._medium(key, item) for item in value]
        location = location_of(value)
        if location is None:
            return self._as_taken(value)
        if not self._moves(key, value):
            return self._media.image(location)
        return self._as_taken(self._media.video(location))

    def _moves(self, key: str, value: Any) -> bool:
        """Whether a medium is a video: its key or it itself says so. Tasks on pictures work on those of a video too."""
        told = value.get("media_type") if isinstance(value, dict) else None
        if told is not None or is_video_key(key):
            return is_video_key(key) or told == "video"
        location = location_of(value)
        return self._films and location is not None and is_video_file(location)

    def _check(self, key: str, value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                self._check(key, item)
        elif names_media(key) or (isinstance(value, dict) and medium(value) is not None):
            self._check_medium(key, value)
        elif isinstance(value, dict) and source_of(value):
            self.check(check_made(value, self._types, self._media))
        elif isinstance(value, dict):
            self.check(value)
        elif isinstance(value, str):
            self._text(key, value)

    def _check_medium(self, key: str, value: Any) -> None:
        moving = self._moves(key, value)
        location = location_of(value)
        if location is not None:
            self._media.check(location, "video" if moving else "image")
        elif not (value is None or (isinstance(value, str) and value.startswith(PENDING))):
            what = "video" if moving else "picture"
            raise InvalidInput(f'{key!r} should be a {what} (a path, an address or {{"location": ...}})')


def plain(key: str, value: Any, types: TrustedTypes) -> Any:
    """A value of which no text names a type: with the constants in it, and without the braces around plain text."""
    if isinstance(value, list):
        return [plain(key, item, types) for item in value]
    if isinstance(value, dict):
        return {name: plain(name, item, types) for name, item in value.items()}
    if not isinstance(value, str):
        return value
    if value.startswith(CONSTANT):
        return types.constant(value.removeprefix(CONSTANT))
    return value[1:-1] if is_type_key(key) and _is_plain(value) else value


def _is_plain(text: str) -> bool:
    """Whether text under a type's key stands for itself."""
    return text.startswith("{") and text.endswith("}")
