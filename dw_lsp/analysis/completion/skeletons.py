"""Values with places to fill, written as the snippets of editors: tab stops, defaults, choices."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TypeAlias, Union

from dw_lsp.text.syntax_tree import Value
from dw_lsp.text.writing import quote


@dataclass(frozen=True)
class Blank:
    """A place to fill: what stands there first, and what else it may be. Text is filled in between its quotes."""

    value: Value = ""
    choices: tuple[str, ...] = ()


#: A value of which parts are blanks.
Tree: TypeAlias = Union[dict[str, "Tree"], list["Tree"], Blank, str, int, float, bool, None]  # noqa: UP007 (recursive)
_MARKS = re.compile(
    r"\$\{\d+\|(?P<first>(?:\\.|[^\\,|])*)(?:\\.|[^\\|])*\|\}|\$\{\d+:(?P<default>(?:\\.|[^\\}])*)\}|\$\d+|\\(?P<plain>.)",
    re.DOTALL,
)
_ESCAPED = re.compile(r"[\\$]")
_ESCAPED_INSIDE = re.compile(r"[\\$}]")
_ESCAPED_CHOICE = re.compile(r"[\\,|$}]")
#: Editors show no more.
_MOST_CHOICES = 40


def snippet_of(tree: Tree, unit: str, *, one_line: bool, first: int = 1) -> str:
    """A value as a snippet.

    Arguments: `unit` is one level of indentation; with `one_line` all of it stands on one line; `first` numbers the
    first tab stop.
    """
    return _Writer(unit, one_line, first).written(tree, "")


def plain(snippet: str) -> str:
    """The text that a snippet puts in before anything is filled in."""
    return _MARKS.sub(lambda mark: plain(mark["first"] or mark["default"] or "") or mark["plain"] or "", snippet)


def has_blanks(snippet: str) -> bool:
    """Whether a snippet has anything to fill in."""
    return any(mark["plain"] is None for mark in _MARKS.finditer(snippet))


def escaped(text: str) -> str:
    """Text as it is written in a snippet."""
    return _ESCAPED.sub(r"\\\g<0>", text)


def _inside(text: str) -> str:
    """Text as it is written inside of a tab stop."""
    return _ESCAPED_INSIDE.sub(r"\\\g<0>", text)


class _Writer:
    def __init__(self, unit: str, one_line: bool, first: int):
        self._unit, self._one_line, self._next = unit, one_line, first

    def written(self, tree: Tree, indent: str) -> str:
        if isinstance(tree, Blank):
            return self._blank(tree)
        if isinstance(tree, dict) and tree:
            inner = indent + self._unit
            return self._in_brackets(
                "{",
                [f"{escaped(quote(key))}: {self.written(value, inner)}" for key, value in tree.items()],
                "}",
                indent,
            )
        if isinstance(tree, list) and tree:
            return self._in_brackets("[", [self.written(item, indent + self._unit) for item in tree], "]", indent)
        return escaped(quote(tree) if isinstance(tree, str) else json.dumps(tree))

    def _in_brackets(self, opener: str, parts: list[str], closer: str, indent: str) -> str:
        if self._one_line or (opener == "[" and not any("\n" in part or part.startswith("{") for part in parts)):
            padding = " " if opener == "{" else ""
            return opener + padding + ", ".join(parts) + padding + closer
        inner = "\n" + indent + self._unit
        return opener + inner + ("," + inner).join(parts) + "\n" + indent + closer

    def _blank(self, blank: Blank) -> str:
        number = self._next
        self._next += 1
        value = blank.value
        if isinstance(value, bool):
            return self._choice(number, ("true", "false") if value else ("false", "true"))
        if blank.choices:
            others = [choice for choice in blank.choices if choice != value][: _MOST_CHOICES - 1]
            listed = (value, *others) if isinstance(value, str) and value else others
            return '"' + self._choice(number, tuple(quote(choice)[1:-1] for choice in listed)) + '"'
        if isinstance(value, str):
            inner = _inside(quote(value)[1:-1])
            return f'"${{{number}:{inner}}}"' if inner else f'"${number}"'
        if isinstance(value, (dict, list)) and not value:
            return f"{{${number}}}" if isinstance(value, dict) else f"[${number}]"
        return f"${{{number}:{_inside(json.dumps(value))}}}"

    def _choice(self, number: int, choices: tuple[str, ...]) -> str:
        written = ",".join(_ESCAPED_CHOICE.sub(r"\\\g<0>", choice) for choice in choices)
        return f"${{{number}|{written}|}}"
