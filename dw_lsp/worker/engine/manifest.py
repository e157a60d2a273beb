"""What is needed to repeat a run: a file in its folder, and the same, without times and places, inside its pictures."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dw_lsp.protocol import Component, Execute, RunError, StepResult, StepSummary
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


def substituted(run: RepeatableRun) -> dict[str, Any]:
    """The run as a workflow of its own, which needs no arguments and gives the same results."""
    steps = []
    for step in run.steps:
        written: dict[str, Any] = {"name": step.name, step.kind: step.body}
        if step.seed is not None and ("seed",) in step.places:
            written["seed"] = step.seed
        if step.result is not None:
            written["result"] = step.result
        for flag in ("release_pipeline", "release_models"):
            if getattr(step, flag):
                written[flag] = True
        steps.append(written)
    return {"id": run.workflow.id, "seed": run.seed, "steps": steps}


def embedded(run: RepeatableRun, step: ResolvedStep, iteration: int, seed: int | None) -> str:
    """What is put into a picture, as JSON: the same for equal runs, whenever and wherever they happen.

    The workflow goes as far as the step that made the picture: a change in a later step leaves it as it is.
    """
    content = {
        "format": FORMAT,
        "step": step.name,
        "iteration": iteration,
        "seed": seed,
        "workflow": substituted(dataclasses.replace(run, steps=run.steps[: step.index + 1])),
        "versions": dict(run.versions),
        "device": run.device,
    }
    text = json.dumps(content, ensure_ascii=False, default=_as_text)
    if len(text) > LARGEST_EMBEDDED:
        content["workflow"] = {"id": run.workflow.id, "note": "too large to embed; see manifest.json of the run"}
        text = json.dumps(content, ensure_ascii=False, default=_as_text)
    return text


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
    content = {
        "format": FORMAT,
        "runId": request.run_id,
        "outcome": record.outcome,
        "began": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(record.began)),
        "seconds": round(record.seconds, 3),
        "document": request.document_path,
        "text": request.text,
        "arguments": request.arguments,
        "step": request.step,
        "variables": dict(run.workflow.variables),
        "seed": run.seed,
        "workflow": substituted(run),
        "versions": dict(run.versions),
        "device": run.device,
        "steps": [
            {"name": step.name, "outcome": step.outcome, "seconds": round(step.seconds, 3),
             "loadSeconds": round(step.load_seconds, 3)}
            for step in record.steps
        ],
        "results": [_result(result, record.files, roles, folder) for result in record.results],
        "components": [
            {"key": each.key, "name": each.name, "class": each.class_name, "bytes": each.bytes}
            for each in record.components
        ],
    }  # fmt: skip
    if record.error is not None:
        content["error"] = {"message": record.error.message, "type": record.error.type, "step": record.error.step}
    return (json.dumps(content, ensure_ascii=False, indent=2, default=_as_text) + "\n").encode("utf-8", "surrogatepass")


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


def _as_text(value: Any) -> str:
    """What stands in a manifest for a value that JSON cannot express, such as a picture handed to a sub-workflow."""
    return f"<{type(value).__name__}>"
