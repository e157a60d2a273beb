"""The models in the hub's cache: their names and sizes, told from the cache's folders alone."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "models--"
#: Models beyond which no more are looked at, and files of one model.
MOST_MODELS, MOST_FILES = 1000, 2000


@dataclass(frozen=True)
class CachedModel:
    """A model of the hub that is on this machine, and the bytes that its files take."""

    name: str
    bytes: int


def cached_models(cache: Path) -> tuple[CachedModel, ...]:
    """The models in a hub's cache, by name; those of which nothing was downloaded to its end are left out."""
    try:
        names = sorted(name for name in os.listdir(cache) if name.startswith(_PREFIX))[:MOST_MODELS]
    except OSError:
        return ()
    found = (_model(str(cache / name)) for name in names)
    return tuple(model for model in found if model is not None)


def revisions(cache: Path, name: str) -> tuple[str, ...]:
    """The branches and tags of a model that are in the cache."""
    folder = cache / (_PREFIX + name.replace("/", "--")) / "refs"
    try:
        return tuple(sorted(os.listdir(folder)))
    except OSError:
        return ()


def _model(folder: str) -> CachedModel | None:
    try:
        changed = os.stat(os.path.join(folder, "snapshots")).st_mtime_ns
        blobs = os.stat(os.path.join(folder, "blobs")).st_mtime_ns
    except OSError:
        return None
    return _read(folder, changed, blobs)


@functools.lru_cache(maxsize=MOST_MODELS)
def _read(folder: str, changed: int, blobs: int) -> CachedModel | None:
    """The model in a folder. Arguments: when its versions and its files last changed tell it from an earlier one."""
    name = os.path.basename(folder).removeprefix(_PREFIX).replace("--", "/")
    size = 0
    try:
        with os.scandir(os.path.join(folder, "snapshots")) as versions:
            if not any(version.is_dir() for version in versions):
                return None
        with os.scandir(os.path.join(folder, "blobs")) as files:
            for _, file in zip(range(MOST_FILES), files, strict=False):
                size += 0 if file.name.endswith(".incomplete") else file.stat().st_size
    except OSError:
        return None
    return CachedModel(name, size)
