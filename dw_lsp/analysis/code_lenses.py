"""The lenses over a document: run it, or run it up to a step."""

from __future__ import annotations

from dataclasses import dataclass

from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Object, Range
from dw_lsp.workflow.reader import read
from dw_lsp.workflow.recognition import is_workflow


@dataclass(frozen=True)
class Lens:
    """A lens: where it stands, what it says, and the last step that it runs (`None`: all)."""

    range: Range
    title: str
    step: str | None = None


def code_lenses(document: Document) -> tuple[Lens, ...]:
    """The lenses of a document; none for one that is no workflow."""
    root = document.root
    if not isinstance(root, Object) or not is_workflow(root, document.uri, document.language_id):
        return ()
    workflow = read(root)
    lenses = [Lens(Range(root.range.start, root.range.start + 1), "Run Workflow")]
    for step in workflow.steps if workflow else ():
        if step.name is not None and step.name.value:
            lenses.append(Lens(step.name.range, "Run to here", step.name.value))
    return tuple(lenses)
