"""The vocabulary in which the format is written down: shapes of values, and the properties of objects.

Data only. The rules judge documents by it, the JSON Schema is made from it, completion and hover read it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dw_lsp.text.syntax_tree import Value

#: Which of the two dialects of the format knows a key: the older one, the newer one, or both.
Dialect: TypeAlias = Literal["A", "B", "AB"]


@dataclass(frozen=True)
class AnyShape:
    """Any JSON value: what fits is known only to the class or function that receives it."""


@dataclass(frozen=True)
class TextShape:
    """Text; `choices` are the only values if there are any, `suggestions` common ones; `longest` in characters."""

    choices: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()
    longest: int | None = None


@dataclass(frozen=True)
class NumberShape:
    """A number: `whole` without fraction; `least` and `most` are allowed, `above` is not; `choices` only these."""

    whole: bool = False
    least: float | None = None
    most: float | None = None
    above: float | None = None
    choices: tuple[int, ...] = ()


@dataclass(frozen=True)
class FlagShape:
    """True or false."""


@dataclass(frozen=True)
class NullShape:
    """Null, where it means something."""


@dataclass(frozen=True)
class MediumShape:
    """A picture, a video or a sound: a path or address, an object with a location, or a list of those."""

    kind: Literal["image", "video", "audio", "medium"]


@dataclass(frozen=True)
class ListShape:
    """A list; the number of its items, and whether one may stand there twice."""

    item: Shape
    at_least: int = 0
    at_most: int | None = None
    unique: bool = False


@dataclass(frozen=True)
class MapShape:
    """An object whose keys are the author's: names of variables, components, arguments."""

    value: Shape


@dataclass(frozen=True)
class AnyOf:
    """One of several shapes."""

    options: tuple[Shape, ...]


@dataclass(frozen=True)
class Property:
    """One key of an object, with one sentence on what it means.

    `variable` says that a reference to a variable may stand for a value that is no text (it may for every text).
    `deprecated` says what to use instead.
    """

    name: str
    shape: Shape
    meaning: str
    required: bool = False
    default: Value = None
    dialect: Dialect = "AB"
    deprecated: str | None = None


@dataclass(frozen=True)
class ObjectShape:
    """An object of the format.

    `closed`: any other key is a mistake. `others`: the shape of values under keys that are not listed. `exclusive`:
    sets of keys of which only one may be there; `one_of`: sets of which exactly one must.
    """

    name: str
    meaning: str
    properties: tuple[Property, ...]
    closed: bool = True
    others: Shape | None = None
    exclusive: tuple[tuple[str, ...], ...] = ()
    one_of: tuple[tuple[str, ...], ...] = ()

    @functools.cached_property
    def _by_name(self) -> dict[str, Property]:
        return {known.name: known for known in self.properties}

    def property(self, name: str) -> Property | None:
        """The property of that name."""
        return self._by_name.get(name)


_Scalar: TypeAlias = TextShape | NumberShape | FlagShape | NullShape | MediumShape
Shape: TypeAlias = AnyShape | _Scalar | ListShape | MapShape | AnyOf | ObjectShape

ANY = AnyShape()
TEXT = TextShape()
FLAG = FlagShape()
NUMBER = NumberShape()
WHOLE = NumberShape(whole=True)
NULL = NullShape()
TEXTS = ListShape(TEXT)
ARGUMENTS = MapShape(ANY)


def nullable(shape: Shape) -> AnyOf:
    """The shape, or null."""
    return AnyOf((shape, NULL))


def key(
    name: str,
    shape: Shape,
    meaning: str,
    *,
    required: bool = False,
    default: Value = None,
    dialect: Dialect = "AB",
    deprecated: str | None = None,
) -> Property:
    """A property, written short: the tables consist of these."""
    return Property(name, shape, meaning, required, default, dialect, deprecated)
