"""Strings, numbers and words: their values, and what is said of the mistakes in them."""

from __future__ import annotations

import json
import random

import pytest

from dw_lsp.text.lexer import lex
from dw_lsp.text.problems import Mend
from dw_lsp.text.scalars import LONGEST_SHOWN, read_number, read_string, read_word
from dw_lsp.text.syntax_tree import Boolean, Null, Number, Range, String, Unknown

READERS = {"string": read_string, "unclosed": read_string, "number": read_number, "word": read_word}


def read(text: str):
    """The node of a text that is one token, and the stretches and messages of its problems."""
    problems: list[tuple[str, str]] = []
    token = lex(text).tokens[0]

    def tell(start: int, end: int, message: str, mend: Mend | None = None) -> None:
        problems.append((text[start:end], message))

    return READERS[token.kind](text, token, tell), problems


@pytest.mark.parametrize(
    "value", ["", "a", "é😀", 'say "hi"', "back\\slash", "\n\t\r\b\f/", "\x00\x1f", "\u2028", "\ud800", "\udc00x"]
)
def test_a_string_has_the_value_that_python_reads(value) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        node, problems = read(text)
        assert (node.value, problems) == (json.loads(text), [])


@pytest.mark.parametrize("seed", range(50))
def test_escapes_are_resolved_as_python_does(seed) -> None:
    chance = random.Random(seed)
    pieces = ["\\n", "\\\\", '\\"', "\\/", "\\u00e9", "\\ud83d", "\\ude00", "\\uD83D\\uDE00", "a", "😀", "n", "u0041"]
    text = '"' + "".join(chance.choices(pieces, k=20)) + '"'
    node, problems = read(text)
    assert (node.value, problems) == (json.loads(text), [])


def test_its_place_includes_its_quotes() -> None:
    assert read('"ab"')[0] == String(Range(0, 4), "ab", closed=True)
    assert read('"ab')[0] == String(Range(0, 3), "ab", closed=False)


@pytest.mark.parametrize("escape", ["\\q", "\\u12", "\\u", "\\u12g4", "\\x41", "\\ "])
def test_a_wrong_escape_is_told_where_it_stands_and_stays(escape) -> None:
    node, problems = read(f'"a{escape}z"')
    ((where, message),) = problems
    assert escape.startswith(where)
    assert "no escape of JSON" in message
    assert node.value == f"a{escape}z"


def test_each_wrong_escape_is_told() -> None:
    assert [where for where, _ in read('"\\q and \\w"')[1]] == ["\\q", "\\w"]


def test_a_control_character_is_told_with_its_escape() -> None:
    node, problems = read('"a\tb"')
    assert node.value == "a\tb"
    assert problems == [("\t", "A control character in text is written \\u0009.")]


def test_single_quotes_are_told_and_read() -> None:
    node, problems = read("'it\\'s \"so\"'")
    assert node.value == 'it\'s "so"'
    assert [where for where, _ in problems] == ["'it\\'s \"so\"'"]


def test_an_unclosed_string_names_the_quote_that_is_missing() -> None:
    assert read('"a')[1] == [('"a', 'This text is not closed; a " is missing.')]
    assert read("'a")[1] == [("'a", "This text is not closed; a ' is missing.")]


def test_a_backslash_at_the_end_of_an_unclosed_string_harms_nobody() -> None:
    assert read('"a\\')[0].value == "a\\"


@pytest.mark.parametrize("text", ["0", "-1", "12345678901234567890", "1.5", "1e3", "-0.5E-2"])
def test_a_number_has_the_value_and_the_type_that_python_reads(text) -> None:
    node, problems = read(text)
    assert isinstance(node, Number)
    assert (node.value, type(node.value), problems) == (json.loads(text), type(json.loads(text)), [])


@pytest.mark.parametrize("text", ["1e999", "-1e999", "1" * 5000])
def test_a_number_that_cannot_be_held_is_told(text) -> None:
    node, problems = read(text)
    assert node.value == 0
    assert len(problems) == 1


def test_the_three_words_of_json() -> None:
    assert read("true") == (Boolean(Range(0, 4), True), [])
    assert read("false") == (Boolean(Range(0, 5), False), [])
    assert read("null") == (Null(Range(0, 4)), [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("True", "True is no value of JSON; write true."),
        ("undefined", "undefined is no value of JSON; write null."),
        ("abc", 'abc is no value of JSON; text stands in double quotes: "abc".'),
        ("007", "007 is no number of JSON, such as 1, -0.5 or 2e3."),
    ],
)
def test_other_words_are_told_with_their_mend(text, message) -> None:
    assert read(text) == (Unknown(Range(0, len(text)), text), [(text, message)])


def test_a_long_word_is_not_repeated_whole() -> None:
    ((_, message),) = read("x" * 1000)[1]
    assert "x" * LONGEST_SHOWN + "..." in message
    assert len(message) < 200
