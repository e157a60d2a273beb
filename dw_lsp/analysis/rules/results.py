"""Rules on the results of steps: how they are written, what can be asked of them, whether anybody wants them."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator

from dw_lsp.analysis.findings import Finding, Related, Rule
from dw_lsp.analysis.outputs import StepOutput, step_output
from dw_lsp.analysis.rules.context import Context, finding, meant, nearest
from dw_lsp.analysis.rules.fixes.names import change_to
from dw_lsp.analysis.rules.references import step_uses
from dw_lsp.planning.output_names import EXTENSIONS, extension_of
from dw_lsp.text.syntax_tree import Array, Boolean, Object, Range, String
from dw_lsp.workflow.format.command import Output
from dw_lsp.workflow.model import Step, Workflow
from dw_lsp.workflow.references import parse_reference, split_result, words_behind

CONTENT_TYPE = Rule(
    "content-type",
    "error",
    "A content type that results cannot have, or that does not fit what the step gives.",
    "The content type chooses how a result is written. One that does not exist stops the workflow; one that does not "
    "fit (a warning) stops it when the step has done its work.",
    '"result": { "content_type": "image/jepg" }',
    "Correct it to the content type in the message.",
)
UNKNOWN_RESULT_PROPERTY = Rule(
    "unknown-result-property",
    "warning",
    "A property that the results of a step cannot have.",
    "The step that asks for it fails, or does not run at all.",
    '"mask_image": "previous_result:border.masks"',
    "Correct it to the name in the message, or leave the property out.",
)
INEFFECTIVE_STEP = Rule(
    "ineffective-step",
    "hint",
    "A step that saves nothing and whose results nobody reads.",
    "Its work is lost.",
    '{ "name": "edges", "task": { "command": "canny_cv", "arguments": { "image": "variable:photo" } } }',
    "Give it a `result`, refer to it, or remove it.",
)
#: Content types that were once written, or that one would expect; results cannot have them.
_REFUSED = {
    "text/html": "text/plain",
    "text/xml": "text/plain",
    "application/xml": "text/plain",
    "video/webm": "video/mp4",
    "video/quicktime": "video/mp4",
    "video/x-matroska": "video/mp4",
    "video/x-msvideo": "video/mp4",
    "audio/aac": "audio/mpeg",
    "audio/mp4": "audio/mpeg",
    "image/svg+xml": "image/png",
}
#: For each kind of result, the kinds of files that cannot hold it.
_MISFITS: dict[Output, tuple[str, ...]] = {
    "image": ("video", "audio", "text", "json"),
    "video": ("text", "json"),
    "audio": ("image", "text", "json"),
    "text": ("image", "video", "audio"),
    "data": ("image", "video", "audio"),
}
_CALLED: dict[Output, str] = {
    "image": "images",
    "video": "videos",
    "audio": "sound",
    "text": "text",
    "data": "values (numbers, lists, objects)",
}
_FITTING: dict[Output, str] = {
    "image": "image/png",
    "video": "video/mp4",
    "audio": "audio/wav",
    "text": "text/plain",
    "data": "application/json",
}
#: What can be asked of an image that is a result: the data attributes of Pillow's images.
_IMAGE_ATTRIBUTES = frozenset(
    {"width", "height", "size", "mode", "format", "info", "palette", "filename", "text", "im"}
)
#: What can be asked of the results of pipelines and of tasks that give several things.
_USUAL = (
    "frames",
    "images",
    "image_embeds",
    "image_embeddings",
    "audios",
    "audio",
    "videos",
    "sampling_rate",
    "latents",
)


def content_type(context: Context) -> Iterator[Finding]:
    """Content types that do not exist, are refused, or cannot hold what the step gives."""
    workflow = context.workflow
    for step in workflow.steps if workflow else ():
        result = step.node.get("result")
        node = result.get("content_type") if isinstance(result, Object) else None
        if workflow is None or not isinstance(node, String) or not node.closed or parse_reference(node.value):
            continue
        kind = node.value.partition(";")[0].strip().lower()
        found = _unwritable(node, kind) or _misfit(node, kind, step_output(workflow, step), step)
        if found is not None:
            yield found


def _unwritable(node: String, kind: str) -> Finding | None:
    instead = _REFUSED.get(kind)
    if instead is not None:
        message = f"Results cannot be written as `{kind}`; `{instead}` comes nearest."
        return finding(CONTENT_TYPE, node.range, message, fixes=change_to(node.range, node.value, instead))
    if extension_of(kind) is None:
        near = nearest(kind, EXTENSIONS)
        message = f"`{node.value}` is no content type that results can have.{meant(kind, EXTENSIONS)}"
        return finding(CONTENT_TYPE, node.range, message, fixes=change_to(node.range, node.value, near))
    if kind not in EXTENSIONS and kind.startswith("text/") and (near := nearest(kind, EXTENSIONS)):
        message = f"`{node.value}` is no known content type. Did you mean `{near}`?"
        found = finding(CONTENT_TYPE, node.range, message, fixes=change_to(node.range, node.value, near))
        return dataclasses.replace(found, severity="warning")  # It would still be written, as text.
    return None


def _misfit(node: String, kind: str, output: StepOutput, step: Step) -> Finding | None:
    form = "json" if kind.endswith("json") else kind.partition("/")[0]
    if form not in _MISFITS.get(output.kind, ()):
        return None
    fitting = _FITTING[output.kind]
    message = f"This step gives {_CALLED[output.kind]}, which `{kind}` cannot hold; `{fitting}` can."
    related = (Related(step.name.range, "the step"),) if step.name is not None else ()
    found = finding(CONTENT_TYPE, node.range, message, related, fixes=change_to(node.range, node.value, fitting))
    return dataclasses.replace(found, severity="warning")


def unknown_result_property(context: Context) -> Iterator[Finding]:
    """Properties that are asked of results which certainly do not have them."""
    workflow = context.workflow
    for use, _, step in step_uses(workflow):
        if workflow is None or step is None or use.reference.kind != "previous_result":
            continue
        asked = split_result(use.reference.target, workflow.step_names())[1]
        if not asked or step.name is None or words_behind(use.reference, workflow.step_names()):
            continue
        wrong = _cannot_have(asked, workflow, step)
        if wrong is not None:
            message, known = wrong
            # The property alone is at fault, not the reference as a whole.
            place = Range(max(use.node.range.start, use.node.range.end - 1 - len(asked)), use.node.range.end - 1)
            plain = context.document.text[place.start : place.end] == asked
            before = use.node.value.removesuffix(asked)
            fixes = change_to(use.node.range, asked, nearest(asked, known), before)
            related = (Related(step.name.range, f"step `{step.name.value}`"),)
            yield finding(UNKNOWN_RESULT_PROPERTY, place if plain else use.node.range, message, related, fixes=fixes)


def _cannot_have(asked: str, workflow: Workflow, step: Step) -> tuple[str, Collection[str]] | None:
    """What is wrong with asking for a property of a step's results, and which ones they have; `None` if uncertain."""
    assert step.name is not None
    begin, output = f"The results of `{step.name.value}`", step_output(workflow, step)
    if output.properties:
        if asked in output.properties:
            return None
        told = ", ".join(f"`{known}`" for known in output.properties)
        message = f"{begin} have no `{asked}`: they have {told}.{meant(asked, output.properties)}"
        return message, output.properties
    if output.kind == "text":
        return f"{begin} are text, of which nothing can be asked.", ()
    if output.kind == "image" and asked not in _IMAGE_ATTRIBUTES:
        message = f"{begin} are images, which have no `{asked}`.{meant(asked, _IMAGE_ATTRIBUTES)}"
        return message, _IMAGE_ATTRIBUTES
    if step.kind in ("pipeline", "pipeline_reference") and asked not in _USUAL and nearest(asked, _USUAL):
        return f"{begin} have no `{asked}`.{meant(asked, _USUAL)}", _USUAL
    return None


def ineffective_step(context: Context) -> Iterator[Finding]:
    """Steps that save nothing, hand nothing on, and are not the last."""
    workflow = context.workflow
    if workflow is None:
        return
    read = {name for use, name, _ in step_uses(workflow) if use.step is not None}
    read |= {name.partition("@")[0] for name in read} | set(_named_by_tasks(workflow))
    for step in workflow.steps[:-1]:
        if step.name is not None and step.name.value not in read and _has_no_effect(step):
            message = f"Step `{step.name.value}` saves nothing, and no other step reads its results."
            yield finding(INEFFECTIVE_STEP, step.name.range, message, tags=("unnecessary",))


def _named_by_tasks(workflow: Workflow) -> Iterator[str]:
    for step in workflow.steps:
        named = step.body.get("pipeline_reference") if step.kind == "task" and isinstance(step.body, Object) else None
        if isinstance(named, String):
            yield named.value


def _has_no_effect(step: Step) -> bool:
    if step.kind is None or step.kind == "workflow" or not step.node.closed or not isinstance(step.body, Object):
        return False
    result = step.node.get("result")
    save = result.get("save") if isinstance(result, Object) else None
    if result is not None and not (isinstance(save, Boolean) and not save.value):
        return False
    released = any(step.node.member(key) for key in ("release_pipeline", "release_models", "for_each"))
    return not released and not _shares(step.body)


def _shares(body: Object) -> bool:
    """Whether later steps may take components from this one."""
    configuration = body.get("configuration")
    holders = [body, configuration] if isinstance(configuration, Object) else [body]
    for holder in holders:
        shared = holder.get("shared_components")
        if shared is not None and not (isinstance(shared, Array) and not shared.items):
            return True
    return False
