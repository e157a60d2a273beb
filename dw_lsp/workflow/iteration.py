"""The iterations of a step: one for each combination of the results that its arguments refer to."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.references import Reference, parse_reference
from dw_lsp.workflow.resolved import InvalidInput

MOST_ITERATIONS = 10_000


def combinations(
    body: Value, artifacts: Callable[[Reference], Sequence[object]], limit: int = MOST_ITERATIONS
) -> list[object]:
    """The values of `body` for every iteration: the cartesian product over all its `previous_result:` references.

    Arguments: `artifacts` gives the results that a reference stands for. The last reference in the text varies fastest;
    a reference without results means no iteration at all. An artifact that is an object with a key equal to the
    argument's name gives that member (format of the results of tasks with several outputs).
    Raises `InvalidInput` when there would be more than `limit` iterations.
    """
    places = list(_places(body))
    if not places:
        return [body]
    choices = [list(artifacts(reference)) for _, reference in places]
    count = math.prod(len(choice) for choice in choices)
    if count > limit:
        parts = " x ".join(str(len(choice)) for choice in choices)
        raise InvalidInput(f"{parts} = {count} iterations are too many; a step may have {limit}")
    return [_filled(body, iter(combination), None) for combination in itertools.product(*choices)]


def _places(value: Value, name: str | None = None) -> Iterator[tuple[str | None, Reference]]:
    """Every reference to results, with the name of the argument it stands under, in the order of `_filled`."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _places(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from _places(item, name)
    elif (reference := _result_reference(value)) is not None:
        yield name, reference


def _filled(value: Value, chosen: Iterator[object], name: str | None) -> object:
    if isinstance(value, dict):
        return {key: _filled(item, chosen, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, chosen, name) for item in value]
    if _result_reference(value) is not None:
        artifact = next(chosen)
        if isinstance(artifact, Mapping) and name in artifact:
            return artifact[name]
        return artifact
    return value


def _result_reference(value: Value) -> Reference | None:
    if not isinstance(value, str) or not value.startswith("previous_result:"):
        return None
    reference = parse_reference(value)
    return reference if reference is not None and reference.kind == "previous_result" else None
