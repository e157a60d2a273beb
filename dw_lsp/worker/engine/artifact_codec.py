"""Live artifacts as trees with their contents as bytes, and back: pictures, sound, arrays, tensors, what holds them.

What comes back equals what went in: mode, size, notes of a picture; dtype, shape, device of a tensor. What cannot be
brought back exactly is opaque, and its step is not remembered.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy
import torch
from PIL import Image, PngImagePlugin

from dw_lsp.planning.artifact import (
    ABSENT,
    ARRAY,
    FILM,
    IMAGE,
    LIST,
    MEMBERS,
    OBJECT,
    OPAQUE,
    SOUND,
    TENSOR,
    TUPLE,
    Artifact,
    Tree,
    artifact_of,
    contents_of,
)
from dw_lsp.worker.engine.sounds import Film, Sound
from dw_lsp.workflow.identity import bytes_digest

#: Modes of pictures that are stored, and bytes of one pixel.
_MODES = {"1": 0, "L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "YCbCr": 3, "I": 4, "F": 4}
#: Modes that a PNG gives back as they were.
PNG_MODES = frozenset({"L", "LA", "RGB", "RGBA"})
_NUMBERS = "biufc"
_TENSORS = frozenset(
    {"float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64"}
)

#: Contents by their digest, as what has yet to be turned into bytes.
Contents = dict[str, Callable[[], bytes]]
#: Gives the bytes of a stored object by its name.
Reader = Callable[[str], bytes]
_Content = Callable[[str], tuple[bytes, str]]


class CannotRestore(Exception):
    """What was stored is not what its tree says. Arguments: why; the `objects` in the store that are of no use."""

    def __init__(self, message: str, objects: Collection[str] = ()):
        super().__init__(message)
        self.objects = objects


def encode(value: Any, contents: Contents) -> Artifact:
    """A live value as an artifact. Arguments: `contents` gets the bytes that belong to it."""
    return artifact_of(_tree(value, contents), value)


def _tree(value: Any, contents: Contents) -> Tree:
    if isinstance(value, Artifact):
        return value.tree
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {OBJECT: {key: _tree(item, contents) for key, item in value.items()}}
    if type(value) in (list, tuple):
        return {LIST if type(value) is list else TUPLE: [_tree(item, contents) for item in value]}
    if isinstance(value, Image.Image):
        return _image(value, contents)
    if isinstance(value, (Sound, Film)):
        kind = SOUND if isinstance(value, Sound) else FILM
        return {kind: {name: _tree(getattr(value, name), contents) for name in sorted(MEMBERS[kind])}}
    if type(value) is numpy.ndarray and value.dtype.kind in _NUMBERS:
        return {ARRAY: _array(value, str(value.dtype), contents)}
    if type(value) is torch.Tensor and str(value.dtype).removeprefix("torch.") in _TENSORS:
        return {TENSOR: _tensor(value, contents)}
    return {OPAQUE: type(value).__name__}


def _image(image: Image.Image, contents: Contents) -> Tree:
    notes = _notes(image.info)
    if image.mode not in _MODES or notes is None:
        return {OPAQUE: f"picture of the mode {image.mode}"}
    data = image.tobytes()
    content = bytes_digest(data)
    contents[content] = lambda: data
    return {IMAGE: {"mode": image.mode, "size": list(image.size), "notes": notes, "content": content}}


def _array(value: Any, dtype: str, contents: Contents) -> dict[str, Any]:
    data = numpy.ascontiguousarray(value)
    content = bytes_digest(memoryview(data.reshape(-1)).cast("B") if data.size else b"")
    contents[content] = data.tobytes
    return {"dtype": dtype, "shape": list(value.shape), "content": content}


def _tensor(value: torch.Tensor, contents: Contents) -> dict[str, Any]:
    flat = value.detach().to("cpu").contiguous().reshape(-1).view(torch.uint8)
    told = _array(flat.numpy(), str(value.dtype).removeprefix("torch."), contents)
    order = _order(value)
    return {
        **told,
        "shape": list(value.shape),
        "device": str(value.device),
        **({} if order is None else {"order": order}),
    }


def _order(value: torch.Tensor) -> list[int] | None:
    """The dimensions from the slowest in memory to the quickest, where they do not lie in their own order.

    It is part of a tensor: with the colours innermost ("channels last") a convolution adds up in another order, and the
    last bits of what it makes are others.
    """
    if value.is_contiguous():
        return None
    order = sorted(range(value.ndim), key=lambda dimension: -value.stride(dimension))
    return order if value.permute(order).is_contiguous() else None


def _in_order(value: torch.Tensor, order: Any) -> torch.Tensor:
    """A tensor laid out in memory as `_order` found it."""
    if sorted(order) != list(range(value.ndim)):
        raise CannotRestore("a tensor's dimensions do not fit its order in memory")
    return value.permute(order).contiguous().permute([order.index(dimension) for dimension in range(value.ndim)])


def _notes(info: Mapping[Any, Any]) -> dict[str, Any] | None:
    """A picture's notes (colour profile, resolution ...) as JSON; `None` when they hold something else."""
    found: dict[str, Any] = {}
    for key, value in info.items():
        if isinstance(value, bytes):
            value = {"bytes": base64.b64encode(value).decode("ascii")}
        elif isinstance(value, tuple) and all(isinstance(item, (int, float)) for item in value):
            value = {"tuple": list(value)}
        elif not isinstance(value, (int, float, str, type(None))):
            return None
        found[str(key)] = value
    return found


# ---------------------------------------------------------------- and back


def live(artifact: Artifact, read: Reader) -> Any:
    """The live object of an artifact, which it keeps. Raises `CannotRestore` when what was stored does not fit."""
    if artifact.live is ABSENT:

        def content(digest: str) -> tuple[bytes, str]:
            name = artifact.stored[digest]
            return read(name), name.rpartition(".")[2]

        try:
            artifact.live = _restored(artifact.tree, content)
        except (CannotRestore, ValueError, TypeError, KeyError, OSError, RuntimeError, SyntaxError) as error:
            if isinstance(error, CannotRestore) and error.objects:
                raise
            # Entries whose objects are not all there count as none, so without these it is made anew.
            useless = {artifact.stored[each] for each in contents_of(artifact.tree) if each in artifact.stored}
            raise CannotRestore(f"a remembered result cannot be restored: {error}", useless) from error
    return artifact.live


def live_values(value: Any, read: Reader) -> Any:
    """A value with live objects in the place of all artifacts in it."""
    if isinstance(value, Artifact):
        return live(value, read)
    if isinstance(value, dict):
        return {key: live_values(item, read) for key, item in value.items()}
    return [live_values(item, read) for item in value] if isinstance(value, list) else value


def _restored(tree: Tree, read: _Content) -> Any:
    if not isinstance(tree, dict):
        return tree
    ((kind, content),) = tree.items()
    if kind == OBJECT:
        return {name: _restored(item, read) for name, item in content.items()}
    if kind in (LIST, TUPLE):
        items = [_restored(item, read) for item in content]
        return items if kind == LIST else tuple(items)
    if kind in MEMBERS:
        members = {name: _restored(content[name], read) for name in MEMBERS[kind]}
        return Sound(**members) if kind == SOUND else Film(**members)
    data, ending = read(content["content"])
    if kind == IMAGE:
        return _restored_image(content, data, ending)
    shape = tuple(content["shape"])
    if kind == ARRAY:
        dtype = numpy.dtype(str(content["dtype"]))
        if dtype.kind not in _NUMBERS:
            raise CannotRestore(f"{dtype} is no dtype of numbers")
        return numpy.frombuffer(bytearray(data), dtype).reshape(shape)
    if content["dtype"] not in _TENSORS:
        raise CannotRestore(f"{content['dtype']!r} is no dtype that is stored")
    flat = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8)
    restored = flat.view(getattr(torch, content["dtype"])).reshape(shape)
    if "order" in content:
        restored = _in_order(restored, content["order"])
    return restored.to(str(content["device"]))


def _restored_image(content: Mapping[str, Any], data: bytes, ending: str) -> Image.Image:
    mode, (width, height) = str(content["mode"]), content["size"]
    if ending == "png":
        # Pillow's bound for foreign pictures is not for those that were made here.
        with PngImagePlugin.PngImageFile(io.BytesIO(data)) as opened:
            if opened.size != (width, height) or opened.mode != mode:
                raise CannotRestore("a picture is of another size or mode than its entry says")
            image = opened.copy()
    else:
        row = (width + 7) // 8 if mode == "1" else width * _MODES[mode]
        if len(data) != row * height:
            raise CannotRestore("a picture has another number of bytes than its entry says")
        image = Image.frombytes(mode, (width, height), data)
    image.info = {key: _restored_note(value) for key, value in content["notes"].items()}
    return image


def _restored_note(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return base64.b64decode(value["bytes"]) if "bytes" in value else tuple(value["tuple"])
