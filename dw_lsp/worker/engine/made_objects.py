"""Objects of classes that a workflow names, made from arguments, from a file, or from an earlier step's result."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from PIL import Image

from dw_lsp.planning.input_files import FROM_FILE, PENDING
from dw_lsp.worker.engine import media as pictures
from dw_lsp.worker.engine import sound_files, videos
from dw_lsp.worker.engine.artifacts import as_images
from dw_lsp.worker.engine.failures import describe
from dw_lsp.worker.engine.media import Media
from dw_lsp.worker.engine.sounds import Film, Sound, as_sound, channels
from dw_lsp.worker.engine.trusted_types import TrustedTypes
from dw_lsp.workflow.resolved import InvalidInput

FROM_ARGUMENTS, FROM_RESULT = "from_arguments", "from_previous_result"
#: The member that holds what an object is made from.
SOURCES = (FROM_ARGUMENTS, FROM_FILE, FROM_RESULT)
#: Keys that end like a type's, but hold ordinary text.
NOT_TYPES = frozenset({"content_type", "offload_type", "media_type"})
#: Endings of files that objects are made from.
ENDINGS = (*pictures.EXTENSIONS, *videos.EXTENSIONS, *sound_files.EXTENSIONS)
#: Makes the values of a mapping live.
Live = Callable[[Mapping[str, Any]], dict[str, Any]]


def is_type_key(key: str) -> bool:
    """Whether text under this key names a class or a dtype."""
    return (key == "dtype" or key.endswith(("_type", "_dtype"))) and key not in NOT_TYPES


def source_of(value: Mapping[str, Any]) -> str | None:
    """The member from which an object is made; `None` for an object that is what it is."""
    return next((source for source in SOURCES if source in value), None)


def check_made(value: Mapping[str, Any], types: TrustedTypes, media: Media) -> Mapping[str, Any]:
    """Raise `InvalidInput` unless an object can be made. Returns the values in it that have yet to be looked at."""
    kind, source, others = _parts(value, types)
    given = value[source]
    if source == FROM_ARGUMENTS:
        _check_fields(kind, given)
        return dict(given)
    _check_fields(kind, [name for name in others if source != FROM_FILE or name not in _keywords(kind)])
    if source == FROM_FILE:
        if not isinstance(given, str) or given.startswith(PENDING):
            raise InvalidInput(f"`{FROM_FILE}` should be a path or an address, not {given!r}")
        if not given.lower().partition("?")[0].endswith(ENDINGS):
            raise InvalidInput(f"{given!r} is no picture, video or sound (by its ending)")
        media.check(given, "file")
    elif not (isinstance(given, str) and given.startswith(PENDING)):
        raise InvalidInput(f"`{FROM_RESULT}` should be the name of an earlier step, not {given!r}")
    return others


def made(value: Mapping[str, Any], live: Live, types: TrustedTypes, media: Media) -> Any:
    """The object. Arguments: `live` makes the values in it live. Raises `InvalidInput` where it cannot be made."""
    kind, source, others = _parts(value, types)
    try:
        if source == FROM_ARGUMENTS:
            return kind(**live(value[source]))
        if source == FROM_RESULT:
            return kind(**{**_from_result(kind, value[source]), **live(others)})
        return _from_file(kind, str(value[source]), live(others), media)
    except InvalidInput:
        raise
    except Exception as error:  # Code of a library, on a file that may hold anything.
        raise InvalidInput(f"{kind.__name__} cannot be made from these arguments: {describe(error)}") from error


def _parts(value: Mapping[str, Any], types: TrustedTypes) -> tuple[Any, str, dict[str, Any]]:
    """The class to make, the member that it is made from, and all others. Classes that hold values only: making one
    does nothing else.
    """
    named = [key for key in value if is_type_key(key)]
    sources = [key for key in SOURCES if key in value]
    source = sources[0]
    others = {key: item for key, item in value.items() if key not in (*named, *sources)}
    if len(named) != 1 or len(sources) != 1 or (source == FROM_ARGUMENTS and others):
        raise InvalidInput(f"an object with `{source}` has one more member, whose name ends in _type")
    if source == FROM_ARGUMENTS and not isinstance(value[source], dict):
        raise InvalidInput(f"`{source}` should be an object: the arguments of the class")
    kind = types.value(str(value[named[0]]))
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise InvalidInput(f"{value[named[0]]!r} is no class that is made from arguments")
    if source == FROM_FILE and not callable(getattr(kind, "from_file", None)):
        raise InvalidInput(f"{kind.__name__} is not made from a file")
    if source == FROM_RESULT and getattr(kind, "kind", None) not in ("image", "video", "audio"):
        raise InvalidInput(
            f"{kind.__name__} does not say what it is made from",
            hint=f"Use `{FROM_ARGUMENTS}` with `previous_result:`.",
        )
    return kind, source, others


def _check_fields(kind: Any, names: Any) -> None:
    known = [field.name for field in dataclasses.fields(kind)]
    for name in names:
        if name not in known:
            raise InvalidInput(f"{kind.__name__} has no member {name!r}", hint=f"It has {', '.join(known)}.")


def _keywords(kind: Any) -> frozenset[str]:
    """The keywords that a class takes beside the file."""
    return frozenset(list(inspect.signature(kind.from_file).parameters)[1:])


def _from_file(kind: Any, location: str, others: Mapping[str, Any], media: Media) -> Any:
    keywords = _keywords(kind)
    with media.file(location) as path:
        found = kind.from_file(str(path), **{name: item for name, item in others.items() if name in keywords})
    for name in others.keys() - keywords:
        setattr(found, name, others[name])
    return found


def _from_result(kind: Any, result: Any) -> dict[str, Any]:
    """What a class is made from, by the names of its fields: as far as it has them and the result knows them."""
    if kind.kind == "image":
        found: dict[str, Any] = {"image": _picture(result)}
    elif kind.kind == "video":
        film = result if isinstance(result, Film) else Film(result, None)
        found = {"frames": as_images(film.frames), "fps": film.fps, **(_track(film.audio) if film.audio else {})}
    else:
        found = _track(as_sound(result))
    known = {field.name for field in dataclasses.fields(kind)}
    return {name: item for name, item in found.items() if name in known and item is not None}


def _picture(result: Any) -> Image.Image:
    images = as_images(result)
    if len(images) != 1:
        raise InvalidInput(f"the result has {len(images)} pictures, where one is wanted")
    return images[0].convert("RGB")


def _track(sound: Sound) -> dict[str, Any]:
    return {"audio": torch.from_numpy(channels(sound)), "sample_rate": sound.sample_rate}
