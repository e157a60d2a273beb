"""Which steps' results a step reads, which steps read a step's results last, and what a reference stands for now."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from dw_lsp.planning.artifact import Artifact, ObjectArtifact, member_of
from dw_lsp.planning.recall import listed
from dw_lsp.text.syntax_tree import Value
from dw_lsp.worker.engine.artifact_codec import encode
from dw_lsp.worker.engine.artifacts import property_of
from dw_lsp.worker.engine.refusals import PathPart
from dw_lsp.worker.engine.support import walk_values
from dw_lsp.workflow.references import Reference, parse_reference, split_result
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

PREVIOUS = "previous_result:"


def results_read(step: ResolvedStep) -> list[tuple[str, tuple[PathPart, ...]]]:
    """What a step reads: the text behind `previous_result:`, and the path inside the step where it stands."""
    if "results_read" not in step.facts:
        step.facts["results_read"] = _results_read(step)
    found: list[tuple[str, tuple[PathPart, ...]]] = step.facts["results_read"]
    return found


def _results_read(step: ResolvedStep) -> list[tuple[str, tuple[PathPart, ...]]]:
    found = []
    for name in ("arguments", "inputs", "chain"):
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


def check_order(step: ResolvedStep, names: Collection[str]) -> None:
    """Raise `InvalidInput` when a step reads the results of a step that does not come before it.

    Arguments: `names` are those of the steps before it, and of the results that the calling workflow hands in.
    """
    for target, path in results_read(step):
        name, _ = split_result(target, names)
        if name not in names:
            known = f"earlier steps are {', '.join(map(repr, names))}" if names else "it is the first step"
            raise InvalidInput(
                f"step {step.name!r} reads the results of {target!r}, which is no earlier step ({known})",
                step.place(*path),
                step.name,
            )


def read_last_by(steps: Sequence[ResolvedStep]) -> dict[int, list[str]]:
    """For each step, by its index, the steps whose results nobody reads after it."""
    last = {step.name: step.index for step in steps}
    for step in steps:
        last.update({split_result(target, last)[0]: step.index for target, _ in results_read(step)})
    found: dict[int, list[str]] = {}
    for name, index in last.items():
        found.setdefault(index, []).append(name)
    return found


def follows_from(steps: Sequence[ResolvedStep]) -> tuple[tuple[int, ...], ...]:
    """For each step, the indices of the steps that decide its results, itself included, in their order.

    A step follows from those whose results it reads, whose pipeline it calls, and whose components it takes.
    """
    found: list[tuple[int, ...]] = []
    by_name: dict[str, int] = {}
    sharing: dict[str, int] = {}
    for index, step in enumerate(steps):
        names = [split_result(target, by_name)[0] for target, _ in results_read(step)]
        names.append(str(step.body.get("reference_name")))
        direct = {by_name[name] for name in names if name in by_name}
        direct |= {sharing[name] for name in listed(step, "reused_components") if name in sharing}
        found.append((*sorted({each for before in direct for each in found[before]}), index))
        by_name[step.name] = index
        sharing.update(dict.fromkeys(listed(step, "shared_components"), index))
    return tuple(found)


class Results:
    """The artifacts of the steps that have run, as far as later steps read them.

    Arguments: `live` gives an artifact's live object; `handed` are values of the calling workflow that a text cannot
    express, by the name they are read under.
    """

    def __init__(self, live: Callable[[Artifact], Any], handed: Mapping[str, Artifact] | None = None):
        self._live = live
        self._handed = {name: [value] for name, value in (handed or {}).items()}
        self._artifacts: dict[str, list[Artifact]] = dict(self._handed)

    def keep(self, step: str, artifacts: list[Artifact]) -> None:
        """Keep a step's artifacts."""
        self._artifacts[step] = artifacts

    def release(self, names: Sequence[str]) -> None:
        """Forget the artifacts of these steps: no later step reads them."""
        for name in names:
            if name not in self._handed:
                self._artifacts.pop(name, None)

    def of(self, reference: Reference) -> Sequence[Artifact]:
        """The artifacts that a reference stands for. Raises `InvalidInput` when a property cannot be read."""
        return self._named(reference.target)

    def empty_among(self, step: ResolvedStep) -> str | None:
        """The first reference of a step that stands for nothing at all."""
        return next((target for target, _ in results_read(step) if not self._named(target)), None)

    def _named(self, target: str) -> Sequence[Artifact]:
        name, property = split_result(target, self._artifacts)
        artifacts = self._artifacts.get(name, [])
        if property is None:
            return artifacts
        found: list[Artifact] = []
        for artifact in artifacts:
            member = member_of(artifact, property)
            if member is not None:
                found.append(member)
            elif not isinstance(artifact, ObjectArtifact):
                found += [encode(value, {}) for value in property_of([self._live(artifact)], property, name)]
        return found
