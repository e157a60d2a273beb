"""What is needed to repeat a run: a file in its folder, and the same, without times and places, inside its pictures."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dw_lsp.protocol import Component, Execute, RunError, StepResult, StepSummary
from dw_lsp.worker.engine.references import follows_from
from dw_lsp.worker.engine.run_folder import WrittenFile
from dw_lsp.workflow.resolved import ResolvedStep, ResolvedWorkflow

FORMAT = 1
MANIFEST = "manifest.json"
#: More than this is not put into a picture.
LARGEST_EMBEDDED = 256 * 1024


@dataclass(frozen=True)
class RepeatableRun:
    """What decides a run's results: the workflow with all values in place, the run's seed, the libraries' versions."""

    workflow: ResolvedWorkflow
    steps: tuple[ResolvedStep, ...]
    seed: int
    versions: Mapping[str, str]
    device: str

    @functools.cached_property
    def written_steps(self) -> tuple[str, ...]:
        """Each step as JSON. Written once: pictures tell of other steps than their own, too."""
        return tuple(_written(step) for step in self.steps)

    @functools.cached_property
    def sources(self) -> tuple[tuple[int, ...], ...]:
        """For each step, the steps that its results follow from."""
        return follows_from(self.steps)

    def written(self, separator: str = ", ") -> str:
        """The steps as a workflow of its own, which needs no arguments and gives the same results."""
        return self._workflow(self.written_steps, separator)

    def written_for(self, step: ResolvedStep) -> str | None:
        """The same with those steps only that one step's results follow from; `None` where that is very long."""
        steps = [self.written_steps[index] for index in self.sources[step.index]]
        return self._workflow(steps) if sum(map(len, steps)) <= LARGEST_EMBEDDED else None

    def _workflow(self, steps: Sequence[str], separator: str = ", ") -> str:
        return f'{{"id": {_json(self.workflow.id)}, "seed": {self.seed}, "steps": [{separator.join(steps)}]}}'


def _written(step: ResolvedStep) -> str:
    if "written" in step.facts:
        return str(step.facts["written"])
    written: dict[str, Any] = {"name": step.name, step.kind: step.body}
    if step.seed is not None and ("seed",) in step.places:
        written["seed"] = step.seed
    if step.result is not None:
        written["result"] = step.result
    for flag in ("release_pipeline", "release_models"):
        if getattr(step, flag):
            written[flag] = True
    step.facts["written"] = text = _json(written)
    return text


def embedded(run: RepeatableRun, step: ResolvedStep, iteration: int, seed: int | None) -> str:
    """What is put into a picture, as JSON: the same for equal runs, whenever and wherever they happen.

    The workflow has the steps that the picture follows from: a change in any other leaves it as it is.
    """
    front = _json({"format": FORMAT, "step": step.name, "iteration": iteration, "seed": seed})
    back = _json({"versions": dict(run.versions), "device": run.device})
    workflow = run.written_for(step)
    if workflow is None:
        workflow = _json({"id": run.workflow.id, "note": "too large to embed; see manifest.json of the run"})
    return f'{front[:-1]}, "workflow": {workflow}, {back[1:]}'


def _as_text(value: Any) -> str:
    """What stands in a manifest for a value that JSON cannot express, such as a picture handed to a sub-workflow."""
    return f"<{type(value).__name__}>"


_json = json.JSONEncoder(ensure_ascii=False, default=_as_text).encode


@dataclass(frozen=True)
class RunRecord:
    """How a run went, for its manifest."""

    outcome: str
    began: float
    seconds: float
    steps: Sequence[StepSummary]
    results: Sequence[StepResult]
    files: Mapping[str, WrittenFile]
    components: Sequence[Component]
    error: RunError | None


def manifest(request: Execute, run: RepeatableRun, record: RunRecord, folder: Path) -> bytes:
    """The content of a run's manifest. Arguments: `folder` is the run's, to which its paths are relative."""
    roles = {step.name: step.result.get("role") for step in run.steps if step.result is not None}
    content: dict[str, str | Sequence[str]] = {
        "format": _json(FORMAT),
        "runId": _json(request.run_id),
        "outcome": _json(record.outcome),
        "began": _json(time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(record.began))),
        "seconds": _json(round(record.seconds, 3)),
        "document": _json(request.document_path),
        "text": _json(request.text),
        "arguments": _json(request.arguments),
        "step": _json(request.step),
        "variables": _json(dict(run.workflow.variables)),
        "seed": _json(run.seed),
        "workflow": run.written(",\n    "),
        "versions": _json(dict(run.versions)),
        "device": _json(run.device),
        "steps": [
            f'{{"name": {_json(step.name)}, "outcome": "{step.outcome}", "seconds": {step.seconds:.3f}, '
            f'"loadSeconds": {step.load_seconds:.3f}}}'
            for step in record.steps
        ],
        "results": [_json(_result(result, record.files, roles, folder)) for result in record.results],
        "components": [
            _json({"key": each.key, "name": each.name, "class": each.class_name, "bytes": each.bytes})
            for each in record.components
        ],
    }  # fmt: skip
    if record.error is not None:
        error = {"message": record.error.message, "type": record.error.type, "step": record.error.step}
        content["error"] = _json(error)
    lines = (f'  "{key}": {_lines(value)}' for key, value in content.items())
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode("utf-8", "surrogatepass")


def _lines(value: str | Sequence[str]) -> str:
    """JSON that was written before; a list with an item on each line."""
    if isinstance(value, str) or not value:
        return str(value)
    return "[\n    " + ",\n    ".join(value) + "\n  ]"


def _result(
    result: StepResult, files: Mapping[str, WrittenFile], roles: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    told: dict[str, Any] = {"step": result.step, "index": result.index, "contentType": result.content_type}
    if result.path is not None:
        told["path"] = Path(result.path).relative_to(folder).as_posix()
        told["bytes"] = result.bytes
        if result.path in files:
            told["sha256"] = files[result.path].digest
    for name, value in (("seed", result.seed), ("width", result.width), ("height", result.height)):
        if value is not None:
            told[name] = value
    if roles.get(result.step) is not None:
        told["role"] = roles[result.step]
    return told
