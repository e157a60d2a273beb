"""Changes of a document's text that leave it sound: members and items put in, taken out, moved, replaced.

They keep what they do not speak of: indentation, commas, comments. A comment that stands behind a member on its line
goes with it when the member is taken out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from dw_lsp.text.syntax_tree import Array, Member, Missing, Node, Object, Range, Value
from dw_lsp.text.writing import quote, reindent, style_of, write

#: Writes an element, given the indentation of its line and whether its container stands on one line.
_Compose: TypeAlias = Callable[[str, bool], str]
_TRIVIA = re.compile(r"(?:[ \t\r\n\ufeff]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_REST_OF_LINE = re.compile(r"[ \t]*(?:/\*[^\r\n]*?\*/[ \t]*)*(?://[^\r\n]*)?(?=[\r\n]|\Z)")
_BEGINS_LINE = re.compile(r'[ \t]*(?:"[^"\r\n]*"[ \t]*:[ \t]*)?\Z')
_BLANKS = re.compile(r"[ \t]*")
_LINE_END = re.compile(r"\r\n|\n|\r|\Z")


@dataclass(frozen=True)
class Edit:
    """Text that takes the place of a stretch; an empty stretch: it is inserted there."""

    range: Range
    text: str


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """The text after all edits, whose ranges count in the text before and do not overlap."""
    parts: list[str] = []
    at = 0
    for edit in _sorted(edits):
        parts += [text[at : edit.range.start], edit.text]
        at = edit.range.end
    return "".join([*parts, text[at:]])


def combined(length: int, rounds: Iterable[Iterable[Edit]]) -> tuple[Edit, ...]:
    """Edits that do at once what several rounds of edits do one after the other.

    Arguments: the length of the text before; the ranges of each round count in the text that the one before it left.
    """
    pieces: list[Range | str] = [Range(0, length)]
    for edits in rounds:
        pieces = _after(pieces, edits)
    done: list[Edit] = []
    at, inserted = 0, ""
    for piece in [*pieces, Range(length, length)]:
        if isinstance(piece, str):
            inserted += piece
            continue
        if inserted or piece.start > at:
            done.append(Edit(Range(at, piece.start), inserted))
        at, inserted = piece.end, ""
    return tuple(done)


def _sorted(edits: Iterable[Edit]) -> list[Edit]:
    return sorted(edits, key=lambda edit: (edit.range.start, edit.range.end))


def _after(pieces: Sequence[Range | str], edits: Iterable[Edit]) -> list[Range | str]:
    """Stretches of the first text, and texts between them, after one more round of edits."""
    result: list[Range | str] = []
    rest = list(reversed(pieces))
    at = 0
    for edit in _sorted(edits):
        result += _take(rest, edit.range.start - at)
        _take(rest, edit.range.end - edit.range.start)
        result.append(edit.text)
        at = edit.range.end
    return result + rest[::-1]


def _take(rest: list[Range | str], count: int) -> list[Range | str]:
    """So many characters off the front; `rest` is in reverse order."""
    taken: list[Range | str] = []
    while count > 0 and rest:
        piece = rest.pop()
        length = len(piece) if isinstance(piece, str) else piece.end - piece.start
        if length > count:
            first, second = _parted(piece, count)
            rest.append(second)
            piece = first
        taken.append(piece)
        count -= length
    return taken


def _parted(piece: Range | str, at: int) -> tuple[Range | str, Range | str]:
    if isinstance(piece, str):
        return piece[:at], piece[at:]
    return Range(piece.start, piece.start + at), Range(piece.start + at, piece.end)


# ---------------------------------------------------------------- values and keys


def replace_value(text: str, node: Node, value: Value) -> Edit:
    """Another value in place of one, or where one is missing."""
    line_indent = _indent(text, node.range.start)
    written = write(value, style_of(text), line_indent, one_line=not _may_begin_line(text, node.range.start))
    if isinstance(node, Missing):
        before = text[: node.range.start].rstrip(" \t")
        written = (" " if before.endswith(":") else ": ") + written
    return Edit(node.range, written)


def rename_key(member: Member, name: str) -> Edit:
    """Another key for a member."""
    return Edit(member.key.range, quote(name))


def wrap(node: Node, before: str, after: str) -> tuple[Edit, Edit]:
    """Text put before and behind a value."""
    start, end = node.range.start, node.range.end
    return Edit(Range(start, start), before), Edit(Range(end, end), after)


# ---------------------------------------------------------------- putting in


def insert_member(text: str, target: Object, key: str, value: Value, before: str | None = None) -> tuple[Edit, ...]:
    """A new member. Arguments: `before` is the key of the member that it comes before; without it, it comes last."""
    style = style_of(text)

    def compose(indent: str, one_line: bool) -> str:
        return f"{quote(key)}: {write(value, style, indent, one_line)}"

    names = [member.key.value for member in target.members]
    index = names.index(before) if before in names else len(names)
    return _insert(text, target, index, compose)


def insert_copy(text: str, target: Object, key: str, node: Node) -> tuple[Edit, ...]:
    """A new member, the last one, whose value is a copy of another, as it is written."""
    copy = _as_written(text, node.range)
    return _insert(
        text, target, len(target.members), lambda indent, one_line: f"{quote(key)}: {copy(indent, one_line)}"
    )


def replace_with_copy(text: str, node: Node, other: Node) -> Edit:
    """A copy of another value, as it is written, in place of one."""
    return Edit(node.range, _as_written(text, other.range)(_indent(text, node.range.start), True))


def insert_written_member(text: str, target: Object, key: str, member: Member) -> tuple[Edit, ...]:
    """A new object that holds a copy of a member, as it is written."""
    style, copy = style_of(text), _as_written(text, member.range)

    def compose(indent: str, one_line: bool) -> str:
        if one_line:
            return f"{quote(key)}: {{ {copy(indent, True)} }}"
        inner = indent + style.unit
        return f"{quote(key)}: {{{style.newline}{inner}{copy(inner, False)}{style.newline}{indent}}}"

    return _insert(text, target, len(target.members), compose)


def insert_item(text: str, target: Array, value: Value, index: int | None = None) -> tuple[Edit, ...]:
    """A new item. Arguments: `index` is the place that it gets; without it, it comes last."""
    style = style_of(text)
    place = len(target.items) if index is None else index
    return _insert(text, target, place, lambda indent, one_line: write(value, style, indent, one_line))


def move_member(text: str, source: Object, member: Member, target: Object) -> tuple[Edit, ...]:
    """A member, as it is written, moved to the end of another object."""
    removed = _remove(text, source, source.members.index(member))
    return (*removed, *_insert(text, target, len(target.members), _as_written(text, member.range)))


def move_item(text: str, target: Array, index: int, before: int) -> tuple[Edit, ...]:
    """An item, as it is written, moved before an earlier one of its list."""
    removed = _remove(text, target, index)
    return (*_insert(text, target, before, _as_written(text, target.items[index].range)), *removed)


def _as_written(text: str, place: Range) -> _Compose:
    written, before = text[place.start : place.end], _indent(text, place.start)
    return lambda indent, one_line: reindent(written, before, indent)


def _insert(text: str, target: Object | Array, index: int, compose: _Compose) -> tuple[Edit, ...]:
    places = _places(target)
    if not places:
        return (_insert_only(text, target, compose),)
    indent = next((_indent(text, place.start) for place in places if _begins_line(text, place.start)), None)
    if index == 0:
        return (_insert_first(text, target, places[0], indent, compose),)
    end = places[index - 1].end
    comma = _comma(text, end, target.range.end)
    anchor = end if comma is None else comma + 1
    at = anchor if indent is None else _behind_comments(text, anchor)
    lead = " " if indent is None else style_of(text).newline + indent
    follows = "," if comma is not None or index < len(places) else ""
    written = lead + compose(_indent(text, at) if indent is None else indent, indent is None) + follows
    if comma is not None:
        return (Edit(Range(at, at), written),)
    if at == end:
        return (Edit(Range(at, at), "," + written),)
    return Edit(Range(end, end), ","), Edit(Range(at, at), written)


def _insert_first(text: str, target: Object | Array, first: Range, indent: str | None, compose: _Compose) -> Edit:
    if indent is None or not _begins_line(text, first.start):
        place = Range(first.start, first.start)
        return Edit(place, compose(indent or _indent(text, first.start), True) + ", ")
    at = _behind_comments(text, target.range.start + 1)
    return Edit(Range(at, at), style_of(text).newline + indent + compose(indent, False) + ",")


def _insert_only(text: str, target: Object | Array, compose: _Compose) -> Edit:
    """The first element of an empty object or list."""
    style, (start, end) = style_of(text), (target.range.start + 1, target.range.end - target.closed)
    inside = text[start:end]
    outer = _indent(text, start)
    if inside.strip() or "\n" in inside or "\r" in inside or _may_begin_line(text, target.range.start):
        at = start + len(inside.rstrip())
        inner = style.newline + outer + style.unit
        return Edit(Range(at, end), inner + compose(outer + style.unit, False) + style.newline + outer)
    padding = " " if isinstance(target, Object) else ""
    return Edit(Range(start, end), padding + compose(outer, True) + padding)


# ---------------------------------------------------------------- taking out


def remove_member(text: str, source: Object, member: Member) -> tuple[Edit, ...]:
    """A member taken out, with its comma."""
    return _remove(text, source, source.members.index(member))


def remove_item(text: str, source: Array, index: int) -> tuple[Edit, ...]:
    """An item taken out, with its comma."""
    return _remove(text, source, index)


def _remove(text: str, source: Object | Array, index: int) -> tuple[Edit, ...]:
    places = _places(source)
    place = places[index]
    comma = _comma(text, place.end, source.range.end)
    stop = place.end if comma is None else comma + 1
    if len(places) == 1:
        inner = Range(source.range.start + 1, source.range.end - source.closed)
        if not text[inner.start : place.start].strip() and not text[stop : inner.end].strip():
            return (Edit(inner, ""),)
    last = index == len(places) - 1
    removed = _stretch(text, place, stop, None if last else places[index + 1])
    if not last or comma is not None or index == 0:
        return (Edit(removed, ""),)
    before = _comma(text, places[index - 1].end, place.start)
    if before is None:
        return (Edit(removed, ""),)
    if before + 1 == removed.start:
        return (Edit(Range(before, removed.end), ""),)
    return Edit(Range(before, before + 1), ""), Edit(removed, "")


def _stretch(text: str, place: Range, stop: int, following: Range | None) -> Range:
    """What goes when an element goes: the lines that it has for itself, else the blanks on one side of it.

    Arguments: `stop` is the end of the element's comma; `following` the next element.
    """
    begins = _begins_line(text, place.start)
    rest = _REST_OF_LINE.match(text, stop)
    if begins and rest is not None:
        line_end = _LINE_END.search(text, rest.end())
        return Range(_line_start(text, place.start), line_end.end() if line_end else rest.end())
    if following is not None:
        blank = not text[stop : following.start].strip()
        return Range(place.start, following.start if blank else _skip_blanks(text, stop))
    line_start = _line_start(text, place.start)
    before = text[: place.start].rstrip() if begins else text[line_start : place.start].rstrip(" \t")
    start = len(before) if begins else line_start + len(before)
    if begins and _ends_in_line_comment(before):
        return Range(place.start, _skip_blanks(text, stop))
    return Range(start, stop)


def _ends_in_line_comment(before: str) -> bool:
    """Whether what follows on the same line would become part of a comment; a // inside text only makes it careful."""
    return "//" in before[_line_start(before, len(before)) :]


# ---------------------------------------------------------------- the text around


def _places(container: Object | Array) -> list[Range]:
    if isinstance(container, Object):
        return [member.range for member in container.members]
    return [item.range for item in container.items]


def _comma(text: str, start: int, limit: int) -> int | None:
    """The comma that comes next, comments and white space aside."""
    trivia = _TRIVIA.match(text, start, limit)
    at = trivia.end() if trivia else start
    return at if at < limit and text[at] == "," else None


def _behind_comments(text: str, at: int) -> int:
    """The end of the comments that stand on the rest of the line, if nothing else does."""
    rest = _REST_OF_LINE.match(text, at)
    return at if rest is None else at + len(rest.group().rstrip())


def _skip_blanks(text: str, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    return blanks.end() if blanks else at


def _line_start(text: str, offset: int) -> int:
    line_feed = text.rfind("\n", 0, offset)
    return max(line_feed, text.rfind("\r", line_feed + 1, offset)) + 1


def _indent(text: str, offset: int) -> str:
    """The white space with which the line of an offset begins."""
    start = _line_start(text, offset)
    return text[start : min(_skip_blanks(text, start), offset)]


def _begins_line(text: str, offset: int) -> bool:
    """Whether nothing but white space stands before an offset on its line."""
    return not text[_line_start(text, offset) : offset].strip(" \t\ufeff")


def _may_begin_line(text: str, offset: int) -> bool:
    """Whether a container begins its line, or its key does, and the document has lines at all."""
    start = _line_start(text, offset)
    return start > 0 and _BEGINS_LINE.match(text, start, offset) is not None
