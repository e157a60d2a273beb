"""Which image-prompt adapters a pipeline step wants: their files on this machine, and the encoder beside them."""

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
_KIND = "image-prompt adapter"


@dataclass(frozen=True)
class IpAdapterFile:
    """One adapter's file on this machine (`None`: yet to be downloaded), and the names that lead to it."""

    source: str
    weight_name: str | None
    subfolder: str | None
    file: Path | None


@dataclass(frozen=True)
class RequiredIpAdapter:
    """Image-prompt adapters that are loaded together: their files, their weight, the folder of their image encoder.

    `scale` is a setting of what is loaded, as the workflow has it (a number, numbers for blocks, or a list with one of
    these for each); not in the key.
    """

    key: str
    name: str
    files: tuple[IpAdapterFile, ...]
    revision: str | None
    bytes: int | None
    scale: Value
    encoder: Path | None

    @property
    def file(self) -> Path | None:
        """The first one's file; `None` while one of them is not here."""
        return None if any(each.file is None for each in self.files) else self.files[0].file

    def settings(self) -> dict[str, Value]:
        """What decides its effect, for the key of a step."""
        return {"adapter": self.key, "scale": self.scale}


def required_ip_adapter(step: ResolvedStep, folder: Path | None) -> RequiredIpAdapter | None:
    """The image-prompt adapters of a pipeline step, if it has any.

    Arguments: `folder` is where relative names start. Raises `InvalidInput` where one is named and not there.
    """
    entry = step.body.get("ip_adapter")
    named = adapter_names(entry) if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not named:
        return None
    revision = _text(entry, "revision")
    try:
        files = tuple(
            IpAdapterFile(source, name, within, find_weights(_KIND, source, name, within, revision, folder))
            for source, name, within in named
        )
    except InvalidInput as error:
        place = step.place("pipeline", "ip_adapter", "model_name")
        raise InvalidInput(error.message, place, step.name, error.hint) from error
    found = [each.file for each in files if each.file is not None]
    source, _, within = named[0]
    return RequiredIpAdapter(
        component_key("ip_adapter", "IPAdapter", "\n".join(map(_identity, files)), {}),
        " + ".join(Path(name or source).stem for source, name, _ in named),
        files,
        revision,
        sum(file.stat().st_size for file in found) if len(found) == len(files) else None,
        entry.get("scale"),
        _encoder(source, _text(entry, "image_encoder_folder") or _ENCODER, within, revision, folder),
    )


def adapter_names(entry: Mapping[str, Value]) -> list[tuple[str, str | None, str | None]] | None:
    """Repository, file and folder of each adapter; what is named once counts for all of them.

    Returns `None` where the lists are of different lengths, or hold something else than text.
    """
    lists = [_listed(entry.get(key)) for key in ("model_name", "weight_name", "subfolder")]
    count = max(len(each) for each in lists)
    if any(len(each) not in (1, count) for each in lists) or not count:
        return None
    sources, names, folders = (each * count if len(each) == 1 else each for each in lists)
    if not all(isinstance(source, str) and source for source in sources):
        return None
    if not all(item is None or isinstance(item, str) for item in (*names, *folders)):
        return None
    texts = zip(sources, names, folders, strict=True)
    return [
        (str(source), str(name) if name else None, str(within) if within else None) for source, name, within in texts
    ]


def _listed(value: Value) -> list[Value]:
    return value if isinstance(value, list) else [value]


def _identity(each: IpAdapterFile) -> str:
    if each.file is not None:
        return file_identity(each.file)
    return f"{each.source}/{each.subfolder or ''}/{each.weight_name or ''}"


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
