"""Brackets that do not balance, balanced: what the author most likely meant, with the indentation as a witness.

A sound document never comes here, so it may be laid out as its author likes. What leaves here balances: the parser need
not think of brackets at all.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dw_lsp.text.edits import Edit
from dw_lsp.text.lexer import Token
from dw_lsp.text.problems import Mend, SyntaxProblem, put_instead, take_out
from dw_lsp.text.syntax_tree import Range

CLOSER = {"{": "}", "[": "]"}
_OPENER = {"}": "{", "]": "["}
_NAME = {"{": "object", "[": "list"}
_LINE_END = re.compile(r"\r\n|\n|\r")
_KEYS = ("string", "word", "half")
#: Before these, no comma is needed.
_BEHIND = (",", "}", "]", "end")


@dataclass(frozen=True)
class Balanced:
    """Tokens whose brackets balance, and the problems that were mended for it.

    Those put in have no length. `mended` are the ends of the tokens behind which something was put in or taken away.
    `open_at_end` tells of what was still open when the text ended; the tokens from `closed_from` on close it.
    """

    tokens: list[Token]
    problems: tuple[SyntaxProblem, ...] = ()
    mended: frozenset[int] = frozenset()
    open_at_end: SyntaxProblem | None = None
    closed_from: int = 0

    @property
    def mistakes(self) -> int:
        """How many mistakes this reading of the text makes of it."""
        return len(self.problems) + (self.open_at_end is not None)


def balanced(tokens: Sequence[Token]) -> bool:
    """Whether every bracket has its partner."""
    closers: list[str] = []
    for token in tokens:
        kind = token.kind
        if kind in CLOSER:
            closers.append(CLOSER[kind])
        elif kind in _OPENER and (not closers or closers.pop() != kind):
            return False
    return not closers


def balance(text: str, tokens: Sequence[Token]) -> Balanced:
    """The tokens with brackets put in and taken away until they balance.

    Where the indentation makes more mistakes than it explains, as in a text without any, it is not believed.
    """
    by_layout = _Balancer(tokens, _Lines(text, tokens)).balanced()
    if by_layout.mistakes <= 1:
        return by_layout
    by_order = _Balancer(tokens, None).balanced()
    return min(by_layout, by_order, key=lambda result: result.mistakes)


class _Lines:
    """Which line each token stands on, and the columns in which lines begin."""

    def __init__(self, text: str, tokens: Sequence[Token]):
        starts = [0, *(match.end() for match in _LINE_END.finditer(text)), len(text) + 1]
        self.line: list[int] = []
        self._first: list[int] = []
        self._columns: list[int] = []
        line = 0
        for index, token in enumerate(tokens):
            while starts[line + 1] <= token.start:
                line += 1
            if not index or starts[line] > tokens[index - 1].start:
                self._first.append(index)
                self._columns.append(token.start - starts[line])
            self.line.append(len(self._first) - 1)
        self._tokens = tokens
        self.unit = self._unit()
        self.newline = "\r\n" if "\r\n" in text else "\n"

    def is_first(self, index: int) -> bool:
        """Whether a token is the first of its line."""
        return self._first[self.line[index]] == index

    def indent(self, index: int) -> int:
        """The column in which the line of a token begins."""
        return self._columns[self.line[index]]

    def next_line(self, index: int) -> int:
        """The first token of the next line; for a token on the last line the last token, which is the end."""
        following = self.line[index] + 1
        return self._first[following] if following < len(self._first) else len(self.line) - 1

    def leave_out(self, index: int) -> None:
        """Take a token away: a line that begins with it begins with the next, in the column it would have without."""
        line = self.line[index]
        if self._first[line] == index and self.line[index + 1] == line:
            self._first[line] = index + 1
            self._columns[line] += self._tokens[index + 1].start - self._tokens[index].end

    def _unit(self) -> int:
        """By how many columns a container's content usually stands further right than the container."""
        steps = Counter(below - above for above, below in itertools.pairwise(self._columns) if below > above)
        return steps.most_common(1)[0][0] if steps else 2


@dataclass(frozen=True)
class _Open:
    """A container that is open: its bracket and where that stands among the tokens put out; its line's column.

    `lowest` is the smallest column of the containers around it, `None` for the outermost.
    """

    kind: str
    token: Token
    at: int
    line: int
    indent: int
    lowest: int | None


class _Balancer:
    def __init__(self, tokens: Sequence[Token], lines: _Lines | None):
        self._tokens, self._lines = tokens, lines
        self._out: list[Token] = []
        self._open: list[_Open] = []
        self._open_kinds: Counter[str] = Counter()
        self._open_columns: Counter[int] = Counter()
        self._problems: list[SyntaxProblem] = []
        self._mended: set[int] = set()
        self._left_out = -2
        self._at = 0

    def balanced(self) -> Balanced:
        """Go through all tokens."""
        for index, token in enumerate(self._tokens[:-1]):
            self._at = index
            if self._lines is not None:
                self._end_what_lies_further_right(index, token, self._lines)
                self._put_in_opener(index, token, self._lines)
            if token.kind in CLOSER and self._stands_for_a_key():
                self._leave_out(index, f"This {token.kind} opens nothing; remove it.")
            elif token.kind in CLOSER:
                self._opened(self._kind_meant(index, token), token, index)
            elif token.kind in _OPENER:
                self._close(index, token)
            else:
                self._out.append(token)
        open_at_end, closed_from = self._end_of_text()
        self._out.append(self._tokens[-1])
        return Balanced(self._out, tuple(self._problems), frozenset(self._mended), open_at_end, closed_from)

    # ------------------------------------------------------------ opening

    def _opened(self, kind: str, token: Token, index: int, indent: int | None = None) -> None:
        line, column = (0, 0) if self._lines is None else (self._lines.line[index], self._lines.indent(index))
        column = column if indent is None else indent
        outer = self._open[-1] if self._open else None
        lowest = None if outer is None else outer.indent if outer.lowest is None else min(outer.lowest, outer.indent)
        self._open.append(_Open(kind, token, len(self._out), line, column, lowest))
        self._open_kinds[kind] += 1
        self._open_columns[column] += 1
        self._out.append(token if token.kind == kind else Token(kind, token.start, token.end))

    def _kind_meant(self, index: int, token: Token) -> str:
        """A list that begins with a key was meant to be an object, if the key stands where its members would."""
        lines = self._lines
        if lines is None or token.kind == "{" or not self._is_key(index + 1):
            return token.kind
        beside = lines.line[index + 1] == lines.line[index]
        if beside or 0 < lines.indent(index + 1) - lines.indent(index) <= lines.unit:
            self._wrong(token, "Keys stand in an object: { is meant here, not [.", "{")
            return "{"
        return token.kind

    def _put_in_opener(self, index: int, token: Token, lines: _Lines) -> None:
        """Put in the bracket that a key or a value must stand in, where the indentation shows that there was one."""
        if not lines.is_first(index) or token.kind in _OPENER:
            return
        deeper = lines.indent(index) > (lines.indent(index - 1) if index else 0)
        if index and self._tokens[index - 1].kind == ":" and deeper:
            kind = "{" if self._is_key(index) else "[" if self._is_item(index) else None
            indent = lines.indent(index - 1)
        elif self._open and self._open[-1].kind == "[" and self._is_key(index):
            kind, indent = "{", lines.indent(index) - lines.unit
        else:
            return
        if kind is not None:
            place = self._end_of_last()
            mend = Mend(f"Put in {kind}", (Edit(Range(place, place), f" {kind}"),), certain=False)
            self._problem(max(place - 1, 0), place, f"A {kind} is missing behind this.", mend)
            self._opened(kind, Token(kind, place, place), index, indent)

    def _is_key(self, index: int) -> bool:
        return self._tokens[index].kind in _KEYS and self._tokens[index + 1].kind == ":"

    def _is_item(self, index: int) -> bool:
        """Whether a value and a comma follow, and then no key: so several values stand there."""
        scalar = self._tokens[index].kind in ("string", "number", "word")
        return (
            scalar and self._tokens[index + 1].kind == "," and not self._is_key(min(index + 2, len(self._tokens) - 2))
        )

    # ------------------------------------------------------------ closing

    def _end_what_lies_further_right(self, index: int, token: Token, lines: _Lines) -> None:
        """End the containers that this token, the first of its line, cannot be in."""
        if not lines.is_first(index) or not self._open:
            return
        column, line = lines.indent(index), lines.line[index]
        if token.kind in _OPENER:
            if self._open_columns[column] and not self._goes_on(index, column, lines):
                while self._open[-1].indent != column:
                    self._unclosed()
            return
        while self._open[-1].line < line and column <= self._open[-1].indent:
            if self._open[-1].lowest is None or self._open[-1].lowest >= column:
                return
            self._unclosed()

    def _close(self, index: int, token: Token) -> None:
        if not self._open or self._is_stray(index, token):
            self._stray(index)
            return
        opened = self._open[-1]
        if opened.kind == _OPENER[token.kind]:
            self._closed(token)
        elif self._belongs_to(index, opened):
            closer = CLOSER[opened.kind]
            what = f"The {_NAME[opened.kind]} that ends here needs {closer}, not {token.kind}."
            self._wrong(token, what, closer)
            self._closed(Token(closer, token.start, token.end))
        elif self._open_kinds[_OPENER[token.kind]]:
            while self._open[-1].kind != _OPENER[token.kind]:
                self._unclosed()
            self._closed(token)
        else:
            self._stray(index)

    def _belongs_to(self, index: int, opened: _Open) -> bool:
        """Whether a closing bracket of the other kind stands where that of the container would."""
        lines = self._lines
        if lines is None:
            return False
        return (lines.is_first(index) and lines.indent(index) == opened.indent) or lines.line[index] == opened.line

    def _is_stray(self, index: int, token: Token) -> bool:
        """Whether the indentation shows that a closing bracket closes nothing."""
        lines, opened = self._lines, self._open[-1]
        if lines is None:
            return False
        if opened.line == lines.line[index]:
            return self._hides_content(index, lines)
        if lines.is_first(index) and (lines.indent(index) != opened.indent or self._stands_before_others(index, lines)):
            return True
        return self._goes_on(index, opened.indent, lines)

    def _hides_content(self, index: int, lines: _Lines) -> bool:
        """Whether a container closed on its own line has its content below, where nothing else can have it."""
        following = lines.next_line(index)
        if following != index + 1 or following == len(self._tokens) - 1 or len(self._open) < 2:
            return False
        outer = self._open[-2]
        return outer.line != lines.line[index] and lines.indent(following) > lines.indent(index)

    def _stands_before_others(self, index: int, lines: _Lines) -> bool:
        """Whether something stands behind the bracket on its line that cannot stand behind a container."""
        if lines.is_first(index + 1):
            return False
        return self._tokens[index + 1].kind not in ("}", "]", ",", "end")

    def _goes_on(self, index: int, column: int, lines: _Lines) -> bool:
        """Whether a container of that column has its members, or its own closing bracket, on the next line still."""
        following = lines.next_line(index)
        if following == len(self._tokens) - 1:
            return False
        below = lines.indent(following)
        if lines.is_first(index):
            # A comma tells that the author went on behind the container; what is missing there is another matter.
            return below > column and self._tokens[index + 1].kind != ","
        if below != column:
            return below > column
        # Behind a bracket that hangs at the end of a line, the one that stands where it should is the right one.
        return self._tokens[following].kind in _OPENER and lines.indent(index) > column

    def _closed(self, token: Token) -> None:
        self._popped()
        self._out.append(token)

    def _popped(self) -> _Open:
        opened = self._open.pop()
        self._open_kinds[opened.kind] -= 1
        self._open_columns[opened.indent] -= 1
        return opened

    def _stray(self, index: int) -> None:
        self._leave_out(index, f"This {self._tokens[index].kind} closes nothing; remove it.")

    def _leave_out(self, index: int, message: str) -> None:
        """Take a bracket away. Several in a row are one mistake."""
        token = self._tokens[index]
        if self._lines is not None:
            self._lines.leave_out(index)
        if self._left_out != index - 1:
            self._too_many(token, message)
        self._left_out = index
        self._mended.add(self._end_of_last())

    def _unclosed(self) -> None:
        """End the innermost container without a bracket."""
        opened = self._popped()
        if opened.kind == "{" and opened.at + 1 < len(self._out) and self._out[opened.at + 1].kind in CLOSER:
            self._out[opened.at] = opened.token._replace(kind="")
            self._too_many(opened.token, f"This {opened.kind} opens nothing; remove it.")
            return
        place = self._end_of_last()
        self._put_in_closer(opened)
        if opened.token.end > opened.token.start:
            closer = CLOSER[opened.kind]
            written = self._closer_on_line(opened) + ("," if self._tokens[self._at].kind not in _BEHIND else "")
            mend = Mend(f"Put in {closer}", (Edit(Range(place, place), written),), certain=False)
            what = f"This {_NAME[opened.kind]} is not closed; a {closer} is missing."
            self._problem(opened.token.start, opened.token.end, what, mend)

    def _closer_on_line(self, opened: _Open) -> str:
        """The missing bracket, on a line of its own where its content has lines."""
        lines, closer = self._lines, CLOSER[opened.kind]
        if lines is None or opened.line == lines.line[self._at - 1]:
            return closer
        return lines.newline + " " * opened.indent + closer

    def _stands_for_a_key(self) -> bool:
        """Whether a bracket that comes now would stand in an object where a key belongs."""
        if not self._open or self._open[-1].kind != "{" or self._out[-1].kind == ":":
            return False
        # A key whose colon was forgotten may have its value here.
        return not (self._out[-1].kind in _KEYS and self._out[-2].kind in ("{", ",", ""))

    def _put_in_closer(self, opened: _Open) -> None:
        place = self._end_of_last()
        self._mended.add(place)
        self._out.append(Token(CLOSER[opened.kind], place, place))

    def _end_of_text(self) -> tuple[SyntaxProblem | None, int]:
        """Close what is still open. Returns one problem for all of it, and the index of the first bracket put in."""
        self._out = [token for token in self._out if token.kind]
        closed_from = len(self._out)
        if not self._open:
            return None, closed_from
        innermost = self._open[-1]
        missing = [CLOSER[opened.kind] for opened in reversed(self._open)]
        self._at = len(self._tokens) - 1
        written, place = "".join(self._closer_on_line(opened) for opened in reversed(self._open)), self._end_of_last()
        mend = Mend("Put in what closes it", (Edit(Range(place, place), written),), certain=False)
        while self._open:
            self._put_in_closer(self._popped())
        shown = " ".join(missing[:10]) + (" ..." if len(missing) > 10 else "")
        what = f"This {_NAME[innermost.kind]} is not closed: the document ends without {shown}"
        return SyntaxProblem(Range(innermost.token.start, innermost.token.end), what + ".", mend), closed_from

    # ------------------------------------------------------------ telling

    def _end_of_last(self) -> int:
        return self._out[-1].end if self._out else 0

    def _too_many(self, token: Token, message: str) -> None:
        mend = take_out(Range(token.start, token.end), token.kind, certain=False)
        self._problem(token.start, token.end, message, mend)

    def _wrong(self, token: Token, message: str, meant: str) -> None:
        mend = put_instead(Range(token.start, token.end), meant, certain=False)
        self._problem(token.start, token.end, message, mend)

    def _problem(self, start: int, end: int, message: str, mend: Mend) -> None:
        self._problems.append(SyntaxProblem(Range(start, end), message, mend))
