"""Quotes, colons and commas: put in where they are missing, never doubled."""

from __future__ import annotations

import pytest

from tests.analysis.completion.conftest import Desk


@pytest.mark.parametrize(
    ("marked", "label", "expected"),
    [
        # Keys.
        ("{|}", "seed", '{"seed": 0}'),
        ("{ | }", "seed", '{ "seed": 0 }'),
        ('{ "id": "x", | }', "seed", '{ "id": "x", "seed": 0 }'),
        ('{ "id": "x",| }', "seed", '{ "id": "x", "seed": 0 }'),
        ('{ "id": "x" | }', "seed", '{ "id": "x", "seed": 0 }'),
        ('{ "id": "x" /* c */ | }', "seed", '{ "id": "x", /* c */ "seed": 0 }'),
        ('{ "id": "x"\n  | }', "seed", '{ "id": "x",\n  "seed": 0 }'),
        ('{ "id": "x" // c\n  | }', "seed", '{ "id": "x", // c\n  "seed": 0 }'),
        ('{ "id": [1]| }', "seed", '{ "id": [1], "seed": 0 }'),
        ('{ | "id": "x" }', "seed", '{ "seed": 0, "id": "x" }'),
        ('{ |"id": "x" }', "seed", '{ "seed": 0, "id": "x" }'),
        ('{\n  |\n  "id": "x"\n}', "seed", '{\n  "seed": 0,\n  "id": "x"\n}'),
        ('{ "id": "x" | "steps": [] }', "seed", '{ "id": "x", "seed": 0, "steps": [] }'),
        ('{ "id": "x", |, "steps": [] }', "seed", '{ "id": "x", "seed": 0, "steps": [] }'),
        ('{ "se|" }', "seed", '{ "seed": 0 }'),
        ('{ "|" }', "seed", '{ "seed": 0 }'),
        ('{ "|"\n  "id": "x" }', "seed", '{ "seed": 0,\n  "id": "x" }'),
        ('{ "se|": }', "seed", '{ "seed": }'),
        ('{ "se|": 5 }', "seed", '{ "seed": 5 }'),
        ('{ "se|ts": 5 }', "seed", '{ "seed": 5 }'),
        ("{ se| }", "seed", '{ "seed": 0 }'),
        ("{ se|: 5 }", "seed", '{ "seed": 5 }'),
        ('{ "se| }', "seed", '{ "seed": 0 }'),
        ('{ "se|\n}', "seed", '{ "seed": 0\n}'),
        ('{ "se|: 5 }', "seed", '{ "seed": 5 }'),
        ('{ "se|\n  "id": "x"\n}', "seed", '{ "seed": 0,\n  "id": "x"\n}'),
        ('{ "| "id": "x" }', "seed", '{ "seed": 0, "id": "x" }'),
        ('{ "id": "x" "se|" }', "seed", '{ "id": "x", "seed": 0 }'),
        ('{ "id": "x"\n  "se|" }', "seed", '{ "id": "x",\n  "seed": 0 }'),
        ('{ "id": "x"\n  "se|', "seed", '{ "id": "x",\n  "seed": 0'),
        # Values.
        ('{ "shape": | }', "shot", '{ "shape": "shot" }'),
        ('{ "shape":| }', "shot", '{ "shape": "shot" }'),
        ('{ "shape" | }', "shot", '{ "shape": "shot" }'),
        ('{ "shape": |\n  "id": "x" }', "shot", '{ "shape": "shot",\n  "id": "x" }'),
        ('{ "shape": |, "id": "x" }', "shot", '{ "shape": "shot", "id": "x" }'),
        ('{ "shape": "|" }', "shot", '{ "shape": "shot" }'),
        ('{ "shape": "sh|" }', "shot", '{ "shape": "shot" }'),
        ('{ "shape": "sh|ape" }', "shot", '{ "shape": "shot" }'),
        ('{ "shape": |"image" }', "shot", '{ "shape": "shot" }'),
        ('{ "shape": | "image" }', "shot", '{ "shape": "shot" }'),
        ('{ "shape": "sh|"\n  "id": "x" }', "shot", '{ "shape": "shot",\n  "id": "x" }'),
        ('{ "shape": "sh|\n}', "shot", '{ "shape": "shot"\n}'),
        ('{ "shape": "sh| }', "shot", '{ "shape": "shot" }'),
        ('{ "shape": "sh|, "id": "x" }', "shot", '{ "shape": "shot", "id": "x" }'),
        ('{ "shape": "|, "id": "x" }', "shot", '{ "shape": "shot", "id": "x" }'),
        ('{ "shape": "sh|\n  "id": "x"\n}', "shot", '{ "shape": "shot",\n  "id": "x"\n}'),
        ('{ "shape": sh| }', "shot", '{ "shape": "shot" }'),
        ('{ "shape": sh|\n  "id": "x" }', "shot", '{ "shape": "shot",\n  "id": "x" }'),
        ('{ "shape": |', "shot", '{ "shape": "shot"'),
        ('{ "shape": "sh|', "shot", '{ "shape": "shot"'),
        ('{ "shape": null| }', "shot", '{ "shape": "shot" }'),
        # Items.
        ('{ "traits": [|] }', "chained", '{ "traits": ["chained"] }'),
        ('{ "traits": [ "has-audio", | ] }', "chained", '{ "traits": [ "has-audio", "chained" ] }'),
        ('{ "traits": [ "has-audio",| ] }', "chained", '{ "traits": [ "has-audio", "chained" ] }'),
        ('{ "traits": [ "has-audio" | ] }', "chained", '{ "traits": [ "has-audio", "chained" ] }'),
        ('{ "traits": [ | "has-audio" ] }', "chained", '{ "traits": [ "chained", "has-audio" ] }'),
        ('{ "traits": [ "ch|" ] }', "chained", '{ "traits": [ "chained" ] }'),
        ('{ "traits": [ "ch|] }', "chained", '{ "traits": [ "chained"] }'),
        ('{ "traits": [ ch| ] }', "chained", '{ "traits": [ "chained" ] }'),
        ('{ "traits": [ "has-audio"\n  "ch|" ] }', "chained", '{ "traits": [ "has-audio",\n  "chained" ] }'),
    ],
)
def test_what_is_missing_is_put_in(desk: Desk, marked: str, label: str, expected: str) -> None:
    assert desk.accept(marked, label) == expected


def test_a_filter_begins_as_the_replaced_text_does(desk: Desk) -> None:
    """Clients compare it with the text from the start of the replaced range to the cursor."""
    for marked, begin in (('{ "se|" }', '"seed'), ("{ se| }", "seed"), ("{ | }", "seed"), ('{ "se|', '"seed')):
        assert desk.item(marked, "seed").filter_text == begin


def test_a_snippet_has_stops_and_its_plain_text_has_none(desk: Desk) -> None:
    item = desk.item("{ | }", "shape")
    assert item.snippet and item.text.startswith('"shape": "${1|image,')
    assert desk.accept("{ | }", "shape") == '{ "shape": "image" }'
