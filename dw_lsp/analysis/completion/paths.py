"""Files, folders and models that fit a place: beside the document, in the workspace, in the hub's cache."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from dw_lsp.analysis.completion.expected import Expected
from dw_lsp.analysis.completion.items import Candidate
from dw_lsp.analysis.completion.scene import Scene
from dw_lsp.analysis.rules.models import DESCRIPTIONS
from dw_lsp.analysis.workspace import FolderEntry
from dw_lsp.catalog.cached import cached_models, revisions
from dw_lsp.catalog.models import WEIGHT_SUFFIXES
from dw_lsp.planning.input_files import VIDEO_ENDINGS
from dw_lsp.text.syntax_tree import Object
from dw_lsp.workflow.format.shapes import MediumShape
from dw_lsp.workflow.format.task import BUILTIN_WORKFLOWS, SUB_WORKFLOW
from dw_lsp.workflow.path_uses import Purpose, purpose_of

_IMAGES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp")
_AUDIO = (".wav", ".mp3", ".flac", ".ogg")
#: What files end with, by what a place is for.
_ENDINGS: dict[Purpose, tuple[str, ...]] = {
    "media": (*_IMAGES, *VIDEO_ENDINGS, *_AUDIO),
    "file": (*_IMAGES, *VIDEO_ENDINGS, *_AUDIO),
    "workflow": (".json", ".jsonc"),
    "weights": WEIGHT_SUFFIXES,
    "model": (),
    "pattern": (),
}
_VARIANT = re.compile(r"^[^.]+\.(?P<variant>\w+?)(?:-\d{5}-of-\d{5})?\.(?:safetensors|bin)$")
_MOST_FOLDERS = 60
_PART_KEYS = frozenset({"subfolder", "variant", "revision", "weight_name"})


def path_candidates(scene: Scene, wanted: Expected) -> list[Candidate] | None:
    """The files and models that may be named at the spot; `None` if it names none."""
    if wanted.key in _PART_KEYS and wanted.owner is not None and scene.path[:1] == ("steps",):
        return list(_parts(scene, wanted.key, wanted.owner))
    purpose = _purpose(scene, wanted)
    if purpose is None:
        return None
    found = list(_local(scene, purpose, wanted))
    if purpose == "model" and not _is_local(scene.spot.typed):
        found += [
            Candidate(model.name, "model", model.name, f"{size_in_words(model.bytes)}, in the cache", rank=3)
            for model in cached_models(scene.workspace.hub_cache)
        ]
    if purpose == "workflow":
        builtin = [f"builtin:{name}" for name in BUILTIN_WORKFLOWS]
        found += [Candidate(name, "file", name, "comes with the engine", rank=6) for name in builtin]
    return found


def _purpose(scene: Scene, wanted: Expected) -> Purpose | None:
    if wanted.within is SUB_WORKFLOW and wanted.key == "path":
        return "workflow"
    if any(isinstance(option, MediumShape) for option in wanted.options()):
        return "media"
    if wanted.key == "model_name" and wanted.owner is None:
        return None
    return purpose_of(wanted.key) if scene.path[:1] in (("steps",), ("variables",)) and wanted.key else None


def _is_local(typed: str) -> bool:
    return typed.startswith((".", "/", "~"))


def size_in_words(size: int) -> str:
    """Bytes, for people."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"


# ---------------------------------------------------------------- files beside the document


def _local(scene: Scene, purpose: Purpose, wanted: Expected) -> Iterator[Candidate]:
    """Files and folders in the folder that is typed so far."""
    head = scene.spot.typed[: scene.spot.typed.rfind("/") + 1]
    if scene.folder is None or "\0" in head or head.endswith("://") or (head and ":" in head.partition("/")[0]):
        return
    start = head or "./"
    folder = Path(os.path.normpath(scene.folder / os.path.expanduser(start)))
    if not scene.may_read(folder):
        return
    endings = _ENDINGS[purpose] if purpose != "media" else _media(wanted)
    own = scene.spot.document.uri.rpartition("/")[2]
    left = _MOST_FOLDERS
    for entry in scene.workspace.list_folder(folder):
        if entry.name.startswith(".") or "\\" in entry.name:
            continue
        path = f"{start}{entry.name}"
        if not entry.is_folder:
            if entry.name.lower().endswith(endings or "\0") and not (purpose == "workflow" and entry.name == own):
                detail = "" if purpose == "workflow" else size_in_words(entry.bytes)
                yield Candidate(path, "file", path, detail, rank=2, short=entry.name)
        elif left:
            left -= 1
            yield from _folder(scene, purpose, folder / entry.name, path, deeper=start == "./")


def _media(wanted: Expected) -> tuple[str, ...]:
    kinds = {option.kind for option in wanted.options() if isinstance(option, MediumShape)}
    endings = {"image": _IMAGES, "video": VIDEO_ENDINGS, "audio": _AUDIO}
    if len(kinds) == 1 and (kind := next(iter(kinds))) in endings:
        return endings[kind]
    return _ENDINGS["media"]


def _folder(scene: Scene, purpose: Purpose, folder: Path, path: str, *, deeper: bool) -> Iterator[Candidate]:
    """A folder: a model, or one in which to look further."""
    name = path.rpartition("/")[2]
    entries = scene.workspace.list_folder(folder) if purpose == "model" else ()
    if purpose == "model" and _holds_model(entries):
        yield Candidate(path, "model", path, "model", rank=1, short=name)
        return
    if deeper:
        for entry in entries[:_MOST_FOLDERS]:
            if entry.is_folder and _holds_model(scene.workspace.list_folder(folder / entry.name)):
                inner = f"{path}/{entry.name}"
                yield Candidate(inner, "model", inner, "model", rank=1, short=entry.name)
    yield Candidate(f"{path}/", "folder", f"{path}/", "folder", rank=4, goes_on=True, short=name)


def _holds_model(entries: Sequence[FolderEntry]) -> bool:
    return any(entry.name in DESCRIPTIONS for entry in entries)


# ---------------------------------------------------------------- inside of a model


def _parts(scene: Scene, key: str, owner: Object) -> Iterator[Candidate]:
    """Folders, variants, versions and files of the model that an object names."""
    if key == "revision":
        name = scene.text(owner.get("model_name")) or ""
        known = revisions(scene.workspace.hub_cache, name) if name and not _is_local(name) else ()
        yield from (Candidate(revision, "choice", revision, "in the cache", rank=1) for revision in known)
        return
    folder = scene.model_folder(owner, inner=key != "subfolder")
    if folder is None:
        return
    entries = scene.workspace.list_folder(folder)
    if key == "subfolder":
        for entry in entries:
            if entry.is_folder and not entry.name.startswith("."):
                yield Candidate(
                    entry.name, "folder", entry.name, "folder of the model", rank=_likeness(scene, entry.name)
                )
    elif key == "weight_name":
        for entry in entries:
            if not entry.is_folder and entry.name.endswith(WEIGHT_SUFFIXES):
                yield Candidate(entry.name, "file", entry.name, size_in_words(entry.bytes), rank=1)
    else:
        yield from (
            Candidate(name, "choice", name, "of the model's files", rank=1) for name in _variants(scene, folder)
        )


def _likeness(scene: Scene, name: str) -> int:
    """A component's folder has its name."""
    return 0 if name in scene.path else 1


def _variants(scene: Scene, folder: Path) -> list[str]:
    names: dict[str, None] = {}
    entries = scene.workspace.list_folder(folder)
    inner = [scene.workspace.list_folder(folder / entry.name) for entry in entries[:_MOST_FOLDERS] if entry.is_folder]
    for listed in (entries, *inner):
        found = (_VARIANT.match(entry.name) for entry in listed if not entry.is_folder)
        names.update(dict.fromkeys(match["variant"] for match in found if match))
    return list(names)
