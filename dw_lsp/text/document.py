"""One version of a document: its text, and what is derived from it when first asked for. A change makes a new one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from dw_lsp.text.parser import Parsed, parse
from dw_lsp.text.positions import Encoding, LineIndex, Position
from dw_lsp.text.sound import Former, same_length
from dw_lsp.text.syntax_tree import Node

Result = TypeVar("Result")


@dataclass(frozen=True)
class Change:
    """Text that replaces the stretch from `start` to `end`; both `None`: it replaces everything."""

    start: Position | None
    end: Position | None
    text: str


@dataclass(frozen=True)
class Document:
    """A document as the editor has it. `uri` names it, `version` counts its changes."""

    uri: str
    text: str
    version: int = 0
    language_id: str = ""

    @cached_property
    def lines(self) -> LineIndex:
        """Its lines."""
        return LineIndex(self.text)

    @cached_property
    def parsed(self) -> Parsed:
        """Its tree and its syntax mistakes."""
        before: tuple[str, Node] | None = self.__dict__.get("_before")
        read = parse(self.text, None if before is None else Former(before[1], same_length(before[0], self.text)))
        if not read.problems:  # While it is broken, the last sound tree is kept for when it is mended.
            self.__dict__.pop("_before", None)
        return read

    @property
    def root(self) -> Node | None:
        """Its tree; `None` when it is empty."""
        return self.parsed.root

    @cached_property
    def _derived(self) -> dict[object, Any]:
        return {}

    def apply(self, changes: Sequence[Change], encoding: Encoding, version: int) -> Document:
        """The document after the changes, each of which counts in the text that the one before it left."""
        text, lines = self.text, self.lines
        for change in changes:
            if change.start is None or change.end is None:
                text = change.text
            else:
                start = lines.offset(change.start, encoding)
                end = max(start, lines.offset(change.end, encoding))
                text = text[:start] + change.text + text[end:]
            lines = LineIndex(text)
        changed = Document(self.uri, text, version, self.language_id)
        changed.__dict__["_before"] = self._sound()
        return changed

    def _sound(self) -> tuple[str, Node] | None:
        """The newest sound text of which the tree is known, of this version or one before it, and that tree."""
        parsed: Parsed | None = self.__dict__.get("parsed")
        if parsed is not None and parsed.root is not None and not parsed.problems:
            return self.text, parsed.root
        before: tuple[str, Node] | None = self.__dict__.get("_before")
        return before


def derived(function: Callable[[Document], Result]) -> Callable[[Document], Result]:
    """Decorates what follows from a document alone: worked out once for each version, and forgotten with it."""

    @wraps(function)
    def once(document: Document) -> Result:
        kept = document._derived
        if function not in kept:
            kept[function] = function(document)
        result: Result = kept[function]
        return result

    return once


def path_of(uri: str) -> Path | None:
    """The file that a URI names; `None` for other schemes, such as that of a document that was never saved."""
    parts = urlsplit(uri)
    if parts.scheme != "file":
        return None
    path = unquote(parts.path)
    if "\0" in path:
        return None  # No system has such a file, and most of what is asked of one would raise.
    if os.name == "nt" and path[2:3] == ":":
        path = path[1:]  # A drive stands behind the slash that begins every path of a URI.
    return Path(f"//{parts.netloc}{path}" if parts.netloc and os.name == "nt" else path)


def folder_of(uri: str) -> Path | None:
    """The folder of the file that a URI names."""
    path = path_of(uri)
    return None if path is None else path.parent
