"""Annotations as they are written in libraries: what JSON they take, and no opinion where that is not certain."""

from __future__ import annotations

import pytest

from dw_lsp.catalog.annotations import accepted_by


@pytest.mark.parametrize(
    ("annotation", "wanted"),
    [
        ("int", "a whole number"),
        ("Optional[int]", "a whole number"),
        ("typing.Optional[float]", "a number"),
        ("str | list[str] | None", "text or a list of texts"),
        ("Union[float, List[float]]", "a number or a list of numbers"),
        ("dict[str, Any] | None", "an object"),
        ("Literal['a', 'b'] | None", "one of `a`, `b`"),
        ("bool, *optional*, defaults to False", "true or false"),
        ("'int'", "a whole number"),
        ("tuple[int, ...]", "a list of whole numbers"),
    ],
)
def test_what_is_taken_is_said_in_words(annotation: str, wanted: str) -> None:
    accepted = accepted_by(annotation)
    assert accepted.certain and accepted.wanted == wanted


@pytest.mark.parametrize(
    "annotation",
    ["", None, "None", "Any", "torch.Tensor", "int | torch.Tensor", "T", "Callable[..., int]", "int or", "Literal[1]"],
)
def test_what_is_not_certain_is_left_open(annotation: str | None) -> None:
    assert not accepted_by(annotation).certain
