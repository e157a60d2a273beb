"""`dw-lsp plan`: what a run would load, run and write. Starts no worker, so nothing counts as in memory already."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

from dw_lsp.catalog.catalog import catalog_of
from dw_lsp.cli.check import check_called, check_document, place_of
from dw_lsp.cli.inputs import UnusableInput, read_arguments, read_document, read_settings, tell, workspace_folder
from dw_lsp.cli.reports import Reported, finding_line
from dw_lsp.cli.terminal import size_words
from dw_lsp.planning.plan import Plan, PlannedComponent, run_seed
from dw_lsp.planning.plan import plan as make_plan
from dw_lsp.planning.planned_steps import PlannedStep
from dw_lsp.planning.recall import LARGEST_SEED
from dw_lsp.planning.step_store import StepStore
from dw_lsp.settings import Settings
from dw_lsp.text.document import Document
from dw_lsp.workflow.recognition import LANGUAGE_ID
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
        planned = _planned(path, options, settings)
    except UnusableInput as problem:
        tell(str(problem))
        return 2
    print(json.dumps(planned.to_json(), indent=2, ensure_ascii=False) if options.json else plan_text(planned))
    return 0


def _planned(path: Path, options: argparse.Namespace, settings: Settings) -> Plan:
    """The plan. Arguments: `options` has arguments, step and seed.

    Raises `UnusableInput` with all that keeps the run from being started.
    """
    arguments = read_arguments(options.arguments)
    if options.seed is not None and not 0 <= options.seed < LARGEST_SEED:
        raise UnusableInput(f"--seed {options.seed}: a seed is a whole number from 0 to 2^64 - 1")
    # Whoever wants a file planned says that it is a workflow; what it lacks to be one is then a mistake.
    document = dataclasses.replace(read_document(path), language_id=LANGUAGE_ID)
    errors = [one for one in check_document(document, path, settings) if one.severity == "error"]
    errors += [] if errors else check_called(document, path, settings)
    if errors:
        raise UnusableInput("\n".join(["the workflow would not start:", *map(finding_line, errors)]))
    try:
        workflow = resolve(document.root, arguments)
        outputs = workspace_folder(path) / Path(settings.output_directory).expanduser()
        store = StepStore(outputs)
        seed = run_seed(workflow, options.seed, store, settings.run.reuse_unseeded)
        device = store.device or "cpu"
        catalog = catalog_of(settings.worker.python or None, bool(settings.worker.command))
        folder = path.resolve().parent
        return make_plan(workflow, folder, {}, outputs, options.step, store, seed, device, catalog)
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
    parts = _steps(planned), _components(planned.components), _sizes(planned), _files(planned)
    return "\n".join(line for part in parts for line in part)


def _steps(planned: Plan) -> Iterator[str]:
    yield f"Steps (the run's seed {'is drawn when it begins' if planned.seed is None else f'is {planned.seed}'})"
    for number, step in enumerate(planned.steps, 1):
        yield from _step(step, f"{number}. ", "  ")


def _step(step: PlannedStep, number: str, margin: str) -> Iterator[str]:
    """A step, and below it those of the workflow that it calls."""
    times = "as often as its inputs" if step.iterations is None else f"{step.iterations} x"
    seed = "" if step.seed is None else f", seed {step.seed}"
    yield f"{margin}{number}{step.name}: {step.kind}, {times}, {step.outcome}{seed}"
    for inner in step.steps:
        yield from _step(inner, "", f"{margin}   ")


def _components(components: tuple[PlannedComponent, ...]) -> Iterator[str]:
    yield "Components"
    if not components:
        yield "  none"
    width = max((len(part.name) for part in components), default=0)
    for part in components:
        yield f"  {part.name:<{width}}  {part.class_name}, {_size(part.bytes)}, {_WHERE[part.where]}"


def _sizes(planned: Plan) -> Iterator[str]:
    estimate = planned.estimate
    yield "Estimate"
    experience = ", as measured here before" if estimate.measured else ""
    computing = (
        f" ({_size(estimate.activation_bytes)} of it for computing{experience})" if estimate.activation_bytes else ""
    )
    at_once = " at once" if estimate.device_bytes else ""
    yield f"  on the device   {_size(estimate.device_bytes)}{at_once}{computing}"
    yield f"  in host memory  {_size(estimate.host_bytes)}"
    yield f"  read from disk  {_size(estimate.disk_bytes)}"
    yield f"  downloaded      {_size(estimate.download_bytes)}"


def _files(planned: Plan) -> Iterator[str]:
    yield "Writes (RUN is named when the run begins)"
    yield from (f"  {name}" for name in planned.writes)
    if not planned.writes:
        yield "  no results, or as many as earlier steps will give"


def _size(size: int | None) -> str:
    return "size unknown" if size is None else size_words(size)
