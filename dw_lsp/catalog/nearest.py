"""The known names that were most likely meant by one that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Collection

#: Letters up to which one misplaced letter leaves too few pairs of them alike.
_SHORT = 8


def nearest_names(name: str, known: Collection[str], count: int = 3, likeness: float = 0.75) -> tuple[str, ...]:
    """The names most like the given one, the likeliest first; none if none is like it.

    Arguments: `likeness` from 0 to 1. Comparing takes long, so only names of about the same letters are compared.
    """
    lowered = name.lower()
    same = [candidate for candidate in known if candidate.lower() == lowered]
    if same:
        return tuple(same[:count])
    pairs = _pairs(lowered)
    candidates = [
        candidate
        for candidate in known
        if abs(len(candidate) - len(name)) <= max(4, len(name) // 2)
        and (len(name) <= _SHORT or 2 * len(pairs & _pairs(candidate.lower())) >= likeness * (len(pairs) + 1))
    ]
    return tuple(difflib.get_close_matches(name, candidates, count, likeness))


def _pairs(text: str) -> set[str]:
    return {text[index : index + 2] for index in range(len(text) - 1)}
