"""What an edit costs with pipelines of other families, made from configurations: each row of the table, every step."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.utils import get_peft_model_state_dict
from PIL import Image
from safetensors.torch import load_file, save_file

from dw_lsp.protocol import ClearMemory, MemoryReported, RunEnded

Edit = Callable[[dict[str, Any]], Any]
CLASSES = {
    "sdxl": ("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline"),
    "flux": ("FluxPipeline", "FluxImg2ImgPipeline"),
}
DENOISERS = {"sdxl": ("unet", "UNet2DConditionModel"), "flux": ("transformer", "FluxTransformer2DModel")}
MODELS = {family: {"text_encoder", "text_encoder_2", "vae", DENOISERS[family][0]} for family in CLASSES}
SIZES = {"width": 32, "height": 32, "num_inference_steps": 2, "output_type": "pil"}
INT8 = {
    "configuration": {"config_type": "sdnq.SDNQConfig"},
    "arguments": {"weights_dtype": "{int8}", "quantization_device": "cpu", "return_device": "cpu"},
}
NOTHING: frozenset[str] = frozenset()
#: Stands for the family's own denoiser, or for all its models, among what must be loaded.
DENOISER, EVERY_MODEL = frozenset({"denoiser"}), frozenset({"every model"})
REUSED, FROM_THAT_STEP_ON = ["reused", "reused"], ["ran", "ran"]
#: The step gives the same picture in another way, so what follows from it need not be done again.
THAT_STEP_ALONE = ["ran", "reused"]
#: Whether it does, these untrained models do not tell beforehand.
AS_THE_PICTURE = ["ran", "as the picture"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, families: dict[str, Path], shared_worker: Any) -> Path:
    """A folder with a picture and, for each family, its model and others that differ in one part; nothing in memory.

    One for all rows, which therefore have files, and outputs, of their own where it is counted what is loaded.
    """
    shared_worker.send(ClearMemory(1))
    shared_worker.wait_for(MemoryReported, lambda answer: answer.request_id == 1)
    folder = tmp_path_factory.mktemp("edited")
    for family, (name, _) in DENOISERS.items():
        for model in (family, f"{family}-second", f"{family}-varied"):
            shutil.copytree(families[family], folder / model)
        change(folder / f"{family}-second" / name)
        change(folder / f"{family}-varied" / "vae", variant=".other")
        shutil.copytree(families[family] / "vae", folder / f"{family}-vae")
        change(folder / f"{family}-vae")
        for seed in range(3):
            write_lora(folder / family, folder / f"{family}-lora{seed}.safetensors", family, seed)
    Image.new("RGB", (32, 32), "red").save(folder / "red.png")
    return folder


def change(component: Path, variant: str = "") -> None:
    """Make a component's weights other ones; with a variant, beside those that are there."""
    (weights,) = component.glob("*.safetensors")
    changed = {name: tensor * 0.9 for name, tensor in load_file(weights).items()}
    save_file(changed, weights.with_name(f"{weights.stem}{variant}.safetensors"), {"format": "pt"})


def write_lora(model: Path, file: Path, family: str, seed: int) -> None:
    """Write a LoRA of a family's denoiser."""
    name, kind = DENOISERS[family]
    denoiser = getattr(diffusers, kind).from_pretrained(str(model / name))
    inject_adapter_in_model(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_k", "to_v"]), denoiser)
    torch.manual_seed(seed)
    layers = {key: torch.randn(each.shape) * 0.1 for key, each in get_peft_model_state_dict(denoiser).items()}
    pipeline = getattr(diffusers, CLASSES[family][0])
    pipeline.save_lora_weights(str(file.parent), weight_name=file.name, **{f"{name}_lora_layers": layers})


def base(family: str, make: Any) -> dict[str, Any]:
    drawing: dict[str, Any] = {
        "name": "draw",
        "pipeline": {
            "configuration": {"component_type": CLASSES[family][0]},
            "from_pretrained_arguments": {"model_name": f"./{family}", "torch_dtype": "torch.float32"},
            "arguments": {"prompt": "a red circle", **SIZES},
        },
        "result": {"content_type": "image/png"},
    }
    crop = make.task("crop", "crop_square", "image/png", image="previous_result:draw")
    work: dict[str, Any] = make.workflow(drawing, crop, seed=3, variables={"model": f"./{family}"})
    return work


def pipeline(work: dict[str, Any]) -> Any:
    return work["steps"][0]["pipeline"]


def family_of(work: dict[str, Any]) -> str:
    return "sdxl" if "XL" in pipeline(work)["configuration"]["component_type"] else "flux"


def argument(**values: Any) -> Edit:
    return lambda work: pipeline(work)["arguments"].update(values)


def loading(**values: Any) -> Edit:
    return lambda work: pipeline(work)["from_pretrained_arguments"].update(values)


def configuration(**values: Any) -> Edit:
    return lambda work: pipeline(work)["configuration"].update(values)


def result(**settings: Any) -> Edit:
    return lambda work: work["steps"][0]["result"].update(settings)


def own_seed(work: dict[str, Any]) -> None:
    work["steps"][0]["seed"] = 4


def other_class(work: dict[str, Any]) -> None:
    configuration(component_type=CLASSES[family_of(work)][1])(work)
    argument(image="red.png", strength=0.8)(work)


def other_vae(work: dict[str, Any]) -> None:
    pipeline(work)["vae"] = {
        "configuration": {"component_type": "AutoencoderKL"},
        "from_pretrained_arguments": {"model_name": f"./{family_of(work)}-vae", "torch_dtype": "torch.float32"},
    }


def own_denoiser(**more: Any) -> Edit:
    def edit(work: dict[str, Any]) -> None:
        name, kind = DENOISERS[family_of(work)]
        source = {"model_name": f"./{family_of(work)}", "subfolder": name, "torch_dtype": "torch.float32"}
        component = {"configuration": {"component_type": kind}, "from_pretrained_arguments": source}
        pipeline(work)[name] = {**component, **more}

    return edit


def attention_of_the_denoiser(work: dict[str, Any]) -> None:
    configuration(components={DENOISERS[family_of(work)][0]: {"attention_backend": "_native_math"}})(work)


def scheduler(work: dict[str, Any], **more: Any) -> None:
    option = {"beta_start": 0.001} if family_of(work) == "sdxl" else {"shift": 2.0}
    kind = "EulerDiscreteScheduler" if family_of(work) == "sdxl" else "FlowMatchEulerDiscreteScheduler"
    pipeline(work)["scheduler"] = {
        "configuration": {"scheduler_type": kind},
        "from_config_args": {**option, **more},
    }


def loras(**scales: float) -> Edit:
    def edit(work: dict[str, Any]) -> None:
        names = {name: f"./{family_of(work)}-{name}.safetensors" for name in scales}
        entries = [{"model_name": file, "adapter_name": name, "scale": scales[name]} for name, file in names.items()]
        pipeline(work)["loras"] = entries

    return edit


def variant_of_the_vae(work: dict[str, Any], **more: Any) -> None:
    loading(model_name=f"./{family_of(work)}-varied", **more)(work)


def model_of_a_variable(work: dict[str, Any]) -> None:
    loading(model_name="variable:model")(work)


def other_variable(work: dict[str, Any]) -> None:
    work["variables"]["model"] += "-second"


ROWS: dict[str, tuple[Edit, frozenset[str], list[str]]] = {
    "prompt": (argument(prompt="a green star"), NOTHING, FROM_THAT_STEP_ON),
    "seed": (own_seed, NOTHING, FROM_THAT_STEP_ON),
    "steps": (argument(num_inference_steps=3), NOTHING, FROM_THAT_STEP_ON),
    "size": (argument(width=48), NOTHING, FROM_THAT_STEP_ON),
    "guidance": (argument(guidance_scale=1.5), NOTHING, AS_THE_PICTURE),
    "format": (result(content_type="image/jpeg"), NOTHING, REUSED),
    "name": (result(file_base_name="other"), NOTHING, REUSED),
    "folder": (result(subfolder="deeper"), NOTHING, REUSED),
    "not saved": (result(save=False), NOTHING, REUSED),
    "scheduler": (scheduler, NOTHING, FROM_THAT_STEP_ON),
    "scheduler's arguments": (
        lambda work: scheduler(work, num_train_timesteps=500), NOTHING, FROM_THAT_STEP_ON,
    ),
    "pipeline class": (other_class, NOTHING, FROM_THAT_STEP_ON),
    "the vae's model": (other_vae, frozenset({"vae"}), FROM_THAT_STEP_ON),
    "offload": (configuration(offload="model"), NOTHING, THAT_STEP_ALONE),
    "tiling": (configuration(vae={"enable_tiling": True}), NOTHING, THAT_STEP_ALONE),
    "slicing": (configuration(vae={"enable_slicing": True}), NOTHING, THAT_STEP_ALONE),
    "attention slicing": (configuration(enable_attention_slicing=True), NOTHING, THAT_STEP_ALONE),
    "attention backend": (configuration(attention_backend="_native_math"), NOTHING, AS_THE_PICTURE),
    "attention backend of one component": (attention_of_the_denoiser, NOTHING, AS_THE_PICTURE),
    "dtype": (loading(torch_dtype="torch.bfloat16"), EVERY_MODEL, FROM_THAT_STEP_ON),
    "quantization of one component": (own_denoiser(quantization_config=INT8), DENOISER, AS_THE_PICTURE),
    "variant of one component": (
        lambda work: variant_of_the_vae(work, variant="other"), frozenset({"vae"}), FROM_THAT_STEP_ON,
    ),
    "a variable in the place of its value": (model_of_a_variable, NOTHING, REUSED),
    "a variable that feeds the model": (other_variable, DENOISER, FROM_THAT_STEP_ON),
    "a LoRA's scale": (loras(lora0=0.5), NOTHING, FROM_THAT_STEP_ON),
    "a LoRA more": (loras(lora1=1.0, lora2=1.0), frozenset({"lora2"}), FROM_THAT_STEP_ON),
    "a LoRA less": (loras(), NOTHING, FROM_THAT_STEP_ON),
}  # fmt: skip
#: What is done to the workflow beforehand, where an edit needs something to edit.
BEFORE: dict[str, Edit] = {
    "scheduler's arguments": scheduler,
    "quantization of one component": own_denoiser(),
    "variant of one component": variant_of_the_vae,
    "a variable that feeds the model": model_of_a_variable,
    "a LoRA's scale": loras(lora0=1.0),
    "a LoRA more": loras(lora1=1.0),
    "a LoRA less": loras(lora0=1.0),
}


def run(worker: Any, work: dict[str, Any], folder: Path, where: str) -> RunEnded:
    ended: RunEnded = worker.run(work, folder, output_directory=str(folder / where))
    assert ended.outcome == "succeeded", ended.error
    return ended


def loads(ended: RunEnded) -> set[str]:
    return {part.name for part in ended.loaded}


def picture(ended: RunEnded) -> bytes:
    with Image.open(str(ended.results[0].path)) as image:
        return image.tobytes()


def files(ended: RunEnded) -> list[bytes]:
    return [Path(str(each.path)).read_bytes() for each in ended.results]


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("family", CLASSES)
def test_an_edit_loads_and_runs_what_it_must(family: str, row: str, worker: Any, make: Any, folder: Path) -> None:
    if row.startswith("quantization"):
        pytest.importorskip("sdnq")
    edit, must_load, must_run = ROWS[row]
    if must_load is EVERY_MODEL:
        # The families have a text encoder in common, which the other one has brought in that precision.
        worker.send(ClearMemory(1))
        worker.wait_for(MemoryReported, lambda answer: answer.request_id == 1)
    before = base(family, make)
    BEFORE.get(row, lambda work: None)(before)
    after = copy.deepcopy(before)
    edit(after)
    first = run(worker, before, folder, f"{family}-{row}")
    assert [step.outcome for step in first.steps] == ["ran", "ran"]
    ended = run(worker, after, folder, f"{family}-{row}")
    expected = {DENOISER: {DENOISERS[family][0]}, EVERY_MODEL: MODELS[family]}.get(must_load, must_load)
    if must_run is AS_THE_PICTURE:
        must_run = THAT_STEP_ALONE if picture(ended) == picture(first) else FROM_THAT_STEP_ON
    assert ([step.outcome for step in ended.steps], loads(ended)) == (must_run, expected)
    # The edit undone draws the same picture, byte by byte, with what is in memory.
    undone = run(worker, before, folder, f"{family}-{row}-undone")
    assert ([step.outcome for step in undone.steps], loads(undone)) == (["ran", "ran"], set())
    assert files(undone) == files(first)


def test_families_stay_beside_each_other(worker: Any, make: Any, folder: Path) -> None:
    """File A, then B, then A again: nothing is loaded the third time."""
    worker.send(ClearMemory(2))
    worker.wait_for(MemoryReported, lambda answer: answer.request_id == 2)
    loaded = []
    for number, family in enumerate(("sdxl", "flux", "sdxl", "flux")):
        work = base(family, make)
        argument(prompt=f"a circle {number}")(work)
        ended = worker.run(work, folder, document_path=str(folder / f"{family}.dw.json"))
        assert ended.outcome == "succeeded", ended.error
        loaded.append(len(ended.loaded))
    assert loaded[0] > 0 and loaded[2:] == [0, 0]
