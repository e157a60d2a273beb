"""A step that calls a task, refers to a loaded pipeline, or runs another workflow."""

from __future__ import annotations

from dw_lsp.workflow.format.pipeline import CHAIN
from dw_lsp.workflow.format.shapes import ANY, ARGUMENTS, TEXT, WHOLE, ListShape, ObjectShape, key

#: Workflows that engines bring along, for `builtin:NAME`.
BUILTIN_WORKFLOWS = (
    "h3_context_ir.json",
    "flux3_klein_upsample.json",
    "flux3_klein_upsample_edit.json",
    "test.json",
)

TASK = ObjectShape(
    "task",
    "Calls a built-in command on its arguments.",
    (
        key("command", TEXT, "Name of the command.", required=True),
        key("arguments", ARGUMENTS, "Arguments of the command; a reference to results makes it run once for each."),
        key("inputs", ListShape(ANY), "A run for each item, in place of arguments."),
        key("seed", WHOLE, "Seed of a command that draws at random.", dialect="B"),
        key("pipeline_reference", TEXT, "Step whose loaded pipeline the command uses.", dialect="A",
            deprecated="a step of its own"),
    ),
    one_of=(("arguments", "inputs"),),
)  # fmt: skip

PIPELINE_REFERENCE = ObjectShape(
    "pipeline_reference",
    "Calls the pipeline that an earlier step loaded.",
    (
        key("reference_name", TEXT, "Name of the step that loaded it.", required=True),
        key("arguments", ARGUMENTS, "Arguments of the call.", required=True),
        key("chain", CHAIN, "Calls it several times and joins the pieces."),
    ),
)

SUB_WORKFLOW = ObjectShape(
    "workflow",
    "Runs another workflow file; its last step's results become this step's.",
    (
        key("path", TEXT, "File relative to this one, or builtin:NAME.json.", required=True),
        key("arguments", ARGUMENTS, "Values for its variables."),
    ),
)
