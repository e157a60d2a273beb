"""Rules on what steps take over from earlier ones besides results: shared components, loaded pipelines."""

from __future__ import annotations

from collections.abc import Iterator

from dw_lsp.analysis.findings import Finding, Related, Rule
from dw_lsp.analysis.outputs import step_named
from dw_lsp.analysis.rules.context import Context, finding, meant, nearest
from dw_lsp.analysis.rules.fixes.names import change_to
from dw_lsp.analysis.rules.references import UNKNOWN_STEP
from dw_lsp.text.syntax_tree import Array, Boolean, Node, Object, String
from dw_lsp.workflow.model import Step
from dw_lsp.workflow.references import parse_reference

UNSHARED_COMPONENT = Rule(
    "unshared-component",
    "error",
    "A component is reused that no earlier step shares.",
    "The workflow stops when the step is reached, after all that came before it.",
    '"reused_components": ["vea"]',
    "Name it in `shared_components` of an earlier step, or correct the name.",
)
RELEASED_PIPELINE = Rule(
    "released-pipeline",
    "error",
    "A reference to a pipeline that its step has released.",
    "With `release_pipeline` the pipeline is forgotten when its step is done: it cannot be called again.",
    '[{ "name": "draw", "release_pipeline": true, ... }, { "pipeline_reference": { "reference_name": "draw", ... } }]',
    "Remove `release_pipeline`, or put it on the last step that needs the pipeline.",
)


def unshared_component(context: Context) -> Iterator[Finding]:
    """Reused components that no earlier step shares."""
    shared: set[str] = set()
    for step in context.workflow.steps if context.workflow else ():
        if step.kind != "pipeline" or not isinstance(step.body, Object):
            if step.kind in (None, "workflow"):
                return  # What another workflow shares cannot be told from here.
            continue
        for node in _listed(step.body, "reused_components"):
            if isinstance(node, String) and parse_reference(node.value) is None and node.value not in shared:
                message = f"No earlier step shares the component `{node.value}`.{meant(node.value, shared)}"
                later = tuple(_shared_later(context, step, node.value))
                fixes = change_to(node.range, node.value, nearest(node.value, shared))
                yield finding(UNSHARED_COMPONENT, node.range, message, later, fixes=fixes)
        for node in _listed(step.body, "shared_components"):
            if not isinstance(node, String) or parse_reference(node.value) is not None:
                return  # Known only when the workflow runs.
            shared.add(node.value)


def _listed(body: Object, key: str) -> Iterator[Node]:
    """The names of a list that may stand in the pipeline and in its configuration."""
    configuration = body.get("configuration")
    for holder in (body, configuration):
        names = holder.get(key) if isinstance(holder, Object) else None
        if isinstance(names, Array):
            yield from names.items
        elif names is not None:
            yield names


def _shared_later(context: Context, step: Step, name: str) -> Iterator[Related]:
    for later in context.workflow.steps[step.index :] if context.workflow else ():
        for node in _listed(later.body, "shared_components") if isinstance(later.body, Object) else ():
            if isinstance(node, String) and node.value == name:
                yield Related(node.range, "shared only here")
                return


def released_pipeline(context: Context) -> Iterator[Finding]:
    """References to pipelines that are released, or that a step never loaded."""
    workflow = context.workflow
    for step in workflow.steps if workflow else ():
        named = _pipeline_name(step)
        loader = step_named(workflow, named.value) if workflow and named is not None else None
        if named is None or loader is None or loader.index >= step.index or loader.name is None:
            continue
        released = loader.node.member("release_pipeline")
        if released is not None and isinstance(released.value, Boolean) and released.value.value:
            message = f"Step `{named.value}` releases its pipeline when it is done."
            yield finding(RELEASED_PIPELINE, named.range, message, (Related(released.key.range, "released here"),))
        elif loader.kind in ("task", "workflow"):
            message = f"Step `{named.value}` is a {loader.kind} step: it has no pipeline that could be called again."
            yield finding(UNKNOWN_STEP, named.range, message, (Related(loader.name.range, "the step"),))


def _pipeline_name(step: Step) -> String | None:
    """Where a step names the step whose pipeline it calls."""
    if not isinstance(step.body, Object) or step.kind not in ("pipeline_reference", "task"):
        return None
    named = step.body.get("reference_name" if step.kind == "pipeline_reference" else "pipeline_reference")
    return named if isinstance(named, String) and parse_reference(named.value) is None else None
