"""What one dialect of the format accepts and the other has removed."""

from __future__ import annotations

from collections.abc import Iterator

from dw_lsp.analysis.findings import Finding, Fix, Rule
from dw_lsp.analysis.rules.context import Context, finding
from dw_lsp.text.edits import rename_key
from dw_lsp.text.syntax_tree import Member, Node, Object, String
from dw_lsp.workflow.format.shapes import ObjectShape, Property

DEPRECATED_PROPERTY = Rule(
    "deprecated-property",
    "warning",
    "A key, value or built-in workflow that one dialect of the format has and the other has not.",
    "The file does not run everywhere.",
    '"configuration": { "component_type": "FluxPipeline", "teacache": { "rel_l1_thresh": 0.4 } }',
    "Use what the message names instead.",
)
#: Workflows that only the older package ships, and the task that does the same.
_BUILTINS = {"augment_prompt.json": "text_generation", "describe_image.json": "image_to_text"}
_FUNCTION = "transformers.pipeline"


def deprecated_key(member: Member, known: Property, shape: ObjectShape) -> Finding:
    """The finding for a key that the format's tables call deprecated."""
    message = f"`{known.name}` is known to the older dialect only; use {_named(known.deprecated, shape)} instead."
    successor = shape.property(known.deprecated or "")
    fixes: tuple[Fix, ...] = ()
    if successor is not None and successor.shape == known.shape:
        fixes = (Fix(f"Change to `{successor.name}`", (rename_key(member, successor.name),), True, True),)
    return finding(DEPRECATED_PROPERTY, member.key.range, message, tags=("deprecated",), fixes=fixes)


def _named(successor: str | None, shape: ObjectShape) -> str:
    return f"`{successor}`" if shape.property(successor or "") is not None else str(successor)


def deprecated_value(context: Context) -> Iterator[Finding]:
    """Built-in workflows and component types that only one dialect has."""
    workflow = context.workflow
    if workflow is None:
        return
    for use in workflow.uses:
        instead = _BUILTINS.get(use.reference.name) if use.reference.kind == "builtin" else None
        if instead is not None:
            message = f"`{use.node.value}` is shipped with the older package only; a task `{instead}` does the same."
            yield finding(DEPRECATED_PROPERTY, use.node.range, message, tags=("deprecated",))
    for step in workflow.steps:
        for node in _component_types(step.node.get("pipeline")):
            if isinstance(node, String) and node.value == _FUNCTION:
                message = f"`{_FUNCTION}` is a function, which the newer dialect takes only from trusted workflows."
                yield finding(DEPRECATED_PROPERTY, node.range, message, tags=("deprecated",))


def _component_types(pipeline: Node | None) -> Iterator[Node | None]:
    """The classes of a pipeline and of the components beside it."""
    members = pipeline.members if isinstance(pipeline, Object) else ()
    for holder in (pipeline, *(member.value for member in members)):
        configuration = holder.get("configuration") if isinstance(holder, Object) else None
        if isinstance(configuration, Object):
            yield configuration.get("component_type")
