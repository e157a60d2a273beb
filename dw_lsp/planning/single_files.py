"""Models in one file: where it is on this machine, also by its address on the hub, and what decides what is in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dw_lsp.catalog.models import file_identity, find_folder, looks_local
from dw_lsp.text.syntax_tree import Value

#: Keywords that name the configuration by which a file is read.
CONFIGURATIONS = ("config", "original_config")
_HUB_FILE = re.compile(
    r"(?:https?://)?(?:huggingface\.co|hf\.co)/"
    r"(?P<repository>[^/]+/[^/]+)/(?:(?:blob|resolve)/(?P<revision>[^/]+)/)?(?P<path>[^?#]+)"
)


@dataclass(frozen=True)
class HubFile:
    """A file of a repository of the hub, named by its address."""

    repository: str
    revision: str | None
    path: str


def hub_file(source: str) -> HubFile | None:
    """The file of the hub that an address names; `None` for a path or any other address."""
    found = _HUB_FILE.fullmatch(source.partition("?")[0])
    return HubFile(found["repository"], found["revision"], found["path"]) if found else None


def find_single_file(source: str, folder: Path | None) -> Path | None:
    """The file on this machine: a local one (relative names start at `folder`), or the hub's in its cache."""
    named = Path(os.path.expanduser(source))
    if folder is not None and not named.is_absolute():
        named = folder / named
    if (named.is_absolute() or folder is not None) and os.path.isfile(named):
        return named
    asked = hub_file(source)
    snapshot = None if asked is None else find_folder(asked.repository, None, asked.revision)
    if asked is None or snapshot is None or not os.path.isfile(snapshot / asked.path):
        return None
    return snapshot / asked.path


def file_source(file: Path, loading: Mapping[str, Value], folder: Path | None) -> str:
    """What must be equal for two loads to find the same in a file: its content, and the configuration it is read by.

    Arguments: the keywords of the load; `folder` is where relative names start.
    """
    return file_identity(file) + "".join(_configurations(loading, folder))


def _configurations(loading: Mapping[str, Value], folder: Path | None) -> Iterator[str]:
    for key in (*CONFIGURATIONS, "subfolder"):
        value = loading.get(key)
        if not isinstance(value, str):
            continue
        place = Path(os.path.expanduser(value))
        place = folder / place if folder is not None else place
        if key == "subfolder" or not (looks_local(value) or os.path.exists(place)):
            yield f"{key} {value}\n"
            continue
        files = [place] if os.path.isfile(place) else sorted([*place.glob("*.json"), *place.glob("*/*.json")])
        yield f"{key} {''.join(map(file_identity, files))}\n"
