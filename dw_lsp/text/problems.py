"""A mistake in the text itself, whoever found it: the parser, or what balances the brackets."""

from __future__ import annotations

from dataclasses import dataclass

from dw_lsp.text.edits import Edit
from dw_lsp.text.syntax_tree import Range


@dataclass(frozen=True)
class Mend:
    """Edits that undo a mistake; `certain`: nothing else can have been meant."""

    title: str
    edits: tuple[Edit, ...]
    certain: bool = True


@dataclass(frozen=True)
class SyntaxProblem:
    """One mistake: where, what to do about it, and the edits that do it where they are clear."""

    range: Range
    message: str
    mend: Mend | None = None


def put_in(text: str, at: int, certain: bool = True) -> Mend:
    """The mend that puts in what is missing."""
    return Mend(f"Put in {text}", (Edit(Range(at, at), text),), certain)


def put_instead(place: Range, text: str, certain: bool = True) -> Mend:
    """The mend that writes something in place of what stands there."""
    return Mend(f"Change to {text}", (Edit(place, text),), certain)


def take_out(place: Range, written: str, certain: bool = True) -> Mend:
    """The mend that takes out what is too many."""
    return Mend(f"Remove {written}", (Edit(place, ""),), certain)
