"""Where the parts of a text lie that a string stands for: between its quotes, escapes counted as they are written."""

from __future__ import annotations

import re

from dw_lsp.text.syntax_tree import Range, String

#: One character of the value: an escaped pair of surrogates, another escape, or itself.
_CHARACTER = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\[\"\\/bfnrt']|.", re.DOTALL
)


def content_range(text: str, string: String) -> Range:
    """The stretch between the quotes of a string, as far as they are there.

    Arguments: the text of the document; the string.
    """
    start, end = string.range.start, string.range.end
    quoted = text[start : start + 1] in ('"', "'")
    if end > start + quoted and string.closed and text[end - 1] in ('"', "'"):
        end -= 1
    return Range(start + quoted, end)


def part_range(text: str, string: String, start: int, end: int) -> Range:
    """Where a part of a string's value is written.

    Arguments: the text of the document; the string; the part's first and last place (exclusive) in the value.
    """
    content = content_range(text, string)
    if "\\" not in text[content.start : content.end]:
        return Range(content.start + start, min(content.start + end, content.end))
    places = [match.start() for match in _CHARACTER.finditer(text, content.start, content.end)]
    places.append(content.end)
    last = len(places) - 1
    return Range(places[min(start, last)], places[min(end, last)])
