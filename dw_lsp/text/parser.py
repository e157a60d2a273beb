"""Tokens to a tree, as far as it can be understood, and a problem for each mistake. Never raises, never gives up early.

A sound document is read once. For one that is not, other readings of its quotes are tried, and the one with the fewest
mistakes is taken for what the author meant.
"""

from __future__ import annotations

from dataclasses import dataclass

from dw_lsp.text.brackets import CLOSER, Balanced, balance, balanced
from dw_lsp.text.edits import Edit
from dw_lsp.text.lexer import Lexed, Reading, Token, lex
from dw_lsp.text.problems import Mend, SyntaxProblem, put_in, put_instead, take_out
from dw_lsp.text.scalars import LONGEST_SHOWN, read_number, read_string, read_word
from dw_lsp.text.sound import Former, read_sound
from dw_lsp.text.syntax_tree import Array, Member, Missing, Node, Object, Range, String, Unknown
from dw_lsp.text.writing import quote

__all__ = ["Parsed", "SyntaxProblem", "parse"]

#: Levels of containers; each takes three frames of Python's stack, which others need too.
DEEPEST = 100
#: Nobody reads more; the others are told when these are mended.
MOST_PROBLEMS = 500
#: Characters up to which other readings are tried: they take several times as long.
LARGEST_TO_GUESS = 200_000
#: What may begin a member: keys, and what was meant to be one.
_KEYS = ("string", "word", "half", "unclosed", "number")
#: Written for a colon by those who come from other languages.
_EQUALS = ("=", "=>")
#: Where these stand, no value does.
_ENDS = ("}", "]", ",", "end")
_OTHER_READINGS: tuple[Reading, ...] = ("quotes", "brackets")


@dataclass(frozen=True)
class Parsed:
    """The tree (`None` for an empty document) and the first mistakes, in the order of the text."""

    root: Node | None
    problems: tuple[SyntaxProblem, ...] = ()


def parse(text: str, former: Former | None = None) -> Parsed:
    """Read a JSON document with comments and trailing commas.

    Arguments: `former` is a tree from which what stands before an edit may be taken over.
    """
    sound = read_sound(text, DEEPEST, former)
    if sound is not None:
        return Parsed(sound)
    best = _parse(text, lex(text))
    if len(best.problems) > 1 and len(text) <= LARGEST_TO_GUESS:
        for reading in _OTHER_READINGS:
            other = _parse(text, lex(text, reading))
            if len(other.problems) < len(best.problems):
                best = other
    return best


def _parse(text: str, lexed: Lexed) -> Parsed:
    tokens = lexed.tokens
    parser = _Parser(text, Balanced(tokens) if balanced(tokens) else balance(text, tokens))
    root = parser.document()
    problems = [
        *parser.problems,
        *(
            SyntaxProblem(Range(start, start + 2), "This comment is never closed; end it with */.")
            for start in lexed.open_comments
        ),
    ]
    problems.sort(key=lambda problem: problem.range.start)
    return Parsed(root, tuple(problems[:MOST_PROBLEMS]))


class _Parser:
    """Reads tokens whose brackets balance.

    Several complaints about one place are one mistake: until a token has been passed, only the first is told.
    """

    def __init__(self, text: str, source: Balanced):
        self._text, self._source, self._tokens = text, source, source.tokens
        self._at = 0
        self._depth = 0
        self._told = -1
        self._too_deep = False
        self.problems: list[SyntaxProblem] = list(source.problems)

    # ------------------------------------------------------------ the document

    def document(self) -> Node | None:
        """The whole text."""
        if self._kind() == "end":
            if not self.problems:
                self._problem(0, 0, "The document is empty; a workflow is an object: { ... }.")
            return None
        root = self._value("A value")
        if self._kind() == "end":
            self._tell_what_is_open()
        else:
            token = self._tokens[self._at]
            what = "The document ends before this; remove what follows, or a bracket above."
            self._problem(token.start, token.end, what)
        return root

    def _tell_what_is_open(self) -> None:
        """Tell that the text ended too early, unless a mistake at its very end says so already."""
        problem = self._source.open_at_end
        if problem is not None and self._told < self._source.closed_from and not self._too_deep:
            self.problems.append(problem)

    # ------------------------------------------------------------ values

    def _value(self, wanted: str) -> Node:
        token = self._tokens[self._at]
        kind = token.kind
        if kind in CLOSER:
            if self._depth == DEEPEST:
                return self._skip(token)
            self._depth += 1
            self._at += 1
            node: Node = self._object(token) if kind == "{" else self._array(token)
            self._depth -= 1
            return node
        self._at += 1
        if kind == "string" or kind == "unclosed":
            return read_string(self._text, token, self._inside)
        if kind == "number":
            return read_number(self._text, token, self._inside)
        if kind == "word":
            return read_word(self._text, token, self._inside)
        if kind == "half":
            return self._half(token)
        self._at -= 1
        place = self._end_of_last()
        self._problem(place, place, f"{wanted} is missing here.")
        return Missing(Range(place, place))

    def _skip(self, opener: Token) -> Node:
        """Pass over a container that lies too deep."""
        what = f"Nested too deeply: more than {DEEPEST} levels. This part is not read."
        if not self._too_deep:
            self._problem(opener.start, opener.end, what)
        self._too_deep = True
        balance = 0
        while True:
            kind = self._kind()
            balance += (kind in CLOSER) - (kind in ("}", "]"))
            self._at += 1
            if balance == 0:
                return Unknown(Range(opener.start, self._end_of_last()), "")

    def _object(self, opener: Token) -> Object:
        members: list[Member] = []
        while True:
            token = self._tokens[self._at]
            kind = token.kind
            if kind == "}":
                self._at += 1
                return Object(Range(opener.start, token.end), tuple(members), token.end > token.start)
            if kind in _KEYS:
                members.append(self._member(token))
                self._separate()
            else:
                self._problem(token.start, token.end, "A key in quotes is expected here.")
                if kind in CLOSER:
                    self._told = self._at + 1
                    self._value("A value")
                    self._separate()
                else:
                    self._pass()

    def _array(self, opener: Token) -> Array:
        items: list[Node] = []
        while True:
            token = self._tokens[self._at]
            kind = token.kind
            if kind == "]":
                self._at += 1
                return Array(Range(opener.start, token.end), tuple(items), token.end > token.start)
            if kind == ",":
                self._stray(token, "A value is expected here.")
                self._pass()
            elif kind == ":":
                self._problem(token.start, token.end, "A list has values without keys; keys stand in an object: { }.")
                self._pass()
            else:
                self._pass_what_hides_a_value()
                items.append(self._value("A value"))
                self._separate()

    def _separate(self) -> None:
        """Pass the comma behind a member or an item; where it is missing, say so and go on."""
        kind = self._kind()
        if kind == ",":
            self._at += 1
        elif kind not in ("}", "]", "end", ":"):
            place = self._end_of_last()
            if place not in self._source.mended:
                self._problem(max(place - 1, 0), place, "A comma is missing behind this.", put_in(",", place))

    # ------------------------------------------------------------ members

    def _member(self, token: Token) -> Member:
        self._at += 1
        key = self._key(token)
        value = self._missing_value(token) or self._value("A value")
        return Member(Range(token.start, max(value.range.end, token.end)), key, value)

    def _key(self, token: Token) -> String:
        if token.kind in ("string", "unclosed"):
            return read_string(self._text, token, self._inside)
        if token.kind == "half":
            return self._half(token)
        text = self._text[token.start : token.end]
        where = Range(token.start, token.end)
        mend = Mend("Put it in double quotes", (Edit(where, quote(text)),))
        self._problem(token.start, token.end, f'Keys stand in double quotes: "{text[:LONGEST_SHOWN]}".', mend)
        return String(where, text)

    def _half(self, token: Token) -> String:
        text, where = self._text[token.start : token.end], Range(token.start, token.end)
        if len(text) > 1 and text.startswith('"') and text.endswith('"'):
            inside = token.start + text.index('"', 1)
            self._problem(inside, inside + 1, 'A quote inside text is written \\".')
            return String(where, text[1:-1])
        side, at = ("before", token.start) if text.endswith('"') else ("behind", token.end)
        self._problem(token.start, token.end, f'A " is missing {side} this.', put_in('"', at, certain=False))
        return String(where, text.strip('"'))

    def _missing_value(self, key: Token) -> Missing | None:
        """Pass the colon behind a key; the place of the value if there is none, `None` if it follows now."""
        self._pass_what_hides_the_colon(key)
        token = self._tokens[self._at]
        if token.kind == ":":
            self._at += 1
            self._pass_what_hides_a_value()
            if self._kind() not in _ENDS and not self._next_is_key():
                return None
            return self._missing(key, "A value is missing behind this key.")
        if token.kind in _ENDS or self._next_is_key():
            return self._missing(key, "A colon and a value are missing behind this key.")
        if token.kind == "word" and self._text[token.start : token.end] in _EQUALS:
            mend = put_instead(Range(token.start, token.end), ":")
            self._problem(token.start, token.end, "Between a key and its value stands a colon.", mend)
            self._at += 1
        else:
            self._problem(key.start, key.end, "A colon is missing behind this key.", put_in(":", key.end))
        return None

    def _pass_what_hides_the_colon(self, key: Token) -> None:
        """Pass a stray token between a key and its colon."""
        token = self._tokens[self._at]
        stray = token.kind == "," or (token.kind in ("word", "number") and token.start == key.end)
        if stray and self._tokens[self._at + 1].kind == ":":
            self._stray(token, "Behind a key comes its colon; remove this.")
            self._at += 1

    def _pass_what_hides_a_value(self) -> None:
        """Pass a stray token before the bracket or the quote with which a value begins."""
        token, following = self._tokens[self._at], self._tokens[self._at + 1 : self._at + 3]
        if token.kind not in (":", ",", "word", "number") or len(following) < 2:
            return
        glued = token.kind in (":", ",") or token.end == following[0].start
        is_text = following[0].kind == "string" and following[1].kind != ":" and glued
        if following[0].kind in CLOSER or is_text or (token.kind == ":" and following[0].kind not in _ENDS):
            self._stray(token, "The value begins behind this; remove it.")
            self._at += 1

    def _stray(self, token: Token, message: str) -> None:
        """Tell of a token that is too many."""
        written = self._text[token.start : token.end][:LONGEST_SHOWN]
        self._problem(token.start, token.end, message, take_out(Range(token.start, token.end), written, certain=False))

    def _missing(self, key: Token, message: str) -> Missing:
        self._problem(key.start, key.end, message)
        place = self._end_of_last()
        return Missing(Range(place, place))

    def _next_is_key(self) -> bool:
        """Whether a key with its colon follows: then what stands before it has no value."""
        return self._kind() in _KEYS and self._tokens[self._at + 1].kind == ":"

    # ------------------------------------------------------------ the way

    def _kind(self) -> str:
        return self._tokens[self._at].kind

    def _end_of_last(self) -> int:
        return self._tokens[self._at - 1].end if self._at else 0

    def _pass(self) -> None:
        """Go on behind a token that a problem has been told of; what follows at once belongs to the same mistake."""
        self._at += 1
        self._told = self._at

    def _problem(self, start: int, end: int, message: str, mend: Mend | None = None) -> None:
        if self._told != self._at:
            self._inside(start, end, message, mend)

    def _inside(self, start: int, end: int, message: str, mend: Mend | None = None) -> None:
        """A problem inside a token, of which there may be several."""
        self._told = self._at
        self.problems.append(SyntaxProblem(Range(start, end), message, mend))
