"""Tokens to a tree, as far as it can be understood, and a problem for each mistake. Never raises, never gives up early.

Most documents are read without a thought for their layout. Only when the brackets do not balance is the text read again
with the indentation as a witness of what the author meant (see `Layout`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from dw_lsp.text.layout import Layout
from dw_lsp.text.lexer import Token, lex
from dw_lsp.text.syntax_tree import Array, Boolean, Member, Missing, Node, Null, Number, Object, Range, String, Unknown

DEEPEST = 200
_CLOSER = {"{": "}", "[": "]"}
_LITERALS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_CONTROL = re.compile(r"[\x00-\x1f]")
_ESCAPE = re.compile(r'\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt])|\\u?[^"\\]?')


@dataclass(frozen=True)
class SyntaxProblem:
    """One mistake: where, and what to do about it."""

    range: Range
    message: str


@dataclass(frozen=True)
class Parsed:
    """The tree (`None` for an empty document) and the mistakes, in the order of the text."""

    root: Node | None
    problems: tuple[SyntaxProblem, ...] = ()


def parse(text: str) -> Parsed:
    """Read a JSON document with comments and trailing commas."""
    lexed = lex(text)
    parser = _Parser(text, lexed.tokens, None)
    parsed = parser.document()
    if parser.unbalanced:
        parser = _Parser(text, lexed.tokens, Layout(text, lexed.tokens))
        parsed = parser.document()
    problems = list(parsed.problems)
    for start in lexed.open_comments:
        problems.append(SyntaxProblem(Range(start, start + 2), "This comment is never closed; end it with */."))
    return Parsed(parsed.root, tuple(sorted(problems, key=lambda problem: problem.range.start)))


class _Parser:
    def __init__(self, text: str, tokens: list[Token], layout: Layout | None):
        self._text, self._tokens, self._layout = text, tokens, layout
        self._at = 0
        self._depth = 0
        self._open: list[int] = []
        self._problems: list[SyntaxProblem] = []
        self._too_deep = False
        self.unbalanced = False

    # ------------------------------------------------------------ the document

    def document(self) -> Parsed:
        """The whole text."""
        if self._kind() == "end":
            self._problem(0, 0, "The document is empty; a workflow is an object: { ... }.")
            return Parsed(None, tuple(self._problems))
        root = self._value("a value")
        if self._kind() != "end":
            token = self._tokens[self._at]
            self.unbalanced = self.unbalanced or token.kind in "{}[],"
            self._problem(
                token.start, token.end, "The document ends before this; remove what follows, or a bracket above."
            )
        return Parsed(root, tuple(self._problems))

    # ------------------------------------------------------------ values

    def _value(self, wanted: str) -> Node:
        token = self._tokens[self._at]
        if token.kind in _CLOSER:
            return self._container(token)
        if token.kind == "string":
            self._at += 1
            return self._string(token)
        if token.kind == "number":
            self._at += 1
            return self._number(token)
        if token.kind == "word":
            self._at += 1
            return self._word(token)
        place = self._end_of_last()
        self._problem(place, place, f"{wanted.capitalize()} is missing here.")
        return Missing(Range(place, place))

    def _container(self, token: Token) -> Node:
        if self._depth >= DEEPEST:
            return self._skip(token)
        self._depth += 1
        self._open.append(self._at)
        self._at += 1
        node: Node = self._object(token) if token.kind == "{" else self._array(token)
        self._open.pop()
        self._depth -= 1
        return node

    def _skip(self, token: Token) -> Node:
        """Pass over a container that lies too deep, brackets counted."""
        self._too_deep = True
        self._problem(token.start, token.end, f"Nested too deeply: more than {DEEPEST} levels. This part is not read.")
        balance = 0
        while self._kind() != "end":
            kind = self._kind()
            balance += (kind in _CLOSER) - (kind in ("}", "]"))
            self._at += 1
            if balance == 0:
                break
        return Unknown(Range(token.start, self._tokens[self._at - 1].end), "")

    def _object(self, opener: Token) -> Object:
        members: list[Member] = []
        while True:
            closed = self._close(opener)
            if closed is not None:
                return Object(Range(opener.start, self._end_of_last()), tuple(members), closed)
            token = self._tokens[self._at]
            if token.kind in ("string", "word", "number"):
                members.append(self._member(token))
                self._separate(opener)
            else:
                self._stray(token, "A key in quotes is expected here.")

    def _array(self, opener: Token) -> Array:
        items: list[Node] = []
        while True:
            closed = self._close(opener)
            if closed is not None:
                return Array(Range(opener.start, self._end_of_last()), tuple(items), closed)
            token = self._tokens[self._at]
            if token.kind in (",", ":", "}"):
                self._stray(token, "A value is expected here.")
            else:
                items.append(self._value("a value"))
                self._separate(opener)

    def _close(self, opener: Token) -> bool | None:
        """Whether the container ends here: `True` by its bracket, `False` without it, `None` if it goes on."""
        token = self._tokens[self._at]
        closer = _CLOSER[opener.kind]
        if self._layout is not None and self._layout.ends_before(self._open, self._at):
            self._unclosed(opener)
            return False
        if token.kind == closer:
            if self._layout is not None and self._layout.is_stray(self._open[-1], self._at):
                self._stray(token, f"This {token.kind} closes nothing; remove it.")
                return self._close(opener)
            self._at += 1
            return True
        other = "]" if closer == "}" else "}"
        if token.kind == "end" or (token.kind == other and self._closes_outer(other)):
            self._unclosed(opener)
            return False
        return None

    def _closes_outer(self, closer: str) -> bool:
        return any(_CLOSER[self._tokens[index].kind] == closer for index in self._open[:-1])

    def _unclosed(self, opener: Token) -> None:
        if self._too_deep and self._kind() == "end":
            return
        self.unbalanced = True
        what = "object" if opener.kind == "{" else "list"
        self._problem(opener.start, opener.end, f"This {what} is not closed; a {_CLOSER[opener.kind]} is missing.")

    def _separate(self, opener: Token) -> None:
        """Pass the comma behind a member or an item; where it is missing, say so and go on."""
        kind = self._kind()
        if kind == ",":
            self._at += 1
        elif kind not in ("}", "]", "end", ":") and not self._ends_here():
            place = self._end_of_last()
            self._problem(max(place - 1, opener.start), place, "A comma is missing behind this.")

    def _ends_here(self) -> bool:
        return self._layout is not None and self._layout.ends_before(self._open, self._at)

    def _member(self, token: Token) -> Member:
        self._at += 1
        key = self._key(token)
        if self._kind() == ":":
            self._at += 1
            value = self._missing_value(token) if self._next_is_key() else self._value("a value")
        elif self._kind() in ("}", "]", ",", "end") or self._next_is_key():
            self._problem(token.start, token.end, "A colon and a value are missing behind this key.")
            value = Missing(Range(token.end, token.end))
        else:
            self._problem(token.start, token.end, "A colon is missing behind this key.")
            value = self._value("a value")
        return Member(Range(token.start, max(value.range.end, token.end)), key, value)

    def _key(self, token: Token) -> String:
        if token.kind == "string":
            return self._string(token)
        text = self._text[token.start : token.end]
        self._problem(token.start, token.end, f'Keys stand in double quotes: "{text}".')
        return String(Range(token.start, token.end), text)

    def _missing_value(self, key: Token) -> Node:
        place = self._end_of_last()
        self._problem(key.start, key.end, "A value is missing behind this key.")
        return Missing(Range(place, place))

    def _next_is_key(self) -> bool:
        """Whether a key with its colon follows on a later line: then what stands before it has no value."""
        token, after = self._tokens[self._at], self._tokens[min(self._at + 1, len(self._tokens) - 1)]
        return token.kind in ("string", "word") and after.kind == ":"

    # ------------------------------------------------------------ scalars

    def _string(self, token: Token) -> String:
        quote, end = self._text[token.start], token.end
        closed = end - token.start > 1 and self._text[end - 1] == quote and not self._escaped(token.start, end - 1)
        if not closed:
            end = self._end_of_unclosed(token)
            self._problem(token.start, end, f"This text is not closed; a {quote} is missing.")
        elif quote == "'":
            self._problem(token.start, end, "Text stands in double quotes in JSON.")
        raw = self._text[token.start + 1 : end - closed]
        return String(Range(token.start, end), self._unescape(raw, token.start + 1), closed)

    def _escaped(self, start: int, quote: int) -> bool:
        """Whether an odd number of backslashes stands before the quote at the end."""
        count = 0
        while quote - count - 1 > start and self._text[quote - count - 1] == "\\":
            count += 1
        return count % 2 == 1

    def _end_of_unclosed(self, token: Token) -> int:
        """Where an unclosed string most likely was meant to end: before a comma that ends its line."""
        raw = self._text[token.start : token.end].rstrip()
        if len(raw) > 1 and raw.endswith(","):
            self._tokens = [*self._tokens]
            comma = token.start + len(raw) - 1
            self._tokens.insert(self._at, Token(",", comma, comma + 1))
            if self._layout is not None:
                self._layout = self._layout.of(self._tokens)
            return comma
        return token.start + len(raw)

    def _unescape(self, raw: str, start: int) -> str:
        for control in _CONTROL.finditer(raw):
            place = start + control.start()
            self._problem(place, place + 1, f"A control character in text is written \\u{ord(control.group()):04x}.")
        if "\\" not in raw:
            return raw
        sound = True
        for escape in _ESCAPE.finditer(raw):
            if not (len(escape.group()) == 6 or (len(escape.group()) == 2 and escape.group()[1] in '"\\/bfnrt')):
                sound = False
                place = start + escape.start()
                self._problem(
                    place, start + escape.end(), f"{escape.group()} is no escape of JSON; a backslash itself is \\\\."
                )
        if not sound or raw.endswith("\\"):
            raw = _ESCAPE.sub(lambda match: match.group() if _is_sound(match.group()) else "\\" + match.group(), raw)
        try:
            value: str = json.loads(f'"{raw}"', strict=False)
        except ValueError:
            return raw
        return value

    def _number(self, token: Token) -> Number:
        text = self._text[token.start : token.end]
        try:
            value = float(text) if any(mark in text for mark in ".eE") else int(text)
        except ValueError:
            self._problem(token.start, token.end, "This number has too many digits.")
            value = 0
        if isinstance(value, float) and value in (float("inf"), float("-inf")):
            self._problem(token.start, token.end, "This number is too large.")
        return Number(Range(token.start, token.end), value)

    def _word(self, token: Token) -> Node:
        where, text = Range(token.start, token.end), self._text[token.start : token.end]
        if text in _LITERALS:
            value = _LITERALS[text]
            return Null(where) if value is None else Boolean(where, value)
        shown = text if len(text) <= 40 else text[:40] + "..."
        hint = {"True": "true", "False": "false", "None": "null"}.get(text)
        if hint is None and re.match(r"[-+.]?[0-9]", text):
            self._problem(token.start, token.end, f"{shown} is no number of JSON, such as 1, -0.5 or 2e3.")
        else:
            self._problem(token.start, token.end, f"{shown} is no value of JSON; {_mend(shown, hint)}")
        return Unknown(where, text)

    # ------------------------------------------------------------ the way

    def _kind(self) -> str:
        return self._tokens[self._at].kind

    def _end_of_last(self) -> int:
        return self._tokens[self._at - 1].end if self._at else 0

    def _stray(self, token: Token, message: str) -> None:
        self.unbalanced = self.unbalanced or token.kind not in (",", ":")
        self._problem(token.start, token.end, message)
        self._at += 1

    def _problem(self, start: int, end: int, message: str) -> None:
        self._problems.append(SyntaxProblem(Range(start, end), message))


def _is_sound(escape: str) -> bool:
    return len(escape) == 6 or (len(escape) == 2 and escape[1] in '"\\/bfnrt')


def _mend(text: str, hint: str | None) -> str:
    return f"write {hint}." if hint else f'text stands in double quotes: "{text}".'
