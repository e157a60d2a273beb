"""Models on this machine: folders and the hub's cache, their parts and exact sizes, without loading anything.

Knows the layout on disk (diffusers' folder layout, the safetensors header, the hub's cache), not what a workflow is.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

MODEL_INDEX = "model_index.json"
PART_CONFIGURATIONS = ("tokenizer_config.json", "preprocessor_config.json", "processor_config.json")
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".gguf", ".ckpt", ".pt", ".pth", ".msgpack")
#: Endings of the other files that loading a component reads; what else lies beside them says nothing about it.
_READ_SUFFIXES = (".json", ".txt", ".model", ".jinja", ".tiktoken", ".bpe", ".vocab", ".py")
#: Bytes of one element of each type that a safetensors header names.
ELEMENT_BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
#: Parts whose class's name has one of these words have a configuration and no weights.
_WITHOUT_WEIGHTS = ("Tokenizer", "Processor", "Extractor", "Scheduler")
LONGEST_HEADER = 100 * 1024 * 1024
#: What the libraries call the weights of a component, whole.
_USUAL_NAMES = frozenset({"model", "pytorch_model", "diffusion_pytorch_model"})
#: In a file's name: it is one of several pieces.
_PIECE = re.compile(r"-\d+-of-\d+")
#: Weights are compared by so many samples of so many bytes; a file that is no larger than all of them is read whole.
#: On a disk that has to seek, each takes some milliseconds.
SAMPLES = 128
SAMPLE_BYTES = 2048


def is_floating(kind: str) -> bool:
    """Whether a type that a safetensors header names is one of floating-point numbers."""
    return kind.startswith(("F", "BF"))


@dataclass(frozen=True)
class Weights:
    """How many elements of each type a part's weights have; `elements` is empty when the format does not tell."""

    bytes: int
    elements: Mapping[str, int] = field(default_factory=dict)

    def bytes_as(self, floating_bytes: int | None) -> int:
        """Size in memory when floating-point weights are loaded with so many bytes an element (`None`: as stored)."""
        if not self.elements:
            return self.bytes
        return sum(
            count * (floating_bytes if floating_bytes and is_floating(kind) else ELEMENT_BYTES.get(kind, 4))
            for kind, count in self.elements.items()
        )


@dataclass(frozen=True)
class ModelPart:
    """One component of a model: where its class comes from, its folder, its weights, and what identifies its files.

    `files` hold the weights. `whole`: no file is missing, as far as can be seen; a download that was broken off leaves
    a part of the files.
    """

    name: str
    library: str
    class_name: str
    folder: Path
    weights: Weights
    identity: str
    whole: bool = True
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class LocalModel:
    """A model that is on this machine. `pipeline_class` is `None` for a folder that holds a single component."""

    name: str
    path: Path
    pipeline_class: str | None
    parts: tuple[ModelPart, ...]

    @property
    def bytes(self) -> int:
        """Bytes of all weights on disk."""
        return sum(part.weights.bytes for part in self.parts)


def hub_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the hub's client keeps what it has downloaded (its own rules: HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME)."""
    if explicit := environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE"):
        return Path(explicit).expanduser()
    if home := environment.get("HF_HOME"):
        return Path(home).expanduser() / "hub"
    base = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "huggingface" / "hub"


def find_folder(name: str, folder: Path | None, revision: str | None = None, cache: Path | None = None) -> Path | None:
    """The folder of a model: a local one (relative names start at `folder`), else its snapshot in the hub's cache."""
    local = Path(os.path.expanduser(name))
    if not local.is_absolute() and folder is not None:
        local = folder / local
    if (local.is_absolute() or folder is not None) and os.path.isdir(local):
        return local
    return _snapshot(name, revision or "main", cache or hub_cache())


def looks_local(name: str) -> bool:
    """Whether the name can only mean a folder: a hub name is `name` or `owner/name`, without dots in front."""
    return name.startswith((".", "/", "~", "\\")) or name.count("/") > 1 or "\\" in name or Path(name).is_absolute()


def _snapshot(repository: str, revision: str, cache: Path) -> Path | None:
    if looks_local(repository) or not repository:
        return None
    base = cache / ("models--" + repository.replace("/", "--"))
    reference = base / "refs" / revision
    try:
        commit = reference.read_text(encoding="utf-8").strip() if os.path.isfile(reference) else revision
    except OSError:
        return None
    snapshot = base / "snapshots" / commit
    return snapshot if os.path.isdir(snapshot) else None


def find_model(
    name: str,
    folder: Path | None,
    *,
    subfolder: str | None = None,
    variant: str | None = None,
    revision: str | None = None,
    cache: Path | None = None,
) -> LocalModel | None:
    """The model of that name, if it is on this machine and can be read.

    Arguments: `folder` is where relative names start; `subfolder` a component's folder inside; `variant` as in
    `from_pretrained` ("fp16"); `cache` the hub's cache if it is not at its usual place.
    """
    path = find_folder(name, folder, revision, cache)
    if path is not None and subfolder:
        path = path / subfolder
    if path is None or not os.path.isdir(path):
        return None
    index = read_json(path / MODEL_INDEX)
    if index is None:
        part = single_part(path, variant)
        return None if part is None else LocalModel(name, path, None, (part,))
    parts = tuple(
        read_part(part_name, str(value[0]), str(value[1]), path / part_name, variant)
        for part_name, value in index.items()
        if isinstance(value, list) and len(value) == 2 and value[0] and value[1]
    )
    class_name = index.get("_class_name")
    return LocalModel(name, path, class_name if isinstance(class_name, str) else None, parts)


def single_part(path: Path, variant: str | None) -> ModelPart | None:
    """The part that a folder holds all by itself; `None` where it holds none."""
    config = read_json(path / "config.json")
    if config is None:
        # Tokenizers and processors have a file of their own instead; which class reads it, the workflow says.
        holds_part = any(os.path.isfile(path / name) for name in PART_CONFIGURATIONS)
        return read_part("", "transformers", "AutoProcessor", path, variant) if holds_part else None
    architectures = config.get("architectures")
    if isinstance(config.get("_class_name"), str):
        return read_part("", "diffusers", config["_class_name"], path, variant)
    class_name = architectures[0] if isinstance(architectures, list) and architectures else "AutoModel"
    return read_part("", "transformers", str(class_name), path, variant)


def read_part(name: str, library: str, class_name: str, folder: Path, variant: str | None) -> ModelPart:
    """A part from its folder. A folder that is missing gives a part without weights; loading it says what is wrong."""
    files = sorted(file for file in folder.iterdir() if file.is_file()) if os.path.isdir(folder) else []
    weights = weight_files(files, variant)
    digest = hashlib.blake2b(digest_size=16)
    total, elements = 0, dict[str, int]()
    for file in files:
        if file in weights or (file.suffix in _READ_SUFFIXES and ".index." not in file.name):
            digest.update(file_identity(file).encode())
    for file in weights:
        total += file.stat().st_size
        for kind, count in elements_of(file).items():
            elements[kind] = elements.get(kind, 0) + count
    whole = _is_whole(class_name, files, weights)
    return ModelPart(
        name, library, class_name, folder, Weights(total, elements), digest.hexdigest(), whole, tuple(weights)
    )


def _is_whole(class_name: str, files: list[Path], weights: list[Path]) -> bool:
    """Whether a part has what its other files speak of: weights beside a configuration, each piece that is listed."""
    names = {file.name for file in files}
    if not weights:
        return bool(names) and ("config.json" not in names or any(word in class_name for word in _WITHOUT_WEIGHTS))
    if not any(_PIECE.search(file.stem) for file in weights):
        return True
    return names.issuperset(_pieces(files, weights[0].suffix, _variant_of(weights[0])))


def weight_files(files: list[Path], variant: str | None) -> list[Path]:
    """The weight files that a load would read: safetensors before other formats, the variant's before plain ones.

    Beside the pieces that an index lists, and beside a file of the usual name, others do not count.
    """
    for suffix in WEIGHT_SUFFIXES:
        of_format = [file for file in files if file.suffix == suffix]
        for wanted in (variant, None) if variant else (None,):
            if chosen := [file for file in of_format if _variant_of(file) == wanted]:
                return _read_among(chosen, _pieces(files, suffix, wanted))
        if of_format:
            return of_format
    return []


def _read_among(files: list[Path], listed: frozenset[str]) -> list[Path]:
    usual = [file for file in files if file.stem.partition(".")[0] in _USUAL_NAMES]
    # Of the two libraries, diffusers looks for an index first, transformers for a file that is whole.
    whole_first = any(file.name.startswith("model.") for file in usual)
    pieces = [file for file in files if file.name in listed]
    return (usual or pieces if whole_first else pieces or usual) or files


def _pieces(files: list[Path], suffix: str, variant: str | None) -> frozenset[str]:
    """The names of the pieces that the index of a variant lists; empty where there is no index."""
    ending = f"{suffix}.index.{variant}.json" if variant else f"{suffix}.index.json"
    index = next((file for file in files if file.name.endswith(ending)), None)
    pieces = None if index is None else (read_json(index) or {}).get("weight_map")
    return frozenset(map(str, pieces.values())) if isinstance(pieces, dict) else frozenset()


def _variant_of(file: Path) -> str | None:
    """The variant in the name of a weight file, as in `model.fp16-00001-of-00002.safetensors`; `None` for none."""
    return _PIECE.sub("", file.stem).partition(".")[2] or None


@dataclass(frozen=True)
class _Content:
    """What a file holds: a digest of it, and, of safetensors, how many elements of each type."""

    digest: str
    elements: Mapping[str, int]


#: By path and state: every run asks, and a header of a large model alone is a megabyte of JSON.
_CONTENTS: dict[tuple[str, int, int, int, int, int], _Content] = {}


def file_identity(file: Path) -> str:
    """What must be equal for two files to count as the same: name, size and content.

    Of weights the content is sampled: the header, and some bytes of each tensor. Times do not count: archives set them
    all alike, and a copy has one of its own.
    """
    size, content = _content(file)
    return f"{file.name} {size} {content.digest}\n"


def elements_of(file: Path) -> Mapping[str, int]:
    """How many elements of each type a safetensors file holds, from its header; empty for other or broken files."""
    try:
        return _content(file)[1].elements if file.suffix == ".safetensors" else {}
    except OSError:
        return {}


@dataclass(frozen=True)
class Tensor:
    """A tensor of a file: its type as the file names it, and its shape."""

    kind: str
    shape: tuple[int, ...]


def tensors_of(file: Path) -> Mapping[str, Tensor]:
    """The tensors of a safetensors file by their names, read anew; empty for other or broken files."""
    try:
        with file.open("rb", buffering=0) as stream:
            header, _ = _header(stream, file.stat().st_size) if file.suffix == ".safetensors" else ({}, 0)
    except OSError:
        return {}
    return {name: Tensor(str(told.get("dtype")), tuple(told["shape"])) for name, told in header.items()}


def _content(file: Path) -> tuple[int, _Content]:
    """A file's size and what it holds, read once for each state of the file."""
    # Of the file itself, not of a link to it: the hub's cache consists of links.
    status = file.stat()
    size = status.st_size
    memo = (str(file), status.st_dev, status.st_ino, size, status.st_mtime_ns, status.st_ctime_ns)
    known = _CONTENTS.get(memo)
    if known is None:
        with file.open("rb", buffering=0) as stream:
            known = _CONTENTS[memo] = _sampled(stream, file.suffix, size)
    return size, known


def _sampled(stream: BinaryIO, suffix: str, size: int) -> _Content:
    if suffix not in WEIGHT_SUFFIXES:
        return _Content(_digest(stream.read()), {})
    header, start = _header(stream, size) if suffix == ".safetensors" else ({}, 0)
    stream.seek(0)
    if size <= SAMPLES * SAMPLE_BYTES:
        return _Content(_digest(stream.read()), _count(header))
    state = hashlib.blake2b(stream.read(start), digest_size=16)
    for place in _places(header, start, size):
        stream.seek(place)
        state.update(stream.read(SAMPLE_BYTES))
    return _Content(state.hexdigest(), _count(header))


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _header(stream: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, empty where it is broken, and where the tensors begin."""
    start = stream.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if not 0 < length <= min(size, LONGEST_HEADER):
        return {}, 0
    try:
        header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        # Unpacked here, so that whoever goes on with it need not ask whether it is one.
        spans = [(math.prod(tensor["shape"]), *map(int, tensor["data_offsets"])) for tensor in header.values()]
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}, 0
    return (header, 8 + length) if all(len(span) == 3 for span in spans) else ({}, 0)


def _places(header: Mapping[str, Any], start: int, size: int) -> list[int]:
    """Where weights are sampled: in the middle of matrices from all over the file, or evenly where none are known.

    What has been trained differs in the matrices, so that two models cannot agree in all of their middles.
    """
    matrices = [tensor["data_offsets"] for tensor in header.values() if len(tensor["shape"]) > 1] or [
        tensor["data_offsets"] for tensor in header.values()
    ]
    chosen = [matrices[number * len(matrices) // SAMPLES] for number in range(SAMPLES)] if matrices else []
    middles = {start + (begin + end) // 2 for begin, end in chosen}
    step = max(1, (size - start) // (SAMPLES - len(middles) + 1))
    return sorted({*middles, *range(start, size, step)})


def _count(header: Mapping[str, Any]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for tensor in header.values():
        kind = str(tensor.get("dtype"))
        counts[kind] = counts.get(kind, 0) + math.prod(tensor["shape"])
    return counts


def read_json(file: Path) -> dict[str, Any] | None:
    """The object in a JSON file; `None` where it cannot be read or holds none."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
