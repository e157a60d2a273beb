"""Pictures and videos that a workflow names, as live images: from files it may read and from public addresses."""

from __future__ import annotations

import contextlib
import io
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from dw_lsp.worker.engine import videos
from dw_lsp.worker.engine.allowed_paths import AllowedPaths
from dw_lsp.worker.engine.downloads import Fetched, is_address
from dw_lsp.worker.engine.sound_files import decode_sound
from dw_lsp.worker.engine.sounds import Film, Sound
from dw_lsp.worker.engine.temporary_folders import temporary_folder
from dw_lsp.workflow.resolved import InvalidInput

#: What Pillow may try: only formats that workflows use, since each reader is code that is fed foreign data.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
EXTENSIONS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp")


class Media:
    """Reads pictures and videos for one workflow file.

    Arguments: what may be read; the folder where relative paths start; `check` raises when the run should stop;
    `fetched` is what addresses have given so far.
    """

    def __init__(
        self,
        allowed: AllowedPaths,
        folder: Path | None,
        check: Callable[[], None] = lambda: None,
        fetched: Fetched | None = None,
    ):
        self._allowed, self._folder, self._check = allowed, folder, check
        self._fetched = fetched or Fetched()

    def check(self, location: str, kind: str = "image") -> None:
        """Raise `InvalidInput` unless the medium can be there: an address, or a readable file in an allowed folder.

        Arguments: `kind` is image, video, sound, or file for any of them.
        """
        if kind in ("video", "sound") and not videos.is_available():
            raise InvalidInput(
                f"the {kind} {location!r} needs the package {videos.PACKAGE}, which the worker's Python does not have",
                hint=f"Install it there: pip install {videos.PACKAGE}",
            )
        if not is_address(location):
            self._file(location, kind)

    def image(self, location: str) -> Image.Image:
        """The picture, upright, as RGB. Raises `InvalidInput` when it is not there, may not be read, or is none."""
        return decode(self._bytes(location, "image"), location)

    def video(self, location: str) -> Film:
        """A video: its frames as RGB, its sound. Raises `InvalidInput` as for a picture."""
        data = self._bytes(location, "video")
        frames = videos.decode_video(data, location, self._check)
        fps, heard = videos.facts_of(data)
        return Film(frames, decode_sound(data, location, self._check) if heard else None, fps)

    def sound(self, location: str) -> Sound:
        """A recording, or the sound of a video. Raises `InvalidInput` as for a picture."""
        return decode_sound(self._bytes(location, "sound"), location, self._check)

    @contextlib.contextmanager
    def file(self, location: str) -> Iterator[Path]:
        """While this is entered, a medium as a file of this machine: its own, or what an address has given.

        Raises `InvalidInput` as for a picture.
        """
        self._check()
        if not is_address(location):
            yield self._file(location, "file")
            return
        ending = Path(urllib.parse.urlparse(location).path).suffix
        with temporary_folder() as folder:
            path = Path(folder, f"medium{ending}")
            path.write_bytes(self._fetched.bytes_of(location, self._check))
            yield path

    def _bytes(self, location: str, kind: str) -> bytes:
        self._check()
        if is_address(location):
            return self._fetched.bytes_of(location, self._check)
        try:
            return self._file(location, kind).read_bytes()
        except OSError as error:
            raise InvalidInput(f"the {kind} {location!r} cannot be read: {error.strerror or error}") from error

    def find(self, pattern: str) -> list[Path]:
        """The pictures that a pattern finds, sorted by path."""
        return [path for path in self._allowed.find(pattern, self._folder) if path.suffix.lower() in EXTENSIONS]

    def find_videos(self, pattern: str) -> list[Path]:
        """The videos that a pattern finds, sorted by path."""
        found = self._allowed.find(pattern, self._folder)
        return [path for path in found if path.suffix.lower() in videos.EXTENSIONS]

    def _file(self, location: str, kind: str) -> Path:
        if location.lower().startswith("file:") or "://" in location:
            raise InvalidInput(f"{location!r} is no path and no http(s) address")
        path = self._allowed.resolve(location, self._folder, f"the {kind}")
        if not path.is_file():
            raise InvalidInput(f"there is no {kind} {location!r} (looked for at {path})")
        return path


def decode(data: bytes, location: str) -> Image.Image:
    """The picture in these bytes, upright, as RGB. Raises `InvalidInput` when they are none."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            return ImageOps.exif_transpose(opened).convert("RGB")
    except UnidentifiedImageError as error:
        known = ", ".join(FORMATS)
        raise InvalidInput(f"{location!r} is no picture that can be read (known are {known})") from error
    except (OSError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise InvalidInput(f"the image {location!r} is damaged: {error}") from error
