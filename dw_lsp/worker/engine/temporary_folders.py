"""Folders for files that libraries want on disk for a moment; those of a worker that was killed are swept by the next.

A folder in use is locked. The system lets go of the lock with the process, whichever way that ends.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "dw-lsp-medium-"
#: Where folders cannot be locked, one of this age is in nobody's use. Seconds.
_OLD = 24 * 3600.0


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is there while this is entered."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as folder, _locked(Path(folder)):
        yield Path(folder)


def sweep() -> None:
    """Remove the folders that killed workers have left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # Another user's, in use, or gone meanwhile.
        with contextlib.suppress(OSError), _locked(folder):
            if sys.platform != "win32" or time.time() - folder.stat().st_mtime > _OLD:
                for file in folder.iterdir():
                    file.unlink()  # Fails for a folder: whoever made one in here meant something else.
                folder.rmdir()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Raises `OSError` when another has locked it."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(opened)
