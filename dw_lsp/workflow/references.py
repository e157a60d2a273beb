"""The strings that stand for something else: `variable:NAME`, `previous_result:STEP.PROPERTY` and their kin."""

from __future__ import annotations

import builtins
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast, get_args

ReferenceKind: TypeAlias = Literal[
    "variable", "previous_result", "constant", "builtin", "prompt", "asset", "output", "item", "gather", "constraint"
]
#: How a reference to results begins.
RESULTS = "previous_result:"
KINDS: frozenset[str] = frozenset(get_args(ReferenceKind))
_WORDS = re.compile(r"[\s,;!?]+")


@dataclass(frozen=True)
class Reference:
    """A reference: what kind, the name it refers to, and the property that is asked of a step's results.

    A step's name may hold dots, which only the names of all steps can tell from a property: see `split_result`.
    """

    kind: ReferenceKind
    name: str
    property: str | None = None

    @builtins.property
    def target(self) -> str:
        """All that stands behind the colon."""
        return self.name if self.property is None else f"{self.name}.{self.property}"


def parse_reference(text: str) -> Reference | None:
    """The reference that the whole text is, or `None`: inside a longer text nothing is replaced."""
    prefix, colon, target = text.partition(":")
    if not colon or prefix not in KINDS:
        return None
    kind = cast(ReferenceKind, prefix)
    if kind != "previous_result":
        return Reference(kind, target)
    name, dot, rest = target.partition(".")
    return Reference(kind, name, rest if dot else None)


def split_result(target: str, step_names: Collection[str]) -> tuple[str, str | None]:
    """Step and property of a `previous_result:` target.

    A step's name may contain dots: an exact name wins, else the longest known name in front of a dot; with no known
    name the first dot parts the two.
    """
    if target in step_names:
        return target, None
    known = [name for name in step_names if target.startswith(name + ".")]
    if known:
        name = max(known, key=len)
        return name, target[len(name) + 1 :]
    name, dot, rest = target.partition(".")
    return name, rest if dot else None


def words_behind(reference: Reference, known: Collection[str]) -> bool:
    """Whether more than a name follows the colon, so that a longer text only begins like a reference.

    Arguments: `known` are the names of all variables or steps; a step's name may have spaces, a variable's may not.
    """
    first, *more = [part for part in _WORDS.split(reference.target) if part] or [""]
    if not more or reference.kind not in ("variable", "previous_result"):
        return False
    if reference.kind == "variable":
        return reference.target not in known
    step, asked = split_result(reference.target, known)
    if step in known:
        return asked is not None and _WORDS.search(asked) is not None
    return split_result(first, known)[0] in known


def references_in(value: object) -> Iterator[Reference]:
    """All references at any depth of a value, in its order."""
    if isinstance(value, dict):
        for item in value.values():
            yield from references_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from references_in(item)
    elif isinstance(value, str):
        reference = parse_reference(value)
        if reference is not None:
            yield reference
