"""One iteration for each combination of results."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dw_lsp.workflow.iteration import combinations
from dw_lsp.workflow.references import Reference
from dw_lsp.workflow.resolved import InvalidInput

RESULTS = {"two": ["a", "b"], "three": [1, 2, 3], "none": [], "pair": [{"image": "i", "mask": "m"}]}


def of(reference: Reference) -> Sequence[object]:
    return RESULTS[reference.name]


def test_without_references_there_is_one_iteration() -> None:
    body = {"prompt": "x", "list": [1, {"a": None}]}
    assert combinations(body, of) == [body]


def test_the_last_reference_varies_fastest() -> None:
    assert combinations({"x": "previous_result:two", "y": ["previous_result:three"]}, of) == [
        {"x": first, "y": [second]} for first in "ab" for second in (1, 2, 3)
    ]


def test_no_results_mean_no_iteration() -> None:
    assert combinations({"x": "previous_result:two", "y": "previous_result:none"}, of) == []


def test_an_object_gives_the_member_that_is_named_as_the_argument() -> None:
    assert combinations({"image": "previous_result:pair"}, of) == [{"image": "i"}]
    assert combinations({"other": "previous_result:pair"}, of) == [{"other": RESULTS["pair"][0]}]


def test_the_same_step_twice_is_every_pair_of_its_results() -> None:
    assert len(combinations({"x": "previous_result:three", "y": "previous_result:three"}, of)) == 9


def test_other_references_stay() -> None:
    assert combinations({"x": "constant:torch.pi"}, of) == [{"x": "constant:torch.pi"}]


def test_too_many_are_refused_before_they_are_made() -> None:
    with pytest.raises(InvalidInput, match="3 x 3 = 9"):
        combinations({"x": "previous_result:three", "y": "previous_result:three"}, of, limit=8)


def test_iterations_do_not_share_their_values() -> None:
    first, second = combinations({"x": ["previous_result:two"]}, of)
    assert first is not second and first["x"] is not second["x"]  # type: ignore[index]
