"""Rules on single values: of the right JSON type, and among what is allowed."""

from __future__ import annotations

from collections.abc import Iterator

from dw_lsp.analysis.findings import Finding, Rule
from dw_lsp.analysis.rules.context import asked, finding, narrow, nearest
from dw_lsp.analysis.rules.fixes.values import fix_choice, fix_limit, fix_type
from dw_lsp.text.syntax_tree import Array, Boolean, Missing, Node, Null, Number, Object, String, Unknown, to_value
from dw_lsp.workflow.format.shapes import (
    AnyOf,
    AnyShape,
    FlagShape,
    ListShape,
    MapShape,
    MediumShape,
    NullShape,
    NumberShape,
    ObjectShape,
    Shape,
    TextShape,
)
from dw_lsp.workflow.references import parse_reference

WRONG_TYPE = Rule(
    "wrong-type",
    "error",
    "A value of another JSON type than its key takes.",
    "The engine would refuse it, or misunderstand it.",
    '"save": "yes"',
    "Write a value of the type in the message; a reference to a variable fits anywhere.",
)
INVALID_VALUE = Rule(
    "invalid-value",
    "error",
    "A value that is not among those allowed, or out of range.",
    "The engine would refuse it.",
    '"offload": "modell"',
    "Take one of the values in the message.",
)


def fits(node: Node, shape: Shape) -> bool:
    """Whether a value is of the JSON type that a shape wants, or stands for one: a reference, a value not yet typed."""
    if isinstance(node, (Missing, Unknown)) or (isinstance(node, String) and parse_reference(node.value) is not None):
        return True
    if isinstance(shape, AnyOf):
        return any(fits(node, option) for option in shape.options)
    if isinstance(shape, NumberShape):
        whole = isinstance(node, Number) and (not isinstance(node.value, float) or node.value.is_integer())
        return isinstance(node, Number) and (whole or not shape.whole)
    wanted = _NODES.get(type(shape))
    return wanted is None or isinstance(node, wanted)


_NODES: dict[type, type[Node] | tuple[type[Node], ...]] = {
    TextShape: String,
    FlagShape: Boolean,
    NullShape: Null,
    ListShape: Array,
    MapShape: Object,
    ObjectShape: Object,
    MediumShape: (String, Object, Array),
}


def value_findings(node: Node, shape: Shape, name: str) -> Iterator[Finding]:
    """What is wrong with a value that has no keys of its own to be judged. Arguments: `name` begins the sentence."""
    if isinstance(shape, AnyShape):
        return
    if not fits(node, shape):
        message = f"{name} is {wanted(shape)}, not {_found(node)}."
        yield finding(WRONG_TYPE, narrow(node), message, fixes=fix_type(node, shape, fits))
    elif isinstance(node, String) and isinstance(shape, TextShape) and parse_reference(node.value) is None:
        yield from _text(node, shape, name)
    elif isinstance(node, Number) and isinstance(shape, NumberShape):
        yield from _number(node, shape, name)
    elif isinstance(node, Array) and isinstance(shape, ListShape):
        yield from _list(node, shape, name)


def _text(node: String, shape: TextShape, name: str) -> Iterator[Finding]:
    if shape.choices and node.value not in shape.choices:
        allowed = ", ".join(f"`{choice}`" for choice in shape.choices)
        near = nearest(node.value, shape.choices)
        fixes = fix_choice(node, shape, near)
        yield finding(INVALID_VALUE, node.range, f"{name} is one of {allowed}.{asked(near)}", fixes=fixes)
    if shape.longest is not None and len(node.value) > shape.longest:
        message = f"{name} has at most {shape.longest} characters; these are {len(node.value)}."
        yield finding(INVALID_VALUE, node.range, message)


def _number(node: Number, shape: NumberShape, name: str) -> Iterator[Finding]:
    if shape.choices and node.value not in shape.choices:
        yield finding(INVALID_VALUE, node.range, f"{name} is one of {', '.join(map(str, shape.choices))}.")
    if shape.least is not None and node.value < shape.least:
        fixes = fix_limit(node, shape.least)
        yield finding(INVALID_VALUE, node.range, f"{name} is at least {shape.least:g}.", fixes=fixes)
    if shape.most is not None and node.value > shape.most:
        fixes = fix_limit(node, shape.most)
        yield finding(INVALID_VALUE, node.range, f"{name} is at most {shape.most:g}.", fixes=fixes)
    if shape.above is not None and node.value <= shape.above:
        yield finding(INVALID_VALUE, node.range, f"{name} is greater than {shape.above:g}.")


def _list(node: Array, shape: ListShape, name: str) -> Iterator[Finding]:
    count = len(node.items)
    if count < shape.at_least:
        what = "item" if shape.at_least == 1 else "items"
        yield finding(INVALID_VALUE, node.range, f"{name} needs at least {shape.at_least} {what}.")
    if shape.at_most is not None and count > shape.at_most:
        yield finding(INVALID_VALUE, narrow(node), f"{name} has at most {shape.at_most} items; these are {count}.")
    if shape.unique:
        seen: list[object] = []
        for item in node.items:
            value = to_value(item)
            if value in seen:
                yield finding(INVALID_VALUE, narrow(item), f"{name} has each item only once.")
            seen.append(value)


def wanted(shape: Shape) -> str:
    """What a shape takes, for people."""
    if isinstance(shape, AnyOf):
        parts = list(dict.fromkeys(wanted(option) for option in shape.options))
        return " or ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]
    if isinstance(shape, NumberShape):
        return "a whole number" if shape.whole else "a number"
    if isinstance(shape, MediumShape):
        return f"{_MEDIA[shape.kind]} (a path, an address or a reference)"
    return _WANTED.get(type(shape), "any value")


_MEDIA = {"image": "an image", "video": "a video", "audio": "a sound", "medium": "an image, a video or a sound"}


_WANTED = {
    TextShape: "text",
    FlagShape: "true or false",
    NullShape: "null",
    ListShape: "a list",
    MapShape: "an object",
    ObjectShape: "an object",
}


def _found(node: Node) -> str:
    if isinstance(node, Number):
        return "a number with a fraction" if isinstance(node.value, float) else "a number"
    if isinstance(node, Boolean):
        return "true" if node.value else "false"
    return {String: "text", Null: "null", Array: "a list", Object: "an object"}[type(node)]
