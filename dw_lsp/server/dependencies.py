"""Which open documents look at which files, so that a change of a file concerns those alone."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

#: How far up a changed file concerns those who looked at a folder around it, as at that of a model.
LEVELS = 4


class Dependencies:
    """What each document's analysis asked the disk."""

    def __init__(self) -> None:
        self._asked: dict[str, frozenset[str]] = {}
        self._users: dict[str, set[str]] = {}

    def note(self, uri: str, paths: Collection[str]) -> None:
        """Take down what the analysis of a document looked at, in place of what was taken down before."""
        asked = frozenset(paths)
        before = self._asked.get(uri, frozenset())
        if asked == before:
            return
        for path in before - asked:
            self._users[path].discard(uri)
            if not self._users[path]:
                del self._users[path]
        for path in asked - before:
            self._users.setdefault(path, set()).add(uri)
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


def normal(path: Path) -> str:
    """The one spelling of a path."""
    return os.path.normcase(os.path.normpath(path))
