"""Which image-prompt adapter a pipeline step wants: its files on this machine, and the encoder that lies beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dw_lsp.catalog.models import file_identity, find_folder
from dw_lsp.planning.loras import find_weights
from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.identity import component_key
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

_ENCODER = "image_encoder"


@dataclass(frozen=True)
class RequiredIpAdapter:
    """An image-prompt adapter: its file (`None`: yet to be downloaded), its weight, the folder of its image encoder.

    `scale` is a setting of what is loaded, as the workflow has it (a number, or numbers for blocks); not in the key.
    """

    key: str
    name: str
    source: str
    file: Path | None
    bytes: int | None
    scale: Value
    encoder: Path | None

    def settings(self) -> dict[str, Value]:
        """What decides its effect, for the key of a step."""
        return {"adapter": self.key, "scale": self.scale}


def required_ip_adapter(step: ResolvedStep, folder: Path | None) -> RequiredIpAdapter | None:
    """The image-prompt adapter of a pipeline step, if it has one.

    Arguments: `folder` is where relative names start. Raises `InvalidInput` where it is named and not there.
    """
    entry = step.body.get("ip_adapter")
    if not isinstance(entry, dict) or not isinstance(entry.get("model_name"), str):
        return None
    source = str(entry["model_name"])
    weight_name, subfolder, revision = (_text(entry, key) for key in ("weight_name", "subfolder", "revision"))
    try:
        file = find_weights("image-prompt adapter", source, weight_name, subfolder, revision, folder)
    except InvalidInput as error:
        place = step.place("pipeline", "ip_adapter", "model_name")
        raise InvalidInput(error.message, place, step.name, error.hint) from error
    identity = file_identity(file) if file is not None else f"{source}/{subfolder or ''}/{weight_name or ''}"
    return RequiredIpAdapter(
        component_key("ip_adapter", "IPAdapter", identity, {}),
        Path(weight_name or source).stem,
        source,
        file,
        file.stat().st_size if file is not None else None,
        entry.get("scale"),
        _encoder(source, _text(entry, "image_encoder_folder") or _ENCODER, subfolder, revision, folder),
    )


def _encoder(source: str, name: str, subfolder: str | None, revision: str | None, folder: Path | None) -> Path | None:
    """The folder of the adapter's encoder: beside its file, or, for a name with a slash, from its repository's root."""
    found = find_folder(source, folder, revision)
    if found is None:
        return None
    place = found / name if "/" in name else found / (subfolder or "") / name
    return place if (place / "config.json").is_file() else None


def _text(entry: Mapping[str, Value], key: str) -> str | None:
    value = entry.get(key)
    return value if isinstance(value, str) else None
