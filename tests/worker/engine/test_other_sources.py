"""Components from elsewhere: a control network beside a model's own parts, a quantized file in the place of one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import diffusers
import pytest
from PIL import Image
from safetensors.torch import load_file

from dw_lsp.protocol import ClearMemory, MemoryReported, RunEnded

pytestmark = pytest.mark.filterwarnings("ignore")  # Of diffusers about what is to come.


@pytest.fixture
def folder(tmp_path: Path, worker: Any) -> Path:
    worker.send(ClearMemory(1))
    worker.wait_for(MemoryReported, lambda answer: answer.request_id == 1)
    Image.new("RGB", (80, 64), "white").save(tmp_path / "house.png")
    return tmp_path


def run(worker: Any, work: dict[str, Any], folder: Path, where: str = "outputs") -> RunEnded:
    ended: RunEnded = worker.run(work, folder, output_directory=str(folder / where))
    assert ended.outcome == "succeeded", ended.error
    return ended


def pixels(ended: RunEnded) -> list[bytes]:
    found = []
    for result in ended.results:
        with Image.open(str(result.path)) as image:
            found.append(image.tobytes())
    return found


def loads(ended: RunEnded) -> list[str]:
    return sorted(part.name for part in ended.loaded)


def test_a_control_network_comes_to_a_model_that_is_there(worker: Any, make: Any, folder: Path) -> None:
    unet = diffusers.UNet2DConditionModel.from_pretrained(str(make.model / "unet"))
    network = diffusers.ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16, 32))
    for number, block in enumerate(network.controlnet_down_blocks):
        block.weight.data.fill_(0.02 * (number + 1))  # New networks begin without any effect.
    network.save_pretrained(str(folder / "control"))
    outline = make.task("outline", "resize_rescale", image="house.png", width=64, height=64)
    guided = make.drawing(
        2,
        name="guided",
        class_name="StableDiffusionControlNetPipeline",
        image="previous_result:outline",
        controlnet_conditioning_scale=0.9,
    )
    guided["pipeline"]["controlnet"] = {
        "configuration": {"component_type": "ControlNetModel"},
        "from_pretrained_arguments": {"model_name": "./control", "torch_dtype": "torch.float32"},
    }
    plain = run(worker, make.workflow(make.drawing(2, name="plain"), seed=3), folder)
    both = run(worker, make.workflow(outline, guided, make.drawing(2, name="plain"), seed=3), folder, "both")
    assert loads(both) == ["controlnet"]
    controlled, beside = pixels(both)
    assert [beside] == pixels(plain) and controlled != beside
    again = run(worker, make.workflow(outline, guided, seed=4), folder)
    assert (loads(again), [step.outcome for step in again.steps]) == ([], ["ran", "ran"])


def write_gguf(model: Path, file: Path) -> None:
    """A transformer's weights in eight bits where they are large enough for it, as it is usual in such files."""
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(str(file), "flux")
    for name, tensor in load_file(model / "diffusion_pytorch_model.safetensors").items():
        values = tensor.float().numpy()
        eight = gguf.GGMLQuantizationType.Q8_0
        if values.ndim == 2 and values.shape[-1] % 32 == 0:
            writer.add_tensor(name, gguf.quants.quantize(values, eight), raw_dtype=eight)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_quantized_file_takes_the_place_of_a_component(
    worker: Any, make: Any, folder: Path, families: dict[str, Path]
) -> None:
    shutil.copytree(families["flux"], folder / "flux")
    write_gguf(folder / "flux" / "transformer", folder / "transformer.gguf")
    step: dict[str, Any] = {
        "name": "draw",
        "pipeline": {
            "configuration": {"component_type": "FluxPipeline"},
            "from_pretrained_arguments": {"model_name": "./flux", "torch_dtype": "torch.float32"},
            "arguments": {
                "prompt": "a red circle", "width": 32, "height": 32, "num_inference_steps": 2,
                "max_sequence_length": 16,
            },
        },
        "result": {"content_type": "image/png"},
    }  # fmt: skip
    plain = run(worker, make.workflow(step, seed=3), folder)
    step["pipeline"]["transformer"] = {
        "configuration": {"component_type": "FluxTransformer2DModel"},
        "quantization_config": {
            "configuration": {"config_type": "GGUFQuantizationConfig"},
            "arguments": {"compute_dtype": "torch.float32"},
        },
        "from_pretrained_arguments": {
            "from_single_file": "./transformer.gguf",
            "config": "./flux",
            "subfolder": "transformer",
            "torch_dtype": "torch.float32",
        },
    }
    quantized = run(worker, make.workflow(step, seed=3), folder)
    assert loads(quantized) == ["transformer"]
    difference = [abs(one - other) for one, other in zip(pixels(plain)[0], pixels(quantized)[0], strict=True)]
    assert 0 < sum(difference) / len(difference) < 8
    assert loads(run(worker, make.workflow(step, seed=4), folder)) == []
