"""The bytes of a plan are those that parameters and buffers then fill."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers

from dw_lsp.catalog.kept_precision import KEPT_BY_DIFFUSERS, KEPT_BY_TRANSFORMERS
from dw_lsp.planning.requirements import RequiredPipeline, required_pipeline
from dw_lsp.planning.weight_bytes import DTYPE_BYTES
from dw_lsp.protocol import RunOptions
from dw_lsp.text.syntax_tree import Range
from dw_lsp.worker.engine.allowed_paths import AllowedPaths
from dw_lsp.worker.engine.components import size_of
from dw_lsp.worker.engine.loading import Loader
from dw_lsp.worker.engine.loras import _weights
from dw_lsp.worker.engine.trusted_types import TrustedTypes
from dw_lsp.workflow.resolved import ResolvedStep

FAMILIES = ("sd", "sdxl", "flux", "video", "image2video", "sound")


def required(model: Path, device: str = "cpu", loading: Any = None, **members: Any) -> RequiredPipeline:
    body = {
        "configuration": {"component_type": "DiffusionPipeline"},
        "from_pretrained_arguments": {"model_name": str(model), **(loading or {})},
        "arguments": {},
        **members,
    }
    step = ResolvedStep("draw", 0, "pipeline", body, None, None, False, False, Range(0, 1), {})
    return required_pipeline(step, None, device=device)


def loader(model: Path, device: str = "cpu") -> Loader:
    options = RunOptions()
    types = TrustedTypes((*options.allowed_modules, "sdnq"), False)
    return Loader(types, AllowedPaths([model]), options, torch.device(device))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("device", "loading"),
    [
        ("cpu", {}),
        ("cpu", {"torch_dtype": "torch.float16"}),
        ("cpu", {"dtype": "torch.bfloat16"}),
        ("cuda", {}),
        ("cuda", {"torch_dtype": {"default": "torch.bfloat16", "vae": "torch.float32"}}),
    ],
    ids=["32 bits", "16 bits", "bfloat16", "left out on a GPU", "by component"],
)
def test_components(families: dict[str, Path], family: str, device: str, loading: dict[str, Any]) -> None:
    model = families[family]
    load, planned = loader(model, device), required(model, device, loading)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Of layers that torch gives up.
        live = {part.name: size_of(load.component(part, planned.loading, None)) for part in planned.parts}
    assert {part.name: part.bytes for part in planned.parts} == live


@pytest.mark.parametrize("weights", ["int8", "{uint8}", "float8_e4m3fn"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_quantized_component(make: Any, weights: str, dtype: str) -> None:
    pytest.importorskip("sdnq")
    arguments = {"weights_dtype": weights, "quantization_device": "cpu", "return_device": "cpu"}
    quantization = {"configuration": {"config_type": "sdnq.SDNQConfig"}, "arguments": arguments}
    keywords = {"model_name": str(make.model / "unet"), "torch_dtype": dtype}
    definition = {
        "configuration": {"component_type": "UNet2DConditionModel"},
        "from_pretrained_arguments": keywords,
        "quantization_config": quantization,
    }
    part = required(make.model, unet=definition).part("unet")
    assert part is not None
    live = size_of(loader(make.model).component(part, keywords, None, "UNet2DConditionModel", quantization))
    added = 4 * 32 * 768 if weights == "{uint8}" else 0  # Zero points, beside the scales.
    assert part.bytes is not None and part.bytes <= live <= part.bytes + added


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("name", ["unet0", "both", "alpha"])
def test_a_lora(make: Any, lora_files: Path, name: str, dtype: str) -> None:
    entry = {"model_name": str(lora_files / f"{name}.safetensors")}
    (lora,) = required(make.model, loading={"torch_dtype": dtype}, loras=[entry]).loras
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(str(make.model), dtype=getattr(torch, dtype))
    pipe.load_lora_weights(str(lora_files), weight_name=f"{name}.safetensors", adapter_name="wanted")
    matrices = [each for model in (pipe.unet, pipe.text_encoder) for each in _weights(model, "wanted")]
    assert lora.bytes == sum(each.numel() * DTYPE_BYTES[dtype] for each in matrices)
    assert {each.dtype for each in matrices} == {getattr(torch, dtype)}


def test_the_table_of_kept_precision_is_that_of_the_libraries() -> None:
    kept = {}
    for name in dir(diffusers):
        if name.endswith(("Model", "Transformer", "Autoencoder")) or name.startswith("Autoencoder"):
            found = getattr(getattr(diffusers, name, None), "_keep_in_fp32_modules", None)
            if found:
                kept[name] = tuple(found)
    # A release that knows fewer models has no more to say of the others.
    assert kept == {name: modules for name, modules in KEPT_BY_DIFFUSERS.items() if name in kept}
    for name, modules in KEPT_BY_TRANSFORMERS.items():
        assert tuple(getattr(transformers, name)._keep_in_fp32_modules) == modules
