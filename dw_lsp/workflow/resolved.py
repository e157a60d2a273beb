"""A workflow whose variables have their values: what is planned and executed. Plain data, without a tree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from dw_lsp.text.syntax_tree import Range, Value

StepKind: TypeAlias = Literal["pipeline", "pipeline_reference", "task", "workflow"]
STEP_KINDS: tuple[StepKind, ...] = ("pipeline", "pipeline_reference", "task", "workflow")


class InvalidInput(Exception):
    """The author's text or a caller's argument is at fault: what is wrong, where, and what to do.

    Arguments: the message; `range` are offsets into the text (`None`: no place in it); `step` the step concerned;
    `hint` a mend.
    """

    def __init__(self, message: str, range: Range | None = None, step: str | None = None, hint: str | None = None):
        super().__init__(message)
        self.message, self.range, self.step, self.hint = message, range, step, hint


@dataclass(frozen=True)
class ResolvedStep:
    """One step: `body` is the value under the key of its kind, variables substituted, references to earlier steps not.

    `seed` is the step's own or the workflow's (a `seed` inside a pipeline's body goes before it). `places` says where
    in the text the value of a path inside the step stands (`("pipeline", "arguments", "prompt")`), for error messages.
    `facts` is where what follows from the step alone may be kept, so that it need not be found out twice.
    """

    name: str
    index: int
    kind: StepKind
    body: Mapping[str, Value]
    result: Mapping[str, Value] | None
    seed: int | None
    release_pipeline: bool
    release_models: bool
    range: Range
    places: Mapping[tuple[str | int, ...], Range]
    facts: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def place(self, *path: str | int) -> Range:
        """Where the path stands in the text: the nearest place known on the way to it, at last the step's name."""
        while path:
            if path in self.places:
                return self.places[path]
            path = path[:-1]
        return self.range


@dataclass(frozen=True)
class ResolvedWorkflow:
    """A whole workflow, ready to be planned: `variables` are the values in use."""

    id: str
    variables: Mapping[str, Value]
    seed: int | None
    steps: tuple[ResolvedStep, ...]

    def step(self, name: str) -> ResolvedStep | None:
        """The step of that name."""
        return next((step for step in self.steps if step.name == name), None)
