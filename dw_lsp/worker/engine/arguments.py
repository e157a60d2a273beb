"""A workflow's JSON values as Python values: pictures, dtypes and classes, constants; by the key they stand under."""

from __future__ import annotations

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


def is_type_key(key: str) -> bool:
    """Whether text under this key names a class or a dtype."""
    return (key == "dtype" or key.endswith(("_type", "_dtype"))) and key not in NOT_TYPES


class Arguments:
    """Turns values into live ones. Arguments: where pictures come from; what may be named."""

    def __init__(self, media: Media, types: TrustedTypes):
        self._media, self._types = media, types

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
            return self.live(value)
        return self._text(key, value) if isinstance(value, str) else value

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
        return self._media.video(location) if moving else self._media.image(location)

    def _check(self, key: str, value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                self._check(key, item)
        elif names_media(key) or (isinstance(value, dict) and medium(value) is not None):
            self._check_medium(key, value)
        elif isinstance(value, dict):
            self.check(value)
        elif isinstance(value, str):
            self._text(key, value)

    def _check_medium(self, key: str, value: Any) -> None:
        moving = is_video_key(key) or (isinstance(value, dict) and value.get("media_type") == "video")
        location = location_of(value)
        if location is not None:
            self._media.check(location, moving)
        elif not (value is None or (isinstance(value, str) and value.startswith(PENDING))):
            what = "video" if moving else "picture"
            raise InvalidInput(f'{key!r} should be a {what} (a path, an address or {{"location": ...}})')
