"""Fixes of misspelt names, and names that are not taken yet."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection

from dw_lsp.analysis.findings import Fix
from dw_lsp.text.edits import Edit
from dw_lsp.text.syntax_tree import Range
from dw_lsp.text.writing import quote

_FILLING = re.compile(r"[-_ ]")
_INVALID = re.compile(r"[^a-zA-Z0-9_-]+")


def change_to(place: Range, name: str | None, near: str | None, before: str = "", behind: str = "") -> tuple[Fix, ...]:
    """Writes the near name in place of the one that stands there; nothing without a near one.

    Arguments: `before` and `behind` are what the text has besides the name. It is certain what was meant where the two
    differ in case and in hyphens only.
    """
    if near is None or name is None:
        return ()
    return (
        Fix(
            f"Change to `{near}`", (Edit(place, quote(before + near + behind)),), True, _letters(name) == _letters(near)
        ),
    )


def _letters(name: str) -> str:
    return _FILLING.sub("", name).lower()


def free_name(name: str, taken: Collection[str]) -> str:
    """The name, or the first that is free of those made by counting on from it: x, x_2, x_3."""
    if name not in taken:
        return name
    stem = re.sub(r"_\d{1,6}\Z", "", name)
    return next(made for number in itertools.count(2) if (made := f"{stem}_{number}") not in taken)


def variable_name(text: str) -> str:
    """A name that a variable may have, made of any text."""
    name = _INVALID.sub("_", text)[:100].strip("_") or "value"
    return name if not name[0].isdigit() and name[0] != "-" else f"value_{name}"[:100]
