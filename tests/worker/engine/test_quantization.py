"""A component's quantization is part of what it is: quantized and plain lie beside each other in memory."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.util
from pathlib import Path
from typing import Any

import diffusers
import numpy
import pytest
import torch
import transformers
from PIL import Image

from dw_lsp.protocol import ClearMemory, MemoryReported, RunEnded
from dw_lsp.worker.engine.quantization import TORCHAO_TYPES, _switch_products, _with_torchao_class
from dw_lsp.workflow.resolved import InvalidInput

SDNQ = {
    "configuration": {"config_type": "sdnq.SDNQConfig"},
    "arguments": {"weights_dtype": "{int8}", "quantization_device": "cpu", "return_device": "cpu"},
}
TORCHAO = {
    "configuration": {"config_type": "TorchAoConfig"},
    "arguments": {"quant_type": "torchao.quantization.Int8WeightOnlyConfig"},
}
TORCHAO_TEXT = {**TORCHAO, "arguments": {"quant_type": "{int8wo}"}}
BITSANDBYTES = {
    "configuration": {"config_type": "transformers.BitsAndBytesConfig"},
    "arguments": {"load_in_4bit": True},
}


@pytest.fixture
def folder(tmp_path: Path, worker: Any) -> Path:
    worker.send(ClearMemory(1))
    worker.wait_for(MemoryReported, lambda answer: answer.request_id == 1)
    return tmp_path


def drawing(make: Any, quantization: dict[str, Any] | None, name: str = "unet", kind: str = "") -> dict[str, Any]:
    step: dict[str, Any] = make.drawing(3)
    component = {
        "configuration": {"component_type": kind or "UNet2DConditionModel"},
        "from_pretrained_arguments": {
            "model_name": str(make.model),
            "subfolder": name,
            "torch_dtype": "torch.float32",
        },
    }
    step["pipeline"][name] = component if quantization is None else {**component, "quantization_config": quantization}
    work: dict[str, Any] = make.workflow(step, seed=3)
    return work


def run(worker: Any, work: dict[str, Any], folder: Path, **fields: Any) -> RunEnded:
    ended: RunEnded = worker.run(work, folder, **fields)
    assert ended.outcome == "succeeded", ended.error
    return ended


def pixels(ended: RunEnded) -> Any:
    with Image.open(str(ended.results[0].path)) as image:
        return numpy.asarray(image, dtype=int)


def unet_bytes(ended: RunEnded) -> int:
    return [part.bytes for part in ended.memory.components if part.name == "unet"][-1]


@pytest.mark.parametrize("method", ["sdnq", "torchao", "torchao as text"])
def test_quantizing_one_component_loads_that_one(method: str, worker: Any, make: Any, folder: Path) -> None:
    pytest.importorskip(method.split()[0])
    quantization = {"sdnq": SDNQ, "torchao": TORCHAO, "torchao as text": TORCHAO_TEXT}[method]
    plain = run(worker, drawing(make, None), folder)
    quantized = run(worker, drawing(make, quantization), folder)
    assert [part.name for part in quantized.loaded] == ["unet"]
    assert unet_bytes(quantized) < 0.9 * unet_bytes(plain)  # Its convolutions stay as they are.
    difference = numpy.abs(pixels(plain) - pixels(quantized))
    assert 0 < difference.mean() < 10
    back = run(worker, drawing(make, None), folder, output_directory=str(folder / "back"))
    again = run(worker, drawing(make, quantization), folder, output_directory=str(folder / "again"))
    assert (back.loaded, again.loaded) == ((), ())
    assert (pixels(back) == pixels(plain)).all() and (pixels(again) == pixels(quantized)).all()


def test_other_arguments_are_another_component(worker: Any, make: Any, folder: Path) -> None:
    pytest.importorskip("sdnq")
    run(worker, drawing(make, SDNQ), folder)
    finer = {**SDNQ, "arguments": {**SDNQ["arguments"], "weights_dtype": "{uint4}"}}
    ended = run(worker, drawing(make, finer), folder)
    assert ([part.name for part in ended.loaded], ended.steps[0].outcome) == (["unet"], "ran")


def test_a_text_encoder_is_quantized_with_the_class_of_its_library(worker: Any, make: Any, folder: Path) -> None:
    pytest.importorskip("torchao")
    work = drawing(make, TORCHAO, "text_encoder", "transformers.CLIPTextModel")
    assert "text_encoder" in [part.name for part in run(worker, work, folder).loaded]


def test_quantized_products_are_switched_back(make: Any) -> None:
    sdnq = pytest.importorskip("sdnq")
    quantization = sdnq.SDNQConfig(weights_dtype="int8", quantization_device="cpu", return_device="cpu")
    model = diffusers.UNet2DConditionModel.from_pretrained(
        make.model, subfolder="unet", quantization_config=quantization
    )
    given = (torch.ones(1, 4, 8, 8), torch.tensor([1]), torch.ones(1, 4, model.config.cross_attention_dim))
    with torch.no_grad(), contextlib.ExitStack() as undo:
        before = model(*given).sample
        _switch_products(model, undo)
        assert model.quantization_config.use_quantized_matmul
        assert torch.allclose(model(*given).sample, before, atol=1e-3)
    assert not model.quantization_config.use_quantized_matmul
    with torch.no_grad():
        assert torch.equal(model(*given).sample, before)


REFUSALS: dict[str, tuple[Any, str, str]] = {
    "no package": (
        {"configuration": {"config_type": "optimum.absent.Config"}},
        "needs the package optimum",
        "pip install optimum",
    ),
    "no GPU": (BITSANDBYTES, "which needs a GPU", "use one that runs anywhere"),
    "no class": ({"arguments": {}}, "needs a `configuration` with `config_type`", ""),
    "another class": ({"configuration": {"config_type": "UNet2DConditionModel"}}, "configures no quantization", ""),
    "arguments": (
        {"configuration": {"config_type": "sdnq.SDNQConfig"}, "arguments": {"weights_dtype": "{tiny}"}},
        "cannot be made with these arguments",
        "",
    ),
    "way": (
        {**TORCHAO, "arguments": {"quant_type": "{int9wo}"}},
        "'int9wo' is no `quant_type`",
        "",
    ),
    "no object": ("int8", "`quantization_config` should be an object", ""),
}


@pytest.mark.skipif(importlib.util.find_spec("torchao") is not None, reason="torchao is here")
def test_a_way_of_torchao_by_its_name_needs_torchao(worker: Any, make: Any, folder: Path) -> None:
    ended = worker.run(drawing(make, TORCHAO_TEXT), folder)
    assert ended.error.message.startswith("torchao.quantization.Int8WeightOnlyConfig needs the package torchao")
    assert "pip install torchao" in ended.error.hint


class Types:
    """Classes of torchao, as far as they are looked up."""

    @dataclasses.dataclass
    class Way:
        name: str
        group_size: int = 128

    def value(self, name: str) -> Any:
        return functools.partial(self.Way, name)


@pytest.mark.parametrize("kind", [diffusers.TorchAoConfig, transformers.TorchAoConfig])
def test_what_belongs_to_a_way_of_torchao_goes_to_it(kind: Any) -> None:
    given = {"quant_type": "int4wo", "group_size": 64, "modules_to_not_convert": ["a"]}
    made = Types.Way("torchao.quantization.Int4WeightOnlyConfig", 64)
    assert _with_torchao_class(kind, given, Types()) == {"quant_type": made, "modules_to_not_convert": ["a"]}  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="does not take these arguments"):
        _with_torchao_class(kind, {"quant_type": "int4wo", "size": 64}, Types())  # type: ignore[arg-type]


def test_the_ways_of_torchao_are_there() -> None:
    torchao = pytest.importorskip("torchao.quantization")
    assert all(hasattr(torchao, name) for name in TORCHAO_TYPES.values())


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is not None, reason="bitsandbytes is here")
def test_a_package_that_a_config_asks_for_is_named(worker: Any, make: Any, folder: Path) -> None:
    quantization = {**BITSANDBYTES, "configuration": {"config_type": "BitsAndBytesConfig"}}
    ended = worker.run(drawing(make, quantization), folder)
    assert "needs the package bitsandbytes" in ended.error.message and ended.error.step == "draw"
    assert "pip install bitsandbytes" in ended.error.hint


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_quantized_is_refused(case: str, worker: Any, make: Any, folder: Path) -> None:
    quantization, message, hint = REFUSALS[case]
    ended = worker.run(drawing(make, quantization), folder)
    assert ended.outcome == "failed" and message in ended.error.message
    assert hint in (ended.error.hint or "")
    assert ended.loaded == ()
