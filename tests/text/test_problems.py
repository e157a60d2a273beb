"""The edits that undo a mistake in the text: afterwards it is gone, and what was meant stands there."""

from __future__ import annotations

import json

import pytest

from dw_lsp.text.edits import apply_edits
from dw_lsp.text.parser import parse
from dw_lsp.text.syntax_tree import to_value

FLOW = """{
  "id": "a",
  "steps": [
    {
      "name": "s",
      "pipeline": {
        "x": [
          1,
          2
        ],
        "y": {
          "z": 3
        }
      },
      "result": {
        "save": true
      }
    },
    {
      "name": "t"
    }
  ],
  "seed": 4
}
"""
#: All brackets, commas and colons but the first bracket, without which the document ends at its first key.
PLACES = [at for at, character in enumerate(FLOW) if at and character in "{}[],:"]


def mended(text: str) -> str:
    """The text after the mend of its first mistake."""
    problem = parse(text).problems[0]
    assert problem.mend is not None, problem.message
    return apply_edits(text, problem.mend.edits)


@pytest.mark.parametrize(
    ("broken", "sound"),
    [
        ('{ "a": 1 "b": 2 }', '{ "a": 1, "b": 2 }'),
        ('{ "a": 1 // c\n  "b": 2 }', '{ "a": 1, // c\n  "b": 2 }'),
        ("{ 'a': 1 }", '{ "a": 1 }'),
        (r"""{ "a": 'say "it\'s"\n' }""", r"""{ "a": "say \"it's\"\n" }"""),
        ('{ "a": True }', '{ "a": true }'),
        ('{ "a": None }', '{ "a": null }'),
        ('{ a: 1 }', '{ "a": 1 }'),
        ('{ "a" = 1 }', '{ "a" : 1 }'),
        ('{ "a" 1 }', '{ "a": 1 }'),
        ('{ "a": "x\ty" }', '{ "a": "x\\u0009y" }'),
        ('{ "a": word }', '{ "a": "word" }'),
        ('{ "a": "\\d" }', '{ "a": "\\\\d" }'),
        ('{ "a": "x,\n  "b": 1 }', '{ "a": "x",\n  "b": 1 }'),
        ('{ "a": 1', '{ "a": 1}'),
        ('{\n  "a": {\n    "b": 1,', '{\n  "a": {\n    "b": 1,\n  }\n}'),
        ('[1, 2]]', '[1, 2]'),
        ("[1,, 2]", "[1, 2]"),
    ],
)  # fmt: skip
def test_a_mistake_is_undone(broken: str, sound: str) -> None:
    assert mended(broken).split() == sound.split()
    assert parse(mended(broken)).problems == ()


def test_what_could_be_meant_otherwise_is_not_certain() -> None:
    certain = [
        problem.mend.certain
        for text in ('{ "a": 1 "b": 2 }', '{ "a": True }', "{ 'a': 1 }", '{ "a": word }', '{ "a": 1', '{ "a": "x }')
        for problem in parse(text).problems
        if problem.mend is not None
    ]
    assert certain[:3] == [True, True, True] and not any(certain[3:])


@pytest.mark.parametrize("at", PLACES)
def test_a_character_that_is_missing_is_put_in(at: int) -> None:
    text = FLOW[:at] + FLOW[at + 1 :]
    for _ in range(4):
        if parse(text).problems:
            text = mended(text)
    assert parse(text).problems == ()


def test_most_characters_that_are_missing_are_put_in_where_they_were() -> None:
    right = 0
    for at in PLACES:
        root = parse(mended(FLOW[:at] + FLOW[at + 1 :])).root
        right += root is not None and to_value(root) == json.loads(FLOW)
    assert right >= 0.9 * len(PLACES), (right, len(PLACES))
