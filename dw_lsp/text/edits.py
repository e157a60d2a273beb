"""Changes of a text: what stands in a stretch is replaced."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dw_lsp.text.syntax_tree import Range


@dataclass(frozen=True)
class Edit:
    """Text that takes the place of a stretch; an empty stretch: it is inserted there."""

    range: Range
    text: str


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """The text after all edits, whose ranges count in the text before and do not overlap."""
    parts: list[str] = []
    at = 0
    for edit in sorted(edits, key=lambda edit: (edit.range.start, edit.range.end)):
        parts += [text[at : edit.range.start], edit.text]
        at = edit.range.end
    return "".join([*parts, text[at:]])
