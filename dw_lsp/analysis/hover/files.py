"""Models, media and other workflows in words: where they lie, how large they are, what is in them."""

from __future__ import annotations

import functools
import os
import re
import struct
from pathlib import Path

from dw_lsp.analysis.hover.properties import written
from dw_lsp.analysis.last_run import size_words
from dw_lsp.analysis.rules.context import Context
from dw_lsp.analysis.rules.files import may_be_read
from dw_lsp.analysis.workspace import Device
from dw_lsp.catalog.models import LocalModel, find_model, looks_local
from dw_lsp.planning.activations import Part, Picture, activations
from dw_lsp.planning.measured import Measurements
from dw_lsp.planning.weight_bytes import dtype_bytes
from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Object, String, to_value
from dw_lsp.workflow.path_uses import PathUse
from dw_lsp.workflow.reader import read

#: What would make a link, a picture or markup of somebody else's prose.
_SPECIAL = re.compile(r"[\[\]<`*_]")
_MOST_PARTS, _MOST_VARIABLES = 16, 20


def path_text(use: PathUse, document: Document, context: Context) -> str | None:
    """What a path or a model's name stands for; `None` for what may not be read, or has no folder to start from."""
    if use.purpose == "model":
        return _model_text(use, context)
    path = Path(os.path.expanduser(use.text))
    if not path.is_absolute():
        if context.folder is None:
            return None
        path = context.folder / path
    if use.purpose == "pattern" or not may_be_read(path, context):
        return None
    if use.purpose == "workflow":
        return _workflow_text(path, context)
    return _file_text(path)


def _model_text(use: PathUse, context: Context) -> str:
    revision, variant = (_text(use.owner, key) for key in ("revision", "variant"))
    folder = context.model_folder(use.text, revision)
    if folder is None:
        if looks_local(use.text):
            return f"There is no folder {use.text} here."
        return (
            f"**{use.text}** is not in the model cache; the first run downloads it.\n\n[model card]({_card(use.text)})"
        )
    if not may_be_read(folder, context):
        return f"{use.text} lies outside of the workspace."
    subfolder = _text(use.owner, "subfolder")
    model = _model(str(folder / subfolder if subfolder else folder), variant, _changed(folder))
    if model is None:
        return f"{folder}: no model could be read there."
    lines = [f"**{use.text}** — {model.pipeline_class or model.parts[0].class_name}, {size_words(model.bytes)} on disk"]
    if model.pipeline_class is not None:
        lines += ["| component | class | size |\n|---|---|---|\n" + "\n".join(_rows(model))]
    lines += _need(model, _text(use.owner, "torch_dtype"), context.workspace.device)
    lines += [f"*{folder}*"] + ([] if looks_local(use.text) else [f"[model card]({_card(use.text)})"])
    return "\n\n".join(lines)


def _rows(model: LocalModel) -> list[str]:
    return [
        f"| `{part.name}` | {part.class_name} | {size_words(part.weights.bytes) if part.weights.bytes else ''} |"
        for part in model.parts[:_MOST_PARTS]
    ]


def _need(model: LocalModel, dtype: str | None, device: Device | None) -> list[str]:
    """What a picture of the model's own size takes on the device. What was measured counts for its kind alone."""
    size = dtype_bytes(dtype) or 4
    weights = sum(part.weights.bytes_as(size) for part in model.parts)
    parts = [Part(part.name, part.class_name, part.folder, size) for part in model.parts]
    computing = activations(parts, Picture(), device.kind if device is not None else "cpu", Measurements())
    if computing is None or not weights:
        return []
    experience = ", as measured here before" if computing.measured else ""
    return [
        f"In memory {size_words(weights)} of weights, and about {size_words(computing.expected)} to compute a picture "
        f"of the model's own size{experience}."
    ]


def _card(name: str) -> str:
    return f"https://huggingface.co/{name}"


def _text(owner: Object, key: str) -> str | None:
    node = owner.get(key)
    return node.value if isinstance(node, String) else None


def _changed(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except (OSError, ValueError):
        return 0


@functools.lru_cache(maxsize=32)
def _model(folder: str, variant: str | None, changed: int) -> LocalModel | None:
    """The model in a folder. Arguments: `changed` tells it from one that was there before."""
    return find_model(folder, None, variant=variant)


def _workflow_text(path: Path, context: Context) -> str:
    called = context.workspace.document(path)
    workflow = None if called is None else read(called.root)
    if workflow is None:
        return f"There is no workflow {path.name} here."
    name, about = _text(workflow.root, "id") or path.name, _text(workflow.root, "description")
    lines = [f"workflow **`{name}`** — {len(workflow.steps)} steps", _SPECIAL.sub(r"\\\g<0>", about or "")]
    if workflow.variables:
        shown = workflow.variables[:_MOST_VARIABLES]
        rows = "\n".join(f"| `{each.name}` | {written(to_value(each.member.value))} |" for each in shown)
        lines.append(f"| variable | default |\n|---|---|\n{rows}")
    return "\n\n".join(line for line in (*lines, f"*{path}*") if line)


def _file_text(path: Path) -> str:
    try:
        size = path.stat().st_size
    except (OSError, ValueError):
        return f"There is no file {path} yet."
    pixels = pixels_of(path)
    told = f", {pixels[0]} by {pixels[1]} pixels" if pixels else ""
    return f"**{path.name}** — {size_words(size)}{told}\n\n*{path}*"


def pixels_of(path: Path) -> tuple[int, int] | None:
    """Width and height of a PNG, JPEG or GIF, from its first bytes; `None` for anything else."""
    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
    except (OSError, ValueError):
        return None
    if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) >= 24:
        width, height = struct.unpack(">II", head[16:24])
        return width, height
    if head.startswith((b"GIF87a", b"GIF89a")) and len(head) >= 10:
        width, height = struct.unpack("<HH", head[6:10])
        return width, height
    return _jpeg_pixels(head) if head.startswith(b"\xff\xd8") else None


def _jpeg_pixels(head: bytes) -> tuple[int, int] | None:
    """The size in the frame header of a JPEG: segments are passed over until it comes."""
    at = 2
    while at + 9 < len(head) and head[at] == 0xFF:
        marker, length = head[at + 1], int.from_bytes(head[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return None
