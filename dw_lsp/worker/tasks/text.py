"""Commands on texts."""

from __future__ import annotations

import re
from typing import Annotated

from dw_lsp.worker.tasks.constraints import NotEmpty

#: A line that opens a section: "# Name", "## Name", "[Name]", "**Name**" or "Name:" alone on its line.
_HEADING = re.compile(r"^\s*(?:#{1,6}\s+(?P<hash>.+?)|\[(?P<bracket>[^\]]+)\]|(?P<plain>[^:\s][^:]{0,80}):)\s*$")


def compose_text(parts: Annotated[list[str], NotEmpty()], separator: str = "\n\n", skip_empty: bool = True) -> str:
    """Join texts.

    Args:
        parts: the texts, in order.
        separator: what stands between them.
        skip_empty: leave out parts that are empty or blank.
    """
    return separator.join(part for part in parts if part.strip() or not skip_empty)


def extract_sections(text: str, sections: Annotated[list[str], NotEmpty()], keep_preamble: bool = True) -> str:
    """Keep the named sections of a text. A section begins at a heading: "# Name", "[Name]" or "Name:" on its own line.

    Args:
        text: the text.
        sections: names of the sections to keep; upper and lower case count as equal.
        keep_preamble: keep what stands before the first heading.
    """
    wanted = {name.strip().strip("*").lower() for name in sections}
    kept: list[str] = []
    found: set[str] = set()
    keeping = keep_preamble
    for line in text.splitlines():
        name = _heading(line)
        if name is not None:
            keeping = name in wanted
            found.add(name)
        if keeping:
            kept.append(line)
    missing = sorted(wanted - found)
    if missing:
        raise ValueError(f"the text has no section {', '.join(map(repr, missing))}; it has {sorted(found) or 'none'}")
    return "\n".join(kept).strip()


def _heading(line: str) -> str | None:
    match = _HEADING.match(line.replace("**", ""))
    if match is None:
        return None
    name = match["hash"] or match["bracket"] or match["plain"]
    return name.strip().rstrip(":").lower()


def format_chat_message(system_prompt: str, user_message: str) -> list[list[dict[str, str]]]:
    """The list of messages that chat models take: one of the system, one of the user. It is one result.

    Args:
        system_prompt: how the model should behave.
        user_message: what is asked.
    """
    return [[{"role": "system", "content": system_prompt}, {"role": "user", "content": user_message}]]
