"""Which steps' results a step reads, which steps read a step's results last, and what a reference stands for now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dw_lsp.text.syntax_tree import Value
from dw_lsp.worker.engine.artifacts import property_of
from dw_lsp.worker.engine.support import PathPart, walk_values
from dw_lsp.workflow.references import Reference, parse_reference, split_result
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

PREVIOUS = "previous_result:"


def results_read(step: ResolvedStep) -> list[tuple[str, tuple[PathPart, ...]]]:
    """What a step reads: the text behind `previous_result:`, and the path inside the step where it stands."""
    found = []
    for name in ("arguments", "inputs"):
        for path, _, value in walk_values(step.body.get(name), (step.kind, name)):
            if is_result(value):
                found.append((str(value).removeprefix(PREVIOUS), path))
    return found


def is_result(value: Value | Any) -> bool:
    """Whether a value is a reference to an earlier step's results."""
    if not isinstance(value, str) or not value.startswith(PREVIOUS):
        return False
    reference = parse_reference(value)
    return reference is not None and reference.kind == "previous_result"


def check_order(step: ResolvedStep, earlier: Sequence[ResolvedStep], handed: Collection[str] = ()) -> None:
    """Raise `InvalidInput` when a step reads the results of a step that does not come before it.

    Arguments: `handed` are the names of results that the calling workflow hands in.
    """
    names = [*(each.name for each in earlier), *handed]
    for target, path in results_read(step):
        name, _ = split_result(target, names)
        if name not in names:
            known = f"earlier steps are {', '.join(map(repr, names))}" if names else "it is the first step"
            raise InvalidInput(
                f"step {step.name!r} reads the results of {target!r}, which is no earlier step ({known})",
                step.place(*path),
                step.name,
            )


def last_readers(steps: Sequence[ResolvedStep]) -> dict[str, int]:
    """For each step whose results are read, the index of the last step that reads them."""
    names = [step.name for step in steps]
    return {split_result(target, names)[0]: step.index for step in steps for target, _ in results_read(step)}


class Results:
    """The artifacts of the steps that have run, as far as later steps read them.

    Arguments: `handed` are values of the calling workflow that a text cannot express, by the name they are read under.
    """

    def __init__(self, handed: Mapping[str, Any] | None = None):
        self._handed = {name: [value] for name, value in (handed or {}).items()}
        self._artifacts: dict[str, list[Any]] = dict(self._handed)

    def keep(self, step: str, artifacts: list[Any]) -> None:
        """Keep a step's artifacts."""
        self._artifacts[step] = artifacts

    def release(self, readers: Mapping[str, int], done: int) -> None:
        """Forget the artifacts that no step after the one with the index `done` reads."""
        for name in [name for name in self._artifacts if name not in self._handed]:
            if readers.get(name, -1) <= done:
                del self._artifacts[name]

    def of(self, reference: Reference) -> Sequence[object]:
        """The artifacts that a reference stands for. Raises `InvalidInput` when a property cannot be read."""
        name, property = split_result(reference.target, self._artifacts)
        artifacts = self._artifacts.get(name, [])
        return artifacts if property is None else property_of(artifacts, property, name)

    def empty_among(self, step: ResolvedStep) -> str | None:
        """The first reference of a step that stands for nothing at all."""
        for target, _ in results_read(step):
            name, property = split_result(target, self._artifacts)
            artifacts = self._artifacts.get(name, [])
            if not (artifacts if property is None else property_of(artifacts, property, name)):
                return target
        return None
