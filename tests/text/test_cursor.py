"""Where a cursor stands; the bar in each text is the cursor."""

from __future__ import annotations

import pytest

from dw_lsp.text.cursor import Place, locate, typed
from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Missing, Number, Object, walk


def at(marked: str) -> Place:
    offset = marked.index("|")
    return locate(Document("", marked[:offset] + marked[offset + 1 :]), offset)


@pytest.mark.parametrize(
    ("marked", "spot", "path"),
    [
        ('{"a|b": 1}', "key", ("ab",)),
        ('{"ab"|: 1}', "key", ("ab",)),
        ('{|"ab": 1}', "key", ("ab",)),
        ('{"ab":| 1}', "colon", ("ab",)),
        ('{"ab": |1}', "value", ("ab",)),
        ('{"ab": "x|y"}', "value", ("ab",)),
        ('{"ab": [1, 2|]}', "value", ("ab", 1)),
        ('{"ab": [1, {"c": t|rue}]}', "value", ("ab", 1, "c")),
        ('{"ab": |{}}', "value", ("ab",)),
        ('{"ab": {|}}', "members", ("ab",)),
        ('{"ab": {}|}', "value", ("ab",)),
        ('{"ab": 1, | "c": 2}', "members", ()),
        ('{"ab": [ | ]}', "items", ("ab",)),
        ('{"ab": [1, | 2]}', "items", ("ab",)),
        (' | {"ab": 1}', "outside", ()),
        ('{"ab": 1} |', "outside", ()),
        ("|", "outside", ()),
    ],
)
def test_spot_and_path_in_sound_documents(marked: str, spot: str, path: tuple[str | int, ...]) -> None:
    place = at(marked)
    assert (place.spot, place.path) == (spot, path)


@pytest.mark.parametrize(
    ("marked", "spot", "path"),
    [
        ('{"ab": |}', "value", ("ab",)),
        ('{"ab":|\n}', "value", ("ab",)),
        ('{"ab": |\n  "c": 1}', "value", ("ab",)),
        ('{"ab":\n    |\n  "c": 1}', "value", ("ab",)),
        ('{"ab": |, "c": 1}', "value", ("ab",)),
        ('{"a|\n  "c": 1}', "key", ("a",)),
        ('{"ab": 1,\n  pro|\n}', "key", ("pro",)),
        ('{"ab" |}', "value", ("ab",)),
        ('{"ab"\n|\n}', "members", ()),
        ('{"ab": "vari|\n}', "value", ("ab",)),
        ('{"ab": "a cat |\n}', "value", ("ab",)),
        ('{"ab": [1, |', "items", ("ab",)),
        ('{"ab": [{"name": "x", |', "members", ("ab", 0)),
        ('{\n  "ab": {\n    "x": 1,\n    |\n  "c": 2\n}', "members", ("ab",)),
        ('{\n  "ab": {\n    "x": 1,\n  |\n  "c": 2\n}', "members", ()),
        ('{"ab": {"x": |', "value", ("ab", "x")),
    ],
)
def test_spot_and_path_in_broken_documents(marked: str, spot: str, path: tuple[str | int, ...]) -> None:
    place = at(marked)
    assert (place.spot, place.path) == (spot, path)


def test_a_missing_value_is_the_node() -> None:
    assert isinstance(at('{"ab": |}').node, Missing)


def test_ancestors_are_the_containers_around_outermost_first() -> None:
    place = at('{"a": [{"b": |1}]}')
    assert [type(node).__name__ for node in place.ancestors] == ["Object", "Array", "Object"]
    assert [member.key.value for member in place.members] == ["a", "b"]
    assert isinstance(place.node, Number)


def test_the_member_around_an_item_is_not_its_member() -> None:
    place = at('{"a": ["|x"]}')
    assert place.member is None
    assert place.container_path == ("a",)


def test_the_member_of_a_value() -> None:
    member = at('{"a": {"b": "|x"}}').member
    assert member is not None and member.key.value == "b"


@pytest.mark.parametrize(
    ("marked", "index", "before", "behind"),
    [
        ("{ | }", 0, False, False),
        ('{ | "a": 1}', 0, False, True),
        ('{"a": 1 | }', 1, True, False),
        ('{"a": 1, | }', 1, False, False),
        ('{"a": 1, | "b": 2}', 1, False, True),
        ('{"a": 1 |, "b": 2}', 1, True, False),
        ('{"a": 1\n  |\n  "b": 2}', 1, True, True),
        ('{"a": 1, // one, two\n  | "b": 2}', 1, False, True),
        ('{"a": 1 /* , */ | /* , */ }', 1, True, False),
        ("[1, |2]", None, False, False),
        ("[1, | 2]", 1, False, True),
    ],
)
def test_which_commas_a_new_element_needs(marked: str, index: int | None, before: bool, behind: bool) -> None:
    place = at(marked)
    assert (place.index, place.needs_comma_before, place.needs_comma_behind) == (index, before, behind)


@pytest.mark.parametrize(
    ("marked", "preceding", "following"),
    [
        ('{"a|": 1}', "{", ":"),
        ('{"a|\n "b": 1}', "{", '"'),
        ('{"a": "x|"\n "b": 1}', ":", '"'),
        ('{"a": | // here\n}', ":", "}"),
        ('{"a": "x|"', ":", ""),
    ],
)
def test_what_stands_around(marked: str, preceding: str, following: str) -> None:
    place = at(marked)
    assert (place.preceding, place.following) == (preceding, following)


@pytest.mark.parametrize(
    ("marked", "inside"),
    [
        ('{"a": "|x"}', True),
        ('{"a": "x|"}', True),
        ('{"a": |"x"}', False),
        ('{"a": "x"|}', False),
        ('{"a": "x|\n}', True),
        ('{"a": "x |\n}', True),
        ('{"a": 1|}', False),
        ('{"|a": 1}', True),
    ],
)
def test_whether_the_cursor_is_in_a_string(marked: str, inside: bool) -> None:
    assert at(marked).in_string is inside


@pytest.mark.parametrize(
    ("marked", "comment"),
    [
        ('{ // no|te\n "a": 1}', True),
        ('{ // note|\n "a": 1}', True),
        ('{ // note\n| "a": 1}', False),
        ('{ /* no|te */ "a": 1}', True),
        ('{ /* note */| "a": 1}', False),
        ('{"a": 1 /* no|te */}', True),
        ('{"a": /* no|te */ 1}', True),
        ('{"a": "// no|te"}', False),
        ('{"a": 1} // no|te', True),
    ],
)
def test_whether_the_cursor_is_in_a_comment(marked: str, comment: bool) -> None:
    assert at(marked).in_comment is comment


def test_what_is_typed_so_far() -> None:
    text = '{"a": "variable:pro\n}'
    document = Document("", text)
    assert typed(document, locate(document, text.index("\n"))) == "variable:pro"


def test_every_offset_of_every_prefix_has_a_place() -> None:
    text = '{"a": [1, {"b": "x, y"}, null], // note\n "c": {"d": tru, "e": }}'
    for length in range(len(text) + 1):
        document = Document("", text[:length])
        for offset in range(-1, length + 2):
            locate(document, offset)


def test_the_node_of_a_place_is_at_its_path() -> None:
    text = '{"a": [1, {"b": "x"}], "c": {"d": [true]}}'
    root = Document("", text).root
    assert isinstance(root, Object)
    for node in walk(root):
        if not isinstance(node, Object) and node is not root:
            place = locate(Document("", text), node.range.start)
            assert place.node == node
