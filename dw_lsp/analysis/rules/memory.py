"""The rule on memory: models whose weights alone are more than the worker's device holds."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dw_lsp.analysis.findings import Finding, Rule
from dw_lsp.analysis.rules.context import Context, finding
from dw_lsp.catalog.models import MODEL_INDEX, find_model
from dw_lsp.planning.activations import Part, activations, picture_of
from dw_lsp.planning.requirements import SCHEDULER_NAMES
from dw_lsp.planning.weight_bytes import dtype_bytes
from dw_lsp.text.syntax_tree import Node, Number, Object, String, to_value
from dw_lsp.workflow.path_uses import PathUse

MEMORY = Rule(
    "memory",
    "warning",
    "The estimated need exceeds the device.",
    "The run would end without memory, after the time that loading takes.",
    '"from_pretrained_arguments": { "model_name": "owner/a-very-large-model" }',
    'Load it as "torch.bfloat16" or quantized, set "offload": "model" or "sequential", or take a smaller model.',
)
_FULL_PRECISION = 4
#: Settings under which parts of a model are elsewhere than on the device, so that its size says little.
_ELSEWHERE = ("components", "group_offload", "load_components", "device", "components_manager")


def memory(context: Context) -> Iterator[Finding]:
    """Pipelines that cannot fit into the device, by the exact size of their weights."""
    device = context.workspace.device
    capacity = None if device is None else device.bytes
    if capacity is None or context.workflow is None:
        return
    bodies = [step.body for step in context.workflow.steps if step.kind == "pipeline"]
    loading = {id(body.get("from_pretrained_arguments")): body for body in bodies if isinstance(body, Object)}
    for use in context.paths:
        body = loading.get(id(use.owner))
        if body is not None and use.purpose == "model":
            need = _need(context, use, body)
            if need is not None and need.weights + need.computing > capacity:
                room = f"the worker's device has {_gigabytes(capacity)}"
                size = _gigabytes(need.weights)
                if need.weights <= capacity:
                    size += f", and computing at least {_gigabytes(need.computing)}"
                message = f"The weights of {use.text} need {size}; {room}. {MEMORY.mend}"
                yield finding(MEMORY, use.node.range, message)


@dataclass(frozen=True)
class _Need:
    """Bytes on the device at once: weights exactly; of computing the least that the shapes allow."""

    weights: int
    computing: int


def _need(context: Context, use: PathUse, pipeline: Object) -> _Need | None:
    """What must be on the device at once; `None` where that cannot be told."""
    configuration = pipeline.get("configuration")
    if not isinstance(configuration, Object) or any(configuration.member(key) for key in _ELSEWHERE):
        return None
    offload = _text(configuration.get("offload"))
    if offload == "sequential" or _has_own_parts(pipeline):
        return None
    folder = context.model_folder(use.text, _text(use.owner.get("revision")))
    if folder is None:
        return None
    size = dtype_bytes(_text(use.owner.get("dtype") or use.owner.get("torch_dtype"))) or _FULL_PRECISION
    parts = _parts(str(folder), _text(use.owner.get("variant")), size, _changed(folder))
    if not parts:
        return None
    sized = _computing(pipeline, configuration, [part for part, _ in parts])
    sizes = [size for _, size in parts]
    return _Need(max(sizes) if offload == "model" else sum(sizes), sized)


def _computing(pipeline: Object, configuration: Object, parts: list[Part]) -> int:
    """The least that computing takes; 0 where a reference decides the size."""
    arguments, switches = pipeline.get("arguments"), configuration.get("vae")
    members = {member.key.value: member.value for member in arguments.members} if isinstance(arguments, Object) else {}
    given = {name: node.value for name, node in members.items() if isinstance(node, Number)}
    if any(name in members and name not in given for name in ("width", "height")):
        return 0
    given.setdefault("guidance_scale", 0)  # Without guidance it is less.
    told = to_value(switches) if isinstance(switches, Object) else None
    found = activations(parts, picture_of({"arguments": {**given}, "configuration": {"vae": told}}))
    return found.least if found is not None else 0


def _has_own_parts(pipeline: Object) -> bool:
    return any(
        isinstance(member.value, Object) and member.value.member("from_pretrained_arguments") is not None
        for member in pipeline.members
    )


def _text(node: Node | None) -> str | None:
    return node.value if isinstance(node, String) else None


def _changed(folder: Path) -> int:
    try:
        return (folder / MODEL_INDEX).stat().st_mtime_ns
    except (OSError, ValueError):
        return 0


@functools.lru_cache(maxsize=64)
def _parts(folder: str, variant: str | None, element_bytes: int, changed: int) -> tuple[tuple[Part, int], ...]:
    """Each component and its bytes in memory. Arguments: `changed` tells a model from one that took its place."""
    model = find_model(folder, None, variant=variant)
    parts = [] if model is None else [part for part in model.parts if part.name not in SCHEDULER_NAMES]
    return tuple(
        (Part(part.name, part.class_name, part.folder, element_bytes), part.weights.bytes_as(element_bytes))
        for part in parts
    )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 100_000_000 else f"{size / 1e6:.1f} MB"
