"""What of a single file is in memory: its components have the digest of the file in their keys, each under its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dw_lsp.planning.requirements import RequiredPipeline
from dw_lsp.protocol import Component


def key_of_content(name: str, whole: str) -> str:
    """The key of a component out of a file. Arguments: the key of all that is in the file."""
    return f"{name}:{whole.partition(':')[2]}"


def with_contents(required: RequiredPipeline, residency: Mapping[str, Component]) -> RequiredPipeline:
    """What a step requires, with the components in memory that came out of its single file in the place of the file."""
    if required.single_file is None:
        return required
    whole = required.parts[0]
    there = [record for record in residency.values() if record.key == key_of_content(record.name, whole.key)]
    parts = [
        replace(whole, name=each.name, class_name=each.class_name, key=each.key, bytes=each.bytes)
        for each in there
        if each.name not in required.explicit
    ]
    return replace(required, parts=(*parts, *required.parts[1:])) if parts else required
