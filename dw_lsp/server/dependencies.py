"""Which documents look at which files, so that a change of a file concerns those alone."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

#: How far up a changed file concerns those who looked at a folder around it, as at that of a model.
LEVELS = 4


class Dependencies:
    """What each document's analysis asked the disk. A file is known by its path, and by where its links lead."""

    def __init__(self) -> None:
        self._asked: dict[str, Mapping[str, str]] = {}
        self._users: dict[str, set[str]] = {}

    def note(self, uri: str, paths: Collection[str]) -> None:
        """Take down what the analysis of a document looked at, in place of what was taken down before."""
        before = self._asked.get(uri, {})
        if before.keys() == set(paths):
            return
        asked = {path: before.get(path) or real(path) for path in paths}
        old, new = _places(before), _places(asked)
        for place in old - new:
            self._users[place].discard(uri)
            if not self._users[place]:
                del self._users[place]
        for place in new - old:
            self._users.setdefault(place, set()).add(uri)
        self._asked[uri] = asked

    def forget(self, uri: str) -> None:
        """A document was closed."""
        self.note(uri, ())
        self._asked.pop(uri, None)

    def users_of(self, path: Path) -> set[str]:
        """The documents that looked at a file, or at a folder that it lies in."""
        found: set[str] = set()
        for place in (path, *path.parents[:LEVELS]):
            found |= self._users.get(normal(place), set())
        return found

    def users_below(self, folder: Path) -> set[str]:
        """The documents that looked at something in a folder: it came or went as a whole."""
        inside = normal(folder) + os.sep
        return {uri for place, users in self._users.items() if place.startswith(inside) for uri in users}


def _places(asked: Mapping[str, str]) -> set[str]:
    return {*asked, *asked.values()}


def normal(path: Path) -> str:
    """The one spelling of a path."""
    return os.path.normcase(os.path.normpath(path))


def real(path: str) -> str:
    """Where a path leads once its links are followed; itself if no system takes it."""
    try:
        return os.path.normcase(os.path.realpath(path))
    except (OSError, ValueError):
        return path
