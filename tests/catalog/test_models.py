"""Models found on disk, with exact sizes, and identities that change when the files do."""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path

import pytest

from dw_lsp.catalog.models import (
    elements_of,
    file_identity,
    find_model,
    hub_cache,
    looks_local,
    read_part,
    weight_files,
)


def write_safetensors(file: Path, tensors: dict[str, tuple[str, list[int]]]) -> None:
    """A valid file of zeros: header length, header, data."""
    sizes = {"F32": 4, "F16": 2, "I64": 8}
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, (kind, shape) in tensors.items():
        count = 1
        for size in shape:
            count *= size
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, offset + count * sizes[kind]]}
        offset += count * sizes[kind]
    text = json.dumps(header).encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(struct.pack("<Q", len(text)) + text + bytes(offset))


def make_model(folder: Path) -> Path:
    """A model folder with a unet, a tokenizer, a scheduler and an absent safety checker."""
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "safety_checker": [None, None],
        "requires_safety_checker": False,
    }
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps(index))
    write_safetensors(
        folder / "unet" / "diffusion_pytorch_model.safetensors", {"a": ("F16", [10, 20]), "b": ("I64", [3])}
    )
    (folder / "unet" / "config.json").write_text("{}")
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "vocab.json").write_text("{}")
    (folder / "scheduler").mkdir()
    return folder


def test_a_local_model_has_its_parts_and_sizes(tmp_path: Path) -> None:
    make_model(tmp_path / "models" / "tiny")
    model = find_model("./models/tiny", tmp_path)
    assert model is not None and model.pipeline_class == "StableDiffusionPipeline"
    assert [part.name for part in model.parts] == ["unet", "tokenizer", "scheduler"]
    unet = model.parts[0]
    assert unet.class_name == "UNet2DConditionModel"
    assert dict(unet.weights.elements) == {"F16": 200, "I64": 3}
    assert unet.weights.bytes_as(4) == 200 * 4 + 3 * 8
    assert unet.weights.bytes_as(2) == 200 * 2 + 3 * 8


def test_a_copy_of_the_same_configuration_is_told_from_changed_weights(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "tiny")
    before = find_model("tiny", tmp_path)
    write_safetensors(folder / "unet" / "diffusion_pytorch_model.safetensors", {"a": ("F16", [10, 21])})
    after = find_model("tiny", tmp_path)
    assert before is not None and after is not None
    assert before.parts[0].identity != after.parts[0].identity
    assert before.parts[1].identity == after.parts[1].identity


@pytest.mark.parametrize(
    "tensors", [{"a": ("F16", [10, 20])}, {str(number): ("F32", [64, 64]) for number in range(100)}]
)
def test_weights_are_told_apart_by_content_not_by_time(
    tmp_path: Path, tensors: dict[str, tuple[str, list[int]]]
) -> None:
    file, copy, other = (tmp_path / name / "w.safetensors" for name in ("one", "two", "three"))
    write_safetensors(file, tensors)
    for made in (copy, other):
        made.parent.mkdir()
        shutil.copyfile(file, made)
    data = bytearray(other.read_bytes())
    length = struct.unpack("<Q", data[:8])[0]
    last = list(json.loads(data[8 : 8 + length]).values())[-1]["data_offsets"]
    data[8 + length + sum(last) // 2] = 1
    other.write_bytes(data)
    for number, made in enumerate((file, copy, other)):
        os.utime(made, (number % 2, number % 2))
    assert file_identity(file) == file_identity(copy)
    assert file_identity(file) != file_identity(other)


def test_a_training_of_some_layers_of_many_is_noticed(tmp_path: Path) -> None:
    tensors = {
        f"{layer}.{part}": ("F16", [size, 8]) for layer in range(300) for part, size in (("wide", 90), ("to_k", 9))
    }
    file = tmp_path / "w.safetensors"
    write_safetensors(file, tensors)
    before, data = file_identity(file), bytearray(file.read_bytes())
    length = struct.unpack("<Q", data[:8])[0]
    for name, told in json.loads(data[8 : 8 + length]).items():
        if name.endswith("to_k"):
            begin, end = (8 + length + place for place in told["data_offsets"])
            data[begin:end] = b"\1" * (end - begin)
    file.write_bytes(data)
    assert file_identity(file) != before


def test_a_file_that_is_replaced_is_read_again_even_at_the_same_time(tmp_path: Path) -> None:
    file = tmp_path / "w.gguf"
    file.write_bytes(bytes(1_000_000))
    os.utime(file, (1, 1))
    before = file_identity(file)
    file.write_bytes(b"\1" * 1_000_000)
    os.utime(file, (1, 1))
    assert file_identity(file) != before


def test_a_hub_model_is_found_in_the_cache_by_branch_and_by_commit(tmp_path: Path) -> None:
    base = tmp_path / "models--owner--tiny"
    make_model(base / "snapshots" / "abc123")
    (base / "refs").mkdir()
    (base / "refs" / "main").write_text("abc123")
    assert find_model("owner/tiny", None, cache=tmp_path) is not None
    assert find_model("owner/tiny", None, revision="abc123", cache=tmp_path) is not None
    assert find_model("owner/other", None, cache=tmp_path) is None


def test_a_component_folder_is_a_model_of_one_part(tmp_path: Path) -> None:
    folder = tmp_path / "vae"
    folder.mkdir()
    (folder / "config.json").write_text('{"_class_name": "AutoencoderKL"}')
    model = find_model("vae", tmp_path)
    assert model is not None and model.pipeline_class is None
    assert model.parts[0].class_name == "AutoencoderKL"


@pytest.mark.parametrize("name", ["nowhere", "./nowhere", "owner/nowhere"])
def test_what_is_not_there_is_not_found(tmp_path: Path, name: str) -> None:
    assert find_model(name, tmp_path, cache=tmp_path / "cache") is None


def test_a_broken_index_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "model_index.json").write_text("{ not json")
    assert find_model("tiny", tmp_path) is None


def test_a_broken_header_tells_nothing(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(b"\x05\x00\x00\x00\x00\x00\x00\x00hello")
    assert elements_of(file) == {}


def test_the_variant_is_read_before_the_plain_weights(tmp_path: Path) -> None:
    names = ["model.bin", "model.fp16.safetensors", "model.safetensors"]
    files = [tmp_path / name for name in names]
    assert [file.name for file in weight_files(files, "fp16")] == ["model.fp16.safetensors"]
    assert [file.name for file in weight_files(files, None)] == ["model.safetensors"]


PLAIN = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
HALF = ["model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors"]


@pytest.mark.parametrize(
    ("beside", "variant", "chosen"),
    [
        (HALF, None, PLAIN),
        (HALF, "fp16", HALF),
        ([each.replace(".fp16", "") for each in HALF], "fp16", PLAIN),
        (["consolidated.safetensors"], None, PLAIN),
        (["model.safetensors"], None, ["model.safetensors"]),
        (["pytorch_model.bin", "flax_model.msgpack"], None, PLAIN),
    ],
)
def test_of_several_weights_in_a_folder_those_count_that_a_load_reads(
    tmp_path: Path, beside: list[str], variant: str | None, chosen: list[str]
) -> None:
    for names, index in ((PLAIN, "model.safetensors.index.json"), (HALF, "model.safetensors.index.fp16.json")):
        (tmp_path / index).write_text(json.dumps({"weight_map": dict(zip("ab", names, strict=True))}))
    for name in {*PLAIN, *beside}:
        write_safetensors(tmp_path / name, {name: ("F32", [1000])})
    part = read_part("text_encoder", "transformers", "T5EncoderModel", tmp_path, variant)
    assert [file.name for file in part.files] == chosen
    assert part.weights.bytes_as(4) == 4000 * len(chosen)
    (tmp_path / chosen[-1]).unlink()
    if len(chosen) > 1:
        assert part.whole and not read_part("", "transformers", "T5EncoderModel", tmp_path, variant).whole


def test_shards_are_read_together(tmp_path: Path) -> None:
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert [file.name for file in weight_files([tmp_path / name for name in names], None)] == names


@pytest.mark.parametrize(
    ("name", "local"),
    [("./a", True), ("/a/b", True), ("../a", True), ("owner/name", False), ("name", False), ("a/b/c", True)],
)
def test_a_name_that_can_only_be_a_folder(name: str, local: bool) -> None:
    assert looks_local(name) is local


def test_the_cache_is_where_the_hub_client_keeps_it(tmp_path: Path) -> None:
    assert hub_cache({"HF_HUB_CACHE": str(tmp_path)}) == tmp_path
    assert hub_cache({"HF_HOME": str(tmp_path)}) == tmp_path / "hub"


def test_a_download_that_was_broken_off_is_not_whole(tmp_path: Path) -> None:
    folder = tmp_path / "unet"
    folder.mkdir()
    assert not read_part("unet", "diffusers", "UNet2DConditionModel", folder, None).whole
    (folder / "config.json").write_text("{}")
    assert not read_part("unet", "diffusers", "UNet2DConditionModel", folder, None).whole
    assert read_part("tokenizer", "transformers", "CLIPTokenizer", folder, None).whole
    pieces = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    listed = {"weight_map": dict(zip("ab", pieces, strict=True))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(listed))
    for piece, whole in zip(pieces, (False, True), strict=True):
        (folder / piece).write_bytes(struct.pack("<Q", 2) + b"{}")
        assert read_part("unet", "diffusers", "UNet2DConditionModel", folder, None).whole is whole
