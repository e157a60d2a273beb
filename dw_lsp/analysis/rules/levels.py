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


def where_it_belongs(name: str, shape: ObjectShape) -> str:
    """The end of a message: the level that has the key, or nothing."""
    for place, level in LEVELS:
        if level is not shape and level.property(name) is not None:
            return f" It belongs in {place}."
    return ""
