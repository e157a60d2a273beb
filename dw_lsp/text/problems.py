"""A mistake in the text itself, whoever found it: the parser, or what balances the brackets."""

from __future__ import annotations

from dataclasses import dataclass

from dw_lsp.text.syntax_tree import Range


@dataclass(frozen=True)
class SyntaxProblem:
    """One mistake: where, and what to do about it."""

    range: Range
    message: str
