"""Which parts of a model a modular pipeline takes: a table that comes along, since only running its blocks would tell.

`python -m dw_lsp.worker.engine.modular_table` writes the table anew from the installed diffusers. What stands in no
table, such as blocks of a model's own, counts as taking all parts.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dw_lsp.catalog.models import read_json
from dw_lsp.catalog.modular_models import BLOCKS_INDEX, MODULAR_INDEX

FILE = Path(__file__).with_name("modular.json")
_CHOOSES_ITSELF = "ModularPipeline"


@dataclass(frozen=True)
class ModularClass:
    """The usual blocks of a modular pipeline class, the parts that they take, and which of them a workflow does not."""

    blocks: str
    parts: frozenset[str]
    without: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class ModularTable:
    """All classes of one version of diffusers; `families` has those that serve the models of an ordinary pipeline."""

    version: str
    classes: Mapping[str, ModularClass]
    families: Mapping[str, tuple[str, ...]]


@functools.lru_cache(maxsize=1)
def modular_table() -> ModularTable:
    """The table that comes along."""
    told = json.loads(FILE.read_text(encoding="utf-8"))
    classes = {
        name: ModularClass(
            each["blocks"],
            frozenset(each["parts"]),
            {workflow: frozenset(parts) for workflow, parts in each["without"].items()},
        )
        for name, each in told["classes"].items()
    }
    return ModularTable(told["version"], classes, {name: tuple(classes) for name, classes in told["families"].items()})


def expected_parts(
    class_name: str, model: Path, model_class: str | None, workflow: str | None
) -> frozenset[str] | None:
    """The names of the parts that a modular pipeline takes; `None` if that is not known.

    Arguments: the class that a step names; the model's folder, and the class that its index names; the `workflow` that
    the step chooses.
    """
    table, index = modular_table(), read_json(model / MODULAR_INDEX)
    if (read_json(model / BLOCKS_INDEX) or {}).get("auto_map"):
        return None
    named = class_name if class_name != _CHOOSES_ITSELF else model_class or ""
    found = [table.classes[name] for name in (named, *table.families.get(named, ())) if name in table.classes]
    blocks = None if index is None else index.get("_blocks_class_name")
    if not found or any(blocks not in (None, each.blocks) for each in found):
        return None
    return frozenset().union(*(each.parts - each.without.get(workflow or "", frozenset()) for each in found))
