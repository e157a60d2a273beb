"""`dw-lsp plan`: what a run would load, run and write. Starts no worker, so nothing counts as being in memory already."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from dw_lsp.cli.check import check_document, place_of
from dw_lsp.cli.inputs import UnusableInput, read_arguments, read_document, read_settings, tell, workspace_folder
from dw_lsp.cli.reports import Reported, finding_line
from dw_lsp.planning.plan import Plan, PlannedComponent, PlannedStep
from dw_lsp.planning.plan import plan as make_plan
from dw_lsp.settings import Settings
from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.recognition import is_workflow
from dw_lsp.workflow.resolved import InvalidInput
from dw_lsp.workflow.substitution import resolve

_WHERE = {
    "device": "on the device",
    "host": "in host memory",
    "disk": "on disk, would be loaded",
    "download": "not here, would be downloaded",
}


def plan(options: argparse.Namespace) -> int:
    """Print the plan of a run. Returns the exit code: 0 it would start, 2 it would not."""
    path, settings = Path(options.file), read_settings()
    try:
        planned = _planned(path, read_arguments(options.arguments), settings)
    except UnusableInput as problem:
        tell(str(problem))
        return 2
    print(json.dumps(planned.to_json(), indent=2, ensure_ascii=False) if options.json else plan_text(planned))
    return 0


def _planned(path: Path, arguments: dict[str, Value], settings: Settings) -> Plan:
    """The plan. Raises `UnusableInput` with all that keeps the run from being started."""
    document = read_document(path)
    if not is_workflow(document.root, path.name, document.language_id):
        raise UnusableInput(f"{path} is no workflow: it has no `steps` with a pipeline, task or workflow")
    errors = [one for one in check_document(document, path, settings.diagnostics.severity) if one.severity == "error"]
    if errors:
        raise UnusableInput("\n".join(["the workflow would not start:", *map(finding_line, errors)]))
    assert document.root is not None
    try:
        workflow = resolve(document.root, arguments)
        outputs = workspace_folder(path) / Path(settings.output_directory).expanduser()
        return make_plan(workflow, path.resolve().parent, {}, outputs)
    except InvalidInput as problem:
        raise UnusableInput(_sentence(problem, document, path)) from None


def _sentence(problem: InvalidInput, document: Document, path: Path) -> str:
    """What the reader of the terminal needs of an error: its place, if it has one, the problem, and the mend."""
    message = problem.message if problem.hint is None else f"{problem.message}. {problem.hint}"
    if problem.range is None:
        return f"the workflow would not start: {message}"
    found = Reported(place_of(problem.range, document, path), "invalid-value", "error", message)
    return f"the workflow would not start:\n{finding_line(found)}"


# ---------------------------------------------------------------- for people


def plan_text(planned: Plan) -> str:
    """The plan in words: steps, components, sizes and files."""
    return "\n".join([*_steps(planned.steps), *_components(planned.components), *_sizes(planned), *_files(planned)])


def _steps(steps: tuple[PlannedStep, ...]) -> Iterator[str]:
    yield "Steps"
    for number, step in enumerate(steps, 1):
        times = "as often as its inputs" if step.iterations is None else f"{step.iterations} x"
        yield f"  {number}. {step.name}: {step.kind}, {times}, {step.outcome}"


def _components(components: tuple[PlannedComponent, ...]) -> Iterator[str]:
    yield "Components"
    if not components:
        yield "  none"
    width = max((len(part.name) for part in components), default=0)
    for part in components:
        yield f"  {part.name:<{width}}  {part.class_name}, {size_text(part.bytes)}, {_WHERE[part.where]}"


def _sizes(planned: Plan) -> Iterator[str]:
    estimate = planned.estimate
    yield "Estimate"
    yield f"  on the device   {size_text(estimate.device_bytes)}"
    yield f"  in host memory  {size_text(estimate.host_bytes)}"
    yield f"  read from disk  {size_text(estimate.disk_bytes)}"
    yield f"  downloaded      {size_text(estimate.download_bytes)}"


def _files(planned: Plan) -> Iterator[str]:
    yield "Writes (RUN is named when the run begins)"
    yield from (f"  {name}" for name in planned.writes)
    if not planned.writes:
        yield "  no results, or as many as earlier steps will give"


def size_text(size: int | None) -> str:
    """A number of bytes for people."""
    if size is None:
        return "size unknown"
    amount = float(size)
    for unit in ("bytes", "KB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
