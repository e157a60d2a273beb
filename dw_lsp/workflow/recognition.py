"""Is this document a workflow? By its language, its name, or what it says."""

from __future__ import annotations

from dw_lsp.text.syntax_tree import Array, Node, Object
from dw_lsp.workflow.resolved import STEP_KINDS

LANGUAGE_ID = "dw-workflow"
SUFFIXES = (".dw.json", ".dw.jsonc")


def is_workflow(root: Node | None, name: str, language_id: str = "") -> bool:
    """Whether a document is a workflow.

    Arguments: its tree; its file name or URI; the editor's language id. By content it is one if its `steps` hold an
    object that says what kind of step it is.
    """
    if language_id == LANGUAGE_ID or name.lower().endswith(SUFFIXES):
        return True
    if not isinstance(root, Object):
        return False
    steps = root.get("steps")
    if not isinstance(steps, Array):
        return False
    return any(isinstance(step, Object) and any(step.member(kind) for kind in STEP_KINDS) for step in steps.items)
