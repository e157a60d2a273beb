"""Rules on the arguments of pipelines, schedulers, quantization configs, other classes: known, there, of their type."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from dw_lsp.analysis.calls import Call, calls_of, pipeline_class
from dw_lsp.analysis.findings import Finding, Fix, Related
from dw_lsp.analysis.rules.arguments import ARGUMENT_TYPE, MISSING_ARGUMENT, UNKNOWN_ARGUMENT
from dw_lsp.analysis.rules.context import Context, finding, narrow
from dw_lsp.analysis.rules.fixes.placeholders import USUAL_ARGUMENTS
from dw_lsp.catalog.annotations import Accepted, accepted_by
from dw_lsp.catalog.nearest import nearest_names
from dw_lsp.catalog.signatures import Parameter, Signature
from dw_lsp.text.edits import insert_member, rename_key
from dw_lsp.text.syntax_tree import (
    Array,
    Boolean,
    Member,
    Missing,
    Node,
    Null,
    Number,
    Object,
    Range,
    String,
    Unknown,
    Value,
)
from dw_lsp.workflow.format.pipeline import PIPELINE
from dw_lsp.workflow.references import parse_reference
from dw_lsp.workflow.type_uses import names_type

#: How much a name has to be like a known one to be a misspelling where others are accepted, too. From 0 to 1.
_LIKENESS = 0.8
#: Arguments whose text or object becomes an image or a video before the call.
_MEDIA = ("image", "video")


def call_arguments(context: Context) -> Iterator[Finding]:
    """Arguments that a class does not have, that it lacks, or that cannot be what it takes."""
    if context.workflow is None:
        return
    for call in calls_of(context.workflow, context.workspace, context.folder):
        if call.signature is None:
            continue
        for member in call.arguments.members:
            parameter = call.signature.parameter(member.key.value)
            if parameter is None:
                yield from _unknown(member, call, call.signature)
            elif not _is_realized(member) and not parameter.documented:
                yield from _misfits(member, accepted_by(parameter.annotation))
        yield from _missing(context.document.text, call, call.signature)


def components(context: Context) -> Iterator[Finding]:
    """Components that a pipeline's class does not have."""
    workflow = context.workflow
    for step in workflow.steps if workflow else ():
        if workflow is None or step.kind != "pipeline" or not isinstance(step.body, Object):
            continue
        entry, _ = pipeline_class(workflow, step.body, context.workspace, context.folder)
        signature = None if entry is None else context.workspace.catalog.signature(entry, "__init__")
        if entry is None or signature is None or signature.open:
            continue
        for member in step.body.members:
            name = member.key.value
            is_component = isinstance(member.value, Object) and member.value.member("from_pretrained_arguments")
            if is_component and signature.parameter(name) is None and name not in _OTHER_PARTS:
                yield _not_taken(member, f"`{entry.name}` has no component `{name}`", signature, "")


#: Keys of a pipeline that hold something with `from_pretrained_arguments` and are no components.
_OTHER_PARTS = frozenset(
    each.name for each in PIPELINE.properties if each.name in ("configuration", "scheduler", "audio_scheduler")
)


def _unknown(member: Member, call: Call, signature: Signature) -> Iterator[Finding]:
    name = member.key.value
    if not name or (isinstance(member.value, Missing) and not member.key.closed):
        return  # Half typed.
    if not signature.open:
        yield _not_taken(member, f"`{call.name}` has no argument `{name}`", signature, "")
    elif not call.lenient or nearest_names(name, _names(signature), likeness=_LIKENESS):
        found = _not_taken(member, f"`{call.name}` has no argument `{name}`", signature, " It would have no effect.")
        yield dataclasses.replace(found, severity="warning")


def _not_taken(member: Member, message: str, signature: Signature, consequence: str) -> Finding:
    near = nearest_names(member.key.value, _names(signature), likeness=0.7)
    meant = f" Did you mean `{near[0]}`?" if near else consequence
    fixes = tuple(
        Fix(f"Change to {name}", (rename_key(member, name),), preferred=index == 0) for index, name in enumerate(near)
    )
    return finding(UNKNOWN_ARGUMENT, member.key.range, f"{message}.{meant}", fixes=fixes)


def _names(signature: Signature) -> list[str]:
    return [parameter.name for parameter in signature.parameters]


def _missing(text: str, call: Call, signature: Signature) -> Iterator[Finding]:
    if call.fills_in or call.place is None:
        return
    strangers = [each.key.value for each in call.arguments.members if signature.parameter(each.key.value) is None]
    for parameter in signature.parameters:
        absent = parameter.required and call.arguments.member(parameter.name) is None
        # A misspelt one is told of where it stands.
        if absent and not nearest_names(parameter.name, strangers, likeness=0.7):
            place = Range(call.arguments.range.start, call.arguments.range.start + 1)
            related = (Related(call.place.range, f"`{call.name}` needs it"),)
            edits = insert_member(text, call.arguments, parameter.name, _placeholder(parameter))
            fixes = (Fix(f"Add `{parameter.name}`", edits, preferred=True),)
            message = f"`{call.name}` needs the argument `{parameter.name}`."
            yield finding(MISSING_ARGUMENT, place, message, related, fixes=fixes)


def _placeholder(parameter: Parameter) -> Value:
    """A value of the right kind, to be written over."""
    if parameter.name in USUAL_ARGUMENTS:
        return USUAL_ARGUMENTS[parameter.name]
    accepted = accepted_by(parameter.annotation)
    values: dict[str, Value] = {"text": "", "whole": 1, "number": 1.0, "flag": False, "object": {}}
    otherwise: Value = [] if accepted.items else ""
    return next((value for kind, value in values.items() if kind in accepted.kinds), otherwise)


def _is_realized(member: Member) -> bool:
    """Whether a value becomes something else before the call: a type, an image, a video."""
    name = member.key.value
    return names_type(name) or name in _MEDIA or name.endswith(("_image", "_video", "_images", "_videos"))


def _misfits(member: Member, accepted: Accepted) -> Iterator[Finding]:
    """What is wrong with the value of an argument; its items are judged singly."""
    node = member.value
    if not accepted.certain or not (accepted.kinds or accepted.items):
        return
    if isinstance(node, Array) and accepted.items is not None:
        for item in node.items:
            if not _fits(item, accepted.items):
                message = f"An item of `{member.key.value}` is {accepted.items.wanted}."
                yield finding(ARGUMENT_TYPE, narrow(item), message)
    elif not _fits(node, accepted):
        yield finding(ARGUMENT_TYPE, narrow(node), f"`{member.key.value}` is {accepted.wanted}.")


def _fits(node: Node, accepted: Accepted) -> bool:
    if not accepted.certain or isinstance(node, (Missing, Unknown, Null)):
        return True
    if isinstance(node, String):
        if parse_reference(node.value) is not None:
            return True
        return "text" in accepted.kinds and (not accepted.choices or node.value in accepted.choices)
    if isinstance(node, Boolean):
        return "flag" in accepted.kinds
    if isinstance(node, Number):
        whole = not isinstance(node.value, float)
        return "number" in accepted.kinds or (whole and "whole" in accepted.kinds)
    if isinstance(node, Array):
        # Many arguments that are annotated as one thing take a list of them, too.
        return accepted.items is not None or bool(accepted.kinds & {"text", "number"})
    return "object" in accepted.kinds or any(names_type(inner.key.value) for inner in node.members) or _stands_in(node)


def _stands_in(node: Object) -> bool:
    """Whether an object stands for something else: a medium, or a member of an entry."""
    return any(node.member(key) is not None for key in ("location", "media_type", "item"))
