"""The parser: a sound document is read as it is, a broken one as far as it goes, with one problem for each mistake."""

from __future__ import annotations

import gc
import json
import random
import re
import time

import pytest

from dw_lsp.text.parser import DEEPEST, MOST_PROBLEMS, parse
from dw_lsp.text.syntax_tree import Array, Missing, Number, Object, Range, String, Unknown, at_path, to_value

RANDOM_CHARACTERS = "{}[]:,\"'\\/*#\n\r\t =aé😀1-.e\x00\u2028"


def told(text: str) -> list[tuple[str, str]]:
    """Each problem's text and the first word or two of its message."""
    return [(text[problem.range.start : problem.range.end], problem.message) for problem in parse(text).problems]


def only_problem(text: str) -> tuple[str, str]:
    """The one problem of a text."""
    (problem,) = told(text)
    return problem


# ---------------------------------------------------------------- sound documents


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": [true, false, null], "c": {"d": "e"}}',
        "[]",
        "{}",
        '"text"',
        "-0.5e-3",
        "  null  ",
        '{"a":{"b":[[],[{}]]}}',
        '{"": "", "a b": "\\u00e9\\ud83d\\ude00\\n\\"\\\\\\/"}',
        '{"prompt": "é😀\u2028 is no line end"}',
        "[0, -1, 1.0, 1e3, 1E+3, 12345678901234567890]",
    ],
)
def test_json_is_read_as_python_reads_it(text) -> None:
    parsed = parse(text)
    assert parsed.problems == ()
    assert parsed.root is not None and to_value(parsed.root) == json.loads(text)


def test_a_long_document_is_read_as_python_reads_it(long_text) -> None:
    parsed = parse(long_text)
    assert long_text.count("\n") >= 1490
    assert parsed.problems == ()
    assert parsed.root is not None and to_value(parsed.root) == json.loads(long_text)


@pytest.mark.parametrize("indent", [None, 1, 3, 8, "\t"])
def test_its_layout_does_not_matter(indent, long_text) -> None:
    text = json.dumps(json.loads(long_text), indent=indent)
    assert parse(text).problems == ()


def test_a_sound_document_may_be_laid_out_against_all_custom() -> None:
    text = '{\n      "a": [\n1,\n   {"b":\n2}\n         ],\n "c"\n:\n{\n}\n    }'
    assert parse(text).problems == ()
    assert to_value(parse(text).root or Unknown(Range(0, 0), "")) == {"a": [1, {"b": 2}], "c": {}}


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, // to the end\n "b": 2}',
        '{"a": 1, /* in between */ "b": 2}',
        '{"a": 1, /* over\n lines */ "b": 2,}',
        '// first\n{"a": 1, "b": 2}\n// last',
        '{"a": 1, "b": 2,}',
        '\ufeff{"a": 1, "b": 2}',
        '{\r\n"a": 1,\r\n"b": 2\r\n}\r\n',
        '{"a": 1, /* a " in a comment */ "b": 2}',
        '{"a": 1, /**/ "b": 2}',
    ],
)
def test_comments_trailing_commas_and_a_byte_order_mark_are_no_mistakes(text) -> None:
    parsed = parse(text)
    assert parsed.problems == ()
    assert parsed.root is not None and to_value(parsed.root) == {"a": 1, "b": 2}


def test_text_that_looks_like_a_comment_is_text() -> None:
    assert to_value(parse('["http://a/*b*/"]').root or Missing(Range(0, 0))) == ["http://a/*b*/"]


@pytest.mark.parametrize(
    "text", ['["a: ",","]', '["note: ", "b"]', '{"a": "x: y", "b": "\\"{", "c": "}"}', "['{', '}']"]
)
def test_no_text_is_taken_apart_where_it_need_not_be(text) -> None:
    parsed = parse(text)
    assert isinstance(parsed.root, (Array, Object))
    assert [problem for problem in parsed.problems if "double quotes" not in problem.message] == []
    assert to_value(parsed.root) == json.loads(text.replace("'", '"'))


# ---------------------------------------------------------------- the tree


def test_every_node_knows_its_place() -> None:
    text = '{"a": [1, "x"], "b": {"c": null}}'
    root = parse(text).root
    assert root is not None
    for path, written in [((), text), (("a",), '[1, "x"]'), (("a", 1), '"x"'), (("b", "c"), "null")]:
        node = at_path(root, path)
        assert node is not None
        assert text[node.range.start : node.range.end] == written
    assert isinstance(root, Object)
    assert [text[member.range.start : member.range.end] for member in root.members] == [
        '"a": [1, "x"]',
        '"b": {"c": null}',
    ]


def test_a_repeated_key_stays_in_the_tree_each_time() -> None:
    root = parse('{"a": 1, "a": 2}').root
    assert isinstance(root, Object)
    assert [to_value(member.value) for member in root.members] == [1, 2]
    assert to_value(root) == {"a": 2}


def test_an_unclosed_container_says_so() -> None:
    root = parse('{"a": [1').root
    assert isinstance(root, Object) and not root.closed
    inner = root.get("a")
    assert isinstance(inner, Array) and not inner.closed
    assert parse('{"a": [1]}').root == Object(
        Range(0, 10),
        parse('{"a": [1]}').root.members,  # type: ignore[union-attr]
        closed=True,
    )


def test_a_missing_value_lies_where_one_would_type_it() -> None:
    root = parse('{"a": , "b": 1}').root
    assert isinstance(root, Object)
    assert root.get("a") == Missing(Range(5, 5))
    assert root.get("b") == Number(Range(13, 14), 1)


def test_a_half_typed_key_is_in_the_tree_for_completion() -> None:
    root = parse('{"a": 1, "pro').root
    assert isinstance(root, Object)
    assert root.members[1].key == String(Range(9, 13), "pro", closed=False)


# ---------------------------------------------------------------- one problem for each mistake


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ('{"a": 1 "b": 2}', "1", "comma is missing"),
        ("[1 2]", "1", "comma is missing"),
        ('{"a" 1}', '"a"', "colon is missing"),
        ('{"a": }', '"a"', "value is missing"),
        ('{"a":, "b": 1}', '"a"', "value is missing"),
        ('{"a"}', '"a"', "colon and a value"),
        ('{"a", "b": 1}', '"a"', "colon and a value"),
        ("{a: 1}", "a", "Keys stand in double quotes"),
        ("{'a': 1}", "'a'", "double quotes"),
        ("{\"a\": 'b'}", "'b'", "double quotes"),
        ('{"a": True}', "True", "write true"),
        ('{"a": None}', "None", "write null"),
        ('{"a": abc}', "abc", "double quotes"),
        ('{"a": 01}', "01", "no number"),
        ('{"a": +1}', "+1", "no number"),
        ('{"a": .5}', ".5", "no number"),
        ('{"a": 1.}', "1.", "no number"),
        ('{"a": 0x10}', "0x10", "no number"),
        ('{"a": 1e999}', "1e999", "too large"),
        ('{"a" = 1}', "=", "colon"),
        ('{"a" => 1}', "=>", "colon"),
        ('{"a":: 1}', ":", "remove it"),
        ('{"a":: {"b": 1}}', ":", "remove it"),
        ('{"a": x {"b": 1}}', "x", "remove it"),
        ('{"a": ,{"b": 1}}', ",", "remove it"),
        ('{"a",: 1}', ",", "colon"),
        ("[1,, 2]", ",", "value is expected"),
        ("[,1]", ",", "value is expected"),
        ('{,"a": 1}', ",", "key in quotes"),
        ('{"a": 1,, "b": 2}', ",", "key in quotes"),
        ('["a": 1]', ":", "keys stand in an object"),
        ('{"a": "b\tc"}', "\t", "\\u0009"),
        ('{"a": "b\\qc"}', "\\q", "no escape"),
        ('{"a": "b\\u12c"}', "\\u12c", "no escape"),
        ('{"a": 1} {"b": 2}', "{", "ends before this"),
        ('{"a": 1}\nb', "b", "ends before this"),
        ('{"a": 1 /* never closed\n}', "/*", "comment is never closed"),
        ('{"a": "b', '"b', "not closed"),
        ('{"pro', '"pro', "not closed"),
        ('{"a": 1, "pro\n}', '"pro', "not closed"),
        ('{"a": "variable:\n}', '"variable:', "not closed"),
        ('{"a": "b,\n "c": 1}', '"b', "not closed"),
        ('{"a": "b}', '"b}', "not closed"),
        ('[{"a": ["b]},\n1]', '"b', "not closed"),
        ('{\n"a: 1,\n"c": 2}', '"a: 1', "not closed"),
        ('{\n"a: "b",\n"c": 2}', '"a', "missing behind"),
        ('{\na": "b",\n"c": 2}', 'a"', "missing before"),
        ('{\n"a": b",\n"c": 2}', 'b"', "missing before"),
        ('{\n"a": "say "hello" now",\n"c": 2}', '"', 'written \\"'),
        ('{"a": 1', "{", "not closed"),
        ("[1, 2", "[", "not closed"),
        ('{"a": [1, 2}', "[", "not closed"),
        ('{"a": 1}}', "}", "closes nothing"),
        ("[1]]", "]", "closes nothing"),
        ("}", "}", "closes nothing"),
        ('{"a": 1]', "]", "needs }"),
        ("", "", "empty"),
        (" // nothing\n", "", "empty"),
    ],
)
def test_a_mistake_is_one_problem_at_the_narrowest_place(text, place, message) -> None:
    where, what = only_problem(text)
    assert where == place
    assert message in what


def test_every_mistake_is_told_in_the_order_of_the_text() -> None:
    text = '{"a": True, b: 1, "c" 2, "d": [1 2]}'
    assert [where for where, _ in told(text)] == ["True", "b", '"c"', "1"]


def test_what_is_said_ends_a_sentence_and_is_short() -> None:
    text = "{a: True, 'b': nil, " + "x" * 1000 + ': [1 2], "c"}}'
    for _, message in told(text):
        assert message.endswith((".", ". "))
        assert len(message) < 150


def test_no_more_than_can_be_read_are_told() -> None:
    assert len(parse("[" + "a," * 10_000 + "]").problems) == MOST_PROBLEMS


def test_a_place_is_never_a_whole_document(long_text) -> None:
    for text in (long_text[: len(long_text) // 2], "{" + long_text, long_text + "}", long_text.replace(":", "", 1)):
        for problem in parse(text).problems:
            assert problem.range.end - problem.range.start <= 40


# ---------------------------------------------------------------- as one types

#: A line typed anew above another, at its indentation: all of the document is still read.
TYPING = {
    "a half typed key": '"pro',
    "one quote": '"',
    "a key": '"prompt"',
    "a key and its colon": '"prompt":',
    "a key, its colon and a space": '"prompt": ',
    "a key, its colon and a comma": '"prompt":,',
    "an unclosed text": '"prompt": "variable:',
    "an unclosed text and a comma": '"prompt": "variable:,',
    "a bare word": '"prompt": fo',
    "a bare key": "pro",
    "a bare key with its value": "pro: 3,",
    "single quotes": "'prompt': 3,",
    "half a number": '"prompt": -',
    "a value alone": "3",
    "an open object": '"prompt": {',
    "an open list": '"prompt": [',
    "a bracket that opens": "{",
    "a square bracket that opens": "[",
    "a bracket that closes": "}",
    "a square bracket that closes": "]",
    "two brackets that close": "}}",
    "a comment that is not closed": "/* why",
}
PLACES = ('"guidance_scale"', '"name": "step_2', '"offload"', '"save"', '"clean"', '"content_type"', '"id"', '"steps"')


@pytest.mark.parametrize("state", TYPING)
@pytest.mark.parametrize("place", PLACES)
def test_what_is_being_typed_costs_nothing_of_the_rest(place, state, long_text, surviving) -> None:
    lines = long_text.split("\n")
    at = middle(lines, place)
    indentation = re.match(" *", lines[at])
    assert indentation is not None
    broken = "\n".join([*lines[:at], indentation.group() + TYPING[state], *lines[at:]])
    assert surviving(long_text, broken) >= 0.99
    assert len(parse(broken).problems) == 1


#: One character more or less in a line that is there.
SLIPS = {
    "no comma at its end": (r",$", ""),
    "no colon": (r":", ""),
    "an equals sign for the colon": (r":", " ="),
    "no first quote": (r'^( *)"', r"\1"),
    "no last quote of the key": (r'":', ":"),
    "a bracket at its end": (r"$", "}"),
    "an open bracket at its end": (r"$", "{"),
    "two commas": (r",$", ",,"),
    "a bracket before it": (r"^", "}"),
}


@pytest.mark.parametrize("slip", SLIPS)
@pytest.mark.parametrize("place", ['"guidance_scale"', '"name": "step_2', '"content_type"', '"component_type"', '"id"'])
def test_a_slip_in_a_line_costs_no_more_than_the_line(place, slip, long_text, surviving) -> None:
    lines = long_text.split("\n")
    at = middle(lines, place)
    changed, count = re.subn(SLIPS[slip][0], SLIPS[slip][1], lines[at], count=1)
    assert count == 1 and changed != lines[at]
    broken = "\n".join([*lines[:at], changed, *lines[at + 1 :]])
    assert surviving(long_text, broken) >= 0.99
    assert len(parse(broken).problems) == 1


def middle(lines: list[str], text: str) -> int:
    """The line in the middle of those that hold a text."""
    found = [number for number, line in enumerate(lines) if text in line]
    return found[len(found) // 2]


# ---------------------------------------------------------------- whatever comes


@pytest.mark.parametrize("seed", range(150))
def test_it_reads_whatever_becomes_of_a_document(seed, short_text) -> None:
    chance = random.Random(seed)
    text = short_text if seed % 5 else "".join(chance.choices(RANDOM_CHARACTERS, k=60))
    for _ in range(chance.choice([1, 1, 2, 5, 30])):
        text = mutated(text, chance)
    parsed = parse(text)
    assert all(0 <= problem.range.start <= problem.range.end <= len(text) for problem in parsed.problems)
    try:
        value = json.loads(text)
    except ValueError:
        return
    assert parsed.problems == ()
    assert parsed.root is not None and to_value(parsed.root) == value


def mutated(text: str, chance: random.Random) -> str:
    """The text with a character put in or taken out, or a stretch removed or repeated."""
    start = chance.randrange(len(text) + 1)
    end = min(len(text), start + chance.randrange(80))
    return chance.choice(
        [
            text[:start] + chance.choice(RANDOM_CHARACTERS) + text[start:],
            text[:start] + text[start + 1 :],
            text[:start] + text[end:],
            text[:end] + text[start:],
        ]
    )


@pytest.mark.parametrize(
    "text", ["[" * 10_000, "{" * 10_000, "[{" * 5_000, '{"a":' * 10_000, "[" * 10_000 + "]" * 10_000]
)
def test_ten_thousand_brackets_are_one_mistake_or_two(text) -> None:
    problems = parse(text).problems
    assert 1 <= len(problems) <= (2 if "{" in text and '"' not in text else 1)


def test_depth_ends_where_it_is_said_to() -> None:
    assert parse("[" * DEEPEST + "]" * DEEPEST).problems == ()
    where, what = only_problem("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1))
    assert (where, "Nested too deeply" in what) == ("[", True)


def test_what_lies_beside_a_part_too_deep_is_read() -> None:
    text = '{"a": ' + "[" * 500 + "]" * 500 + ', "b": 1}'
    root = parse(text).root
    assert isinstance(root, Object)
    assert root.get("b") == Number(Range(len(text) - 2, len(text) - 1), 1)


HOSTILE = {
    "brackets": "[",
    "pairs": "[}",
    "quotes": '"',
    "commas": ",",
    "backslashes": '"\\',
    "comments": "/*",
    "comments on lines": "/*\n",
    "lines of brackets": "[\n",
    "closing lines": "  }\n",
    "half keys": '"a:',
    "half values": ": a",
    "quotes inside": ': "a',
    "wrong escapes": "\\q",
    "members": '"a":1,',
    "staircase": ' {\n  "a": [\n',
    "spaces": " ",
    "control characters": "\x01",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_takes_time_in_proportion(name) -> None:
    unit = HOSTILE[name]

    def seconds(characters: int) -> float:
        text = '["x\n' + unit * (characters // len(unit))
        # The collector would look through all that other tests have left, the more often the more is allocated here.
        gc.disable()
        try:
            began = time.process_time()
            parse(text)
            return time.process_time() - began
        finally:
            gc.enable()

    small = min(seconds(12_500) for _ in range(3))
    # Eight times the text; quadratic time would be sixty-four times as long.
    assert seconds(100_000) <= 32 * max(small, 0.01)


def test_ten_megabytes_of_text_are_read_at_once() -> None:
    began = time.process_time()
    assert parse('{"a": "' + "x" * 10_000_000 + '"}').problems == ()
    assert time.process_time() - began < 2


def test_a_single_quote_before_a_comma_is_a_mistake_like_any_other() -> None:
    parsed = parse('{ "a": ", "b": 1 }')
    assert len(parsed.problems) == 1
    assert isinstance(parsed.root, Object)
    assert [member.key.value for member in parsed.root.members] == ["a", "b"]
