"""What a run would do, as a value: steps, components and where they are, sizes, files. A pure function of its inputs.

The editor shows a plan from what it last heard of the worker's components; files of models are looked at, not loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal, TypeAlias

from dw_lsp.catalog.catalog import Catalog
from dw_lsp.planning.estimate import Estimate as Need
from dw_lsp.planning.estimate import estimate
from dw_lsp.planning.measured import Measurements
from dw_lsp.planning.output_names import safe_name
from dw_lsp.planning.planned_steps import Found, Known, PlannedStep, Walk
from dw_lsp.planning.requirements import RequiredComponent
from dw_lsp.planning.result_files import numbered
from dw_lsp.planning.step_keys import drawn_for
from dw_lsp.planning.step_store import StepStore
from dw_lsp.protocol import Component
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep, ResolvedWorkflow

Where: TypeAlias = Literal["device", "host", "disk", "download"]
#: Stands for the folder of the run to come, which is named when it begins.
RUN_FOLDER = "RUN"


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
    """What a run would do. `components` are those that it needs, and those of reused steps that are in memory.

    `seed` is the run's; `None` for one that will be drawn.
    """

    steps: tuple[PlannedStep, ...]
    components: tuple[PlannedComponent, ...]
    estimate: Estimate
    writes: tuple[str, ...]
    seed: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The plan as `dw.plan` answers it."""
        return {
            "steps": [step.to_json() for step in self.steps],
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
            "seed": self.seed,
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
    catalog: Catalog | None = None,
) -> Plan:
    """What running the workflow would do.

    Arguments: `folder` is that of the workflow file; `residency` the components in the worker's memory by key;
    `last_step` the step to stop after; `store` has the steps that are remembered, `seed` is the run's, if it has one;
    `device` is the kind of the worker's; `catalog` has the classes that its Python knows.
    Raises `InvalidInput` when a model folder or a workflow file is named that is not there, a called workflow cannot be
    run, or `last_step` names no step.
    """
    found = Found()
    known = Known(store, catalog, device, residency)
    steps = Walk(workflow, steps_until(workflow, last_step), folder, known, seed, found).planned()
    components = tuple(_planned(part, residency.get(part.key), device) for part in found.needed.values())
    idle = {part.key: part for part in found.known if part.key not in found.needed}
    there = tuple(_planned(part, residency[part.key], device) for part in idle.values() if part.key in residency)
    on_device = None if found.unjudged else estimate(found.calls, device, Measurements())
    told = _estimate(tuple(found.needed.values()), components, on_device, bool(found.calls), bool(found.unjudged))
    run_folder = output_directory / safe_name(workflow.id) / RUN_FOLDER
    writes = tuple(str(run_folder / file) for file in numbered(found.files))
    return Plan(steps, (*components, *there), told, writes, seed)


def run_seed(
    workflow: ResolvedWorkflow, asked: int | None, store: StepStore | None, reuse_unseeded: bool
) -> int | None:
    """The seed of a run: the caller's, the workflow's, or the one that is taken again; `None`: it will be drawn."""
    given = asked if asked is not None else workflow.seed
    if given is not None or store is None:
        return given
    return store.seed_of(workflow.id, None if reuse_unseeded else drawn_for(workflow))


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
    is_open: bool,
) -> Estimate:
    """Arguments: `on_device` is what the most demanding step needs there, as a run tells it when it begins.

    `is_open`: more may be needed than is known.
    """
    if is_open:
        return Estimate(None, None, None, None)
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
