"""What can be folded away: objects and lists over several lines, and comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Array, Object, walk

#: Strings are passed over, so that what looks like a comment in them is none.
_COMMENTS = re.compile(r'"(?:[^"\\\r\n]|\\.)*"?|(?P<block>/\*(?:.*?\*/|.*\Z))|(?P<line>//[^\r\n]*)', re.DOTALL)


@dataclass(frozen=True)
class Fold:
    """Lines that fold into the first of them."""

    first: int
    last: int
    comment: bool = False


def folds(document: Document) -> tuple[Fold, ...]:
    """All folds, in the order of the text; the line of a closing bracket stays in sight."""
    found = {(fold.first, fold.comment): fold for fold in (*_comments(document), *_containers(document))}
    return tuple(sorted(found.values(), key=lambda fold: (fold.first, -fold.last)))


def _containers(document: Document) -> Iterator[Fold]:
    if document.root is None:
        return
    lines = document.lines
    # The outermost of several that begin on one line comes last here and is kept.
    for node in reversed(tuple(walk(document.root))):
        if isinstance(node, (Object, Array)):
            first, last = lines.line_of(node.range.start), lines.line_of(node.range.end)
            if node.closed and not _is_text_before(document, node.range.end - 1):
                last -= 1
            if last > first:
                yield Fold(first, last)


def _is_text_before(document: Document, offset: int) -> bool:
    """Whether a closing bracket shares its line with what it closes."""
    start = document.lines.line_start(document.lines.line_of(offset))
    return bool(document.text[start:offset].strip(" \t]}"))


def _comments(document: Document) -> Iterator[Fold]:
    if "//" not in document.text and "/*" not in document.text:
        return
    lines, run = document.lines, -1
    previous = -2
    for match in _COMMENTS.finditer(document.text):
        first = lines.line_of(match.start())
        if match["block"] is not None:
            last = lines.line_of(match.end())
            if last > first:
                yield Fold(first, last, True)
        elif match["line"] is not None and not document.text[lines.line_start(first) : match.start()].strip():
            if first != previous + 1:
                if previous > run >= 0:
                    yield Fold(run, previous, True)
                run = first
            previous = first
    if previous > run >= 0:
        yield Fold(run, previous, True)
