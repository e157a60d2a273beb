"""Values as JSON text, in the style of the document that they come into."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from dw_lsp.text.syntax_tree import Value

#: Columns beyond which a list of scalars is not written on one line.
WIDEST = 100
_INDENTED = re.compile(r"^(\t|[ ]+)[^\s]", re.MULTILINE)
_NEWLINE = re.compile(r"\r\n|\n|\r")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Style:
    """How a document is laid out: by what each level is indented, and how lines end."""

    unit: str = "  "
    newline: str = "\n"


def style_of(text: str) -> Style:
    """The style of a text, as its first indented line and its first line end have it."""
    indented, newline = _INDENTED.search(text), _NEWLINE.search(text)
    return Style(indented.group(1) if indented else "  ", newline.group() if newline else "\n")


def quote(text: str) -> str:
    """A text as a JSON string. Half of a surrogate pair, which no file can hold, is escaped."""
    written = json.dumps(text, ensure_ascii=False)
    return _HALF_CHARACTER.sub(lambda half: f"\\u{ord(half.group()):04x}", written)


def write(value: Value, style: Style, indent: str = "", one_line: bool = False) -> str:
    """A value as JSON text.

    Arguments: `indent` is that of the line on which it begins; `one_line` keeps all of it there. Otherwise objects have
    a line for each member, and lists of scalars are kept on one line where they fit.
    """
    if isinstance(value, str):
        return quote(value)
    if not isinstance(value, (dict, list)):
        return json.dumps(value)
    if not value:
        return "{}" if isinstance(value, dict) else "[]"
    if isinstance(value, dict):
        parts = [f"{quote(key)}: {write(item, style, indent + style.unit, one_line)}" for key, item in value.items()]
        return _in_brackets("{", " ", parts, "}", style, indent, one_line)
    parts = [write(item, style, indent + style.unit, one_line) for item in value]
    scalars = not any(isinstance(item, (dict, list)) for item in value)
    short = scalars and len(indent) + sum(len(part) + 2 for part in parts) <= WIDEST
    return _in_brackets("[", "", parts, "]", style, indent, one_line or short)


def _in_brackets(
    opener: str, padding: str, parts: list[str], closer: str, style: Style, indent: str, one_line: bool
) -> str:
    if one_line:
        return opener + padding + ", ".join(parts) + padding + closer
    inner = style.newline + indent + style.unit
    return opener + inner + ("," + inner).join(parts) + style.newline + indent + closer


def reindent(written: str, before: str, after: str) -> str:
    """A value's text, moved to lines of another indentation: all its lines but the first are shifted."""
    if before == after:
        return written
    first, *rest = re.split(r"(?<=\n)|(?<=\r)(?!\n)", written)
    return first + "".join(after + line[len(before) :] if line.startswith(before) else line for line in rest)
