"""Rules on files: those not there, those outside of what may be read, workflows that call each other in a loop."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from dw_lsp.analysis.findings import Finding, Fix, Rule
from dw_lsp.analysis.rules.context import Context, finding
from dw_lsp.catalog.models import looks_local
from dw_lsp.catalog.nearest import nearest_names
from dw_lsp.text.edits import Edit
from dw_lsp.text.writing import quote
from dw_lsp.workflow.path_uses import PathUse, path_uses
from dw_lsp.workflow.reader import read

UNKNOWN_FILE = Rule(
    "unknown-file",
    "error",
    "A relative path with nothing there. For media it is a warning: they may come later.",
    "The run would end when the file is needed.",
    '"workflow": { "path": "./potser.dw.json" }',
    "Correct the path; it starts at the folder of this file.",
)
WORKFLOW_CYCLE = Rule(
    "workflow-cycle",
    "error",
    "Workflows that call each other in a loop.",
    "The run would never end.",
    '"workflow": { "path": "./this-very-file.dw.json" }',
    "Take one of the calls out.",
)
UNSAFE_PATH = Rule(
    "unsafe-path",
    "error",
    "A path that leaves the workspace.",
    "A workflow from somewhere else could read private files of yours.",
    '"image": "../../secrets/scan.png"',
    "Copy the file into the workspace, or add its folder to the setting dw.security.allowedPaths.",
)
_DEEPEST = 20


def files(context: Context) -> Iterator[Finding]:
    """Paths with nothing there, and paths that lead out of what may be read."""
    if context.workflow is None:
        return
    for use in context.paths:
        if use.purpose in ("model", "weights") and not looks_local(use.text):
            continue  # A name on the hub; the rules on models speak of it.
        path = _path(use.text, context.folder)
        if path is None:
            continue
        if not may_be_read(path, context):
            message = f"{use.text} lies outside of the workspace; dw.security.allowedPaths can allow its folder."
            yield finding(UNSAFE_PATH, use.node.range, message)
        elif use.purpose in ("media", "file", "workflow") and not context.workspace.exists(path):
            yield _missing(use, path)


def _path(text: str, folder: Path | None) -> Path | None:
    path = Path(os.path.expanduser(text))
    if path.is_absolute():
        return path
    return None if folder is None else folder / path


def may_be_read(path: Path, context: Context) -> bool:
    """Whether a path, links followed, lies in the workspace, beside the document, or in a folder that is allowed."""
    real = Path(os.path.realpath(path))
    allowed = [Path(os.path.expanduser(folder)) for folder in context.workspace.security.allowed_paths]
    folders = [*context.workspace.roots, *allowed, context.workspace.hub_cache]
    if context.folder is not None:
        folders.append(context.folder)
    return any(real.is_relative_to(os.path.realpath(folder)) for folder in folders)


def _missing(use: PathUse, path: Path) -> Finding:
    what = "workflow" if use.purpose == "workflow" else "file"
    near = nearest_names(path.name, _neighbours(path.parent), 1, 0.7)
    meant = f" Did you mean `{near[0]}`?" if near else ""
    message = f"There is no {what} {use.text} here.{meant}"
    found = finding(UNKNOWN_FILE, use.node.range, message, fixes=_fixes(use, near))
    return found if use.purpose == "workflow" else dataclasses.replace(found, severity="warning")


def _fixes(use: PathUse, near: tuple[str, ...]) -> tuple[Fix, ...]:
    head = use.text[: len(use.text) - len(Path(use.text).name)]
    return tuple(
        Fix(f"Change to {head}{name}", (Edit(use.node.range, quote(head + name)),), preferred=True) for name in near
    )


def _neighbours(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)[:2000]
    except (OSError, ValueError):
        return []


def workflow_cycle(context: Context) -> Iterator[Finding]:
    """Calls of other workflows that lead back to where they began."""
    if context.workflow is None or context.folder is None:
        return
    own = context.path
    for use in context.paths:
        if use.purpose == "workflow" and (path := _path(use.text, context.folder)) is not None:
            loop = _loop(context, Path(os.path.realpath(path)), [Path(os.path.realpath(own))] if own else [])
            if loop:
                way = " → ".join(path.name for path in loop)
                yield finding(WORKFLOW_CYCLE, use.node.range, f"These workflows call each other without end: {way}.")


def _loop(context: Context, path: Path, way: list[Path]) -> list[Path]:
    """The way along which a workflow is reached a second time; empty if none is."""
    if path in way:
        return [*way[way.index(path) :], path]
    if len(way) > _DEEPEST or not may_be_read(path, context):
        return []
    document = context.workspace.document(path)
    workflow = None if document is None else read(document.root)
    for use in path_uses(workflow) if workflow is not None else ():
        following = _path(use.text, path.parent) if use.purpose == "workflow" else None
        if following is not None and (loop := _loop(context, Path(os.path.realpath(following)), [*way, path])):
            return loop
    return []
