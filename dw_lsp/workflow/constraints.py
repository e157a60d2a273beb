"""Which numbers variables may have: what is off the grid is rounded up, where the workflow says so, or else refused."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dw_lsp.text.syntax_tree import Node, Object, Range, Value, to_value
from dw_lsp.workflow.references import RESULTS
from dw_lsp.workflow.resolved import InvalidInput

CONSTRAINTS = "variable_constraints"
#: Text that stands for the numbers of a variable's constraint, where a chain says how many frames it can make.
REFERENCE = "constraint:"
_SNAP_KEYS = ("modulus", "remainder", "min_frames", "max_frames")


@dataclass(frozen=True)
class Constraint:
    """The numbers `modulus` x n + `remainder`, of those from `least` to `most`; `None`: that is free."""

    modulus: int | None
    remainder: int | None
    least: int | None
    most: int | None
    snap: bool
    reason: str | None

    def fitted(self, number: int | float) -> int | float | None:
        """The number that stands for a number; `None` where it is refused."""
        fits = self.next_allowed(number)
        if fits is None or (self.most is not None and fits > self.most):
            return None
        return fits if fits == number or self.snap else None

    def next_allowed(self, number: int | float) -> int | float | None:
        """The least number on the grid that is not below a number; `None` for what is no number."""
        if not math.isfinite(number):
            return None
        number = number if self.least is None else max(number, self.least)
        if self.modulus is None or self.remainder is None:
            return number
        whole = math.ceil(number)
        return whole + (self.remainder - whole) % self.modulus

    def __str__(self) -> str:
        parts = [] if self.modulus is None else [f"{self.modulus} x n + {self.remainder}"]
        parts += [] if self.least is None else [f"from {self.least}"]
        parts += [] if self.most is None else [f"to {self.most}"]
        return " ".join(parts) or "numbers"


def constraints_of(root: Object) -> dict[str, Constraint]:
    """The constraints of a workflow by the names of their variables. Raises `InvalidInput` for one that is none."""
    node = root.get(CONSTRAINTS)
    if node is None:
        return {}
    if not isinstance(node, Object):
        raise InvalidInput(f"`{CONSTRAINTS}` is an object: a name and the rule for each", node.range)
    return {member.key.value: _constraint(member.key.value, member.value) for member in node.members}


def _constraint(name: str, node: Node) -> Constraint:
    value = to_value(node)
    if not isinstance(value, dict):
        raise InvalidInput(f"the constraint of {name!r} is an object", node.range)
    problem = next(_problems(value), None)
    if problem is not None:
        raise InvalidInput(f"the constraint of {name!r}: {problem}", node.range)
    modulus, remainder, least, most = (None if value.get(key) is None else int(str(value[key])) for key in _SNAP_KEYS)
    reason = value.get("reason")
    told = reason if isinstance(reason, str) else None
    return Constraint(modulus, remainder, least, most, value.get("snap") == "up", told)


def _problems(value: Mapping[str, Value]) -> Iterator[str]:
    for key in value:
        if key not in (*_SNAP_KEYS, "snap", "reason"):
            yield f"it has no member `{key}`"
    for key in _SNAP_KEYS:
        number, least = value.get(key), 1 if key == "modulus" else 0
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < least):
            yield f"`{key}` is a whole number from {least}"
    if (value.get("modulus") is None) != (value.get("remainder") is None):
        yield "`modulus` and `remainder` go together"
    if value.get("snap") not in (None, "up"):
        yield "`snap` can only be `up`"


def constrained(
    values: Mapping[str, Value], constraints: Mapping[str, Constraint], places: Mapping[str, Range]
) -> dict[str, Value]:
    """The values of variables with the constrained ones on their grids.

    Arguments: `places` are those of the values that stand in the text. Raises `InvalidInput` for a value that a
    constraint does not allow.
    """
    found = dict(values)
    for name in constraints.keys() & values.keys():
        value, constraint = values[name], constraints[name]
        if value is None or (isinstance(value, str) and value.startswith(RESULTS)):
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InvalidInput(f"variable {name!r} is constrained, but {value!r} is no number", places.get(name))
        fitted = constraint.fitted(value)
        if fitted is None:
            why = f": {constraint.reason}" if constraint.reason else ""
            message = f"variable {name!r} is {value}, which its constraint does not allow{why}"
            raise InvalidInput(message, places.get(name), hint=_advice(constraint, value))
        found[name] = fitted
    return found


def _advice(constraint: Constraint, value: int | float) -> str:
    above = constraint.next_allowed(value)
    near = ""
    if above is not None and constraint.modulus is not None:
        around = (above - constraint.modulus, above)
        least, most = constraint.least or 0, constraint.most if constraint.most is not None else math.inf
        near = " and ".join(str(each) for each in around if least <= each <= most)
    return f"Allowed are {constraint}" + (f"; the nearest are {near}." if near else ".")


def with_frame_snap(body: Value, constraints: Mapping[str, Constraint], place: Range, step: str) -> Value:
    """A step's body in which a chain's `frame_snap` has the numbers of the constraint that it refers to.

    Raises `InvalidInput` where there is no such constraint.
    """
    chain = body.get("chain") if isinstance(body, dict) else None
    snap = chain.get("frame_snap") if isinstance(chain, dict) else None
    if not isinstance(body, dict) or not isinstance(chain, dict) or not isinstance(snap, str):
        return body
    name = snap.removeprefix(REFERENCE)
    if name == snap or name not in constraints:
        hint = f"There are constraints for {', '.join(sorted(constraints))}." if constraints else None
        raise InvalidInput(
            f"`frame_snap` refers to {snap!r}, which is no constraint of this workflow", place, step, hint
        )
    rule = constraints[name]
    numbers = zip(_SNAP_KEYS, (rule.modulus, rule.remainder, rule.least, rule.most), strict=True)
    told: Value = {key: number for key, number in numbers if number is not None}
    return {**body, "chain": {**chain, "frame_snap": told}}
