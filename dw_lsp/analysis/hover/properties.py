"""Keys and arguments in words: what each means, what it takes, what it is if it is not given."""

from __future__ import annotations

import json

from dw_lsp.analysis.completion.arguments import Argument
from dw_lsp.analysis.completion.expected import Expected
from dw_lsp.analysis.rules.values import wanted
from dw_lsp.planning.output_names import extension_of
from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.format.command import Command
from dw_lsp.workflow.format.shapes import (
    AnyOf,
    AnyShape,
    MapShape,
    NumberShape,
    ObjectShape,
    Property,
    Shape,
    TextShape,
)

_LONGEST_DEFAULT = 60
_DIALECTS = {"A": "Known to the older dialect only.", "B": "Known to the newer dialect only."}


def property_text(known: Property, origin: str = "") -> str:
    """A key with its type and default, what it means, and what else is to be known.

    Arguments: `origin` says whose argument it is.
    """
    head = f"**`{known.name}`**{_signature(known)}{' (required)' if known.required else ''}"
    parts = [head + (f" — {origin}" if origin else ""), known.meaning, _choices(known.shape)]
    if known.deprecated:
        parts.append(f"*Deprecated:* use {known.deprecated}.")
    elif known.dialect in _DIALECTS:
        parts.append(_DIALECTS[known.dialect])
    return "\n\n".join(part for part in parts if part)


def _signature(known: Property) -> str:
    if isinstance(known, Argument) and known.signature:
        return f": `{known.signature}`"
    if isinstance(known.shape, (AnyShape, ObjectShape, MapShape)):
        return ""
    default = f", {written(known.default)} if not given" if known.default is not None else ""
    return f": {wanted(known.shape)}{default}"


def written(value: Value) -> str:
    """A value as a workflow has it, cut if it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return f"`{text if len(text) <= _LONGEST_DEFAULT else text[: _LONGEST_DEFAULT - 1] + '…'}`"


def _choices(shape: Shape) -> str:
    options = shape.options if isinstance(shape, AnyOf) else (shape,)
    for option in options:
        if isinstance(option, TextShape) and (option.choices or option.suggestions):
            listed = ", ".join(f"`{each}`" for each in option.choices or option.suggestions)
            return f"{'One of' if option.choices else 'Such as'} {listed}."
        if isinstance(option, NumberShape) and (bounds := _bounds(option)):
            return bounds
    return ""


def _bounds(shape: NumberShape) -> str:
    if shape.choices:
        return "One of " + ", ".join(f"`{choice:g}`" for choice in shape.choices) + "."
    if shape.least is not None and shape.most is not None:
        return f"From {shape.least:g} to {shape.most:g}."
    if shape.above is not None:
        return f"Greater than {shape.above:g}."
    return f"At least {shape.least:g}." if shape.least is not None else ""


def object_text(expected: Expected) -> str:
    """What an object of the format is for."""
    shape = expected.object_shape
    return "" if shape is None or shape.name == "arguments" else shape.meaning


def content_type_text(name: str) -> str | None:
    """A content type: what files of it are called; `None` for one that is not known."""
    extension = extension_of(name)
    return None if extension is None else f"**`{name}`** — written as `{extension}`"


def command_text(command: Command) -> str:
    """A task command with its arguments."""
    arguments = ", ".join(
        known.name + ("" if known.required else f"={json.dumps(known.default, ensure_ascii=False)}")
        for known in command.arguments
    )
    lines = [f"```python\n{command.name}({arguments})\n```", command.meaning]
    if command.gives != "any":
        lines.append(
            f"Gives {command.gives}" + (f" with {_listed(command.properties)}." if command.properties else ".")
        )
    if command.dialect in _DIALECTS:
        lines.append(_DIALECTS[command.dialect])
    return "\n\n".join(lines)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
