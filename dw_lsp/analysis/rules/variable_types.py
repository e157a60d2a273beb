"""Rules on what variables are: a default whose type serves the places that refer to it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dw_lsp.analysis.findings import Finding, Fix, Related, Rule
from dw_lsp.analysis.rules.context import Context, finding, narrow
from dw_lsp.analysis.rules.values import fits, wanted
from dw_lsp.text.edits import Edit
from dw_lsp.text.syntax_tree import Array, Missing, Node, Null, Number, Object, String, Unknown
from dw_lsp.workflow.format.commands import COMMANDS
from dw_lsp.workflow.format.shapes import (
    NUMBER,
    WHOLE,
    AnyOf,
    AnyShape,
    ListShape,
    MapShape,
    MediumShape,
    NumberShape,
    ObjectShape,
    Property,
    Shape,
    key,
)
from dw_lsp.workflow.format.workflow import WORKFLOW
from dw_lsp.workflow.references import parse_reference

VARIABLE_TYPE = Rule(
    "variable-type",
    "warning",
    "A variable whose default does not serve the places that refer to it.",
    "A caller's value is converted to the type of the default: of a whole number to a whole number, of text to text. "
    "Where the variable is used, that is no good.",
    '{ "variables": { "strength": 1 }, "steps": [{ ... "strength": "variable:strength" ... }] }',
    "Write the default as the type that is wanted, here 1.0.",
)
_SHARE = NumberShape(least=0, most=1)
#: Arguments that mean the same in every pipeline that has them. (Others are known from the pipeline's class.)
_CALL = {
    **{
        name: key(name, WHOLE, "A number of something.")
        for name in (
            "num_inference_steps",
            "num_images_per_prompt",
            "num_videos_per_prompt",
            "num_frames",
            "height",
            "width",
            "max_sequence_length",
        )
    },
    "guidance_scale": key("guidance_scale", AnyOf((NUMBER, ListShape(NUMBER))), "How closely the prompt is followed."),
    "strength": key("strength", _SHARE, "How much is changed."),
    "true_cfg_scale": key("true_cfg_scale", NUMBER, "How closely the prompt is followed."),
}


@dataclass(frozen=True)
class _Place:
    """A place that refers to a variable: the reference, and what should stand there."""

    variable: str
    node: String
    wanted: Property


def variable_type(context: Context) -> Iterator[Finding]:
    """Defaults that do not serve their uses, or that a constraint cannot hold for."""
    workflow = context.workflow
    if workflow is None:
        return
    defaults = {variable.name: variable.member.value for variable in workflow.variables}
    told = set()
    named = [use.node.range.start for use in workflow.uses if use.reference.kind == "variable"]
    for place in _places(workflow.root, WORKFLOW, named):
        default = defaults.get(place.variable)
        if default is not None and place.variable not in told:
            found = _misfit(default, place)
            if found is not None:
                told.add(place.variable)
                yield found
    constraints = workflow.root.get("variable_constraints")
    for member in constraints.members if isinstance(constraints, Object) else ():
        default = defaults.get(member.key.value)
        if default is not None and member.key.value not in told and not _may_be(default, NUMBER):
            message = f"The default of `{member.key.value}` is no number, but a constraint holds for it."
            yield finding(VARIABLE_TYPE, narrow(default), message, (Related(member.key.range, "the constraint"),))


def _misfit(default: Node, place: _Place) -> Finding | None:
    name, shape = place.variable, place.wanted.shape
    related = (Related(place.node.range, "used here"),)
    if not _may_be(default, shape):
        message = f"The default of `{name}` does not fit `{place.wanted.name}`, which is {wanted(shape)}."
        return finding(VARIABLE_TYPE, narrow(default), message, related, fixes=_as_number(default, shape))
    if isinstance(default, Number) and isinstance(default.value, int) and _is_fraction(place.wanted):
        message = (
            f"The default of `{name}` is a whole number, so that no caller can give a fraction, "
            f"which `{place.wanted.name}` takes. Write {default.value}.0."
        )
        fix = Fix(f"Change to {default.value}.0", (Edit(default.range, f"{default.value}.0"),), True, True)
        return finding(VARIABLE_TYPE, default.range, message, related, fixes=(fix,))
    return None


def _may_be(default: Node, shape: Shape) -> bool:
    """Whether a default may serve: null has no type, a medium or a list of results may be anything."""
    return isinstance(default, (Null, Object, Missing, Unknown)) or fits(default, shape)


def _is_fraction(known: Property) -> bool:
    """Whether fractions are what is usual in a place."""
    options = known.shape.options if isinstance(known.shape, AnyOf) else (known.shape,)
    numbers = [option for option in options if isinstance(option, NumberShape)]
    if not numbers or any(number.whole for number in numbers):
        return False
    return isinstance(known.default, float) or any(number.least == 0 and number.most == 1 for number in numbers)


def _as_number(default: Node, shape: Shape) -> tuple[Fix, ...]:
    """The number that stands in quotes."""
    if not isinstance(default, String) or not isinstance(shape, NumberShape):
        return ()
    try:
        float(default.value)
    except ValueError:
        return ()
    text = default.value.strip()
    whole = text.lstrip("-").isdecimal()
    return (Fix(f"Change to {text}", (Edit(default.range, text),), preferred=True),) if whole or "." in text else ()


# ---------------------------------------------------------------- what should stand where


def _places(node: Node, shape: Shape, named: Sequence[int]) -> Iterator[_Place]:
    """The references to variables in a value, in so far as the format says what should stand there.

    Arguments: `named` are the offsets of all references; what has none inside is passed over.
    """
    if not _holds(node, named):
        return
    if isinstance(shape, AnyOf):
        shape = next((option for option in shape.options if fits(node, option)), shape)
    if isinstance(node, Object) and isinstance(shape, ObjectShape):
        yield from _members(node, shape, named)
        yield from _arguments(node, shape, named)
    elif isinstance(node, Object) and isinstance(shape, MapShape) and not isinstance(shape.value, AnyShape):
        for member in node.members:
            yield from _at(member.value, key(member.key.value, shape.value, ""), named)
    elif isinstance(node, Array) and isinstance(shape, ListShape):
        for item in node.items:
            yield from _places(item, shape.item, named)


def _members(node: Object, shape: ObjectShape, named: Sequence[int]) -> Iterator[_Place]:
    for member in node.members:
        known = shape.property(member.key.value)
        if known is not None:
            yield from _at(member.value, known, named)
        elif shape.others is not None and isinstance(member.value, Object):
            yield from _places(member.value, shape.others, named)


def _holds(node: Node, named: Sequence[int]) -> bool:
    first = bisect_left(named, node.range.start)
    return first < len(named) and named[first] <= node.range.end


def _at(node: Node, known: Property, named: Sequence[int]) -> Iterator[_Place]:
    if not isinstance(node, String):
        yield from _places(node, known.shape, named)
        return
    reference = parse_reference(node.value)
    if reference is not None and reference.kind == "variable" and _says_something(known.shape):
        yield _Place(reference.name, node, known)


def _says_something(shape: Shape) -> bool:
    """Whether a shape rules out any default: text may stand for much, and a medium may have many forms."""
    return not isinstance(shape, (AnyShape, MediumShape, MapShape, ObjectShape))


def _arguments(node: Object, shape: ObjectShape, named: Sequence[int]) -> Iterator[_Place]:
    """The arguments of a call, which the format's tables leave open."""
    arguments = node.get("arguments")
    if not isinstance(arguments, Object):
        return
    command = node.get("command")
    known = COMMANDS.get(command.value) if shape.name == "task" and isinstance(command, String) else None
    for member in arguments.members:
        if shape.name in ("pipeline", "pipeline_reference"):
            wanted_here = _CALL.get(member.key.value)
        else:
            wanted_here = known.argument(member.key.value) if known is not None else None
        if wanted_here is not None:
            yield from _at(member.value, wanted_here, named)
