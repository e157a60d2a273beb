"""Fetching what a modular pipeline needs of a model: its index first, which tells where its parts are."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from dw_lsp.catalog.models import MODEL_INDEX, LocalModel
from dw_lsp.catalog.modular_models import BLOCKS_INDEX, MODULAR_INDEX, ModularEntry, modular_entries
from dw_lsp.text.syntax_tree import Value

_INDICES = (MODULAR_INDEX, MODEL_INDEX, BLOCKS_INDEX)
_FILES = ("*.json", "*.txt", "*.model", "*.jinja")
_CODE = "*.py"
#: Beginnings of the endings of weights that are meant only if a variant is named.
_VARIANTS = ("fp16", "bf16", "fp32", "non_ema", "ema")


def fetch_index(name: str, revision: str | None, with_code: bool) -> None:
    """Fetch a model's index. Arguments: `with_code`: blocks that come with it too, which are code."""
    import huggingface_hub

    patterns = [*_INDICES, *([_CODE] if with_code else [])]
    huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=patterns)


def fetch_parts(model: LocalModel, names: Collection[str], loading: Mapping[str, Value], allow_pickle: bool) -> None:
    """Fetch the parts of those names. Arguments: `loading` are the keywords with which they are loaded."""
    import huggingface_hub

    revision = loading.get("revision")
    entries = modular_entries(model.path) or tuple(
        ModularEntry(part.name, part.library, part.class_name, model.name, part.name, _text(revision), None)
        for part in model.parts
    )
    for entry in entries:
        if entry.name not in names or entry.repository is None:
            continue
        variant = _text(loading.get("variant")) or entry.variant
        within = f"{entry.subfolder}/" if entry.subfolder else ""
        weights = ("*.safetensors", *(("*.bin",) if allow_pickle else ()))
        huggingface_hub.snapshot_download(
            entry.repository,
            revision=entry.revision,
            allow_patterns=[within + pattern for pattern in (*_FILES, *weights)],
            ignore_patterns=[f"*.{other}*" for other in _VARIANTS if other != variant],
        )


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) else None
