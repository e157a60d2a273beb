"""The table of the parts that modular pipelines take, made from the installed diffusers.

`python -m dw_lsp.worker.engine.modular_table` writes it to where the planner reads it.
"""

from __future__ import annotations

import json
from typing import Any

import diffusers

from dw_lsp.catalog.modular_parts import FILE


def table_of_installed() -> dict[str, Any]:
    """What the file holds, for the installed version."""
    classes: dict[str, Any] = {}
    for name in sorted(dir(diffusers)):
        kind = getattr(diffusers, name) if name.endswith("ModularPipeline") else None
        kind_of_blocks = getattr(diffusers, getattr(kind, "default_blocks_name", None) or "", None)
        if kind_of_blocks is not None:
            classes[name] = _class(kind_of_blocks())
    return {"version": diffusers.__version__, "classes": classes, "families": _families(classes)}


def _class(blocks: Any) -> dict[str, Any]:
    parts = _parts(blocks)
    without = {
        workflow: sorted(parts - _parts(blocks.get_workflow(workflow))) for workflow in blocks._workflow_map or ()
    }
    return {
        "blocks": type(blocks).__name__,
        "parts": sorted(parts),
        "without": {workflow: names for workflow, names in without.items() if names},
    }


def _parts(blocks: Any) -> set[str]:
    return {spec.name for spec in blocks.expected_components}


def _families(classes: dict[str, Any]) -> dict[str, list[str]]:
    """The modular classes for each ordinary one. Which of several it is depends on the model's settings."""
    from diffusers.modular_pipelines.modular_pipeline import MODULAR_PIPELINE_MAPPING
    from diffusers.pipelines.auto_pipeline import SUPPORTED_TASKS_MAPPINGS

    settings: tuple[dict[str, Any], ...] = ({}, {"is_distilled": True}, {"boundary_ratio": 1}, {"sample_sigmas": [1]})
    found: dict[str, set[str]] = {}
    for mapping in SUPPORTED_TASKS_MAPPINGS:
        for family, pipeline in mapping.items():
            if (choose := MODULAR_PIPELINE_MAPPING.get(family)) is not None:
                found.setdefault(pipeline.__name__, set()).update(choose(each) for each in settings)
    return {name: sorted(each & classes.keys()) for name, each in sorted(found.items())}


if __name__ == "__main__":
    FILE.write_text(json.dumps(table_of_installed(), separators=(",", ":")) + "\n", encoding="utf-8")
