"""Short notes within the text: the values of variables where they are used, the class that is called, the last run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from dw_lsp.analysis.calls import loaded_pipeline, pipeline_class
from dw_lsp.analysis.hover.classes import class_text
from dw_lsp.analysis.hover.hover import hover
from dw_lsp.analysis.last_run import LastRun, step_words
from dw_lsp.analysis.names import workflow_of
from dw_lsp.analysis.variable_values import resolved_values
from dw_lsp.analysis.workspace import Workspace
from dw_lsp.catalog.classes import ClassEntry
from dw_lsp.text.cursor import locate
from dw_lsp.text.document import Document, folder_of
from dw_lsp.text.syntax_tree import Array, Node, Object, Range, String, to_value
from dw_lsp.workflow.model import Workflow

_LONGEST = 40


@dataclass(frozen=True)
class InlayHint:
    """A note behind an offset. `tooltip` is the whole of what was cut."""

    offset: int
    label: str
    tooltip: str = ""


def inlay_hints(
    document: Document, place: Range, workspace: Workspace, last: LastRun | None = None
) -> tuple[InlayHint, ...]:
    """The notes in a stretch of a document. Arguments: `last` is the document's last run."""
    workflow = workflow_of(document)
    if workflow is None:
        return ()
    found = [*_values(workflow), *_called_again(document, workflow, workspace), *_runs(workflow, last)]
    found.sort(key=lambda hint: hint.offset)
    return tuple(hint for hint in found if place.contains(hint.offset))


def tooltip_of(document: Document, offset: int, workspace: Workspace) -> str:
    """What is told of a note when it is asked about: the whole value, and the argument's default or the class.

    Arguments: the note's offset.
    """
    workflow = workflow_of(document)
    if workflow is None:
        return ""
    for place, entry in _classes_called_again(document, workflow, workspace):
        if place == offset:
            return class_text(entry, workspace)
    note = next((note for note in _values(workflow) if note.offset == offset), None)
    members = locate(document, offset - 1).members
    if note is None or not members:
        return ""
    told = hover(document, members[-1].key.range.start, workspace)
    return "\n\n".join([*_block(note.tooltip), *([told.text] if told is not None else [])])


def _block(text: str) -> list[str]:
    """A text as it is, in Markdown."""
    fence = "````" if "```" in text else "```"
    return [f"{fence}\n{text}\n{fence}"] if text else []


def _values(workflow: Workflow) -> Iterator[InlayHint]:
    values = resolved_values(workflow)
    for use in workflow.uses:
        value = values.get(use.reference.name) if use.reference.kind == "variable" else None
        if value is not None and use.step is not None:
            label, whole = _short(value)
            yield InlayHint(use.node.range.end, f"= {label}", whole if whole != label else "")


def _short(node: Node) -> tuple[str, str]:
    """A value in a few characters, and the whole."""
    value = to_value(node)
    if isinstance(node, Object) and isinstance(location := node.get("location"), String):
        value = location.value
    whole = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = " ".join(whole.split())
    if isinstance(node, (Array, Object)) and len(line) > _LONGEST and not isinstance(value, str):
        return ("[…]" if isinstance(node, Array) else "{…}"), whole
    return (line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"), whole


def _called_again(document: Document, workflow: Workflow, workspace: Workspace) -> Iterator[InlayHint]:
    for offset, entry in _classes_called_again(document, workflow, workspace):
        yield InlayHint(offset, entry.name)


def _classes_called_again(
    document: Document, workflow: Workflow, workspace: Workspace
) -> Iterator[tuple[int, ClassEntry]]:
    """The classes behind steps that call another one's pipeline, and the offsets behind its name."""
    folder = folder_of(document.uri)
    for step in workflow.steps:
        name = step.body.get("reference_name") if isinstance(step.body, Object) else None
        pipeline = loaded_pipeline(workflow, step) if step.kind == "pipeline_reference" else None
        if isinstance(name, String) and pipeline is not None:
            entry, _ = pipeline_class(workflow, pipeline, workspace, folder)
            if entry is not None:
                yield name.range.end, entry


def _runs(workflow: Workflow, last: LastRun | None) -> Iterator[InlayHint]:
    for step in workflow.steps if last is not None else ():
        run = last.steps.get(step.name.value) if last is not None and step.name is not None else None
        if run is not None and step.name is not None and run.outcome != "notRun":
            yield InlayHint(step.name.range.end, step_words(run))
