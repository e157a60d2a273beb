"""The quick reader of sound documents agrees with the parser, or leaves the document to it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from dw_lsp.text.lexer import lex
from dw_lsp.text.parser import DEEPEST, _parse, parse
from dw_lsp.text.sound import Former, read_sound, same_length
from dw_lsp.text.syntax_tree import to_value

ROOT = Path(__file__).resolve().parents[2]
FILES = [*ROOT.glob("workflows/*.dw.json"), *ROOT.glob("tests/data/workflows/*.dw.json")]


def agrees(text: str) -> bool:
    """Whether the document was read; if it was, the parser must read the same and find no mistake."""
    quick, slow = read_sound(text, DEEPEST), _parse(text, lex(text))
    if quick is None:
        return False
    assert quick == slow.root
    assert slow.problems == ()
    return True


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_real_document_is_read_as_the_parser_reads_it(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert agrees(text) and agrees(json.dumps(json.loads(text))) and agrees(text.replace("\n", "\r\n"))


@pytest.mark.parametrize(
    "text",
    [
        "{}", " [ ] ", "0", "-0.5e3", '"a"', "null", "[true, false, null]", '{"a": {"b": [1, 2.5, "c"]}}',
        r'{"\u00e9\n": "\ud83d\ude00 \" \\ \/"}', '"é😀\u2028"', r'"\ud800"', '{"a": 1, "a": 2}', "\ufeff{}",
        '{"a":1}\n', "[1e300]", '["\x7f"]',
    ],
)  # fmt: skip
def test_every_kind_of_value_is_read(text: str) -> None:
    assert agrees(text)
    assert to_value(parse(text).root) == json.loads(text.removeprefix("\ufeff"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "", "  ", "{", "[1,]", '{"a": 1,}', "{'a': 1}", '{"a" 1}', '{"a": }', "[1 2]", "{]", "[}", '{"a": 1]', "[1}",
        "// x\n{}", "{} x", "01", "1e999", "tru", '"a', '"a\nb"', '"\x01"', r'"\x"', r'"\u12"', "[" * 101 + "]" * 101,
        "1" * 5000, "+1", "NaN", "{} {}", "[1, /* */ 2]", "-", "1.", ".5", "truex", "1x",
    ],
)  # fmt: skip
def test_anything_else_is_left_to_the_parser(text: str) -> None:
    assert read_sound(text, DEEPEST) is None


def test_after_random_edits_it_agrees_or_leaves_it() -> None:
    source = random.Random(11)
    read = 0
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        for _ in range(150):
            at = source.randrange(len(text))
            mutated = text[:at] + source.choice('{}[]:,"0x \n\\é') + text[at + source.randrange(3) :]
            read += agrees(mutated)
    assert read > 100, "hardly any was sound, so little was compared"


def test_how_far_two_texts_are_the_same() -> None:
    assert same_length("", "a") == 0
    assert same_length("abc", "abd") == 2
    assert same_length("abc", "abc") == 3
    assert same_length("abc", "abcd") == 3
    assert same_length("xbc", "abc") == 0


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_stands_before_an_edit_is_taken_over_and_nothing_else_changes(file: Path) -> None:
    text, dice = file.read_text(encoding="utf-8"), random.Random(7)
    root = read_sound(text, DEEPEST)
    assert root is not None
    for _ in range(300):
        start = dice.randrange(len(text))
        end = min(len(text), start + dice.choice((0, 0, 1, 5, 60)))
        edited = (
            text[:start] + dice.choice(("", "x", "1", " ", "é", "{}", ",", '"a": 1,', "[]", '\\"', "\n")) + text[end:]
        )
        assert read_sound(edited, DEEPEST, Former(root, same_length(text, edited))) == read_sound(edited, DEEPEST)


def test_a_step_before_the_edit_is_the_same_object() -> None:
    text = '{"steps": [{"a": 1}, {"b": "x"}, {"c": 3}]}'
    root = read_sound(text, DEEPEST)
    edited = text.replace("x", "xy")
    again = read_sound(edited, DEEPEST, Former(root, same_length(text, edited)))  # type: ignore[arg-type]
    before, after = (node.get("steps").items for node in (root, again))  # type: ignore[union-attr]
    assert after[0] is before[0] and after[1] is not before[1]


def test_a_number_at_the_edit_is_read_anew() -> None:
    root = read_sound("[1, 2]", DEEPEST)
    assert to_value(read_sound("[1, 23]", DEEPEST, Former(root, 5))) == [1, 23]  # type: ignore[arg-type]
