"""What the indentation says about brackets that do not balance: which one is missing, which one is too many.

Used only for documents whose brackets are wrong, so a sound document may be laid out as its author likes.
"""

from __future__ import annotations

from collections.abc import Sequence

from dw_lsp.text.lexer import Token


class Layout:
    """The column of each line's first token, and of the line on which a token stands.

    Arguments: the text and its tokens.
    """

    def __init__(self, text: str, tokens: Sequence[Token]):
        self._text = text
        self._tokens = tokens
        self._first: list[bool] = []
        self._indent: list[int] = []
        self._line: list[int] = []
        last_line_start, line = -1, -1
        for token in tokens:
            start = max(text.rfind("\n", last_line_start if last_line_start > 0 else 0, token.start), -1) + 1
            start = max(start, last_line_start)
            first = start != last_line_start
            if first:
                line += 1
                last_line_start, indent = start, token.start - start
            self._first.append(first)
            self._indent.append(indent)
            self._line.append(line)

    def of(self, tokens: Sequence[Token]) -> Layout:
        """The layout of the same text with another token in it."""
        return Layout(self._text, tokens)

    def ends_before(self, opened: Sequence[int], at: int) -> bool:
        """Whether the innermost container was meant to end before this token, which begins its line.

        Arguments: indices of the opening brackets, outermost first; index of the token.
        It was if the token is further left than the line the container began on, or a key in the column of that line
        where an outer container's members stand.
        """
        if len(opened) < 2 or not self._first[at] or self._line[at] == self._line[opened[-1]]:
            return False
        own, column = self._indent[opened[-1]], self._indent[at]
        if self._tokens[at].kind in ("}", "]"):
            return column < own
        return column <= own and any(self._indent[outer] < column for outer in opened[:-1])

    def is_stray(self, opener: int, at: int) -> bool:
        """Whether a closing bracket that begins its line stands too far right to close the container."""
        return self._first[at] and self._line[at] != self._line[opener] and self._indent[at] > self._indent[opener]
