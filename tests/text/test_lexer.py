"""Tokens: where each begins and ends, what ends a string, and what no token of JSON becomes."""

from __future__ import annotations

import pytest

from dw_lsp.text.lexer import lex


def tokens(text: str, reading: str = "plain") -> list[tuple[str, str]]:
    """Each token's kind and text, the end left out."""
    return [(token.kind, text[token.start : token.end]) for token in lex(text, reading).tokens[:-1]]  # type: ignore[arg-type]


def test_marks_are_kinds_of_their_own() -> None:
    assert [kind for kind, _ in tokens("{}[]:,")] == ["{", "}", "[", "]", ":", ","]


def test_the_last_token_is_the_end() -> None:
    end = lex(" 1 ").tokens[-1]
    assert (end.kind, end.start, end.end) == ("end", 3, 3)


@pytest.mark.parametrize("text", ["0", "-1", "10.25", "1e5", "-0.5E-10", "1.0e+2"])
def test_numbers(text) -> None:
    assert tokens(text) == [("number", text)]


@pytest.mark.parametrize("text", ["01", "+1", "1.", ".5", "0x1", "1e", "1_000", "-", "--1", "1a", "NaN", "Infinity"])
def test_what_is_no_number_is_one_word(text) -> None:
    assert tokens(text) == [("word", text)]


@pytest.mark.parametrize(
    "text", ['""', '"a"', '"a\\"b"', '"\\\\"', '"\\u0041"', '"a\u2028b"', '"é😀"', "'a'", "'a\"b'", '"{[,:]}"']
)
def test_strings(text) -> None:
    assert tokens(text) == [("string", text)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_an_unclosed_string_ends_with_its_line(end) -> None:
    assert tokens(f'"a b{end}1') == [("unclosed", '"a b'), ("number", "1")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"a,', [("unclosed", '"a'), (",", ",")]),
        ('"a,  ', [("unclosed", '"a'), (",", ",")]),
        ('"a, b', [("unclosed", '"a, b')]),
        ('"a}', [("unclosed", '"a}')]),
        ('"', [("unclosed", '"')]),
        ('",', [("unclosed", '"'), (",", ",")]),
        ('"a\\', [("unclosed", '"a\\')]),
        ('"a\\"', [("unclosed", '"a\\"')]),
    ],
)
def test_a_comma_that_ends_the_line_of_an_unclosed_string_is_a_comma(text, expected) -> None:
    assert tokens(text) == expected


def test_an_escape_does_not_reach_over_the_end_of_a_line() -> None:
    assert tokens('"a\\\r"b"') == [("unclosed", '"a\\'), ("string", '"b"')]


def test_comments_are_left_out() -> None:
    assert tokens("1 // two\n/* three\n */ 4 /**/ 5 /* * / */ 6") == [("number", number) for number in "1456"]


def test_a_comment_that_is_not_closed_ends_with_its_line() -> None:
    lexed = lex("1 /* two\n3")
    assert [token.start for token in lexed.tokens] == [0, 9, 10]
    assert lexed.open_comments == [2]


def test_the_end_of_one_comment_does_not_close_the_next() -> None:
    assert lex("/* a */ /* b").open_comments == [8]
    assert lex("/*/").open_comments == [0]


def test_a_slash_belongs_to_its_word() -> None:
    assert tokens("image/png") == [("word", "image/png")]
    assert tokens("a//b") == [("word", "a")]


@pytest.mark.parametrize("character", ["\x00", "\x0b", "\xa0", "\u2028", "\ud800", "@", "😀"])
def test_any_other_character_is_a_word(character) -> None:
    assert tokens(character) == [("word", character)]


@pytest.mark.parametrize(
    ("text", "half"),
    [
        ('name": "x",', 'name"'),
        ('"name: "x",', '"name'),
        ('"name: 7.5', '"name'),
        ('"name: {', '"name'),
        ('"name : true }', '"name'),
        ('"a": x y", ', 'x y"'),
        ('"a": "say "hello" now",', '"say "hello" now"'),
    ],
)
def test_a_missing_quote_is_looked_for_in_another_reading(text, half) -> None:
    assert ("half", half) in tokens(text, "quotes")
    assert "half" not in dict(tokens(text))


@pytest.mark.parametrize(
    "text", ['{"a": "b", "c": ["d", "e: f"]}', '"a": "x: y",', '["note: ", "b"]', '"a": 1, "b": 2']
)
def test_what_is_sound_reads_the_same_in_each_reading(text) -> None:
    assert tokens(text) == tokens(text, "quotes") == tokens(text, "brackets")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"a}]', [("unclosed", '"a'), ("}", "}"), ("]", "]")]),
        ('"a },', [("unclosed", '"a'), ("}", "}"), (",", ",")]),
        ('"a {', [("unclosed", '"a'), ("{", "{")]),
        ('"}', [("unclosed", '"'), ("}", "}")]),
    ],
)
def test_brackets_at_the_end_of_an_unclosed_string_are_brackets_in_another(text, expected) -> None:
    assert tokens(text, "brackets") == expected
