"""A caller's value becomes what the default is, or is refused with the variable's name."""

from __future__ import annotations

import pytest

from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.conversion import LONGEST_TEXT, convert
from dw_lsp.workflow.resolved import InvalidInput


@pytest.mark.parametrize(
    ("value", "default", "result"),
    [
        ("7", 1, 7),
        (7.0, 1, 7),
        ("2.5", 1.0, 2.5),
        (2, 1.0, 2.0),
        ("yes", False, True),
        ("OFF", True, False),
        (0, True, False),
        (5, "text", "5"),
        ("a, b ,c", [], ["a", "b", "c"]),
        ([1, 2], [], [1, 2]),
        ({"location": "x.png"}, {"location": "y.png"}, {"location": "x.png"}),
        ("x.png", {"location": "y.png"}, "x.png"),
        ({"any": 1}, None, {"any": 1}),
        (None, 5, None),
        ("previous_result:draw", 5, "previous_result:draw"),
    ],
)
def test_a_value_becomes_what_the_default_is(value: Value, default: Value, result: Value) -> None:
    converted = convert("name", value, default)
    assert converted == result and type(converted) is type(result)


@pytest.mark.parametrize(
    ("value", "default"),
    [
        ("many", 1),
        (1.5, 1),
        ("1.5", 1),
        (True, 1),
        ([1], 1),
        ("much", 1.0),
        ("perhaps", True),
        ([1], "text"),
        ({"a": 1}, "text"),
        (5, []),
        (5, {}),
        ("a\x00b", "text"),
        ("x" * (LONGEST_TEXT + 1), "text"),
        (["a\x07"], []),
    ],
)
def test_what_cannot_become_that_is_refused_by_name(value: Value, default: Value) -> None:
    with pytest.raises(InvalidInput, match="'name'"):
        convert("name", value, default)


def test_tabs_and_line_ends_are_text() -> None:
    assert convert("name", "a\tb\r\nc", "") == "a\tb\r\nc"
