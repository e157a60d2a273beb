"""References that do nothing because they are only a part of a text."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from dw_lsp.analysis.findings import Finding, Rule
from dw_lsp.analysis.rules.context import Context, finding
from dw_lsp.text.syntax_tree import Range, String
from dw_lsp.workflow.references import parse_reference, words_behind

REFERENCE_IN_TEXT = Rule(
    "reference-in-text",
    "warning",
    "A reference inside of a longer text.",
    "Only a whole text is replaced: inside of a longer one the words `variable:NAME` stay as they are.",
    '"prompt": "a photo of variable:subject"',
    "Make the whole text a variable, or join texts with the task `compose_text`.",
)
#: What nobody writes in prose: a prefix followed at once by a name. (`item:` or `prompt:` may stand in prose.)
_INSIDE = re.compile(r"(?<![\w:/.-])(?:(?:variable|previous_result):[A-Za-z_][\w-]*|constant:[A-Za-z_]\w*(?:\.\w+)+)")
_ANY_CASE = re.compile(r"(?P<kind>variable|previous_result)\s*:\s*(?P<name>[\w.-]+)", re.IGNORECASE)

_Names = dict[str, set[str]]


def reference_in_text(context: Context) -> Iterator[Finding]:
    """References that are a part of a longer text."""
    workflow = context.workflow
    if workflow is None:
        return
    names = {
        "variable": {variable.name for variable in workflow.variables},
        "previous_result": set(workflow.step_names()),
    }
    for node in workflow.texts:
        if node.closed:
            yield from _in_text(context, node, names)


def _in_text(context: Context, node: String, names: _Names) -> Iterator[Finding]:
    reference = parse_reference(node.value)
    if reference is not None:
        if words_behind(reference, names.get(reference.kind, ())):
            message = "Only a whole text is replaced, and here more stands behind the name."
            # The engine takes all of it for a name, and stops.
            yield dataclasses.replace(finding(REFERENCE_IN_TEXT, node.range, message), severity="error")
        return
    whole = _ANY_CASE.fullmatch(node.value.strip())
    if whole is not None and whole["name"].partition(".")[0] in names[whole["kind"].lower()]:
        message = f"This is no reference, but text; a reference is written `{whole['kind'].lower()}:{whole['name']}`."
        yield finding(REFERENCE_IN_TEXT, node.range, message)
        return
    for match in _INSIDE.finditer(node.value):
        told = match.group()
        message = f"`{told}` is only a part of this text and stays as it is: only a whole text is replaced."
        yield finding(REFERENCE_IN_TEXT, _place(context, node, told), message)


def _place(context: Context, node: String, told: str) -> Range:
    """Where the reference stands in the text of the document; escapes may have moved it."""
    at = context.document.text.find(told, node.range.start, node.range.end)
    return node.range if at < 0 else Range(at, at + len(told))
