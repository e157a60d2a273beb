"""Snippets: tab stops, what is escaped, and the text that is left when nothing is filled in."""

from __future__ import annotations

import json

import pytest

from dw_lsp.analysis.completion.skeletons import Blank, Tree, has_blanks, plain, snippet_of

AWKWARD = 'a $1 } \\ " | , ${2:x} é 🐈'


@pytest.mark.parametrize(
    ("tree", "snippet"),
    [
        (Blank(""), '"$1"'),
        (Blank("x"), '"${1:x}"'),
        (Blank(5), "${1:5}"),
        (Blank(True), "${1|true,false|}"),
        (Blank("b", ("a", "b")), '"${1|b,a|}"'),
        (Blank({}), "{$1}"),
        (Blank([]), "[$1]"),
        (Blank(None), "${1:null}"),
        ("a$b", '"a\\$b"'),
        ({"a": Blank(""), "b": [1, Blank(2)]}, '{ "a": "$1", "b": [1, ${2:2}] }'),
        ({}, "{}"),
        ([], "[]"),
    ],
)
def test_a_tree_as_a_snippet(tree: Tree, snippet: str) -> None:
    assert snippet_of(tree, "  ", one_line=True) == snippet


def test_lines_are_indented_from_the_first_on() -> None:
    tree: Tree = {"a": {"b": Blank("")}, "c": [{"d": 1}], "e": [1, 2]}
    assert snippet_of(tree, "  ", one_line=False) == (
        '{\n  "a": {\n    "b": "$1"\n  },\n  "c": [\n    {\n      "d": 1\n    }\n  ],\n  "e": [1, 2]\n}'
    )


@pytest.mark.parametrize(
    "tree", [AWKWARD, Blank(AWKWARD), Blank(AWKWARD, ("other", AWKWARD)), {AWKWARD: AWKWARD}, [Blank(AWKWARD)]]
)
def test_nothing_in_a_text_is_taken_for_a_stop(tree: Tree) -> None:
    found = json.loads(plain(snippet_of(tree, "  ", one_line=True)))
    assert AWKWARD in (found, *(found if isinstance(found, (list, dict)) else ()))


def test_only_stops_make_a_snippet() -> None:
    assert has_blanks('"$1"') and has_blanks("${1:x}") and has_blanks("a$0")
    assert not has_blanks('"a\\$1"') and not has_blanks("{}")
