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
    references: list[Reference] = []
    _gather(body, references)
    if not references:
        return [body]
    choices = [list(artifacts(reference)) for reference in references]
    count = math.prod(len(choice) for choice in choices)
    if count > limit:
        parts = " x ".join(str(len(choice)) for choice in choices)
        raise InvalidInput(f"{parts} = {count} iterations are too many; a step may have {limit}")
    return [_filled(body, iter(combination), None) for combination in itertools.product(*choices)]


def _gather(value: Value, references: list[Reference]) -> None:
    """Add every reference to results, in the order of `_filled`."""
    if isinstance(value, dict):
        for item in value.values():
            _gather(item, references)
    elif isinstance(value, list):
        for item in value:
            _gather(item, references)
    elif _refers(value):
        reference = parse_reference(str(value))
        if reference is not None:
            references.append(reference)


def _filled(value: Value, chosen: Iterator[object], name: str | None) -> object:
    if isinstance(value, dict):
        return {key: _filled(item, chosen, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, chosen, name) for item in value]
    if _refers(value):
        artifact = next(chosen)
        if isinstance(artifact, Mapping) and name in artifact:
            return artifact[name]
        return artifact
    return value


def _refers(value: Value) -> bool:
    return isinstance(value, str) and value.startswith("previous_result:")
