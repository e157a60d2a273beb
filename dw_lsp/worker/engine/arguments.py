"""A workflow's JSON values as Python values: pictures, dtypes and classes, constants; by the key they stand under."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from dw_lsp.planning.input_files import PENDING, location_of, medium, names_pictures
from dw_lsp.worker.engine.media import Media
from dw_lsp.worker.engine.trusted_types import TrustedTypes
from dw_lsp.workflow.resolved import InvalidInput

logger = logging.getLogger(__name__)

#: Keys that end like a type's, but hold ordinary text.
NOT_TYPES = frozenset({"content_type", "offload_type", "media_type"})
#: How text that stands for something else begins.
CONSTANT = "constant:"


def is_video_key(key: str) -> bool:
    """Whether a value under this key is a video."""
    return key == "video" or key.endswith("_video")


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
        if names_pictures(key):
            return self._picture(key, value)
        if isinstance(value, list):
            return [self._live(key, item) for item in value]
        if isinstance(value, dict):
            location = medium(value)
            return self._picture(key, location) if location is not None else self.live(value)
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

    def _picture(self, key: str, value: Any) -> Any:
        if isinstance(value, list):
            return [self._picture(key, item) for item in value]
        location = location_of(value)
        return value if location is None else self._media.image(location)

    def _check(self, key: str, value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                self._check(key, item)
        elif names_pictures(key) or (isinstance(value, dict) and medium(value) is not None):
            location = location_of(value)
            if location is not None:
                self._media.check(location)
            elif not (value is None or (isinstance(value, str) and value.startswith(PENDING))):
                raise InvalidInput(f'{key!r} should be a picture (a path, an address or {{"location": ...}})')
        elif isinstance(value, dict):
            self.check(value)
        elif isinstance(value, str):
            self._text(key, value)
