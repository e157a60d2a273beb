"""What a type annotation, as its source has it, says of JSON values. Silent on what it does not know for certain."""

from __future__ import annotations

import ast
import functools
import re
from dataclasses import dataclass

_WORDS = re.compile(r"^(?:`?)(int|float|bool|str)(?:`?)(?:,\s*\*?optional\*?.*|,\s*defaults to.*)?$")
_SCALARS = {"str": "text", "int": "whole", "float": "number", "bool": "flag"}
_LISTS = frozenset({"list", "List", "tuple", "Tuple", "Sequence", "Iterable", "set", "Set"})
_OBJECTS = frozenset({"dict", "Dict", "Mapping", "MutableMapping"})


@dataclass(frozen=True)
class Accepted:
    """The JSON values that an annotation takes: `text`, `whole`, `number`, `flag`, `null`, `object`; `items` of a list.

    `choices` are the only texts, if any are named. `certain` is false if it takes things that are not listed here.
    """

    kinds: frozenset[str] = frozenset()
    items: Accepted | None = None
    choices: tuple[str, ...] = ()
    certain: bool = True

    @property
    def wanted(self) -> str:
        """What it takes, in words."""
        if self.choices:
            return "one of " + ", ".join(f"`{choice}`" for choice in self.choices)
        names = {"text": "text", "whole": "a whole number", "number": "a number", "flag": "true or false"}
        parts = [word for kind, word in names.items() if kind in self.kinds]
        parts += ["a list" if not self.items or not self.items.kinds else f"a list of {self.items.plural}"] * bool(
            self.items
        )
        parts += ["an object"] * ("object" in self.kinds)
        return " or ".join(parts)

    @property
    def plural(self) -> str:
        """What a list of these holds, in words."""
        names = {
            "text": "texts",
            "whole": "whole numbers",
            "number": "numbers",
            "flag": "true or false",
            "object": "objects",
        }
        parts = [word for kind, word in names.items() if kind in self.kinds]
        return " or ".join([*parts, "lists"] if self.items else parts)


ANYTHING = Accepted(certain=False)


@functools.lru_cache(maxsize=2048)
def accepted_by(annotation: str | None) -> Accepted:
    """What an annotation takes. Arguments: its source text, or its words in a documentation."""
    if not annotation or annotation == "None":
        return ANYTHING
    if words := _WORDS.match(annotation):
        return Accepted(frozenset({_SCALARS[words[1]]}))
    try:
        return _read(ast.parse(annotation.strip(), mode="eval").body)
    except (SyntaxError, ValueError):
        return ANYTHING


def _read(node: ast.expr) -> Accepted:
    if isinstance(node, ast.Constant):
        if node.value is None:
            return Accepted(frozenset({"null"}))
        return accepted_by(node.value) if isinstance(node.value, str) else ANYTHING
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union([_read(node.left), _read(node.right)])
    if isinstance(node, ast.Subscript):
        return _subscript(_name(node.value), node.slice)
    name = _name(node)
    if name in _SCALARS:
        return Accepted(frozenset({_SCALARS[name]}))
    if name in _LISTS:
        return Accepted(items=ANYTHING)
    return Accepted(frozenset({"object"})) if name in _OBJECTS else ANYTHING


def _subscript(name: str, inner: ast.expr) -> Accepted:
    parts = list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]
    if name == "Optional":
        return _union([_read(inner), Accepted(frozenset({"null"}))])
    if name == "Union":
        return _union([_read(part) for part in parts])
    if name == "Literal":
        return _literal(parts)
    if name in _LISTS:
        known = [part for part in parts if not (isinstance(part, ast.Constant) and part.value is Ellipsis)]
        return Accepted(items=_union([_read(part) for part in known]))
    return Accepted(frozenset({"object"})) if name in _OBJECTS else ANYTHING


def _literal(parts: list[ast.expr]) -> Accepted:
    values = [part.value for part in parts if isinstance(part, ast.Constant)]
    if len(values) != len(parts) or not all(isinstance(value, str) or value is None for value in values):
        return ANYTHING
    kinds = frozenset({"text"} | ({"null"} if None in values else set()))
    return Accepted(kinds, choices=tuple(value for value in values if isinstance(value, str)))


def _union(options: list[Accepted]) -> Accepted:
    kinds = frozenset().union(*(option.kinds for option in options))
    lists = [option.items for option in options if option.items is not None]
    free_text = any("text" in option.kinds and not option.choices for option in options)
    choices = () if free_text else tuple(choice for option in options for choice in option.choices)
    certain = all(option.certain for option in options)
    return Accepted(kinds, _union(lists) if lists else None, choices, certain)


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr if isinstance(node.value, ast.Name) and node.value.id in ("typing", "t", "collections") else ""
    return node.id if isinstance(node, ast.Name) else ""
