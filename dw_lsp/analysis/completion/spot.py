"""Where completion is asked for: what is typed so far, what an item replaces, and the document around that.

What is half typed (text without its last quote, a bare word) is taken out of the document before it is read: what is
left is sound, and stays the same while one types on, so that it is read once.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from dw_lsp.text.cursor import Place, locate
from dw_lsp.text.document import Document
from dw_lsp.text.edits import Edit
from dw_lsp.text.syntax_tree import Array, Boolean, Member, Missing, Node, Null, Number, Object, Range, String

Asked: TypeAlias = Literal["key", "value", "document"]
_PART = re.compile(
    r'(?P<text>"(?:\\.|[^"\\])*")|(?P<comment>//.*|/\*.*?(?:\*/|\Z))|(?P<open>"(?:\\.|[^"\\])*\\?\Z)|[^"/]+|/'
)
#: What may follow the last quote of a text: anything else was typed before that quote was meant to open another text.
_GLUED = re.compile(r"[\w./{$-]")
_WORD_BEFORE, _WORD_BEHIND = re.compile(r"[\w.-]*\Z"), re.compile(r"[\w.-]*")
_REST_OF_TEXT = re.compile(r'(?:[^\s"\]}\[{,:]|:(?=[\w./]))*')
_LINE_END = re.compile(r"[\r\n]")
_WORD = re.compile(r"\w")
_NO_WORD = frozenset({"true", "false", "null"})
_NUMBER = re.compile(r"-?\d[\d.eE+-]*\Z")
_TRIVIA = re.compile(r"(?:[ \t\r\n\ufeff]+|//[^\r\n]*|/\*(?:.*?\*/|.*\Z))*", re.DOTALL)


@dataclass(frozen=True)
class Spot:
    """Where an item goes.

    `document` is read, `place` a place in it; `range` is replaced in the text that the client has, `typed` what stands
    there up to the cursor, without its first quote; `quoted`: it has one. `member` is the member whose key or value it
    is. `colon` and `comma`: the item brings them; `lead` and `trail` are text before and behind it; `extra` are edits
    elsewhere. `followed`: a value is there already, so that only the key is written.
    """

    asked: Asked
    document: Document
    place: Place
    range: Range
    typed: str
    quoted: bool
    closed: bool
    member: Member | None = None
    colon: bool = False
    comma: bool = False
    lead: str = ""
    trail: str = ""
    extra: tuple[Edit, ...] = ()
    followed: bool = False


def spot_of(document: Document, offset: int) -> Spot | None:
    """Where a cursor asks for completion; `None` in comments and behind what is complete."""
    text = document.text
    typed = _typed(text, offset)
    if typed is not None and typed.range.start == offset:
        return None
    if typed is not None and typed.half:
        return _instead_of(document, typed.range, offset)
    place = locate(document, offset)
    if place.in_comment:
        return None
    string = place.string
    if typed is not None and string is not None and string.range.start != typed.range.start:
        return _instead_of(document, typed.range, offset)  # It was read together with a text before it.
    if place.spot == "key":
        return _before_key(document, place) or _on_key(document, place, offset)
    if place.spot in ("value", "colon") and not isinstance(place.node, Missing):
        behind = _behind_container(text, place)
        if behind is None:
            return _on_value(document, place, offset)
        place = behind
    return _in_gap(document, place, Range(offset, offset), text, offset)


def _instead_of(document: Document, half: Range, offset: int) -> Spot | None:
    """A place where something is half typed, as if it were not there."""
    text = document.text
    read = _without(document.uri, document.language_id, text[: half.start] + text[half.end :])
    place = locate(read, half.start)
    return None if place.in_comment else _in_gap(read, place, half, text, offset)


@functools.lru_cache(maxsize=8)
def _without(uri: str, language_id: str, text: str) -> Document:
    """The document without what is half typed: the same object as long as the rest does not change."""
    return Document(uri, text, 0, language_id)


# ---------------------------------------------------------------- what is half typed


@dataclass(frozen=True)
class _Typed:
    """The text or the word that a cursor is in; `half`: its end is not typed yet.

    An empty range: the quotes of the line do not pair, and the cursor stands before one of them.
    """

    range: Range
    half: bool = True


def _typed(text: str, offset: int) -> _Typed | None:
    """The text or the bare word that a cursor is in, as its line alone tells."""
    start = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    found = _LINE_END.search(text, offset)
    end = found.start() if found else len(text)
    for part in _PART.finditer(text[start:end]):
        first, last = start + part.start(), start + part.end()
        if offset <= first:
            if offset == first and (
                part.lastgroup == "open" or (part.lastgroup == "text" and _GLUED.match(text, last))
            ):
                return _Typed(Range(first, first), False)
            break
        if part.lastgroup == "text" and offset < last:
            glued = _GLUED.match(text, last) is not None
            return _Typed(Range(first, _end_of_half(text, offset, end, last - 1) if glued else last), glued)
        if part.lastgroup == "open" and offset <= last:
            return _Typed(Range(first, _end_of_half(text, offset, end, end)))
        if part.lastgroup in ("text", "comment") and offset <= last:
            return None
    word = _bare_word(text, start, offset, end)
    return None if word is None else _Typed(word)


def _end_of_half(text: str, offset: int, line_end: int, limit: int) -> int:
    """Where what is half typed ends: at the end of the word, brackets and commas behind it left out."""
    rest = _REST_OF_TEXT.match(text, offset, min(line_end, limit))
    return rest.end() if rest else offset


def _bare_word(text: str, line_start: int, offset: int, line_end: int) -> Range | None:
    before, behind = _WORD_BEFORE.search(text, line_start, offset), _WORD_BEHIND.match(text, offset, line_end)
    if before is None or behind is None:
        return None
    word = before[0] + behind[0]
    if not before[0] or word in _NO_WORD or _NUMBER.match(word) or text[before.start() - 1 : before.start()] == '"':
        return None
    return None if text[behind.end() : behind.end() + 1] == '"' else Range(before.start(), behind.end())


# ---------------------------------------------------------------- three ways to stand somewhere


def _in_gap(read: Document, place: Place, half: Range, text: str, offset: int) -> Spot | None:
    """Nothing stands here yet but what is half typed. Arguments: the text that the client has, and the cursor in it."""
    quoted = text[half.start : half.start + 1] == '"' and half.end > half.start
    typed = text[half.start + quoted : offset]
    if half.start == half.end and _WORD.search(text[max(0, offset - 1) : offset + 1]):
        return None
    place = _in_what_is_open(read.text, place)
    if place.spot == "outside":
        return Spot("document", read, place, half, typed, quoted, False) if not read.text.strip() else None
    lead = " " if text[half.start - 1 : half.start] in (":", ",") else ""
    if place.spot == "value" and isinstance(place.node, Missing):
        return _missing(read, place, half, typed, quoted, lead)
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
        quoted,
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


def _missing(read: Document, place: Place, half: Range, typed: str, quoted: bool, lead: str) -> Spot | None:
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
    return Spot("value", read, place, half, typed, quoted, False, member, comma=comma, lead=lead, extra=extra)


def _before_key(document: Document, place: Place) -> Spot | None:
    """Before a key's first quote another member can be put in."""
    member, container = place.member, place.container
    if member is None or not isinstance(container, Object) or place.offset != member.range.start:
        return None
    before = _previous_end(place, member)
    if before is not None and not _has_comma(document.text, before, place.offset):
        return None
    gap = replace(place, spot="members", path=place.path[:-1], members=place.members[:-1])
    index = sum(each.range.end <= place.offset for each in container.members)
    gap = replace(gap, index=index, preceding="{" if before is None else ",", following='"')
    return _in_gap(document, gap, Range(place.offset, place.offset), document.text, place.offset)


def _on_key(document: Document, place: Place, offset: int) -> Spot | None:
    member, key = place.member, place.string
    if member is None or key is None or not key.closed or _is_split(document.text, key.range):
        return None
    followed = not isinstance(member.value, Missing)
    has_colon = place.following == ":"
    extra: tuple[Edit, ...] = ()
    before = _previous_end(place, member)
    if before is not None and not _has_comma(document.text, before, key.range.start):
        extra = (Edit(Range(before, before), ","),) if before < key.range.start else ()
    typed = document.text[key.range.start + 1 : offset]
    return Spot(
        "key",
        document,
        place,
        key.range,
        typed,
        True,
        True,
        member,
        colon=not has_colon,
        comma=not followed and not has_colon and place.needs_comma_behind,
        extra=extra,
        followed=followed or has_colon,
    )


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


def _on_value(document: Document, place: Place, offset: int) -> Spot | None:
    """On a value that is there already, which an item replaces."""
    node: Node | None = place.member.value if place.spot == "colon" and place.member is not None else place.node
    if not isinstance(node, (String, Number, Boolean, Null)) or _is_split(document.text, Range(offset, node.range.end)):
        return None
    behind_text = isinstance(node, String) and offset == node.range.end
    behind_colon = place.spot != "colon" or document.text[:offset].rstrip(" \t").endswith(":")
    if behind_text or offset > node.range.end or not behind_colon:
        return None
    quoted = isinstance(node, String)
    start = min(offset, node.range.start)
    typed = document.text[node.range.start + quoted : offset]
    comma = place.spot == "value" and place.needs_comma_behind
    lead = " " if document.text[start - 1 : start] == ":" else ""
    closed = isinstance(node, String) and node.closed and offset > node.range.start
    return Spot(
        "value",
        document,
        place,
        Range(start, node.range.end),
        typed,
        quoted and start < offset,
        closed,
        place.member,
        comma=comma,
        lead=lead,
        extra=_comma_before(document.text, place, start),
    )


def _comma_before(text: str, place: Place, start: int) -> tuple[Edit, ...]:
    """The comma that is missing before an item of a list."""
    container = place.container
    ends = [item.range.end for item in _items(container) if item.range.end <= start] if container is not None else []
    return (Edit(Range(ends[-1], ends[-1]), ","),) if ends and not _has_comma(text, ends[-1], start) else ()


def _is_split(text: str, place: Range) -> bool:
    """Whether a stretch has a line end in it: clients replace only within one line."""
    return "\n" in text[place.start : place.end] or "\r" in text[place.start : place.end]
