"""Where a cursor stands in a document: in a key, in a value, or in a gap where one could be typed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Array, Member, Missing, Node, Object, Range, String

#: `key`: it touches a member's key. `value`: it touches a value, or stands where one is missing. `colon`: it stands
#: between a key and its value. `members`, `items`: it stands where a member of an object or an item of a list could be
#: typed. `outside`: it stands before or behind everything.
Spot: TypeAlias = Literal["key", "value", "colon", "members", "items", "outside"]
Path: TypeAlias = tuple[str | int, ...]

_TRIVIA = re.compile(r"(?:[ \t\r\n\ufeff]+|//[^\r\n]*|/\*(?:.*?\*/|.*\Z))*", re.DOTALL)
_BLANKS = re.compile(r"[ \t]*")
_COMMENT_OR_COMMA = re.compile(r"(?P<line>//[^\r\n]*)|(?P<block>/\*(?:.*?\*/|.*\Z))|(?P<comma>,)", re.DOTALL)


@dataclass(frozen=True)
class Place:
    """Where a cursor stands.

    `path` leads to what it touches: keys and indices; in a gap, to the container around. `node` is the value that it
    touches (`Missing` where one is missing; a container when the cursor is at its edge), `None` at other spots.
    `ancestors` are the containers around, `members` the members around (of the key that it touches, too), both
    outermost first. `index` is the place that a new member or item would get. `preceding` and `following` are the
    characters before and behind what is touched, or before and behind the cursor in a gap, white space and comments
    left out; empty at the ends of the text.
    """

    offset: int
    spot: Spot
    path: Path = ()
    node: Node | None = None
    ancestors: tuple[Object | Array, ...] = ()
    members: tuple[Member, ...] = ()
    index: int | None = None
    preceding: str = ""
    following: str = ""
    in_comment: bool = False

    @property
    def on_key(self) -> bool:
        """Whether the cursor touches a member's key."""
        return self.spot == "key"

    @property
    def in_gap(self) -> bool:
        """Whether a new member or item could be typed here."""
        return self.spot in ("members", "items")

    @property
    def container(self) -> Object | Array | None:
        """The object or list around."""
        return self.ancestors[-1] if self.ancestors else None

    @property
    def container_path(self) -> Path:
        """The path of the object or list around."""
        return self.path if self.in_gap else self.path[:-1]

    @property
    def member(self) -> Member | None:
        """The member whose key, value or colon the cursor touches; `None` for items of lists and in gaps."""
        if self.spot in ("key", "value", "colon") and isinstance(self.container, Object) and self.members:
            return self.members[-1]
        return None

    @property
    def string(self) -> String | None:
        """The key or the text value that the cursor touches."""
        if self.spot == "key":
            return self.members[-1].key
        return self.node if isinstance(self.node, String) else None

    @property
    def in_string(self) -> bool:
        """Whether what is typed here becomes part of a text, be its last quote there or not."""
        string = self.string
        if string is None:
            return False
        return string.range.start < self.offset and (self.offset < string.range.end or not string.closed)

    @property
    def needs_comma_before(self) -> bool:
        """Whether a new member or item needs a comma in front."""
        return self.in_gap and self.preceding not in ("{", "[", ",")

    @property
    def needs_comma_behind(self) -> bool:
        """Whether what is typed here needs a comma behind it."""
        return self.following not in (",", "}", "]", ":", "")


def typed(document: Document, place: Place) -> str:
    """What stands between the first quote of the text that the cursor is in and the cursor, as it is written."""
    string = place.string
    return document.text[string.range.start + 1 : place.offset] if string is not None and place.in_string else ""


def locate(document: Document, offset: int) -> Place:
    """Where a cursor at an offset stands, in a document that may be broken around it."""
    return _Search(document.text, offset).place(document.root)


class _Search:
    """One way from the root down to an offset."""

    def __init__(self, text: str, offset: int):
        self._text, self._offset = text, min(max(offset, 0), len(text))
        self._path: list[str | int] = []
        self._ancestors: list[Object | Array] = []
        self._members: list[Member] = []

    def place(self, root: Node | None) -> Place:
        """The place, from the root on."""
        if root is None or not self._reaches(root):
            end = 0 if root is None or self._offset < root.range.start else root.range.end
            return self._made("outside", Range(end, end))
        node = root
        while isinstance(node, (Object, Array)) and self._is_inside(node):
            self._ancestors.append(node)
            found = self._member_of(node) if isinstance(node, Object) else self._item_of(node)
            if isinstance(found, Place):
                return found
            node = found
        return self._made("value", node.range, node)

    # ------------------------------------------------------------ one level down

    def _member_of(self, node: Object) -> Node | Place:
        for member in node.members:
            if self._offset < member.key.range.start:
                break
            value = member.value
            on_key = member.key.range.contains(self._offset) or self._in_open_string(member.key)
            if not on_key and not self._offset < value.range.start and not self._reaches(value):
                continue
            self._members.append(member)
            self._path.append(member.key.value)
            if on_key:
                return self._made("key", member.key.range)
            if self._offset < value.range.start:
                return self._made("colon", Range(member.key.range.end, member.key.range.end))
            return value
        return self._gap("members", [member.range for member in node.members], node)

    def _item_of(self, node: Array) -> Node | Place:
        for index, item in enumerate(node.items):
            if self._offset < item.range.start:
                break
            if self._reaches(item):
                self._path.append(index)
                return item
        return self._gap("items", [item.range for item in node.items], node)

    def _gap(self, spot: Spot, elements: list[Range], node: Object | Array) -> Place:
        index = sum(element.end <= self._offset for element in elements)
        before = elements[index - 1].end if index else node.range.start + 1
        comment, comma = self._scan(before)
        preceding = "," if comma else self._text[before - 1]
        return Place(
            self._offset,
            spot,
            tuple(self._path),
            None,
            tuple(self._ancestors),
            tuple(self._members),
            index,
            preceding,
            self._following(self._offset),
            comment,
        )

    # ------------------------------------------------------------ what belongs to a node

    def _reaches(self, node: Node) -> bool:
        """Whether a cursor here belongs to a node that does not begin behind it; what is open goes on for a while."""
        if node.range.contains(self._offset):
            return True
        if self._offset < node.range.start:
            return False
        if isinstance(node, String):
            return self._in_open_string(node)
        if isinstance(node, Missing):
            return self._only_trivia(node.range.end) and (self._has_colon(node) or self._same_line(node.range.end))
        return isinstance(node, (Object, Array)) and not node.closed and self._is_tail(node)

    def _is_inside(self, node: Object | Array) -> bool:
        start, end = node.range.start, node.range.end
        return start < self._offset and (self._offset < end or not node.closed)

    def _in_open_string(self, string: String) -> bool:
        """Whether only blanks stand between the end of a text without a last quote and the cursor."""
        if string.closed or self._offset <= string.range.end:
            return False
        blanks = _BLANKS.match(self._text, string.range.end)
        return blanks is not None and self._offset <= blanks.end()

    def _is_tail(self, node: Object | Array) -> bool:
        """Whether a cursor behind an open container still stands in it, as far as the indentation tells."""
        if not self._only_trivia(node.range.end):
            return False
        if not self._ancestors or self._same_line(node.range.end):
            return True
        indent, outer = self._indent(node.range.start), self._indent(self._ancestors[-1].range.start)
        column = self._offset - self._line_start(self._offset)
        return column > indent or outer >= indent

    def _has_colon(self, node: Missing) -> bool:
        return self._text[node.range.start - 1 : node.range.start] == ":"

    # ------------------------------------------------------------ the text around

    def _made(self, spot: Spot, touched: Range, node: Node | None = None) -> Place:
        comment = False
        if self._offset > touched.end or node is None:
            comment, _ = self._scan(touched.end)
        return Place(
            self._offset,
            spot,
            tuple(self._path),
            node,
            tuple(self._ancestors),
            tuple(self._members),
            None,
            self._preceding(touched.start),
            self._following(max(touched.end, self._offset)),
            comment,
        )

    def _preceding(self, offset: int) -> str:
        while offset and self._text[offset - 1] in " \t\r\n":
            offset -= 1
        return self._text[offset - 1 : offset]

    def _following(self, offset: int) -> str:
        trivia = _TRIVIA.match(self._text, offset)
        end = trivia.end() if trivia else offset
        return self._text[end : end + 1]

    def _scan(self, start: int) -> tuple[bool, bool]:
        """Whether the cursor stands in a comment, and whether a comma lies between an offset and the cursor."""
        comma = False
        for match in _COMMENT_OR_COMMA.finditer(self._text, start):
            if match.start() >= self._offset:
                break
            if match.lastgroup == "comma":
                comma = True
            elif self._offset < match.end() or (match.lastgroup == "line" and self._offset == match.end()):
                return True, comma
        return False, comma

    def _only_trivia(self, start: int) -> bool:
        """Whether nothing but white space and comments lies between an offset and the cursor."""
        trivia = _TRIVIA.match(self._text, start)
        return trivia is not None and trivia.end() >= self._offset

    def _same_line(self, start: int) -> bool:
        return "\n" not in self._text[start : self._offset] and "\r" not in self._text[start : self._offset]

    def _line_start(self, offset: int) -> int:
        line_feed = self._text.rfind("\n", 0, offset)
        return max(line_feed, self._text.rfind("\r", line_feed + 1, offset)) + 1

    def _indent(self, offset: int) -> int:
        start = self._line_start(offset)
        indent = _BLANKS.match(self._text, start)
        return indent.end() - start if indent else 0
