"""Where the documentation of a rule can be read: it comes along, so that it fits and is there without a network."""

from __future__ import annotations

import functools
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
#: Beside the installed package, or in the project's own tree.
_PLACES = (_PACKAGE / "documentation" / "rules.md", _PACKAGE.parent / "docs" / "rules.md")


@functools.cache
def _page() -> str | None:
    return next((place.as_uri() for place in _PLACES if place.is_file()), None)


def address_of(code: str) -> str | None:
    """The address of a rule's section; `None` where the documentation is not there."""
    page = _page()
    return None if page is None else f"{page}#{code}"
