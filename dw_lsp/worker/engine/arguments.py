"""A workflow's JSON values as Python values: pictures, dtypes and classes, constants; by the key they stand under."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

from dw_lsp.planning.input_files import PENDING, is_video_key, location_of, medium, names_media
from dw_lsp.worker.engine.media import Media
from dw_lsp.worker.engine.trusted_types import TrustedTypes
from dw_lsp.workflow.resolved import InvalidInput

logger = logging.getLogger(__name__)

#: Keys that end like a type's, but hold ordinary text.
NOT_TYPES = frozenset({"content_type", "offload_type", "media_type"})
#: How text that stands for something else begins.
CONSTANT = "constant:"
#: The member that holds what an object is made from.
MADE = "from_arguments"


def is_type_key(key: str) -> bool:
    """Whether text under this key names a class or a dtype."""
    return (key == "dtype" or key.endswith(("_type", "_dtype"))) and key not in NOT_TYPES


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
            return self._medium(key, value, is_video_key(key))
        if isinstance(value, list):
            return [self._live(key, item) for item in value]
        if isinstance(value, dict):
            location = medium(value)
            if location is not None:
                return self._medium(key, location, value["media_type"] == "video")
            return self._made(value) if MADE in value else self.live(value)
        return self._text(key, value) if isinstance(value, str) else value

    def _made(self, value: Mapping[str, Any]) -> Any:
        """An object of a class that the text names, from arguments that it gives."""
        kind, arguments = self._kind_of(value)
        try:
            return kind(**self.live(arguments))
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"{kind.__name__} cannot be made from these arguments: {error}") from error

    def _kind_of(self, value: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        """The class to make, and its arguments. Classes that hold values only: making one does nothing else."""
        types = [key for key in value if is_type_key(key)]
        if len(types) != 1 or len(value) != 2 or not isinstance(value[MADE], dict):
            raise InvalidInput(f"an object with `{MADE}` has one more member, whose name ends in _type")
        kind = self._types.value(str(value[types[0]]))
        if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
            raise InvalidInput(f"{value[types[0]]!r} is no class that is made from arguments")
        known = [field.name for field in dataclasses.fields(kind)]
        for name in value[MADE]:
            if name not in known:
                raise InvalidInput(f"{kind.__name__} has no member {name!r}", hint=f"It has {', '.join(known)}.")
        return kind, value[MADE]

    def _text(self, key: str, value: str) -> Any:
        if value.startswith(CONSTANT):
            return self._types.constant(value.removeprefix(CONSTANT))
        if not is_type_key(key) or value.startswith(PENDING):
            return value
        if value.startswith("{") and value.endswith("}"):
            return value[1:-1]
        found = self._types.value(value)
        if found is None:
            logger.warning(
                "%s is no type of diffusers; %r is passed on as text. Write {%s} to say so", value, key, value
            )
            return value
        return found

    def _medium(self, key: str, value: Any, moving: bool) -> Any:
        if isinstance(value, list):
            return [self._medium(key, item, moving) for item in value]
        location = location_of(value)
        if location is None:
            return value
        if not moving:
            return self._media.image(location)
        film = self._media.video(location)
        return film if self._films else film.frames

    def _check(self, key: str, value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                self._check(key, item)
        elif names_media(key) or (isinstance(value, dict) and medium(value) is not None):
            self._check_medium(key, value)
        elif isinstance(value, dict) and MADE in value:
            self.check(self._kind_of(value)[1])
        elif isinstance(value, dict):
            self.check(value)
        elif isinstance(value, str):
            self._text(key, value)

    def _check_medium(self, key: str, value: Any) -> None:
        moving = is_video_key(key) or (isinstance(value, dict) and value.get("media_type") == "video")
        location = location_of(value)
        if location is not None:
            self._media.check(location, "video" if moving else "image")
        elif not (value is None or (isinstance(value, str) and value.startswith(PENDING))):
            what = "video" if moving else "picture"
            raise InvalidInput(f'{key!r} should be a {what} (a path, an address or {{"location": ...}})')
