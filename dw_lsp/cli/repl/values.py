"""Whether a value fits a variable, in its type and where the workflow uses it: told when it is given, not by a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from dw_lsp.analysis.diagnose import diagnose
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.cli.inputs import UnusableInput, workspace_folder
from dw_lsp.settings import Settings
from dw_lsp.text.document import Document, path_of
from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.conversion import convert
from dw_lsp.workflow.reader import read
from dw_lsp.workflow.resolved import InvalidInput


def typed(name: str, text: str, default: Value) -> Value:
    """What was typed, as the type of the variable's default. Raises `UnusableInput` when it is none."""
    try:
        return convert(name, text, default)
    except InvalidInput as problem:
        raise UnusableInput(problem.message if not problem.hint else f"{problem.message}. {problem.hint}") from None


def must_fit(document: Document, name: str, value: Value, default: Value, settings: Settings) -> None:
    """Raise `UnusableInput` when the value makes a mistake, which the default does not, where the variable is used."""
    known = set(_mistakes(_with_uses(document, name, default), settings))
    for mistake in _mistakes(_with_uses(document, name, value), settings):
        if mistake not in known:
            raise UnusableInput(f"{name} = {json.dumps(value, ensure_ascii=False)}: {mistake}")


def _with_uses(document: Document, name: str, value: Value) -> Document:
    """The workflow with the value written wherever the variable stands."""
    workflow, text = read(document.root), document.text
    uses = [] if workflow is None else workflow.uses
    places = [use.node.range for use in uses if (use.reference.kind, use.reference.name) == ("variable", name)]
    for place in sorted(places, key=lambda place: place.start, reverse=True):
        text = text[: place.start] + json.dumps(value, ensure_ascii=False) + text[place.end :]
    return replace(document, text=text)


def _mistakes(document: Document, settings: Settings) -> Iterator[str]:
    path = path_of(document.uri)
    workspace = DiskWorkspace([] if path is None else [workspace_folder(path)], settings)
    for finding in diagnose(document, workspace, settings.diagnostics.severity):
        if finding.severity == "error":
            yield finding.message
