"""From a place to what it speaks of, and back: definitions, references, highlights; across files that call others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dw_lsp.analysis.names import NameKind, Naming, naming_at, same_name, workflow_of
from dw_lsp.analysis.workflow_calls import Call, call_at, called_document, callers_of, calls_of, same_file
from dw_lsp.analysis.workspace import Workspace
from dw_lsp.catalog.models import MODEL_INDEX, PART_CONFIGURATIONS, find_folder
from dw_lsp.text.document import Document, folder_of, path_of
from dw_lsp.text.escapes import content_range
from dw_lsp.text.syntax_tree import Member, Object, Range, String
from dw_lsp.workflow.path_uses import PathUse, path_uses

_MODEL_FILES = (MODEL_INDEX, "modular_model_index.json", "config.json", *PART_CONFIGURATIONS)
_BEGINNING = Range(0, 0)


@dataclass(frozen=True)
class Destination:
    """What a place speaks of: `origin` is the text that does, `path` the file.

    `document`, `range` and `whole` say where in a workflow it stands: the name, and all of the declaration. Without a
    document it is the beginning of a file.
    """

    origin: Range
    document: Document | None = None
    path: Path | None = None
    range: Range = _BEGINNING
    whole: Range = _BEGINNING


@dataclass(frozen=True)
class Mention:
    """A place, in this or another document, that names something. `declares`: it is the declaration."""

    document: Document
    range: Range
    declares: bool = False


@dataclass(frozen=True)
class Symbol:
    """A variable or a step, and the document that declares it."""

    kind: NameKind
    name: str
    document: Document


@dataclass(frozen=True)
class Pointed:
    """What a cursor points at: a symbol, the text that names it, and the name alone."""

    symbol: Symbol
    node: String
    range: Range


# ---------------------------------------------------------------- what is pointed at


def pointed_at(document: Document, offset: int, workspace: Workspace) -> Pointed | None:
    """The variable or step that the text under a cursor names; that of a called workflow behind an argument's key."""
    naming = naming_at(document, offset)
    if naming is not None:
        return Pointed(Symbol(naming.kind, naming.name, document), naming.node, naming.range)
    for call, member in _argument_keys(document, workspace):
        if member.key.range.contains(offset):
            called = called_document(call, workspace)
            if called is None:
                return None
            symbol = Symbol("variable", member.key.value, called)
            return Pointed(symbol, member.key, content_range(document.text, member.key))
    return None


def _argument_keys(document: Document, workspace: Workspace) -> Iterator[tuple[Call, Member]]:
    for call in calls_of(document, workspace):
        for member in call.arguments():
            yield call, member


def mentions(symbol: Symbol, workspace: Workspace, *, declarations: bool = True) -> tuple[Mention, ...]:
    """Every place that names a symbol: in its document, and for a variable in the calls of that document's file."""
    found = [
        Mention(symbol.document, naming.range, naming.declares)
        for naming in same_name(symbol.document, symbol.kind, symbol.name)
        if declarations or not naming.declares
    ]
    if symbol.kind == "variable":
        found += [
            Mention(call.caller, content_range(call.caller.text, member.key))
            for call, member in _handed(symbol, workspace)
        ]
    return tuple(found)


def _handed(symbol: Symbol, workspace: Workspace) -> Iterator[tuple[Call, Member]]:
    """Where callers hand a value to a variable."""
    path = path_of(symbol.document.uri)
    for call in callers_of(path, workspace) if path is not None else ():
        for member in call.arguments():
            if member.key.value == symbol.name:
                yield call, member


# ---------------------------------------------------------------- definition


def definitions(document: Document, offset: int, workspace: Workspace) -> tuple[Destination, ...]:
    """What the text under a cursor speaks of: a declaration, a called workflow, a model's or a medium's file."""
    if workflow_of(document) is None:
        return ()
    pointed = pointed_at(document, offset, workspace)
    if pointed is not None:
        return _declarations(pointed)
    call = call_at(document, offset, workspace)
    if call is not None:
        return (_file(call.node.range, call.path, workspace),) if workspace.exists(call.path) else ()
    return tuple(_files(document, offset, workspace))


def _declarations(pointed: Pointed) -> tuple[Destination, ...]:
    symbol = pointed.symbol
    origin = pointed.node.range
    return tuple(
        Destination(origin, symbol.document, None, naming.range, _whole(symbol.document, naming))
        for naming in same_name(symbol.document, symbol.kind, symbol.name)
        if naming.declares
    )


def _whole(document: Document, naming: Naming) -> Range:
    """All of a declaration: the variable with its value, or the step."""
    workflow = workflow_of(document)
    for variable in workflow.variables if workflow is not None else ():
        if variable.member.key is naming.node:
            return variable.member.range
    for step in workflow.steps if workflow is not None else ():
        if step.name is naming.node:
            return step.node.range
    return naming.node.range


def _files(document: Document, offset: int, workspace: Workspace) -> Iterator[Destination]:
    workflow = workflow_of(document)
    for use in path_uses(workflow) if workflow is not None else ():
        if use.node.range.contains(offset):
            path = file_of(use, document, workspace)
            if path is not None:
                yield _file(use.node.range, path, workspace)
                return


def _file(origin: Range, path: Path, workspace: Workspace) -> Destination:
    """The beginning of a file; for one that is open, as its document."""
    document = workspace.document(path) if path.suffix in (".json", ".jsonc") else None
    return Destination(origin, document, path)


def file_of(use: PathUse, document: Document, workspace: Workspace) -> Path | None:
    """The file that a path or a model's name stands for, if it is on this machine: of a model, what describes it."""
    folder = folder_of(document.uri)
    if use.purpose == "pattern" or "\0" in use.text:
        return None
    if use.purpose == "model":
        revision = use.owner.get("revision")
        found = find_folder(
            use.text, folder, revision.value if isinstance(revision, String) else None, workspace.hub_cache
        )
        return None if found is None else _model_file(found, use.owner, workspace)
    path = Path(os.path.expanduser(use.text))
    if not path.is_absolute():
        if folder is None:
            return None
        path = folder / path
    path = Path(os.path.normpath(path))
    return path if workspace.exists(path) else None


def _model_file(folder: Path, owner: Object, workspace: Workspace) -> Path | None:
    part = owner.get("subfolder")
    inner = folder / part.value if isinstance(part, String) else folder
    return next((inner / name for name in _MODEL_FILES if workspace.exists(inner / name)), None)


# ---------------------------------------------------------------- references and highlights


def references(document: Document, offset: int, workspace: Workspace, *, declarations: bool) -> tuple[Mention, ...]:
    """Every place that names what the text under a cursor names; on a called file's name, all calls of that file."""
    pointed = pointed_at(document, offset, workspace)
    if pointed is not None:
        return mentions(pointed.symbol, workspace, declarations=declarations)
    call = call_at(document, offset, workspace)
    if call is None:
        return ()
    return tuple(Mention(other.caller, other.node.range) for other in callers_of(call.path, workspace))


def highlights(document: Document, offset: int, workspace: Workspace) -> tuple[Mention, ...]:
    """The places in the same document that name what the text under a cursor names."""
    naming = naming_at(document, offset)
    if naming is not None:
        found = same_name(document, naming.kind, naming.name)
        return tuple(Mention(document, other.range, other.declares) for other in found)
    pointed = pointed_at(document, offset, workspace)
    if pointed is None:
        return ()
    keys = [
        (call, member)
        for call, member in _argument_keys(document, workspace)
        if member.key.value == pointed.symbol.name
    ]
    return tuple(
        Mention(document, content_range(document.text, member.key))
        for call, member in keys
        if (called := called_document(call, workspace)) is not None and same_file(called, pointed.symbol.document)
    )
