"""The rule on memory: models whose weights alone are more than the worker's device holds."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from dw_lsp.analysis.findings import Finding, Rule
from dw_lsp.analysis.rules.context import Context, finding
from dw_lsp.catalog.models import MODEL_INDEX, find_model
from dw_lsp.planning.requirements import SCHEDULER_NAMES, dtype_bytes
from dw_lsp.text.syntax_tree import Node, Object, String
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
    capacity = context.workspace.device_bytes
    if capacity is None or context.workflow is None:
        return
    bodies = [step.body for step in context.workflow.steps if step.kind == "pipeline"]
    loading = {id(body.get("from_pretrained_arguments")): body for body in bodies if isinstance(body, Object)}
    for use in context.paths:
        body = loading.get(id(use.owner))
        if body is not None and use.purpose == "model":
            need = _need(context, use, body)
            if need is not None and need > capacity:
                room = f"the worker's device has {_gigabytes(capacity)}"
                message = f"The weights of {use.text} need {_gigabytes(need)}; {room}. {MEMORY.mend}"
                yield finding(MEMORY, use.node.range, message)


def _need(context: Context, use: PathUse, pipeline: Object) -> int | None:
    """Bytes that must be on the device at once; `None` where that cannot be told."""
    configuration = pipeline.get("configuration")
    if not isinstance(configuration, Object) or any(configuration.member(key) for key in _ELSEWHERE):
        return None
    offload = _text(configuration.get("offload"))
    if offload == "sequential" or _has_own_parts(pipeline):
        return None
    folder = context.model_folder(use.text, _text(use.owner.get("revision")))
    if folder is None:
        return None
    size = dtype_bytes(_text(use.owner.get("torch_dtype")))
    sizes = _sizes(str(folder), _text(use.owner.get("variant")), size or _FULL_PRECISION, _changed(folder))
    return (max(sizes) if offload == "model" else sum(sizes)) if sizes else None


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
def _sizes(folder: str, variant: str | None, element_bytes: int, changed: int) -> tuple[int, ...]:
    """Bytes of each component in memory. Arguments: `changed` tells a model from one that took its place."""
    model = find_model(folder, None, variant=variant)
    parts = [] if model is None else [part for part in model.parts if part.name not in SCHEDULER_NAMES]
    return tuple(part.weights.bytes_as(element_bytes) for part in parts)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 100_000_000 else f"{size / 1e6:.1f} MB"
