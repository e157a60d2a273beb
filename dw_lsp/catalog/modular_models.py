"""Models for modular pipelines on this machine: each part may lie in another repository, as their index says.

Knows the layout of `modular_model_index.json`; the usual layout is read instead where a model has no such file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from dw_lsp.catalog.models import (
    LocalModel,
    ModelPart,
    find_folder,
    find_model,
    hub_cache,
    read_json,
    read_part,
    single_part,
)

MODULAR_INDEX = "modular_model_index.json"
#: Names the file with blocks of the model's own, which are code.
BLOCKS_INDEX = "modular_config.json"


@dataclass(frozen=True)
class ModularEntry:
    """Where a part of a modular model comes from. `repository` is `None` for one that nobody has said it of.

    `library` and `class_name` are empty where the part's own configuration is to tell them.
    """

    name: str
    library: str
    class_name: str
    repository: str | None
    subfolder: str
    revision: str | None
    variant: str | None


def modular_entries(path: Path) -> tuple[ModularEntry, ...] | None:
    """The parts that a modular index names; `None` where the folder has no such index."""
    index = read_json(path / MODULAR_INDEX)
    return None if index is None else tuple(_entries(index))


def _entries(index: dict[str, object]) -> Iterator[ModularEntry]:
    for name, value in index.items():
        if not isinstance(value, list) or len(value) != 3 or not isinstance(value[2], dict):
            continue
        told = value[2]
        hint = told.get("type_hint")
        library, class_name = hint if isinstance(hint, list) and len(hint) == 2 else (None, None)
        repository = told.get("pretrained_model_name_or_path") or told.get("repo")
        yield ModularEntry(
            name,
            _text(library) or _text(value[0]) or "",
            _text(class_name) or _text(value[1]) or "",
            _text(repository),
            _text(told.get("subfolder")) or "",
            _text(told.get("revision")),
            _text(told.get("variant")),
        )


def find_modular_model(
    name: str, folder: Path | None, *, variant: str | None = None, revision: str | None = None
) -> LocalModel | None:
    """The model of that name as a modular pipeline would take it, if its index is on this machine.

    Arguments: as of `models.find_model`. A part whose files are not here counts as one that was never fetched.
    """
    path = find_folder(name, folder, revision)
    if path is None:
        return None
    entries = modular_entries(path)
    if entries is None:
        usual = find_model(name, folder, variant=variant, revision=revision)
        if usual is None and os.path.isfile(path / BLOCKS_INDEX):
            return LocalModel(name, path, None, ())
        return usual if usual is None or usual.pipeline_class is not None else None
    class_name = (read_json(path / MODULAR_INDEX) or {}).get("_class_name")
    parts = tuple(_part(each, path, variant) for each in entries if each.repository is not None)
    return LocalModel(name, path, class_name if isinstance(class_name, str) else "ModularPipeline", parts)


def _part(entry: ModularEntry, model: Path, variant: str | None) -> ModelPart:
    folder, wanted = part_folder(entry, model), variant or entry.variant
    library, class_name = entry.library, entry.class_name
    if not class_name and (found := single_part(folder, wanted)) is not None:
        library, class_name = found.library, found.class_name
    part = read_part(entry.name, library, class_name, folder, wanted)
    if os.path.isdir(folder):
        return part
    # Nothing of it is here: its source stands for its content, so that parts of two models are not taken for one.
    return replace(part, identity=f"{entry.repository}@{entry.revision or 'main'}/{entry.subfolder}", whole=False)


def part_folder(entry: ModularEntry, model: Path) -> Path:
    """The folder of a part: in the model's own where it is there, else in its repository's copy in the hub's cache."""
    own = model / entry.subfolder
    if entry.subfolder and os.path.isdir(own):
        return own
    repository = entry.repository or ""
    found = find_folder(repository, None, entry.revision)
    if found is None:
        found = hub_cache() / f"models--{repository.replace('/', '--')}" / "snapshots" / (entry.revision or "main")
    return found / entry.subfolder if entry.subfolder else found


def block_files(path: Path) -> list[Path]:
    """The files that say how a modular model's parts are used: its index, and code of its own."""
    found = [path / MODULAR_INDEX, path / BLOCKS_INDEX]
    if os.path.isfile(path / BLOCKS_INDEX):
        found += sorted(path.glob("*.py"))
    return [file for file in found if os.path.isfile(file)]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
