"""Ever larger selections around a cursor: a part of a text, the text, its member, the object around, ..."""

from __future__ import annotations

from collections.abc import Iterator

from dw_lsp.analysis.names import naming_at
from dw_lsp.text.cursor import Place, locate
from dw_lsp.text.document import Document
from dw_lsp.text.escapes import content_range
from dw_lsp.text.syntax_tree import Array, Member, Object, Range


def selections(document: Document, offset: int) -> tuple[Range, ...]:
    """The stretches around a cursor, smallest first, each of them larger than the one before."""
    place = locate(document, offset)
    found: list[Range] = []
    for stretch in (*_text_parts(document, place), *_around(place), Range(0, len(document.text))):
        smaller = found[-1] if found else None
        # What is still open goes on behind its text: a cursor can belong to it and stand outside of it.
        if stretch.contains(offset) and (smaller is None or _is_larger(stretch, smaller)):
            found.append(stretch)
    return tuple(found)


def _is_larger(stretch: Range, smaller: Range) -> bool:
    return stretch.start <= smaller.start and stretch.end >= smaller.end and stretch != smaller


def _text_parts(document: Document, place: Place) -> Iterator[Range]:
    string = place.string
    if string is None:
        yield Range(place.offset, place.offset)
        return
    naming = naming_at(document, place.offset)
    if naming is not None and naming.range.contains(place.offset):
        yield naming.range
    content = content_range(document.text, string)
    if content.contains(place.offset):
        yield content
    yield string.range


def _around(place: Place) -> Iterator[Range]:
    """Nodes and members around, innermost first."""
    if place.node is not None:
        yield place.node.range
    members = list(place.members)
    if members and place.member is not None:
        yield members.pop().range
    for node in reversed(place.ancestors):
        yield from _inside(node)
        yield node.range
        if members and _is_value_of(node, members[-1]):
            yield members.pop().range


def _inside(node: Object | Array) -> Iterator[Range]:
    """All that an object or a list holds, without its brackets."""
    held = [member.range for member in node.members] if isinstance(node, Object) else [i.range for i in node.items]
    if len(held) > 1:
        yield Range(held[0].start, held[-1].end)


def _is_value_of(node: Object | Array, member: Member) -> bool:
    return member.value is node
