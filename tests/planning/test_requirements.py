"""Components are named by what they are made of, not by who asks for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dw_lsp.catalog.models import read_part
from dw_lsp.planning.requirements import RequiredPipeline, required_part, required_pipeline
from dw_lsp.planning.weight_bytes import dtype_bytes
from dw_lsp.text.syntax_tree import Range
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

WHERE = Range(5, 9)


def make_model(folder: Path) -> None:
    """The least that counts as a model: an index and the configurations of two parts."""
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "scheduler": ["diffusers", "DDIMScheduler"],
    }
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps(index))
    for name in ("unet", "vae", "scheduler"):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps({"part": name}))


def step(name: str = "draw", kind: str = "StableDiffusionPipeline", **members: Any) -> ResolvedStep:
    loading = {"model_name": "./tiny", **members.pop("loading", {})}
    body = {"configuration": {"component_type": kind}, "from_pretrained_arguments": loading, "arguments": {}, **members}
    return ResolvedStep(name, 0, "pipeline", body, None, None, False, False, WHERE, {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_model(tmp_path / "tiny")
    return tmp_path


def keys(required: RequiredPipeline) -> dict[str, str]:
    return {part.name: part.key for part in required.parts}


def test_the_components_are_those_of_the_index_without_the_scheduler(folder: Path) -> None:
    assert list(keys(required_pipeline(step(), folder))) == ["unet", "vae"]


def test_another_step_class_and_spelling_name_the_same_components(folder: Path) -> None:
    first = required_pipeline(step(), folder)
    again = required_pipeline(
        step("other", "StableDiffusionImg2ImgPipeline", loading={"model_name": "tiny", "low_cpu_mem_usage": True}),
        folder,
    )
    assert keys(first) == keys(again)


def test_what_changes_the_weights_changes_the_key(folder: Path) -> None:
    loading = {"torch_dtype": "torch.float16"}
    plain, changed = keys(required_pipeline(step(), folder)), keys(required_pipeline(step(loading=loading), folder))
    assert all(plain[name] != changed[name] for name in plain)


def test_a_variant_changes_the_components_that_have_one(folder: Path) -> None:
    for name in ("unet/model.safetensors", "unet/model.fp16.safetensors", "vae/model.safetensors"):
        (folder / "tiny" / name).write_bytes(b"\2\0\0\0\0\0\0\0{}")
    plain = keys(required_pipeline(step(), folder))
    varied = keys(required_pipeline(step(loading={"variant": "fp16"}), folder))
    assert plain["unet"] != varied["unet"] and plain["vae"] == varied["vae"]


def test_a_dtype_in_another_spelling_is_the_same_one(folder: Path) -> None:
    spelled = [required_pipeline(step(loading={"torch_dtype": name}), folder) for name in ("torch.half", "half")]
    assert keys(spelled[0]) == keys(spelled[1])


#: Ways to say the same of the loading of a model.
SAME = [
    ({}, {"torch_dtype": "torch.float32"}),
    ({}, {"torch_dtype": "auto"}),
    ({}, {"torch_dtype": {"default": "float"}}),
    ({"torch_dtype": "torch.half"}, {"dtype": "float16"}),
    ({"dtype": "bfloat16", "torch_dtype": "float16"}, {"torch_dtype": "torch.bfloat16"}),
    ({}, {"requires_safety_checker": False}),
    ({}, {"use_safe_tensors": True}),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_changes_no_component_changes_no_key(folder: Path, one: Any, other: Any) -> None:
    assert keys(required_pipeline(step(loading=one), folder)) == keys(required_pipeline(step(loading=other), folder))


def test_what_lies_beside_a_component_changes_no_key(folder: Path) -> None:
    before = keys(required_pipeline(step(), folder))
    for name in ("README.md", ".gitattributes", "picture.png", "model.safetensors.index.fp16.json"):
        (folder / "tiny" / "unet" / name).write_text("{}")
    assert keys(required_pipeline(step(), folder)) == before
    (folder / "tiny" / "unet" / "config.json").write_text("{}")
    assert keys(required_pipeline(step(), folder)) != before


def own_vae(**members: Any) -> dict[str, Any]:
    return {"configuration": {"component_type": "AutoencoderKL"}, **members}


@pytest.mark.parametrize("members", [{"quantization_config": None}, {"from_pretrained_arguments": {"variant": None}}])
def test_null_is_as_if_it_were_not_there(folder: Path, members: dict[str, Any]) -> None:
    loading = {"model_name": "./tiny/vae", **members.get("from_pretrained_arguments", {})}
    vae = own_vae(**{**members, "from_pretrained_arguments": loading})
    assert keys(required_pipeline(step(vae=vae), folder))["vae"] == keys(required_pipeline(step(), folder))["vae"]


def test_a_quantized_component_is_another_one_however_its_precision_is_spelled(folder: Path) -> None:
    def quantized(dtype: str) -> dict[str, str]:
        definition = {"configuration": {"config_type": "BitsAndBytesConfig"}, "arguments": {"compute_dtype": dtype}}
        vae = own_vae(quantization_config=definition, from_pretrained_arguments={"model_name": "tiny/vae"})
        return keys(required_pipeline(step(vae=vae), folder))

    assert quantized("torch.half") == quantized("float16") != keys(required_pipeline(step(), folder))


def test_one_file_is_one_component_however_it_is_spelled(folder: Path) -> None:
    (folder / "vae.gguf").write_bytes(b"weights")
    (folder / "link.d").symlink_to(".")

    def key(spelled: str, **more: Any) -> str:
        loading = {"from_single_file": spelled, **more}
        return keys(required_pipeline(step(vae=own_vae(from_pretrained_arguments=loading)), folder))["vae"]

    spellings = ["vae.gguf", "./vae.gguf", str(folder / "vae.gguf"), "tiny/../vae.gguf", "link.d/vae.gguf"]
    assert len({key(spelled) for spelled in spellings}) == 1
    plain = key("vae.gguf")
    assert key("vae.gguf", config="./tiny", subfolder="vae") == key(
        "vae.gguf", config=str(folder / "tiny"), subfolder="vae"
    )
    assert len({plain, key("vae.gguf", config="./tiny"), key("vae.gguf", config="owner/name")}) == 3
    (folder / "vae.gguf").write_bytes(b"others.")
    assert key("vae.gguf") != plain


def test_the_classes_of_a_single_file_share_what_is_in_it(folder: Path) -> None:
    (folder / "sd.safetensors").write_bytes(b"weights")

    def whole(class_name: str, **loading: Any) -> str:
        made = step(kind=class_name)
        made.body["from_pretrained_arguments"] = {"from_single_file": "sd.safetensors", **loading}
        return required_pipeline(made, folder).parts[0].key.partition(":")[2]

    plain = whole("StableDiffusionPipeline")
    assert whole("StableDiffusionInpaintPipeline") == plain
    assert whole("StableDiffusionPipeline", torch_dtype="float16") != plain
    assert whole("StableDiffusionPipeline", num_in_channels=9) != plain


@pytest.mark.parametrize(("device", "dtypes"), [("cpu", (4, 4)), ("cuda", (4, 2))])
def test_without_a_dtype_the_library_chooses(folder: Path, device: str, dtypes: tuple[int, int]) -> None:
    for name, kind in (("unet", "UNet2DConditionModel"), ("text_encoder", "T5EncoderModel")):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps({"dtype": "float16"}))
        header = json.dumps({"w": {"dtype": "F16", "shape": [10], "data_offsets": [0, 20]}}).encode()
        (folder / name / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(20))
        library = "diffusers" if name == "unet" else "transformers"
        part = read_part(name, library, kind, folder / name, None)
        half, omitted = required_part(part, {"torch_dtype": "half"}, device), required_part(part, {}, device)
        size = dtypes[name != "unet"]
        assert (half.bytes, omitted.bytes) == (20, 10 * size) and (half.key == omitted.key) == (size == 2)


def test_a_dtype_for_one_component_leaves_the_others(folder: Path) -> None:
    plain = keys(required_pipeline(step(), folder))
    one = keys(required_pipeline(step(loading={"torch_dtype": {"unet": "torch.float16"}}), folder))
    assert plain["unet"] != one["unet"] and plain["vae"] == one["vae"]


def test_a_component_switched_off_is_not_needed(folder: Path) -> None:
    assert list(keys(required_pipeline(step(loading={"vae": None}), folder))) == ["unet"]


def test_a_component_of_the_workflow_replaces_that_of_the_model(folder: Path) -> None:
    own = {
        "configuration": {"component_type": "AutoencoderKL"},
        "from_pretrained_arguments": {"model_name": "./tiny/vae"},
    }
    plain, changed = required_pipeline(step(), folder), required_pipeline(step(vae=own), folder)
    assert keys(plain)["unet"] == keys(changed)["unet"]
    assert list(changed.explicit) == ["vae"]


def test_the_same_files_under_a_workflow_component_are_the_same_component(folder: Path) -> None:
    own = {
        "configuration": {"component_type": "AutoencoderKL"},
        "from_pretrained_arguments": {"model_name": "./tiny/vae"},
    }
    assert keys(required_pipeline(step(), folder))["vae"] == keys(required_pipeline(step(vae=own), folder))["vae"]


@pytest.mark.parametrize("name", ["./nowhere", "../nowhere", "./empty", "empty"])
def test_a_folder_without_a_model_is_told_with_its_place(folder: Path, name: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(InvalidInput, match="model folder") as caught:
        required_pipeline(step(loading={"model_name": name}), folder)
    assert caught.value.range == WHERE and caught.value.hint


def test_a_hub_model_that_is_not_here_would_be_downloaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(folder / "cache"))
    (part,) = required_pipeline(step(loading={"model_name": "owner/name"}), folder).parts
    assert part.where_from == "download" and part.bytes is None


@pytest.mark.parametrize(
    ("dtype", "size"), [("torch.float16", 2), ("bfloat16", 2), ("torch.float32", 4), ("torch.new", None), (None, None)]
)
def test_the_size_of_a_dtype(dtype: str | None, size: int | None) -> None:
    assert dtype_bytes(dtype) == size
