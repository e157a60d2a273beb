"""Brackets that do not balance: which is missing and which is too many, as the indentation tells."""

from __future__ import annotations

import random

import pytest

from dw_lsp.text.brackets import balance, balanced
from dw_lsp.text.lexer import lex
from dw_lsp.text.parser import parse
from dw_lsp.text.syntax_tree import Value, to_value

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
WHOLE: Value = {
    "id": "a",
    "steps": [
        {"name": "s", "pipeline": {"x": [1, 2], "y": {"z": 3}}, "result": {"save": True}},
        {"name": "t"},
    ],
    "seed": 4,
}
LINES = FLOW.split("\n")
BRACKETS = [number for number, line in enumerate(LINES) if set(line) & set("{}[]")]


def value(text: str) -> Value:
    """What is read of a text."""
    root = parse(text).root
    assert root is not None
    return to_value(root)


def told(text: str) -> list[tuple[int, str]]:
    """The line, from 1, and the text of each problem."""
    return [
        (text.count("\n", 0, problem.range.start) + 1, text[problem.range.start : problem.range.end])
        for problem in parse(text).problems
    ]


def changed(number: int, old: str, new: str) -> str:
    """The flow with one line changed (from 1)."""
    lines = list(LINES)
    assert old in lines[number - 1]
    lines[number - 1] = lines[number - 1].replace(old, new)
    return "\n".join(lines)


def test_the_flow_is_sound() -> None:
    assert (value(FLOW), told(FLOW)) == (WHOLE, [])


@pytest.mark.parametrize("number", [number for number in BRACKETS if set(LINES[number]) & set("}]")])
def test_any_closing_bracket_may_be_missing(number) -> None:
    text = "\n".join([*LINES[:number], LINES[number].replace("}", "").replace("]", ""), *LINES[number + 1 :]])
    assert value(text) == WHOLE
    assert len(told(text)) == 1


@pytest.mark.parametrize("number", [number for number in BRACKETS if LINES[number].strip(" ,") in ("}", "]")])
def test_any_line_with_a_closing_bracket_may_be_missing(number) -> None:
    text = "\n".join([*LINES[:number], *LINES[number + 1 :]])
    assert value(text) == WHOLE
    assert len(told(text)) == 1


@pytest.mark.parametrize("number", BRACKETS[1:])
def test_any_bracket_may_stand_twice(number) -> None:
    line = LINES[number]
    bracket = next(character for character in line if character in "{}[]")
    text = "\n".join([*LINES[:number], line.replace(bracket, bracket * 2), *LINES[number + 1 :]])
    assert len(told(text)) == 1
    if bracket != "[":
        assert value(text) == WHOLE


@pytest.mark.parametrize("number", BRACKETS[1:])
def test_any_bracket_may_be_of_the_wrong_kind(number) -> None:
    line = LINES[number]
    bracket = next(character for character in line if character in "{}[]")
    other = {"{": "[", "[": "{", "}": "]", "]": "}"}[bracket]
    text = "\n".join([*LINES[:number], line.replace(bracket, other), *LINES[number + 1 :]])
    assert len(told(text)) >= 1
    if bracket in "}]":
        assert value(text) == WHOLE
        assert told(text) == [(number + 1, other)]


@pytest.mark.parametrize("number", [6, 11, 15])
def test_an_object_whose_opening_bracket_is_missing_is_still_one(number) -> None:
    text = changed(number, "{", "")
    assert value(text) == WHOLE
    assert told(text) == [(number, ":")]


def test_a_list_whose_opening_bracket_is_missing_is_still_one() -> None:
    text = changed(7, "[", "")
    assert value(text) == WHOLE
    assert told(text) == [(7, ":")]


def test_an_object_in_a_list_may_lack_its_opening_bracket() -> None:
    text = "\n".join([*LINES[:18], *LINES[19:]])
    assert value(text) == WHOLE
    assert len(told(text)) == 1


@pytest.mark.parametrize("bracket", ["}", "]"])
@pytest.mark.parametrize("indentation", [0, 1, 2, 4, 6, 8, 20])
@pytest.mark.parametrize("number", [5, 8, 12, 16])
def test_a_closing_bracket_on_a_line_of_its_own_closes_nothing(number, indentation, bracket) -> None:
    text = "\n".join([*LINES[:number], " " * indentation + bracket, *LINES[number:]])
    assert len(told(text)) <= 2
    if indentation != len(LINES[number]) - len(LINES[number].lstrip()) - 2:
        assert value(text) == WHOLE


def test_an_object_that_is_opened_and_not_closed_ends_where_the_next_key_stands() -> None:
    text = "\n".join([*LINES[:15], '        "more": {', *LINES[15:]])
    assert told(text) == [(16, "{")]
    steps = value(text)["steps"]  # type: ignore[call-overload, index]
    assert steps[0]["result"] == {"more": {}, "save": True}


def test_a_document_that_ends_too_early_has_one_problem_at_what_is_open() -> None:
    text = "\n".join(LINES[:9])
    assert told(text) == [(7, "[")]
    assert value(text) == {"id": "a", "steps": [{"name": "s", "pipeline": {"x": [1, 2]}}]}


def test_what_is_missing_at_the_end_is_said() -> None:
    (problem,) = parse('{"a": [{"b": 1').problems
    assert problem.message == "This object is not closed: the document ends without } ] }."


@pytest.mark.parametrize("text", ['{"a": [1, 2}', '{"a": {"b": 1}, "c": [2}', '[{"a": 1]'])
def test_a_text_on_one_line_is_balanced_by_the_order_of_its_brackets(text) -> None:
    assert len(told(text)) == 1


def test_indentation_that_explains_nothing_is_not_believed() -> None:
    text = '{\n"a": {\n"b": 1\n},\n"c": {\n"d": 2\n}\n'
    assert value(text) == {"a": {"b": 1}, "c": {"d": 2}}
    assert told(text) == [(1, "{")]


@pytest.mark.parametrize("seed", range(100))
def test_what_leaves_it_balances(seed) -> None:
    chance = random.Random(seed)
    text = "".join(chance.choices('{}[]:,"a1 \n', weights=[4, 4, 4, 4, 3, 3, 4, 3, 2, 8, 4], k=80))
    result = balance(text, lex(text).tokens)
    assert balanced(result.tokens)
    assert result.tokens[-1].kind == "end"
    assert [token.start for token in result.tokens] == sorted(token.start for token in result.tokens)


@pytest.mark.parametrize(
    ("text", "sound"), [("", True), ("{}[]", True), ("{[]}", True), ("{[}]", False), ("}", False), ("[", False)]
)
def test_balance_is_known(text, sound) -> None:
    assert balanced(lex(text).tokens) is sound
