"""Which workflow calls which: the files behind `workflow` steps, and the workflows that call a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dw_lsp.analysis.names import workflow_of
from dw_lsp.analysis.workspace import Workspace
from dw_lsp.text.document import Document, folder_of, path_of
from dw_lsp.text.syntax_tree import Member, Object, String
from dw_lsp.workflow.model import Step, Workflow
from dw_lsp.workflow.path_uses import is_path
from dw_lsp.workflow.references import parse_reference


@dataclass(frozen=True)
class Call:
    """A step that calls a workflow file: `node` is the text that says which, `path` the file, there or not."""

    caller: Document
    step: Step
    node: String
    path: Path

    def arguments(self) -> tuple[Member, ...]:
        """What the step hands over, by the called workflow's variables."""
        node = self.step.body.get("arguments") if isinstance(self.step.body, Object) else None
        return node.members if isinstance(node, Object) else ()


def calls_of(document: Document, workspace: Workspace) -> tuple[Call, ...]:
    """The calls that a workflow makes, as far as their file can be told."""
    workflow, folder = workflow_of(document), folder_of(document.uri)
    found = []
    for step in workflow.steps if workflow is not None else ():
        node = step.body.get("path") if step.kind == "workflow" and isinstance(step.body, Object) else None
        text = _path_text(workflow, node) if workflow is not None and isinstance(node, String) else None
        if text and folder is not None and isinstance(node, String):
            found.append(Call(document, step, node, _there(folder / os.path.expanduser(text), workspace)))
    return tuple(found)


def _path_text(workflow: Workflow, node: String) -> str | None:
    """The path that is written, or the default of the variable that stands for it; `None` for anything else."""
    text = node.value
    reference = parse_reference(text)
    if reference is not None and reference.kind == "variable":
        default = next((item.member.value for item in workflow.variables if item.name == reference.name), None)
        text = default.value if isinstance(default, String) else ""
    return text if is_path(text) and "\0" not in text else None


def _there(path: Path, workspace: Workspace) -> Path:
    """The path, with the ending .json where only that file exists."""
    path = Path(os.path.normpath(path))
    with_ending = Path(f"{path}.json")
    return with_ending if not workspace.exists(path) and workspace.exists(with_ending) else path


def callers_of(path: Path, workspace: Workspace) -> Iterator[Call]:
    """All calls of a file, in the workflows of the open folders."""
    wanted = os.path.realpath(path)
    name = path.name.removesuffix(".json")
    for document in workspace.workflows():
        # Most files do not even hold the name; an escaped one cannot be told without reading.
        if '"workflow"' in document.text and (name in document.text or "\\u" in document.text):
            for call in calls_of(document, workspace):
                if os.path.realpath(call.path) == wanted:
                    yield call


def called_document(call: Call, workspace: Workspace) -> Document | None:
    """The workflow that is called; `None` when the file cannot be read or is none."""
    document = workspace.document(call.path)
    return document if document is not None and workflow_of(document) is not None else None


def call_at(document: Document, offset: int, workspace: Workspace) -> Call | None:
    """The call whose file's name a cursor touches."""
    return next((call for call in calls_of(document, workspace) if call.node.range.contains(offset)), None)


def same_file(first: Document, second: Document) -> bool:
    """Whether two documents are the same file."""
    if first.uri == second.uri:
        return True
    one, other = path_of(first.uri), path_of(second.uri)
    return one is not None and other is not None and os.path.realpath(one) == os.path.realpath(other)
