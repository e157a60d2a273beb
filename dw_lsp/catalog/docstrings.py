"""What a docstring says of each argument: its Args section, a text for each name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass

_SECTION = re.compile(r"^(Args|Arguments|Parameters|Attributes|Keyword Args|Other Parameters|Inputs):\s*$")
_OTHER = re.compile(
    r"^(Returns?|Yields?|Raises|Examples?|Example usage|Notes?|Outputs|Components|Configs|<Tip.*|\[`.*)"
)
_ENTRY = re.compile(r"^(\s*)([*\w]+(?:\s*,\s*\w+)*)\s*(?:\(([^\n]*?)\))?\s*:(?:\s+(.*)|$)")
_LONGEST = 1200


@dataclass(frozen=True)
class Described:
    """What the documentation says of an argument: its type in words, and its meaning."""

    name: str
    type: str
    text: str


def summary_of(docstring: str) -> str:
    """The first paragraph of a docstring, on one line."""
    paragraph = inspect.cleandoc(docstring).split("\n\n", 1)[0]
    text = " ".join(paragraph.split())[:_LONGEST]
    return "" if _OTHER.match(text) or _SECTION.match(text) else text


def described_arguments(docstring: str) -> tuple[Described, ...]:
    """What a docstring in Google's style says of each argument, in its order."""
    found: dict[str, Described] = {}
    for names, kind, lines in _entries(_argument_lines(inspect.cleandoc(docstring).splitlines())):
        text = " ".join(" ".join(lines).split())[:_LONGEST]
        for name in names:
            found.setdefault(name, Described(name, kind, text))
    return tuple(found.values())


def _argument_lines(lines: list[str]) -> Iterator[str]:
    inside = False
    for line in lines:
        bare = line.strip()
        if _SECTION.match(bare):
            inside = True
        elif bare and (not line.startswith(" ") or _begins_another(line)):
            inside = False
        elif inside:
            yield line


def _begins_another(line: str) -> bool:
    bare = line.lstrip()
    return len(line) - len(bare) <= 2 and _OTHER.match(bare) is not None


def _entries(lines: Iterator[str]) -> Iterator[tuple[list[str], str, list[str]]]:
    indent: int | None = None
    current: tuple[list[str], str, list[str]] | None = None
    for line in lines:
        entry = _ENTRY.match(line)
        if entry and (indent is None or len(entry[1]) <= indent):
            if current:
                yield current
            indent = len(entry[1])
            names = [name.strip().lstrip("*") for name in entry[2].split(",")]
            current = (names, _plain(entry[3] or ""), [entry[4] or ""])
        elif current:
            current[2].append(line.strip())
    if current:
        yield current


def _plain(written: str) -> str:
    """The type alone: that it may be left out, and its default, the signature says itself."""
    return re.split(r",\s*\*?(?:optional|defaults?)\b", " ".join(written.replace("`", "").split()))[0]
