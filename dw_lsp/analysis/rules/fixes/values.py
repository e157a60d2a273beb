"""Fixes of values: of another type where it is certain what was meant, among what is allowed, within the limits."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from dw_lsp.analysis.findings import Fix
from dw_lsp.analysis.rules.fixes.names import change_to
from dw_lsp.text.edits import Edit, wrap
from dw_lsp.text.syntax_tree import Boolean, Node, Null, Number, Range, String
from dw_lsp.text.writing import quote
from dw_lsp.workflow.format.shapes import AnyOf, FlagShape, ListShape, NumberShape, Shape, TextShape

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]{1,16})?")
_FLAGS = {"true": "true", "false": "false"}
_LIKE_FLAGS = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false", "0": "false"}
#: Choices up to which each is offered when none is near.
FEW = 4


def fix_type(node: Node, shape: Shape, fits: Callable[[Node, Shape], bool]) -> tuple[Fix, ...]:
    """The value in the type that the key takes. Arguments: `fits` tells whether a value is of a shape's type."""
    if isinstance(shape, AnyOf):
        for option in shape.options:
            if fixes := fix_type(node, option, fits):
                return fixes
    elif isinstance(shape, ListShape):
        fitting = fits(node, shape.item) and not isinstance(node, Null) and shape.at_least <= 1
        return (Fix("Put it in a list", wrap(node, "[", "]"), preferred=True),) if fitting else ()
    elif isinstance(node, String):
        return _from_text(node, shape)
    elif isinstance(node, (Number, Boolean)):
        return _from_scalar(node, shape)
    return ()


def _from_text(node: String, shape: Shape) -> tuple[Fix, ...]:
    written = node.value.strip()
    if isinstance(shape, NumberShape) and _NUMBER.fullmatch(written) and _allowed(float(written), shape):
        return (_change(node.range, written, safe=True),)
    if isinstance(shape, FlagShape):
        lowered = written.lower()
        if lowered in _FLAGS:
            return (_change(node.range, _FLAGS[lowered], safe=True),)
        if lowered in _LIKE_FLAGS:
            return (_change(node.range, _LIKE_FLAGS[lowered]),)
    return ()


def _from_scalar(node: Number | Boolean, shape: Shape) -> tuple[Fix, ...]:
    if isinstance(shape, TextShape) and not shape.choices and not shape.suggestions:
        written = quote(json.dumps(node.value))
        return (Fix(f"Change to {written}", (Edit(node.range, written),)),)
    if isinstance(shape, FlagShape) and isinstance(node, Number) and node.value in (0, 1):
        return (_change(node.range, "true" if node.value else "false"),)
    return ()


def _allowed(number: float, shape: NumberShape) -> bool:
    if shape.whole and not number.is_integer():
        return False
    enough = (shape.least is None or number >= shape.least) and (shape.above is None or number > shape.above)
    return enough and (shape.most is None or number <= shape.most)


def _change(place: Range, written: str, safe: bool = False) -> Fix:
    return Fix(f"Change to {written}", (Edit(place, written),), True, safe)


def fix_choice(node: String, shape: TextShape, near: str | None) -> tuple[Fix, ...]:
    """The near value, or each of a few."""
    if near is not None or len(shape.choices) > FEW:
        return change_to(node.range, node.value, near)
    return tuple(Fix(f"Change to `{choice}`", (Edit(node.range, quote(choice)),)) for choice in shape.choices)


def fix_limit(node: Number, limit: float) -> tuple[Fix, ...]:
    """The limit itself."""
    written = f"{limit:g}"
    return (Fix(f"Change to {written}", (Edit(node.range, written),)),)
