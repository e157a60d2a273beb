"""Files that are whole or not there at all, also when this process is killed in the middle of writing one."""

from __future__ import annotations

import errno
import os
import sys
import threading
from pathlib import Path

#: How names of unfinished files end, on systems where a file cannot be without a name.
UNFINISHED = ".partial"
_NO_NAMELESS_FILES = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS)


def write_whole(path: str, data: bytes) -> None:
    """Write a file, in place of an earlier one of that name. Its folder must be there. Raises `OSError`."""
    if sys.platform != "linux" or not _write_nameless(path, data):
        _write_beside(path, data)


def _write_nameless(path: str, data: bytes) -> bool:
    """Write a file that gets its name when it is whole: until then nothing of it could be left behind.

    Returns whether the file system can do that.
    """
    if sys.platform != "linux":
        return False
    try:
        descriptor = os.open(os.path.dirname(path) or ".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in _NO_NAMELESS_FILES:
            return False
        raise
    with open(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        return _give_name(descriptor, path)


def _give_name(descriptor: int, path: str) -> bool:
    beside = _beside(path)
    try:
        _link(descriptor, path)
    except FileExistsError:
        _link(descriptor, beside)
        os.replace(beside, path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EXDEV, errno.EPERM, *_NO_NAMELESS_FILES):
            return False  # There is no /proc here, or no hard links.
        raise
    return True


def _link(descriptor: int, path: str) -> None:
    # Only with a descriptor of a folder, which is of no use here, does Python follow the link that the source is.
    os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)


def _write_beside(path: str, data: bytes) -> None:
    beside = _beside(path)
    try:
        with open(beside, "wb") as stream:
            stream.write(data)
        os.replace(beside, path)
    except OSError:
        Path(beside).unlink(missing_ok=True)
        raise


def _beside(path: str) -> str:
    """A name that no other thread or process takes."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{os.getpid()}.{threading.get_ident()}{UNFINISHED}")
