"""What a run would do, as a value: steps, components and where they are, sizes, files. A pure function of its inputs.

The editor shows a plan from what it last heard of the worker's components; files of models are looked at, not loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal, TypeAlias

from dw_lsp.planning.chains import chain_of, segment_name
from dw_lsp.planning.estimate import Estimate as Need
from dw_lsp.planning.estimate import estimate, pipeline_calls
from dw_lsp.planning.file_contents import with_contents
from dw_lsp.planning.measured import Measurements
from dw_lsp.planning.output_names import extension_of, result_stem, safe_name
from dw_lsp.planning.recall import Recall, listed
from dw_lsp.planning.requirements import RequiredComponent, RequiredPipeline, lora_parts
from dw_lsp.planning.step_store import StepStore
from dw_lsp.planning.task_models import models_of, required_of
from dw_lsp.protocol import Component
from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.references import parse_reference, split_result
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep, ResolvedWorkflow

Where: TypeAlias = Literal["device", "host", "disk", "download"]
#: Arguments that say how many results a call gives for each prompt.
BATCHES = ("num_images_per_prompt", "num_videos_per_prompt", "num_waveforms_per_prompt")
#: Stands for the folder of the run to come, which is named when it begins.
RUN_FOLDER = "RUN"


@dataclass(frozen=True)
class PlannedStep:
    """A step that would be run: `iterations` is `None` where that depends on what an earlier step will give."""

    name: str
    kind: str
    iterations: int | None
    outcome: Literal["run", "reuse"]


@dataclass(frozen=True)
class PlannedComponent:
    """A component that the run needs and where it is now. `bytes` is `None` for files that are not here yet."""

    key: str
    name: str
    class_name: str
    bytes: int | None
    device: str | None
    seconds: float | None
    where: Where


@dataclass(frozen=True)
class Estimate:
    """Bytes that the run would need; `None` where a model that is not here yet makes it unknowable.

    `device_bytes` is what the most demanding step needs at once: what others keep leaves when room is wanted.
    `activation_bytes` is the part of `device_bytes` that computing takes; `measured`: corrected by experience here.
    """

    device_bytes: int | None
    host_bytes: int | None
    disk_bytes: int | None
    download_bytes: int | None
    activation_bytes: int | None = None
    measured: bool = False


@dataclass(frozen=True)
class Plan:
    """What a run would do. `components` are those that it needs, and those of reused steps that are in memory."""

    steps: tuple[PlannedStep, ...]
    components: tuple[PlannedComponent, ...]
    estimate: Estimate
    writes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The plan as `dw.plan` answers it."""
        return {
            "steps": [
                {"name": step.name, "kind": step.kind, "iterations": step.iterations, "outcome": step.outcome}
                for step in self.steps
            ],
            "components": [
                {
                    "key": part.key,
                    "name": part.name,
                    "class": part.class_name,
                    "bytes": part.bytes,
                    "device": part.device,
                    "seconds": part.seconds,
                    "where": part.where,
                }
                for part in self.components
            ],
            "estimate": {
                "deviceBytes": self.estimate.device_bytes,
                "hostBytes": self.estimate.host_bytes,
                "diskBytes": self.estimate.disk_bytes,
                "downloadBytes": self.estimate.download_bytes,
                "activationBytes": self.estimate.activation_bytes,
                "measured": self.estimate.measured,
            },
            "writes": list(self.writes),
        }


def plan(
    workflow: ResolvedWorkflow,
    folder: Path | None,
    residency: Mapping[str, Component],
    output_directory: PurePath,
    last_step: str | None = None,
    store: StepStore | None = None,
    seed: int | None = None,
    device: str = "cpu",
) -> Plan:
    """What running the workflow would do.

    Arguments: `folder` is that of the workflow file; `residency` the components in the worker's memory by key;
    `last_step` the step to stop after; `store` has the steps that are remembered, `seed` is the run's, if it has one;
    `device` is the kind of the worker's.
    Raises `InvalidInput` when a model folder is named that is not there, or `last_step` names no step.
    """
    steps = steps_until(workflow, last_step)
    defining = [step for step in steps if step.kind == "pipeline" or models_of(step)]
    required = {step.name: required_of(step, folder, device) for step in defining}
    recall = None if store is None else Recall(store, folder, lambda step: required[step.name], seed, device=device)
    reused = {step.name for step in steps if recall is not None and recall.remembers(step)}
    required = {name: with_contents(each, residency) for name, each in required.items()}
    needed = _needed(steps, reused, required)
    components = tuple(_planned(part, residency.get(part.key), device) for part in needed.values())
    known = [part for defined in required.values() for part in (*defined.parts, *lora_parts(defined))]
    idle = {part.key: part for part in known if part.key not in needed}
    there = tuple(_planned(part, residency[part.key], device) for part in idle.values() if part.key in residency)
    counts = Counts(workflow)
    planned = tuple(
        PlannedStep(step.name, step.kind, counts.iterations(step), "reuse" if step.name in reused else "run")
        for step in steps
    )
    folders = output_directory / safe_name(workflow.id) / RUN_FOLDER
    segments = [name for step in steps if step.name not in reused for name in _kept_segments(workflow, step, counts)]
    writes = tuple(name for step in steps for name in _writes(workflow, step, counts, output_directory))
    writes = (*writes, *(str(folders / name) for name in segments))
    running = tuple(step for step in steps if step.name not in reused)
    by_name = {step.name: step for step in steps}
    defined = {name: (by_name[name], each) for name, each in required.items()}
    needs = tuple(pipeline_calls(running, defined))
    on_device = estimate(needs, device, Measurements())
    told = _estimate(tuple(needed.values()), components, on_device, bool(needs))
    return Plan(planned, (*components, *there), told, writes)


def run_seed(
    workflow: ResolvedWorkflow, asked: int | None, store: StepStore | None, reuse_unseeded: bool
) -> int | None:
    """The seed of a run: the caller's, the workflow's, or the one that is taken again; `None`: it will be drawn."""
    given = asked if asked is not None else workflow.seed
    return store.seed_of(workflow.id) if given is None and reuse_unseeded and store is not None else given


def _needed(
    steps: Sequence[ResolvedStep], reused: Collection[str], required: Mapping[str, RequiredPipeline]
) -> dict[str, RequiredComponent]:
    """The components that the steps need which run; those too that other steps define for them."""
    shared: dict[str, RequiredComponent] = {}
    needed: dict[str, RequiredComponent] = {}
    for step in steps:
        if (defined := required.get(str(step.body.get("reference_name", step.name)))) is None:
            continue
        taken = {name: shared[name] for name in listed(step, "reused_components") if name in shared}
        parts = {part.name: part for part in defined.parts} | taken
        shared.update({name: parts[name] for name in listed(step, "shared_components") if name in parts})
        if step.name not in reused:
            needed.update({part.key: part for part in (*parts.values(), *lora_parts(defined))})
    return needed


def steps_until(workflow: ResolvedWorkflow, last_step: str | None) -> tuple[ResolvedStep, ...]:
    """The steps up to and including the one named; `None` means all. Raises `InvalidInput` for an unknown name."""
    if last_step is None:
        return workflow.steps
    wanted = workflow.step(last_step)
    if wanted is None:
        names = ", ".join(repr(step.name) for step in workflow.steps)
        raise InvalidInput(f"there is no step named {last_step!r}; the steps are {names}")
    return workflow.steps[: wanted.index + 1]


def _planned(part: RequiredComponent, resident: Component | None, device: str) -> PlannedComponent:
    where: Where
    if resident is not None:
        # What is on the CPU beside another device is parked there; of what has no weights it makes no difference.
        where = "host" if device != "cpu" and resident.device == "cpu" and resident.bytes else "device"
        return PlannedComponent(
            part.key, part.name, part.class_name, resident.bytes, resident.device, resident.seconds, where
        )
    where = "disk" if part.where_from == "disk" else "download"
    return PlannedComponent(part.key, part.name, part.class_name, part.bytes, None, None, where)


def _estimate(
    needed: tuple[RequiredComponent, ...],
    components: tuple[PlannedComponent, ...],
    on_device: Need | None,
    any_pipeline: bool,
) -> Estimate:
    """Arguments: `on_device` is what the most demanding step needs there, as a run tells it when it begins."""
    missing = [
        required for required, part in zip(needed, components, strict=True) if part.where in ("disk", "download")
    ]
    on_disk = [part.disk_bytes or 0 for part in missing if part.where_from == "disk"]
    device, computing = (on_device.need, on_device.computing) if on_device is not None else (None, None)
    if not any_pipeline:
        device = computing = 0
    host = (
        None if any(part.bytes is None for part in missing) else max((part.bytes or 0 for part in missing), default=0)
    )
    download = None if any(part.where_from == "download" for part in missing) else 0
    measured = on_device is not None and on_device.measured
    return Estimate(device, host, sum(on_disk), download, computing, measured)


class Counts:
    """How many iterations and results each step will have; `None` where the text does not tell."""

    def __init__(self, workflow: ResolvedWorkflow) -> None:
        self._names = [step.name for step in workflow.steps]
        self._results: dict[str, int | None] = {}
        self._iterations: dict[str, int | None] = {}
        for step in workflow.steps:
            iterations = self._count(step)
            self._iterations[step.name] = iterations
            self._results[step.name] = None if iterations is None else _results_of(step, iterations)

    def iterations(self, step: ResolvedStep) -> int | None:
        """How often it runs."""
        return self._iterations[step.name]

    def results(self, step: ResolvedStep) -> int | None:
        """How many results it gives."""
        return self._results[step.name]

    def _count(self, step: ResolvedStep) -> int | None:
        inputs = step.body.get("inputs")
        if isinstance(inputs, list):
            return len(inputs)
        total = 1
        for target in _results_used(step.body.get("arguments")):
            count = self._results.get(split_result(target, self._names)[0])
            if count is None:
                return None
            total *= count
        return total


def _results_used(value: Value) -> list[str]:
    if isinstance(value, dict):
        return [target for item in value.values() for target in _results_used(item)]
    if isinstance(value, list):
        return [target for item in value for target in _results_used(item)]
    if isinstance(value, str):
        reference = parse_reference(value)
        if reference is not None and reference.kind == "previous_result":
            return [reference.target]
    return []


def _kept_segments(workflow: ResolvedWorkflow, step: ResolvedStep, counts: Counts) -> list[str]:
    """The files of a chain's segments that are there when the run is over."""
    chain = chain_of(step) if step.kind in ("pipeline", "pipeline_reference") else None
    if chain is None or not (chain.save and chain.keep) or chain.segments is None:
        return []
    stem = f"{safe_name(workflow.id)}-{safe_name(step.name)}"
    iterations = range(counts.iterations(step) or 0)
    return [segment_name(stem, each, segment) for each in iterations for segment in range(chain.segments)]


def _results_of(step: ResolvedStep, iterations: int) -> int | None:
    """The number of artifacts of a step, where its own text decides it."""
    arguments = step.body.get("arguments")
    values = arguments if isinstance(arguments, dict) else {}
    if step.body.get("chain") is not None:
        return iterations
    if step.kind in ("pipeline", "pipeline_reference"):
        prompt = values.get("prompt")
        images = next((values[key] for key in BATCHES if key in values), 1)
        prompts = len(prompt) if isinstance(prompt, list) else 1
        return iterations * prompts * images if isinstance(images, int) else None
    if step.kind == "task" and step.body.get("command") in ("gather_images", "gather_videos", "select"):
        urls = values.get("urls")
        return len(urls) if isinstance(urls, list) and "glob" not in values else None
    return iterations if step.kind == "task" else None


def _writes(workflow: ResolvedWorkflow, step: ResolvedStep, counts: Counts, output_directory: PurePath) -> list[str]:
    """The files that a step's results would be written to."""
    result = step.result
    if result is None or result.get("save") is False:
        return []
    content_type, base_name = result.get("content_type"), result.get("file_base_name")
    extension = extension_of(content_type) if isinstance(content_type, str) else None
    iterations, results = counts.iterations(step), counts.results(step)
    if extension is None or not iterations or not results:
        return []
    base = base_name if isinstance(base_name, str) else None
    each = max(1, results // iterations)
    stems = [
        result_stem(workflow.id, step.name, step.index, iteration, None if extension == ".json" else artifact, base)
        for iteration in range(iterations)
        for artifact in range(1 if extension == ".json" else each)
    ]
    run_folder = output_directory / safe_name(workflow.id) / RUN_FOLDER
    return [str(run_folder / (stem + extension)) for stem in stems]
