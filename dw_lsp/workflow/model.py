"""A workflow as its author wrote it, as far as it can be understood: every part knows its place in the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dw_lsp.text.syntax_tree import Member, Node, Object, String
from dw_lsp.workflow.references import Reference
from dw_lsp.workflow.resolved import StepKind


@dataclass(frozen=True)
class Variable:
    """A declared variable: the member that declares it."""

    name: str
    member: Member


@dataclass(frozen=True)
class Step:
    """A step; what it lacks is `None`. `body` is the value under the key of its kind."""

    index: int
    node: Object
    name: String | None
    kinds: tuple[StepKind, ...]
    body: Node | None

    @property
    def kind(self) -> StepKind | None:
        """What kind of step it is, if it is just one."""
        return self.kinds[0] if len(self.kinds) == 1 else None


@dataclass(frozen=True)
class Use:
    """A place where something is referred to: `step` is the index of the step around it, `None` outside of steps.

    `bare`: the name stands there without a prefix, as in `reference_name`.
    """

    reference: Reference
    node: String
    step: int | None
    bare: bool = False


@dataclass(frozen=True)
class Workflow:
    """The whole: `uses` are all references, in the order of the text.

    `members`: every member inside of the steps, with the object that it is in, by key and in the order of the text;
    `texts`: every text with a colon in it that is not meant for people alone.
    """

    root: Object
    variables: tuple[Variable, ...]
    steps: tuple[Step, ...]
    uses: tuple[Use, ...]
    members: Mapping[str, Sequence[tuple[Object, Member]]] = field(default_factory=dict)
    texts: tuple[String, ...] = ()

    def step_names(self) -> tuple[str, ...]:
        """The names of all steps that have one."""
        return tuple(step.name.value for step in self.steps if step.name is not None)
