"""Rules on models: local folders that hold none, and models that the first run will download."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from dw_lsp.analysis.findings import Finding, Rule
from dw_lsp.analysis.rules.context import Context, finding
from dw_lsp.catalog.models import MODEL_INDEX, PART_CONFIGURATIONS, WEIGHT_SUFFIXES, looks_local
from dw_lsp.text.syntax_tree import Object, String
from dw_lsp.workflow.path_uses import PathUse

UNKNOWN_MODEL = Rule(
    "unknown-model",
    "error",
    "A local model folder that is not there, or has no model in it.",
    "Loading would fail.",
    '"model_name": "./models/shaeps"',
    "Correct the path; it starts at the folder of this file.",
)
MODEL_NOT_CACHED = Rule(
    "model-not-cached",
    "information",
    "A model of the hub that the first run will download.",
    "The first run takes longer, and needs the network and room on the disk.",
    '"model_name": "owner/model"',
    "Nothing is wrong. To download it beforehand: hf download owner/model",
)
_HUB_NAME = re.compile(r"^[\w.-]+/[\w.-]+$")
DESCRIPTIONS = (MODEL_INDEX, "config.json", "modular_model_index.json", *PART_CONFIGURATIONS)


def models(context: Context) -> Iterator[Finding]:
    """Models that are not on this machine."""
    if context.workflow is None:
        return
    for use in context.paths:
        if use.purpose == "model":
            yield from _model(context, use)
        elif use.purpose == "weights" and looks_local(use.text):
            path = _local(use.text, context.folder)
            if path is not None and not context.workspace.exists(path):
                yield finding(UNKNOWN_MODEL, use.node.range, f"There is no file {use.text} here.")


def _model(context: Context, use: PathUse) -> Iterator[Finding]:
    if looks_local(use.text):
        path = _local(use.text, context.folder)
        if path is None:
            return
        if not context.workspace.exists(path):
            yield finding(UNKNOWN_MODEL, use.node.range, f"There is no folder {use.text} here.")
        elif os.path.isdir(path) and not holds_model(path, _text(use.owner, "subfolder")):
            named = ", ".join(DESCRIPTIONS[:2])
            message = f"The folder {use.text} holds no model: it has none of {named}, and no weights."
            yield finding(UNKNOWN_MODEL, use.node.range, message)
    elif _HUB_NAME.match(use.text) and not _is_here(context, use):
        message = f"{use.text} is not in the model cache; the first run downloads it."
        yield finding(MODEL_NOT_CACHED, use.node.range, message)


def _is_here(context: Context, use: PathUse) -> bool:
    return context.model_folder(use.text, _text(use.owner, "revision")) is not None


def _text(owner: Object, key: str) -> str | None:
    node = owner.get(key)
    return node.value if isinstance(node, String) else None


def _local(text: str, folder: Path | None) -> Path | None:
    path = Path(os.path.expanduser(text))
    return path if path.is_absolute() else (None if folder is None else folder / path)


def holds_model(folder: Path, subfolder: str | None = None) -> bool:
    """Whether a folder holds a model: a description of one, or weights."""
    inner = folder / subfolder if subfolder else folder
    if any(os.path.isfile(inner / name) for name in DESCRIPTIONS):
        return True
    try:
        return any(name.endswith(WEIGHT_SUFFIXES) for name in os.listdir(inner))
    except (OSError, ValueError):
        return False
