"""The workflow files that a workflow calls: where they are, and what they declare."""

from __future__ import annotations

import functools
from pathlib import Path

from dw_lsp.analysis.workspace import Workspace
from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Node, Object, String
from dw_lsp.workflow.model import Step, Workflow
from dw_lsp.workflow.reader import read
from dw_lsp.workflow.references import parse_reference


def called_path(workflow: Workflow, step: Step, folder: Path | None) -> Path | None:
    """The file that a workflow step calls by its default; `None` when it cannot be told, or is no file."""
    node = step.body.get("path") if step.kind == "workflow" and isinstance(step.body, Object) else None
    text = _text(workflow, node)
    if text is None or folder is None or not text or "\0" in text:
        return None
    path = Path(text)
    return path if path.is_absolute() else folder / path


def _text(workflow: Workflow, node: Node | None) -> str | None:
    """The path as written, or the default of the variable that stands for it."""
    if not isinstance(node, String) or not node.closed:
        return None
    reference = parse_reference(node.value)
    if reference is None:
        return node.value
    if reference.kind != "variable":
        return None
    defaults = {variable.name: variable.member.value for variable in workflow.variables}
    default = defaults.get(reference.name)
    literal = isinstance(default, String) and parse_reference(default.value) is None
    return default.value if literal and isinstance(default, String) else None


def called_document(workspace: Workspace, path: Path) -> tuple[Document, Workflow] | None:
    """The workflow in a file, parsed once for each of its texts; `None` when there is none that can be read."""
    text = workspace.read(path)
    if text is None:
        return None
    document = _document(path.absolute().as_uri(), text)
    workflow = read(document.root)
    return None if workflow is None else (document, workflow)


@functools.lru_cache(maxsize=64)
def _document(uri: str, text: str) -> Document:
    return Document(uri, text)
