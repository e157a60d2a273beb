"""Where completion is asked for: what is typed so far, what an item replaces, and the document around that.

What is half typed (text without its last quote, a bare word) is taken out of the document before it is read: what is
left is sound, and stays the same while one types on, so that it is read once.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from dw_lsp.analysis.completion.typed import typed_at
from dw_lsp.text.cursor import Place, locate
from dw_lsp.text.document import Document
from dw_lsp.text.edits import Edit
from dw_lsp.text.syntax_tree import Array, Boolean, Member, Missing, Node, Null, Number, Object, Range, String

Asked: TypeAlias = Literal["key", "value", "document"]
_WORD = re.compile(r"\w")
_TRIVIA = re.compile(r"(?:[ \t\r\n\ufeff]+|//[^\r\n]*|/\*(?:.*?\*/|.*\Z))*", re.DOTALL)


@dataclass(frozen=True)
class Spot:
    """Where an item goes.

    `document` is read, `place` a place in it; `range` is replaced in the text that the client has, `typed` what stands
    there up to the cursor, without its first `quote`; `closed`: the last one is there, too. `member` is the member
    whose key or value it is. `colon` and `comma`: the item brings them; `lead` and `trail` are text before and behind
    it; `extra` are edits elsewhere. `followed`: a value is there already, so that only the key is written.
    """

    asked: Asked
    document: Document
    place: Place
    range: Range
    typed: str = ""
    quote: str = ""
    closed: bool = False
    member: Member | None = None
    colon: bool = False
    comma: bool = False
    lead: str = ""
    trail: str = ""
    extra: tuple[Edit, ...] = ()
    followed: bool = False


def spot_of(document: Document, offset: int) -> Spot | None:
    """Where a cursor asks for completion; `None` in comments and behind what is complete."""
    typed = typed_at(document.text, offset)
    if typed is None:
        return _between(document, offset)
    if typed.range.start == offset:
        return None
    if typed.half or _next(document.text, typed.range.end) not in (":", ",", "}", "]"):
        return _instead_of(document, typed.range, offset)
    return _inside(document, typed.range, offset)


def _between(document: Document, offset: int) -> Spot | None:
    """A cursor that is in no text: in a gap, or at a value of another kind."""
    place, text = locate(document, offset), document.text
    if place.in_comment:
        return None
    if place.spot == "key":
        string = place.string
        gap = _before_key(document.text, place)
        if gap is not None:
            return _in_gap(document, gap, Range(offset, offset), text, offset)
        return None if string is None else _on_key(document, place, string.range, text, offset)
    if place.spot in ("value", "colon") and not isinstance(place.node, Missing):
        behind = _behind_container(text, place)
        if behind is None:
            node = place.member.value if place.spot == "colon" and place.member is not None else place.node
            return None if node is None else _on_value(document, place, node.range, text, offset)
        place = behind
    return _in_gap(document, place, Range(offset, offset), text, offset)


def _inside(document: Document, written: Range, offset: int) -> Spot | None:
    """A cursor in a text with both quotes: all that is in it is left out, so that typing on changes nothing."""
    text = document.text
    read = _as_read(document, text[: written.start + 1] + text[written.end - 1 :])
    place = locate(read, written.start + 1)
    string = place.string
    if place.in_comment:
        return None
    if string is None or string.range.start != written.start:
        return _instead_of(document, written, offset)  # It would be read together with a text before it.
    return (_on_key if place.spot == "key" else _on_value)(read, place, written, text, offset)


def _instead_of(document: Document, half: Range, offset: int) -> Spot | None:
    """A place where something is half typed, as if it were not there."""
    text = document.text
    read = _as_read(document, text[: half.start] + text[half.end :])
    place = locate(read, half.start)
    if place.spot == "key":
        place = _before_key(read.text, place) or place
    return None if place.in_comment else _in_gap(read, place, half, text, offset)


def _as_read(document: Document, text: str) -> Document:
    return document if text == document.text else _without(document.uri, document.language_id, text)


@functools.lru_cache(maxsize=8)
def _without(uri: str, language_id: str, text: str) -> Document:
    """The document without what is half typed: the same object as long as the rest does not change."""
    return Document(uri, text, 0, language_id)


def _next(text: str, at: int) -> str:
    """The character that comes next, comments and white space aside."""
    trivia = _TRIVIA.match(text, at)
    at = trivia.end() if trivia else at
    return text[at : at + 1]


# ---------------------------------------------------------------- three ways to stand somewhere


def _in_gap(read: Document, place: Place, half: Range, text: str, offset: int) -> Spot | None:
    """Nothing stands here yet but what is half typed. Arguments: the text that the client has, and the cursor in it."""
    typed, quote = _typed_part(text, half, offset)
    if half.start == half.end and _WORD.search(text[max(0, offset - 1) : offset + 1]):
        return None
    place = _in_what_is_open(read.text, place)
    if place.spot == "outside":
        return Spot("document", read, place, half, typed, quote, False) if not read.text.strip() else None
    lead = " " if text[half.start - 1 : half.start] in (":", ",") else ""
    if place.spot == "value" and isinstance(place.node, Missing):
        return _missing(read, place, half, typed, quote, lead)
    if not place.in_gap:
        return None
    followed = place.spot == "members" and place.following == ":"
    extra: tuple[Edit, ...] = ()
    if place.needs_comma_before and place.index:
        end = _element(place, place.index - 1).range.end
        if end == half.start:
            lead = ", "
        else:
            extra = (Edit(Range(end, end), _separator(place, place.index - 1)),)
    return Spot(
        "key" if place.spot == "members" else "value",
        read,
        place,
        half,
        typed,
        quote,
        False,
        colon=not followed,
        comma=place.needs_comma_behind,
        lead=lead,
        trail=" " if place.needs_comma_behind and text[half.end : half.end + 1] == place.following else "",
        extra=extra,
        followed=followed,
    )


def _in_what_is_open(text: str, place: Place) -> Place:
    """The place inside of what is not closed before the cursor: what is put in there would become a part of it."""
    container = place.container
    while place.in_gap and container is not None:
        members = container.members if isinstance(container, Object) else ()
        children = [member.value for member in members] if members else _items(container)
        last = children[-1] if children and place.index == len(children) else None
        if not isinstance(last, Missing) and (not isinstance(last, (Object, Array)) or last.closed):
            return place
        key: str | int = members[-1].key.value if members else len(children) - 1
        around = (*place.members, members[-1]) if members else place.members
        place = replace(place, path=(*place.path, key), members=around, spot="value", node=last, index=None)
        if isinstance(last, (Object, Array)):
            place, container = _entered(text, place, last), last
    return place


def _items(container: Object | Array) -> tuple[Node, ...]:
    return container.items if isinstance(container, Array) else ()


def _entered(text: str, place: Place, inner: Object | Array) -> Place:
    """The place behind all that stands in a container that is not closed."""
    ends = [each.range.end for each in (inner.members if isinstance(inner, Object) else inner.items)]
    before = ends[-1] if ends else inner.range.start + 1
    preceding = "," if _has_comma(text, before, place.offset) else text[before - 1]
    spot: Literal["members", "items"] = "members" if isinstance(inner, Object) else "items"
    ancestors = (*place.ancestors, inner)
    return replace(place, spot=spot, node=None, ancestors=ancestors, index=len(ends), preceding=preceding)


def _behind_container(text: str, place: Place) -> Place | None:
    """The gap behind an object or a list at whose last bracket the cursor stands; `None` when it stands elsewhere."""
    node, container = place.node, place.container
    if not isinstance(node, (Object, Array)) or not node.closed or place.offset != node.range.end or container is None:
        return None
    children = container.members if isinstance(container, Object) else container.items
    index = sum(child.range.end <= place.offset for child in children)
    members = place.members[:-1] if isinstance(container, Object) else place.members
    spot: Literal["members", "items"] = "members" if isinstance(container, Object) else "items"
    gap = replace(place, spot=spot, node=None, path=place.path[:-1], members=members, index=index)
    return replace(gap, preceding=text[place.offset - 1])


def _element(place: Place, index: int) -> Member | Node:
    container = place.container
    if isinstance(container, Object):
        return container.members[index]
    assert isinstance(container, Array)
    return container.items[index]


def _separator(place: Place, index: int) -> str:
    """What parts an element from a new one: a comma, and the last quote that it may lack."""
    element = _element(place, index)
    value = element.value if isinstance(element, Member) else element
    return '",' if isinstance(value, String) and not value.closed else ","


def _missing(read: Document, place: Place, half: Range, typed: str, quote: str, lead: str) -> Spot | None:
    """A value is missing here, perhaps its colon, too."""
    member, node = place.member, place.node
    assert node is not None
    has_colon = read.text[node.range.start - 1 : node.range.start] == ":"
    extra: tuple[Edit, ...] = ()
    if not has_colon and member is not None:
        if not member.key.closed:
            return None  # The key is not finished, on another line.
        end = member.key.range.end
        lead, extra = (": ", ()) if end == half.start else (lead, (Edit(Range(end, end), ":"),))
    comma = place.needs_comma_behind
    return Spot("value", read, place, half, typed, quote, False, member, comma=comma, lead=lead, extra=extra)


def _before_key(text: str, place: Place) -> Place | None:
    """The gap before a key at whose first quote the cursor stands; `None` when it stands elsewhere."""
    member, container = place.member, place.container
    if member is None or not isinstance(container, Object) or place.offset != member.range.start:
        return None
    before = _previous_end(place, member)
    preceding = "{" if before is None else "," if _has_comma(text, before, place.offset) else text[before - 1]
    index = sum(each.range.end <= place.offset for each in container.members)
    gap = replace(place, spot="members", path=place.path[:-1], members=place.members[:-1], index=index)
    return replace(gap, preceding=preceding, following='"')


def _on_key(read: Document, place: Place, written: Range, text: str, offset: int) -> Spot | None:
    """On a key that is there already. Arguments: where it is in the text that the client has, and the cursor there."""
    member, key = place.member, place.string
    if member is None or key is None or not key.closed or _is_split(text, written):
        return None
    valued, has_colon = not isinstance(member.value, Missing), place.following == ":"
    extra: tuple[Edit, ...] = ()
    before = _previous_end(place, member)
    if before is not None and before < key.range.start and not _has_comma(read.text, before, key.range.start):
        extra = (Edit(Range(before, before), ","),)
    return Spot(
        "key",
        read,
        place,
        written,
        *_typed_part(text, written, offset),
        True,
        member,
        colon=not has_colon,
        comma=not valued and not has_colon and place.needs_comma_behind,
        extra=extra,
        followed=valued or has_colon,
    )


def _typed_part(text: str, written: Range, offset: int) -> tuple[str, str]:
    """What stands from a start to the cursor, and the quote before it."""
    quote = text[written.start : written.start + 1] if written.start < offset else ""
    quote = quote if quote in ('"', "'") else ""
    return text[written.start + len(quote) : offset], quote


def _previous_end(place: Place, member: Member) -> int | None:
    container = place.container
    before = [
        each.range.end
        for each in (container.members if isinstance(container, Object) else ())
        if each.range.end <= member.range.start
    ]
    return before[-1] if before else None


def _has_comma(text: str, start: int, end: int) -> bool:
    trivia = _TRIVIA.match(text, start, end)
    at = trivia.end() if trivia else start
    return text[at : at + 1] == ","


def _on_value(read: Document, place: Place, written: Range, text: str, offset: int) -> Spot | None:
    """On a value that is there already, which an item replaces. Arguments: as of `_on_key`."""
    node: Node | None = place.member.value if place.spot == "colon" and place.member is not None else place.node
    if not isinstance(node, (String, Number, Boolean, Null)) or _is_split(text, Range(offset, written.end)):
        return None
    behind_text = isinstance(node, String) and offset == written.end
    behind_colon = place.spot != "colon" or text[:offset].rstrip(" \t").endswith(":")
    if behind_text or offset > written.end or not behind_colon:
        return None
    start = min(offset, written.start)
    return Spot(
        "value",
        read,
        place,
        Range(start, written.end),
        *_typed_part(text, Range(start, written.end), offset),
        isinstance(node, String) and node.closed and offset > written.start,
        place.member,
        comma=place.spot == "value" and place.needs_comma_behind,
        lead=" " if text[start - 1 : start] == ":" else "",
        extra=_comma_before(read.text, place, start),
    )


def _comma_before(text: str, place: Place, start: int) -> tuple[Edit, ...]:
    """The comma that is missing before an item of a list."""
    container = place.container
    ends = [item.range.end for item in _items(container) if item.range.end <= start] if container is not None else []
    return (Edit(Range(ends[-1], ends[-1]), ","),) if ends and not _has_comma(text, ends[-1], start) else ()


def _is_split(text: str, place: Range) -> bool:
    """Whether a stretch has a line end in it: clients replace only within one line."""
    return "\n" in text[place.start : place.end] or "\r" in text[place.start : place.end]
