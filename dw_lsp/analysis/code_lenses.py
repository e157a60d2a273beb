"""The lenses over a document: run it, or run it up to a step."""

from __future__ import annotations

from dataclasses import dataclass

from dw_lsp.analysis.last_run import LastRun, step_words
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


def code_lenses(document: Document, last: LastRun | None = None) -> tuple[Lens, ...]:
    """The lenses of a document; none for one that is no workflow. Arguments: `last` is its last run."""
    root = document.root
    if not isinstance(root, Object) or not is_workflow(root, document.uri, document.language_id):
        return ()
    workflow = read(root)
    whole = "Run Workflow" if last is None else f"Run Workflow ({last.told()})"
    lenses = [Lens(Range(root.range.start, root.range.start + 1), whole)]
    for step in workflow.steps if workflow else ():
        if step.name is not None and step.name.value:
            run = None if last is None else last.steps.get(step.name.value)
            title = "Run to here" if run is None else f"Run to here ({step_words(run)})"
            lenses.append(Lens(step.name.range, title, step.name.value))
    return tuple(lenses)
