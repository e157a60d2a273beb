"""Edits of members, items and values: the document stays sound, and nothing else changes."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest

from dw_lsp.text.edits import (
    Edit,
    apply_edits,
    combined,
    insert_item,
    insert_member,
    move_item,
    move_member,
    remove_item,
    remove_member,
    rename_key,
    replace_value,
    wrap,
)
from dw_lsp.text.parser import parse
from dw_lsp.text.syntax_tree import Array, Node, Object, Range, Value, at_path, to_value

LAID_OUT = """{
  // what it is
  "id": "flow", // its name
  "variables": {
    "a": 1,
    "b": [1, 2, 3]
  },
  "empty": {},
  /* before the list */
  "steps": [
    { "name": "x", "n": 1 },
    {
      "name": "y"
    } // the last
  ]
}
"""
TEXTS = {
    "laid out": LAID_OUT,
    "windows": LAID_OUT.replace("\n", "\r\n"),
    "old mac": LAID_OUT.replace("\n", "\r"),
    "tabs": LAID_OUT.replace("  ", "\t"),
    "one line": '{ "id": "flow", "variables": { "a": 1, "b": [1, 2, 3] }, "empty": {}, "steps": [{ "name": "x" }, 5] }',
    "dense": '{"id":"flow","variables":{"a":1,"b":[1,2,3]},"empty":{},"steps":[{"name":"x"},5]}',
    "trailing commas": '{\n  "id": "f",\n  "variables": {\n    "a": [\n      1,\n    ],\n  },\n  "steps": [1, 2, ], }',
    "mixed": '{ "id": "f",\n  "steps": [ { "name": "a",\n      "b": { } },\n    { "name": "c" } ] }',
    "commas first": '{ "id": "f"\n, "b": 2 // two\n, "c": [ 1\n , 2 ] }',
    "comments": '{ /* a */ "id": /* b */ 1 /* c */, /* d */ "z": [ /* e */ 1, // f\n 2 /* g */ ] /* h */ } // i',
    "emoji": '{ "id": "🙂",\n  "🙂": { "a": "b" }\n}',
}


def containers(text: str) -> Iterator[tuple[tuple[str | int, ...], Object | Array]]:
    root = parse(text).root
    assert root is not None

    def inside(node: Node, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Object | Array]]:
        if isinstance(node, Object):
            yield path, node
            for member in node.members:
                yield from inside(member.value, (*path, member.key.value))
        elif isinstance(node, Array):
            yield path, node
            for index, item in enumerate(node.items):
                yield from inside(item, (*path, index))

    yield from inside(root, ())


def sound(text: str) -> Value:
    """The value of a text that must have no mistakes."""
    parsed = parse(text)
    assert not parsed.problems, (text, parsed.problems)
    assert parsed.root is not None
    return to_value(parsed.root)


def reached(value: Value, path: tuple[str | int, ...]) -> Value:
    for part in path:
        assert isinstance(value, (dict, list))
        value = value[part]  # type: ignore[index, call-overload]
    return value


def comments(text: str) -> list[str]:
    return re.findall(r"//[^\r\n]*|/\*.*?\*/", text)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_member_or_an_item_is_put_in_anywhere(text: str) -> None:
    for path, node in containers(text):
        count = len(node.members) if isinstance(node, Object) else len(node.items)
        for index in range(count + 1):
            for value in ("new", {"x": {"y": [1, {}]}}):
                expected = sound(text)
                target = reached(expected, path)
                if isinstance(node, Object):
                    assert isinstance(target, dict)
                    before = node.members[index].key.value if index < count else None
                    edits = insert_member(text, node, "new key", value, before)
                    items = list(target.items())
                    items.insert(index, ("new key", value))
                    target.clear()
                    target.update(items)
                else:
                    assert isinstance(target, list)
                    edits = insert_item(text, node, value, index)
                    target.insert(index, value)
                changed = apply_edits(text, edits)
                assert repr(sound(changed)) == repr(expected), changed
                assert comments(changed) == comments(text)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_member_or_an_item_is_taken_out_anywhere(text: str) -> None:
    for path, node in containers(text):
        count = len(node.members) if isinstance(node, Object) else len(node.items)
        for index in range(count):
            expected = sound(text)
            target = reached(expected, path)
            if isinstance(node, Object):
                assert isinstance(target, dict)
                edits = remove_member(text, node, node.members[index])
                del target[node.members[index].key.value]
            else:
                assert isinstance(target, list)
                edits = remove_item(text, node, index)
                del target[index]
            changed = apply_edits(text, edits)
            assert sound(changed) == expected, changed
            assert set(comments(changed)) <= set(comments(text))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_what_was_put_in_comes_out_again_without_a_trace(text: str) -> None:
    for path, node in containers(text):
        if not isinstance(node, Object) or not node.members:
            continue
        changed = apply_edits(text, insert_member(text, node, "new key", {"x": 1}))
        again = at_path(parse(changed).root or node, path)
        assert isinstance(again, Object)
        member = again.member("new key")
        assert member is not None
        restored = apply_edits(changed, remove_member(changed, again, member))
        assert sound(restored) == sound(text)
        assert restored.split() == text.split()


def object_in(text: str, *path: str | int) -> Object:
    root = parse(text).root
    assert root is not None
    node = at_path(root, path)
    assert isinstance(node, Object)
    return node


def list_in(text: str, *path: str | int) -> Array:
    root = parse(text).root
    assert root is not None
    node = at_path(root, path)
    assert isinstance(node, Array)
    return node


def test_a_member_gets_a_line_of_its_own_where_the_others_have_one() -> None:
    target = object_in(LAID_OUT)
    changed = apply_edits(LAID_OUT, insert_member(LAID_OUT, target, "seed", 3, before="steps"))
    assert '  "empty": {},\n  "seed": 3,\n  /* before the list */\n  "steps": [' in changed


def test_a_member_comes_behind_the_comment_of_the_one_before_it() -> None:
    target = object_in(LAID_OUT)
    changed = apply_edits(LAID_OUT, insert_member(LAID_OUT, target, "seed", 3, before="variables"))
    assert '"id": "flow", // its name\n  "seed": 3,\n  "variables"' in changed


def test_a_member_stays_on_the_line_where_the_others_do() -> None:
    target = object_in(LAID_OUT, "steps", 0)
    changed = apply_edits(LAID_OUT, insert_member(LAID_OUT, target, "task", {"command": "x"}))
    assert '{ "name": "x", "n": 1, "task": { "command": "x" } },' in changed


def test_an_empty_object_is_opened() -> None:
    changed = apply_edits(LAID_OUT, insert_member(LAID_OUT, object_in(LAID_OUT, "empty"), "x", {"y": 1}))
    assert '  "empty": {\n    "x": {\n      "y": 1\n    }\n  },\n' in changed


def test_an_object_that_loses_its_only_member_is_closed() -> None:
    text = '{\n  "a": {\n    "b": 1\n  }\n}'
    inner = object_in(text, "a")
    assert apply_edits(text, remove_member(text, inner, inner.members[0])) == '{\n  "a": {}\n}'


def test_the_comment_beside_a_member_goes_with_it_and_others_stay() -> None:
    root = object_in(LAID_OUT)
    changed = apply_edits(LAID_OUT, remove_member(LAID_OUT, root, root.members[0]))
    assert changed.startswith('{\n  // what it is\n  "variables": {')


def test_the_last_member_takes_the_comma_before_it_along() -> None:
    root = object_in(LAID_OUT)
    assert apply_edits(LAID_OUT, remove_member(LAID_OUT, root, root.members[-1])).endswith(
        '  "empty": {}\n  /* before the list */\n}\n'
    )


def test_a_member_that_moves_takes_the_indentation_of_its_new_place() -> None:
    text = '{\n  "a": {\n    "x": [\n      1,\n      2\n    ]\n  },\n  "b": {\n    "c": {\n      "d": 1\n    }\n  }\n}'
    source = object_in(text, "a")
    changed = apply_edits(text, move_member(text, source, source.members[0], object_in(text, "b", "c")))
    assert sound(changed) == {"a": {}, "b": {"c": {"d": 1, "x": [1, 2]}}}
    assert '      "d": 1,\n      "x": [\n        1,\n        2\n      ]\n' in changed


@pytest.mark.parametrize("text", ["[1, 2, 3, 4]", "[\n  1, // one\n  2,\n  3,\n  4\n]", "[1, 2, 3, 4,]"])
def test_an_item_moves_before_any_earlier_one(text: str) -> None:
    for index in range(1, 4):
        for before in range(index):
            changed = apply_edits(text, move_item(text, list_in(text), index, before))
            expected = [1, 2, 3, 4]
            expected.insert(before, expected.pop(index))
            assert sound(changed) == expected


def test_a_value_is_replaced_or_put_where_one_is_missing() -> None:
    for text in ('{ "a": 1 }', '{ "a": }', '{ "a" }', '{ "a":\n}'):
        node = object_in(text).get("a")
        assert node is not None
        assert sound(apply_edits(text, [replace_value(text, node, ["x", None])])) == {"a": ["x", None]}, text


@pytest.mark.parametrize("name", ["plain", 'with "quotes"', "line\nend", "back\\slash", "🙂", "\ud83d", "\u2028\x00"])
def test_keys_and_texts_are_quoted(name: str) -> None:
    text = '{ "a": 1 }'
    root = object_in(text)
    changed = apply_edits(text, [rename_key(root.members[0], name), replace_value(text, root.members[0].value, name)])
    assert sound(changed) == {name: name}
    changed.encode("utf-8")


def test_a_value_is_wrapped() -> None:
    text = '{ "a": "x" /* c */ }'
    node = object_in(text).members[0].value
    assert apply_edits(text, wrap(node, "[", "]")) == '{ "a": ["x"] /* c */ }'


def test_edits_of_a_document_that_is_not_closed_lose_nothing() -> None:
    text = '{\n  "a": {\n    "b": 1,\n    "c": 2'
    changed = apply_edits(text, insert_member(text, object_in(text, "a"), "d", 3))
    assert changed.startswith(text) and '"d": 3' in changed


def test_rounds_of_edits_are_combined() -> None:
    source = random.Random(5)
    for _ in range(300):
        text = "".join(source.choice("abcdef") for _ in range(20))
        rounds, now = [], text
        for _ in range(source.randrange(1, 4)):
            places = sorted(source.sample(range(len(now) + 1), 4)) if len(now) > 4 else [0, 0, 0, 0]
            edits = [Edit(Range(places[0], places[1]), "X"), Edit(Range(places[2], places[3]), "YZ")]
            rounds.append(edits)
            now = apply_edits(now, edits)
        assert apply_edits(text, combined(len(text), rounds)) == now
