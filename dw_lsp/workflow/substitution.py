"""A workflow's tree and a caller's arguments -> the workflow with its variables put in, ready to be planned and run.

Reads the union of both dialects of the format. What keeps a workflow from being executed is an `InvalidInput` at its
place in the text; what is merely unusual passes (the analysis tells of it).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from dw_lsp.text.syntax_tree import Array, Node, Object, Range, String, Value, to_value
from dw_lsp.workflow.constraints import Constraint, constrained, constraints_of, with_frame_snap
from dw_lsp.workflow.conversion import convert
from dw_lsp.workflow.references import RESULTS, parse_reference
from dw_lsp.workflow.resolved import STEP_KINDS, InvalidInput, ResolvedStep, ResolvedWorkflow, StepKind
from dw_lsp.workflow.type_uses import names_type
from dw_lsp.workflow.upscaling import as_pipeline

#: With a value of null these keys are kept: there null has a meaning of its own.
KEEPS_NULL = frozenset({"from_file", "from_previous_result", "from_arguments"})
#: What the object of a step of each kind must have.
REQUIRED: Mapping[StepKind, tuple[str, ...]] = {
    "pipeline": ("configuration", "from_pretrained_arguments", "arguments"),
    "pipeline_reference": ("reference_name", "arguments"),
    "task": ("command",),
    "workflow": ("path",),
}


def resolve(root: Node | None, arguments: Mapping[str, Value]) -> ResolvedWorkflow:
    """The workflow with the values of its variables.

    Arguments: the document's tree; `arguments` values for variables, converted to the type of each default.
    Raises `InvalidInput` for whatever keeps the workflow from being executed.
    """
    if not isinstance(root, Object):
        raise InvalidInput("a workflow is an object: { ... }", None if root is None else root.range)
    variables = variable_values(root, arguments)
    substitution = _Substitution(variables)
    steps_node = root.get("steps")
    if not isinstance(steps_node, Array) or not steps_node.items:
        place = root.member("steps")
        raise InvalidInput(
            "a workflow needs a list of `steps` with at least one step", place.key.range if place else None
        )
    seed = _seed(substitution.value(root.get("seed")), root.get("seed"), "the workflow's `seed`")
    constraints = constraints_of(root)
    steps: list[ResolvedStep] = []
    names: set[str] = set()
    for index, node in enumerate(steps_node.items):
        step = _step(node, index, seed, substitution, constraints)
        if step.name in names:
            raise InvalidInput(f"two steps are named {step.name!r}; rename one of them", step.range, step.name)
        names.add(step.name)
        steps.append(step)
    return ResolvedWorkflow(_id(root, substitution), variables, seed, tuple(steps))


def _id(root: Object, substitution: _Substitution) -> str:
    value = substitution.value(root.get("id"))
    if isinstance(value, str) and value.strip():
        return value
    member = root.member("id")
    raise InvalidInput(
        "a workflow needs an `id`: the name that its output files begin with", member.range if member else None
    )


# ---------------------------------------------------------------- variables


def variable_values(root: Object, arguments: Mapping[str, Value]) -> dict[str, Value]:
    """The values of all declared variables: the caller's, else the defaults; on their grids where they are constrained.

    Raises `InvalidInput` for an argument that no variable is declared for, that cannot be converted or is not allowed.
    """
    block = root.get("variables")
    if block is not None and not isinstance(block, Object):
        raise InvalidInput("`variables` is an object: a name and a default value for each", block.range)
    declared = to_value(block) if block is not None else {}
    assert isinstance(declared, dict)
    for name in arguments:
        if name not in declared:
            raise InvalidInput(_undeclared(f"there is no variable {name!r}", name, declared))
    given = {
        name: convert(name, arguments[name], default) if name in arguments else default
        for name, default in declared.items()
    }
    values = {name: _nested(value, given, (name,), block) for name, value in given.items()}
    places = {member.key.value: member.value.range for member in block.members} if block is not None else {}
    own = {name: place for name, place in places.items() if name not in arguments}
    return constrained(values, constraints_of(root), own)


def _nested(value: Value, values: Mapping[str, Value], path: tuple[str, ...], block: Object | None) -> Value:
    """A variable's value with the references to other variables in it resolved."""
    if isinstance(value, dict):
        nested = {key: _nested(item, values, path, block) for key, item in value.items()}
        # As everywhere: a key whose variable is null goes away.
        return {key: item for key, item in nested.items() if item is not None or _keeps_null(key, value[key])}
    if isinstance(value, list):
        return [_nested(item, values, path, block) for item in value]
    reference = parse_reference(value) if isinstance(value, str) else None
    if reference is None or reference.kind != "variable":
        return value
    member = block.member(path[0]) if block is not None else None
    place = member.value.range if member else None
    if reference.name not in values:
        raise InvalidInput(
            _undeclared(f"variable {path[0]!r} refers to {reference.name!r}", reference.name, values), place
        )
    if reference.name in path:
        raise InvalidInput(f"variables refer to each other in a circle: {' -> '.join((*path, reference.name))}", place)
    return _nested(values[reference.name], values, (*path, reference.name), block)


def _keeps_null(key: str, written: Value) -> bool:
    """Whether a key stays whose value is null: that is what the text has there, or it means something."""
    return written is None or key in KEEPS_NULL


def _undeclared(problem: str, name: str, declared: Mapping[str, Value]) -> str:
    if not declared:
        return f"{problem}, and the workflow declares no variables"
    near = difflib.get_close_matches(name, declared, 1)
    meant = f"; did you mean {near[0]!r}?" if near else "."
    return f"{problem}, which is not declared{meant} Declared are: {', '.join(sorted(declared))}"


class _Substitution:
    """Puts values in the place of `variable:` references."""

    def __init__(self, variables: Mapping[str, Value]):
        self._variables = variables

    def value(self, node: Node | None) -> Value:
        """The plain value of a node with its variables put in; a key whose variable is null goes away."""
        if node is None:
            return None
        if isinstance(node, Object):
            return {
                member.key.value: self.value(member.value)
                for member in node.members
                if member.key.value in KEEPS_NULL or not self._is_null_variable(member.value)
            }
        if isinstance(node, Array):
            return [self.value(item) for item in node.items]
        if isinstance(node, String):
            reference = parse_reference(node.value)
            if reference is not None and reference.kind == "variable":
                return self._looked_up(reference.name, node.range)
        return to_value(node)

    def _looked_up(self, name: str, place: Range) -> Value:
        if name not in self._variables:
            raise InvalidInput(_undeclared(f"`variable:{name}` refers to {name!r}", name, self._variables), place)
        return self._variables[name]

    def _is_null_variable(self, node: Node) -> bool:
        if not isinstance(node, String):
            return False
        reference = parse_reference(node.value)
        if reference is None or reference.kind != "variable":
            return False
        return self._looked_up(reference.name, node.range) is None


# ---------------------------------------------------------------- steps


def _step(
    node: Node,
    index: int,
    workflow_seed: int | None,
    substitution: _Substitution,
    constraints: Mapping[str, Constraint],
) -> ResolvedStep:
    if not isinstance(node, Object):
        raise InvalidInput(f"step {index + 1} is no object", node.range)
    name_node = node.get("name")
    if not isinstance(name_node, String) or not name_node.value:
        raise InvalidInput(f"step {index + 1} needs a `name`", name_node.range if name_node else _brace(node))
    name, place = name_node.value, name_node.range
    kind = _kind(node, name, place)
    if (for_each := node.member("for_each")) is not None:
        raise InvalidInput("`for_each` is not supported by this engine yet", for_each.key.range, name)
    body = _with_sources(substitution.value(node.get(kind)))
    places = dict(_places(node, ()))
    body = with_frame_snap(body, constraints, places.get((kind, "chain", "frame_snap"), place), name)
    if not isinstance(body, dict):
        raise InvalidInput(f"`{kind}` of step {name!r} is an object", _member_range(node, kind, place), name)
    _check_required(node, kind, body, name)
    result = substitution.value(node.get("result"))
    if result is not None and not isinstance(result, dict):
        raise InvalidInput(f"`result` of step {name!r} is an object", _member_range(node, "result", place), name)
    seed = _seed(substitution.value(node.get("seed")), node.get("seed"), f"`seed` of step {name!r}")
    step = ResolvedStep(
        name=name,
        index=index,
        kind=kind,
        body=body,
        result=result,
        seed=workflow_seed if seed is None else seed,
        release_pipeline=_flag(substitution, node, "release_pipeline", name),
        release_models=_flag(substitution, node, "release_models", name),
        range=place,
        places=places,
    )
    return _with_pipelines_seed(as_pipeline(step))


def _with_pipelines_seed(step: ResolvedStep) -> ResolvedStep:
    """The step with a sound seed of its pipeline, which goes before all others."""
    given = step.body.get("seed")
    if step.kind != "pipeline" or given is None:
        return step
    seed = _whole_seed(given, step.place("pipeline", "seed"), f"the pipeline's `seed` of step {step.name!r}", step.name)
    return replace(step, body={**step.body, "seed": seed})


def _with_sources(value: Value) -> Value:
    """A value in which objects that are made from results refer to them, and those that are made from null are gone.

    The format names the step alone there; with the usual beginning it counts as every other reference does.
    """
    if isinstance(value, list):
        return [_with_sources(item) for item in value if not _is_left_out(item)]
    if not isinstance(value, dict):
        return value
    found = {key: _with_sources(item) for key, item in value.items()}
    source = found.get("from_previous_result")
    if isinstance(source, str) and not source.startswith(RESULTS):
        found["from_previous_result"] = RESULTS + source
    return found


def _is_left_out(value: Value) -> bool:
    """Whether an object of a class has nothing to be made from."""
    if not isinstance(value, dict) or not any(names_type(key) for key in value):
        return False
    return any(key in value and value[key] is None for key in KEEPS_NULL)


def _kind(node: Object, name: str, place: Range) -> StepKind:
    kinds: list[StepKind] = [kind for kind in STEP_KINDS if node.get(kind) is not None]
    if len(kinds) == 1:
        return kinds[0]
    wanted = ", ".join(f"`{kind}`" for kind in STEP_KINDS)
    if not kinds:
        raise InvalidInput(f"step {name!r} does nothing; it needs one of {wanted}", place, name)
    found = " and ".join(f"`{kind}`" for kind in kinds)
    second = node.member(kinds[1])
    raise InvalidInput(
        f"step {name!r} has {found}; a step has just one of {wanted}", second.key.range if second else None, name
    )


def _check_required(node: Object, kind: StepKind, body: Mapping[str, Value], name: str) -> None:
    place = _member_range(node, kind, node.range)
    for key in REQUIRED[kind]:
        if key not in body:
            raise InvalidInput(f"`{kind}` of step {name!r} needs `{key}`", place, name)
    if kind == "task" and ("arguments" in body) == ("inputs" in body):
        raise InvalidInput(f"`task` of step {name!r} needs either `arguments` or `inputs`", place, name)
    for key in ("configuration", "from_pretrained_arguments", "arguments"):
        if key in body and not isinstance(body[key], dict):
            raise InvalidInput(f"`{key}` of step {name!r} is an object", place, name)


def _flag(substitution: _Substitution, node: Object, key: str, name: str) -> bool:
    value = substitution.value(node.get(key))
    if value is None or isinstance(value, bool):
        return bool(value)
    raise InvalidInput(f"`{key}` of step {name!r} is true or false", _member_range(node, key, node.range), name)


def _seed(value: Value, node: Node | None, what: str) -> int | None:
    return None if value is None else _whole_seed(value, None if node is None else node.range, what)


def _whole_seed(value: Value, place: Range | None, what: str, step: str | None = None) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64:
        return value
    raise InvalidInput(f"{what} is a whole number from 0 to 2^64 - 1", place, step)


def _member_range(node: Object, key: str, otherwise: Range) -> Range:
    member = node.member(key)
    return otherwise if member is None else member.key.range


def _brace(node: Object) -> Range:
    return Range(node.range.start, node.range.start + 1)


def _places(node: Node, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Range]]:
    """Where each value inside the step stands."""
    if path:
        yield path, node.range
    if isinstance(node, Object):
        for member in node.members:
            yield from _places(member.value, (*path, member.key.value))
    elif isinstance(node, Array):
        for index, item in enumerate(node.items):
            yield from _places(item, (*path, index))
