"""Where a key belongs that stands at a level of the format that does not have it."""

from __future__ import annotations

from dw_lsp.workflow.format.component import FROM_PRETRAINED
from dw_lsp.workflow.format.pipeline import CHAIN, CONFIGURATION, PIPELINE
from dw_lsp.workflow.format.result import RESULT
from dw_lsp.workflow.format.shapes import ObjectShape
from dw_lsp.workflow.format.step import STEP
from dw_lsp.workflow.format.task import PIPELINE_REFERENCE, SUB_WORKFLOW, TASK
from dw_lsp.workflow.format.workflow import WORKFLOW

#: Outermost first; a key that several levels have is looked for from the outside.
LEVELS: tuple[tuple[str, ObjectShape], ...] = (
    ("the top level of the file", WORKFLOW),
    ("the step", STEP),
    ("`pipeline`", PIPELINE),
    ("`configuration`", CONFIGURATION),
    ("`from_pretrained_arguments`", FROM_PRETRAINED),
    ("`result`", RESULT),
    ("`task`", TASK),
    ("`pipeline_reference`", PIPELINE_REFERENCE),
    ("`workflow`", SUB_WORKFLOW),
    ("`chain`", CHAIN),
)


def level_of(name: str, shape: ObjectShape) -> tuple[str, ObjectShape] | None:
    """The level that has the key, if the shape where it stands is another: what to call it, and its shape."""
    found = (known for known in LEVELS if known[1] is not shape and known[1].property(name) is not None)
    return next(found, None)


def where_it_belongs(name: str, shape: ObjectShape) -> str:
    """The end of a message: the level that has the key, or nothing."""
    found = level_of(name, shape)
    return f" It belongs in {found[0]}." if found is not None else ""
