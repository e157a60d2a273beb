"""Fetching what a modular pipeline needs of a model: its index first, which tells where its parts are."""

from __future__ import annotations

import glob
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from dw_lsp.catalog.models import MODEL_INDEX, WEIGHT_SUFFIXES, LocalModel, weight_files
from dw_lsp.catalog.modular_models import BLOCKS_INDEX, MODULAR_INDEX, ModularEntry, modular_entries
from dw_lsp.text.syntax_tree import Value

_INDICES = (MODULAR_INDEX, MODEL_INDEX, BLOCKS_INDEX)
_FILES = ("*.json", "*.txt", "*.model", "*.jinja")
_PICKLES = frozenset(WEIGHT_SUFFIXES) - {".safetensors", ".gguf"}
_CODE = "*.py"


def fetch_index(name: str, revision: str | None, with_code: bool) -> None:
    """Fetch a model's index. Arguments: `with_code`: blocks that come with it too, which are code."""
    import huggingface_hub

    patterns = [*_INDICES, *([_CODE] if with_code else [])]
    huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=patterns)


def fetch_parts(model: LocalModel, names: Collection[str], loading: Mapping[str, Value], allow_pickle: bool) -> None:
    """Fetch the parts of those names. Arguments: `loading` are the keywords with which they are loaded."""
    revision = loading.get("revision")
    entries = modular_entries(model.path) or tuple(
        ModularEntry(part.name, part.library, part.class_name, model.name, part.name, _text(revision), None)
        for part in model.parts
    )
    for entry in entries:
        if entry.name not in names or entry.repository is None:
            continue
        variant = _text(loading.get("variant")) or entry.variant
        fetch_folder(entry.repository, entry.subfolder, entry.revision, variant, allow_pickle)


def fetch_folder(
    repository: str, subfolder: str | None, revision: str | None, variant: str | None, allow_pickle: bool
) -> None:
    """Fetch the files of one component: of its weights those that would be read, and nothing else of the repository."""
    import huggingface_hub

    home = PurePosixPath(subfolder or "")
    names = huggingface_hub.list_repo_files(repository, revision=revision)
    files = [Path(name) for name in names if PurePosixPath(name).parent == home]
    loadable = [file for file in files if allow_pickle or file.suffix not in _PICKLES]
    wanted = [*weight_files(loadable, variant), *(file for file in files if any(map(file.match, _FILES)))]
    patterns = [glob.escape(file.as_posix()) for file in wanted]
    huggingface_hub.snapshot_download(repository, revision=revision, allow_patterns=patterns)


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) else None
