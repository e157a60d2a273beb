"""One step of a workflow."""

from __future__ import annotations

from dw_lsp.workflow.format.pipeline import PIPELINE
from dw_lsp.workflow.format.result import RESULT
from dw_lsp.workflow.format.shapes import ANY, FLAG, TEXT, AnyOf, ListShape, NumberShape, ObjectShape, key
from dw_lsp.workflow.format.task import PIPELINE_REFERENCE, SUB_WORKFLOW, TASK

STEP = ObjectShape(
    "step",
    "One piece of work: a pipeline, a task, another workflow.",
    (
        key("name", TEXT, "Name by which later steps refer to its results; unique in the file.", required=True),
        key("pipeline", PIPELINE, "Loads a pipeline and calls it."),
        key("pipeline_reference", PIPELINE_REFERENCE, "Calls a pipeline that an earlier step loaded."),
        key("task", TASK, "Calls a built-in command."),
        key("workflow", SUB_WORKFLOW, "Runs another workflow file."),
        key("result", RESULT, "How the results are written; without it nothing is saved."),
        key("seed", NumberShape(whole=True, least=0), "Seed of this step; the workflow's if not given."),
        key("release_pipeline", FLAG, "Forget the step's pipeline afterwards.", default=False),
        key("release_models", FLAG, "Forget the models that tasks have loaded.", default=False),
        key("for_each", AnyOf((ListShape(ANY, at_least=1, at_most=32), TEXT)), "One step for each entry.", dialect="B"),
    ),
)
