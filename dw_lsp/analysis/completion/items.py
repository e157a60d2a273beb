"""What completion gives: candidates for a place, and the items that they become with their edits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from dw_lsp.analysis.completion.skeletons import Tree
from dw_lsp.catalog.classes import ClassEntry
from dw_lsp.text.edits import Edit
from dw_lsp.text.syntax_tree import Range

Kind: TypeAlias = Literal[
    "key", "value", "choice", "class", "argument", "variable", "step", "command", "file", "folder", "model", "skeleton"
]


@dataclass(frozen=True)
class Candidate:
    """Something that may stand at a place.

    `tree` is the value that is written; of a key, the value that comes behind it. `rank` puts the likeliest first;
    equals keep their order. `goes_on`: more is to be typed inside of its quotes. `short`: what people type for it when
    that is not its beginning.
    """

    label: str
    kind: Kind
    tree: Tree
    detail: str = ""
    documentation: str = ""
    rank: int = 5
    goes_on: bool = False
    deprecated: bool = False
    short: str = ""
    entry: ClassEntry | None = None


@dataclass(frozen=True)
class Item:
    """A proposal with its edits.

    `text` takes the place of `range`; `snippet`: it has tab stops. Its further lines are indented relative to the line
    on which it begins. `extra` are edits elsewhere, such as a comma before. `filter_text` is what is compared with the
    text from the start of `range` to the cursor. `entry`: a class whose documentation is read on demand.
    """

    label: str
    kind: Kind
    range: Range
    text: str
    snippet: bool
    filter_text: str
    sort_text: str
    detail: str = ""
    documentation: str = ""
    deprecated: bool = False
    extra: tuple[Edit, ...] = ()
    entry: ClassEntry | None = None


@dataclass(frozen=True)
class Completions:
    """The proposals; `is_incomplete`: there are more, which further typing brings."""

    items: tuple[Item, ...] = ()
    is_incomplete: bool = False


NOTHING = Completions()
