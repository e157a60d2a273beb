"""The one object of a command: every mistake names its field."""

from __future__ import annotations

from typing import Any

import pytest
from pygls.exceptions import JsonRpcInvalidParams

from dw_lsp.server.arguments import COMMANDS, DEEPEST, check_argument


@pytest.mark.parametrize("arguments", [[], [None], [{}]])
def test_nothing_is_an_empty_object(arguments: list[Any]) -> None:
    assert check_argument("dw.cancel", arguments) == {}


def test_null_counts_as_absent() -> None:
    assert check_argument("dw.run", [{"uri": "file:///x", "seed": None}]) == {"uri": "file:///x"}


@pytest.mark.parametrize(
    ("command", "argument", "told"),
    [
        ("dw.run", {"uri": None}, "'uri' is missing"),
        ("dw.run", {"uri": "x", "sed": 1}, "unknown field 'sed'"),
        ("dw.run", {"uri": "x", "seed": "1"}, "'seed' must be a whole number, not text"),
        ("dw.run", {"uri": "x", "arguments": False}, "not false"),
        ("dw.ping", {"x": 1}, "it takes none"),
        ("dw.ping", "x", "takes an object, not text"),
        ("dw.ping", [1], "takes an object, not a list"),
    ],
)
def test_a_mistake_is_named(command: str, argument: Any, told: str) -> None:
    with pytest.raises(JsonRpcInvalidParams, match=told) as caught:
        check_argument(command, [argument])
    assert caught.value.message.startswith(command)


def test_there_are_the_ten_commands_of_the_contract() -> None:
    assert len(COMMANDS) == 10


def test_what_is_nested_as_deeply_as_allowed_is_taken() -> None:
    value: Any = "x"
    for _ in range(DEEPEST):
        value = {"a": value}
    assert check_argument("dw.run", [{"uri": "x", "arguments": value}])["arguments"] == value
    with pytest.raises(JsonRpcInvalidParams, match="'arguments' is nested more than 100 levels deep"):
        check_argument("dw.run", [{"uri": "x", "arguments": {"a": value}}])
