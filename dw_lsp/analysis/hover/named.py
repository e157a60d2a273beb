"""Variables and steps in words: values, uses, the place of a step in the flow, what it made last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dw_lsp.analysis.hover.properties import written
from dw_lsp.analysis.iterations import StepCounts, step_counts
from dw_lsp.analysis.last_run import LastRun, MadeFile, step_words
from dw_lsp.analysis.names import same_name
from dw_lsp.analysis.outputs import UNCERTAIN, step_output
from dw_lsp.analysis.variable_values import resolved_values
from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Node, Object, String, to_value
from dw_lsp.workflow.model import Step, Variable, Workflow
from dw_lsp.workflow.references import split_result

_LONGEST_VALUE = 400
_MOST_LINES = 8
_THUMBNAIL = 256


def variable_text(document: Document, workflow: Workflow, name: str) -> str | None:
    """A variable: its default, and where it is used."""
    variable = next((each for each in workflow.variables if each.name == name), None)
    if variable is None:
        return None
    uses = [each for each in same_name(document, "variable", name) if not each.declares]
    lines = sorted({document.lines.line_of(each.node.range.start) + 1 for each in uses})
    told = "not used" if not uses else f"used {_times(len(uses))}, in {_numbers(lines)}"
    declared = document.lines.line_of(variable.member.key.range.start) + 1
    parts = [
        f"variable **`{name}`**",
        _value(document, variable.member.value),
        *_resolved(document, workflow, variable),
    ]
    return "\n\n".join([*parts, *_constraint(document, workflow, name), f"*line {declared}; {told}*"])


def _value(document: Document, node: Node) -> str:
    text = document.text[node.range.start : node.range.end]
    shown = text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
    fence = "````" if "```" in shown else "```"
    return f"{fence}json\n{shown}\n{fence}"


def _resolved(document: Document, workflow: Workflow, variable: Variable) -> Iterator[str]:
    """The value behind a default that is itself a reference to a variable."""
    value = resolved_values(workflow).get(variable.name)
    if value is not None and value is not variable.member.value:
        yield f"which is\n\n{_value(document, value)}"


def _constraint(document: Document, workflow: Workflow, name: str) -> Iterator[str]:
    """Which numbers the variable may have."""
    constraints = workflow.root.get("variable_constraints")
    node = constraints.get(name) if isinstance(constraints, Object) else None
    if node is not None:
        yield f"constrained by\n\n{_value(document, node)}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _numbers(lines: list[int]) -> str:
    shown = ", ".join(str(line) for line in lines[:_MOST_LINES])
    return ("line " if len(lines) == 1 else "lines ") + shown + (", …" if len(lines) > _MOST_LINES else "")


def result_text(document: Document, workflow: Workflow, target: str, last: LastRun | None, rich: bool) -> str | None:
    """The step whose results are referred to, and the property that is asked of each."""
    names = {step.name.value: step for step in workflow.steps if step.name is not None}
    name, wanted = split_result(target, names)
    step = names.get(name) or names.get(name.partition("@")[0])
    if step is None:
        return None
    asked = f"`{wanted}` of each result of " if wanted else "the results of "
    return asked + step_text(document, workflow, step, last, rich)


def step_text(document: Document, workflow: Workflow, step: Step, last: LastRun | None, rich: bool) -> str:
    """A step: what it does, what it waits for and who waits for it, what it gives, what came of it last.

    Arguments: `last` is the document's last run; with `rich`, its picture is shown.
    """
    name = step.name.value if step.name is not None else ""
    output = step_output(workflow, step)
    gives = "" if output == UNCERTAIN or output.kind == "any" else f", gives {output.kind}"
    properties = f" with {', '.join(f'`{each}`' for each in output.properties)}" if output.properties else ""
    head = f"step {step.index + 1} of {len(workflow.steps)} **`{name}`** — {_kind(step)}{gives}{properties}"
    sources, users = _flow_of(workflow, step)
    flow = [
        *_flow("after", sources),
        *_flow("used by", users),
        *_often(step_counts(document).get(name, StepCounts())),
    ]
    parts = [head, "*" + "; ".join(flow) + "*" if flow else "", *_last(name, last, rich)]
    return "\n\n".join(part for part in parts if part)


def _kind(step: Step) -> str:
    body = step.body
    if not isinstance(body, Object):
        return "of no kind yet" if step.kind is None else step.kind
    configuration = body.get("configuration")
    named = {
        "pipeline": configuration.get("component_type") if isinstance(configuration, Object) else None,
        "task": body.get("command"),
        "workflow": body.get("path"),
        "pipeline_reference": body.get("reference_name"),
    }.get(step.kind or "")
    words = {"pipeline_reference": "calls again", "workflow": "workflow"}.get(step.kind or "", step.kind or "")
    return f"{words} {written(to_value(named)).replace(chr(34), '')}" if isinstance(named, String) else words


def _flow_of(workflow: Workflow, step: Step) -> tuple[list[str], list[str]]:
    """The steps whose results a step takes, and those that take its."""
    names = {other.index: other.name.value for other in workflow.steps if other.name is not None}
    known = set(names.values())
    own = step.name.value if step.name is not None else None
    sources: dict[str, None] = {}
    users: dict[str, None] = {}
    for use in workflow.uses:
        if use.step is None or use.reference.kind not in ("previous_result", "gather"):
            continue
        target = split_result(use.reference.target, known)[0]
        if use.step == step.index:
            sources[target] = None
        elif target == own:
            users[names.get(use.step, f"step {use.step + 1}")] = None
    return list(sources), list(users)


def _flow(word: str, names: list[str]) -> list[str]:
    return [f"{word} {', '.join(f'`{name}`' for name in names)}"] if names else []


def _often(counts: StepCounts) -> list[str]:
    """How often a step runs, unless that is once for one result."""
    told = [] if counts.iterations in (None, 1) else [f"runs {counts.iterations} times"]
    return told + ([] if counts.results in (None, counts.iterations) else [f"gives {counts.results} results"])


def _last(name: str, last: LastRun | None, rich: bool) -> Iterator[str]:
    run = None if last is None else last.steps.get(name)
    if run is None:
        return
    yield f"last run: {step_words(run)}" + (f", {len(run.files)} files" if len(run.files) > 1 else "")
    picture = next((file for file in run.files if file.content_type.startswith("image/")), None)
    if picture is not None:
        yield _thumbnail(picture) if rich else picture.path
    elif run.files:
        yield run.files[0].path


def _thumbnail(picture: MadeFile) -> str:
    if not Path(picture.path).is_absolute():
        return f"`{picture.path}`"  # A path of the worker's machine, which is another one.
    # The fragment is for VS Code: it sets the size of an image in a hover.
    width = min(picture.width or _THUMBNAIL, _THUMBNAIL)
    address = Path(picture.path).as_uri()
    return f"![the last result]({address}|width={width})\n\n[open]({address})"
