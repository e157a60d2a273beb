"""The files that a call's arguments name, and what is in them: pictures by the key they stand under, patterns."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dw_lsp.workflow.identity import bytes_digest

#: Keys that hold pictures though their names do not say so.
PICTURE_LISTS = frozenset({"images"})
#: Arguments of tasks that hold sound.
SOUND_KEYS = frozenset({"audio", "audios"})
#: Endings of files that are videos.
VIDEO_ENDINGS = (".mp4", ".avi", ".mkv", ".mov", ".webm")
#: The member of an object of a class that names the file which it is made from.
FROM_FILE = "from_file"
#: How a reference to results begins; it is no file's name.
PENDING = "previous_result:"
_CHUNK = 1 << 20
_MOST_REMEMBERED = 10_000


def is_image_key(key: str) -> bool:
    """Whether a value under this key is a picture."""
    return key == "image" or key.endswith("_image")


def is_video_key(key: str) -> bool:
    """Whether a value under this key is a video."""
    return key == "video" or key.endswith("_video")


def names_media(key: str) -> bool:
    """Whether text under this key names a file that is read: a picture, a video, a list of them."""
    return names_pictures(key) or is_video_key(key)


def names_pictures(key: str) -> bool:
    """Whether text under this key names a picture, in a list too."""
    return is_image_key(key) or key in PICTURE_LISTS


def medium(value: Mapping[str, Any]) -> Any:
    """What an object with `media_type` holds; `None` for an object that is no medium."""
    return value if value.get("media_type") in ("image", "video") and "location" in value else None


def location_of(value: Any) -> str | None:
    """The place of a picture that is not loaded yet; `None` for anything else. A `location` may hold another one."""
    while isinstance(value, dict) and "location" in value:
        value = value["location"]
    return value if isinstance(value, str) and not value.startswith(PENDING) else None


def is_video_file(location: str) -> bool:
    """Whether a path or an address ends like that of a video."""
    return location.lower().partition("?")[0].endswith(VIDEO_ENDINGS)


class InputFiles:
    """Digests of files that a workflow names.

    Arguments: the folder of the workflow file; `at_address` gives the digest of what is at an http(s) address, `None`
    where that is not known.
    """

    def __init__(self, folder: Path | None, at_address: Callable[[str], str | None] = lambda url: None):
        self._folder, self._at_address = "" if folder is None else str(folder), at_address

    def digest(self, location: str) -> str | None:
        """A digest of a file's content; `None` for what cannot be read."""
        if location.lower().startswith(("http://", "https://")):
            return self._at_address(location)
        if "://" in location or location.startswith("data:"):
            return None
        try:
            return _file_digest(os.path.join(self._folder, os.path.expanduser(location)))
        except (OSError, ValueError):
            return None

    def matching(self, pattern: str) -> list[str]:
        """The files that a pattern finds, in their order."""
        start = "" if os.path.isabs(pattern) or not self._folder else glob.escape(self._folder)
        return [
            path for path in sorted(glob.glob(os.path.join(start, pattern), recursive=True)) if os.path.isfile(path)
        ]


_DIGESTS: dict[tuple[str, int, int, int, int], str] = {}


def _file_digest(path: str) -> str | None:
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        return None
    # Tools that change a file may put its time back, but not the time of that change.
    known = (path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if known not in _DIGESTS:
        if len(_DIGESTS) >= _MOST_REMEMBERED:
            _DIGESTS.clear()
        with open(path, "rb") as stream:
            _DIGESTS[known] = bytes_digest(*iter(lambda: stream.read(_CHUNK), b""))
    return _DIGESTS[known]
