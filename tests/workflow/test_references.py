"""Whole strings that stand for something else, and the dots in the names of steps."""

from __future__ import annotations

import pytest

from dw_lsp.workflow.format.special_values import REFERENCE_MEANINGS
from dw_lsp.workflow.references import KINDS, Reference, parse_reference, references_in, split_result


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("variable:prompt", Reference("variable", "prompt")),
        ("previous_result:draw", Reference("previous_result", "draw")),
        ("previous_result:draw.mask", Reference("previous_result", "draw", "mask")),
        ("constant:torch.pi", Reference("constant", "torch.pi")),
        ("variable:", Reference("variable", "")),
        ("a variable:prompt", None),
        ("Variable:prompt", None),
        ("http://example.org", None),
        ("plain text", None),
    ],
)
def test_only_a_whole_string_with_a_known_prefix_is_a_reference(text: str, reference: Reference | None) -> None:
    assert parse_reference(text) == reference


@pytest.mark.parametrize(
    ("target", "names", "parts"),
    [
        ("draw", ["draw"], ("draw", None)),
        ("draw.mask", ["draw"], ("draw", "mask")),
        ("a.b", ["a", "a.b"], ("a.b", None)),
        ("a.b.mask", ["a", "a.b"], ("a.b", "mask")),
        ("nowhere.mask", ["a"], ("nowhere", "mask")),
    ],
)
def test_the_longest_known_name_wins(target: str, names: list[str], parts: tuple[str, str | None]) -> None:
    assert split_result(target, names) == parts


def test_references_are_found_at_any_depth() -> None:
    value = {"a": ["variable:x", {"b": "previous_result:s.p"}], "c": 3, "d": None}
    assert [reference.target for reference in references_in(value)] == ["x", "s.p"]


def test_every_kind_of_reference_has_a_meaning_in_a_sentence() -> None:
    assert set(REFERENCE_MEANINGS) == KINDS
    assert all(meaning.endswith(".") for meaning in REFERENCE_MEANINGS.values())
