"""Another name for a variable or a step, everywhere it is named; or why that cannot be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dw_lsp.analysis.names import step_name_of, workflow_of
from dw_lsp.analysis.navigation import Mention, Symbol, mentions, pointed_at
from dw_lsp.analysis.workflow_calls import callers_of
from dw_lsp.analysis.workspace import Workspace
from dw_lsp.text.document import Document, path_of
from dw_lsp.text.edits import Edit
from dw_lsp.text.syntax_tree import Range
from dw_lsp.text.writing import quote
from dw_lsp.workflow.model import Workflow
from dw_lsp.workflow.references import split_result

LONGEST_NAME = 100
_VARIABLE = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Renaming:
    """What can be renamed at a place: the name as it is written, where, and its value."""

    range: Range
    name: str


@dataclass(frozen=True)
class DocumentEdits:
    """What changes in one document."""

    document: Document
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Refusal:
    """Why a name cannot be changed, as a sentence for people."""

    message: str


def prepare_rename(document: Document, offset: int, workspace: Workspace) -> Renaming | None:
    """What a rename at a place would change; `None` where nothing has a name of its own."""
    pointed = pointed_at(document, offset, workspace)
    if pointed is None or not pointed.range.contains(offset) or not pointed.symbol.name:
        return None
    return Renaming(pointed.range, pointed.symbol.name)


def rename(document: Document, offset: int, name: str, workspace: Workspace) -> tuple[DocumentEdits, ...] | Refusal:
    """The edits that give what the cursor points at another name."""
    pointed = pointed_at(document, offset, workspace)
    if pointed is None or not pointed.range.contains(offset):
        return Refusal("Nothing here has a name that could be changed: only variables and steps have.")
    symbol = pointed.symbol
    if name == symbol.name:
        return ()
    reason = _variable_refusal(symbol, name, workspace) if symbol.kind == "variable" else _step_refusal(symbol, name)
    if reason is not None:
        return Refusal(reason)
    return _grouped(mentions(symbol, workspace), quote(name)[1:-1])


def _grouped(places: Iterable[Mention], text: str) -> tuple[DocumentEdits, ...]:
    documents: dict[str, Document] = {}
    edits: dict[str, dict[int, Edit]] = {}
    for place in places:
        documents[place.document.uri] = place.document
        edits.setdefault(place.document.uri, {})[place.range.start] = Edit(place.range, text)
    return tuple(
        DocumentEdits(documents[uri], tuple(edit for _, edit in sorted(found.items()))) for uri, found in edits.items()
    )


# ---------------------------------------------------------------- variables


def _variable_refusal(symbol: Symbol, name: str, workspace: Workspace) -> str | None:
    if not _VARIABLE.fullmatch(name) or len(name) > LONGEST_NAME:
        return (
            f"{quote(name)} is no name for a variable: it begins with one of a to z, A to Z or _, goes on with these, "
            f"digits and -, and has at most {LONGEST_NAME} characters."
        )
    workflow = workflow_of(symbol.document)
    if workflow is not None and any(variable.name == name for variable in workflow.variables):
        return f"There is a variable `{name}` already."
    return next(_taken_by_callers(symbol, name, workspace), None)


def _taken_by_callers(symbol: Symbol, name: str, workspace: Workspace) -> Iterator[str]:
    path = path_of(symbol.document.uri)
    for call in callers_of(path, workspace) if path is not None else ():
        keys = {member.key.value for member in call.arguments()}
        if {name, symbol.name} <= keys:
            file = call.caller.uri.rpartition("/")[2]
            yield f"A step in {file} hands over an argument `{name}` already."


# ---------------------------------------------------------------- steps


def _step_refusal(symbol: Symbol, name: str) -> str | None:
    if not name.strip() or name != name.strip() or _CONTROL.search(name):
        return "A step's name is not empty, does not begin or end with a blank, and has no line ends."
    if "@" in name:
        return "A step's name has no @: that stands between the name of a group and its member."
    workflow = workflow_of(symbol.document)
    if workflow is None:
        return None
    if name in workflow.step_names():
        return f"There is a step `{name}` already."
    return _misread(workflow, symbol.name, name)


def _misread(workflow: Workflow, old: str, new: str) -> str | None:
    """Whether a reference would mean another step, or another property, under the new name: both may have dots."""
    before = frozenset(workflow.step_names())
    after = frozenset(new if name == old else name for name in before)
    for use in workflow.uses:
        if use.reference.kind not in ("previous_result", "gather"):
            continue
        target = use.reference.target
        step = step_name_of(use, before)
        renamed = new + target[len(step) :] if step == old else target
        wanted = new if step == old else step
        found = split_result(renamed, after)[0]
        if wanted in after and found != wanted and found.partition("@")[0] != wanted:
            return f"With the name `{new}` the reference `{renamed}` would mean the step `{found}`."
    return None
