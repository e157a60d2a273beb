"""What an edit costs: for each kind of edit, which components are loaded and which steps are run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from dw_lsp.protocol import ClearMemory, LogLine, MemoryReported, RunEnded

#: A workflow whose first step no row touches, whose second is edited, and whose third depends on the second.
Workflow = dict[str, Any]
Edit = Callable[[Workflow], Any]
INT8 = {
    "quantization_config": {
        "configuration": {"config_type": "sdnq.SDNQConfig"},
        "arguments": {"weights_dtype": "{int8}", "quantization_device": "cpu", "return_device": "cpu"},
    }
}
NOTHING: frozenset[str] = frozenset()
REUSED, FROM_THAT_STEP_ON = ["reused", "reused", "reused"], ["reused", "ran", "ran"]
#: The step gives the same picture in another way, so what follows from it need not be done again.
THAT_STEP_ALONE = ["reused", "ran", "reused"]


@pytest.fixture
def folder(tmp_path: Path, make: Any, worker: Any, lora_files: Path) -> Path:
    """A folder with a picture, another vae, and a second model that differs in its unet alone; nothing in memory."""
    worker.send(ClearMemory(1))
    worker.wait_for(MemoryReported, lambda answer: answer.request_id == 1)
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    shutil.copytree(make.model, tmp_path / "second")
    shutil.copytree(make.model / "vae", tmp_path / "other_vae")
    change(tmp_path / "second" / "unet")
    change(tmp_path / "other_vae")
    shutil.copytree(lora_files, tmp_path / "loras")
    shutil.copytree(make.model, tmp_path / "varied")
    change(tmp_path / "varied" / "vae", variant=".other")
    return tmp_path


def change(component: Path, variant: str = "") -> None:
    """Make a component's weights other ones; with a variant, beside those that are there."""
    (weights,) = component.glob("*.safetensors")
    changed = {name: tensor * 0.99 for name, tensor in load_file(weights).items()}
    save_file(changed, weights.with_name(f"{weights.stem}{variant}.safetensors"), {"format": "pt"})


def base(make: Any) -> Workflow:
    return {
        "id": "edited",
        "variables": {"model": str(make.model)},
        "seed": 3,
        "steps": [
            make.drawing(2, name="other"),
            make.drawing(4),
            make.task("crop", "crop_square", "image/png", image="previous_result:draw"),
        ],
    }


def pipeline(work: Workflow) -> Any:
    return work["steps"][1]["pipeline"]


def argument(name: str, value: Any) -> Edit:
    return lambda work: pipeline(work)["arguments"].update({name: value})


def configuration(name: str, value: Any) -> Edit:
    return lambda work: pipeline(work)["configuration"].update({name: value})


def loading(name: str, value: Any) -> Edit:
    return lambda work: pipeline(work)["from_pretrained_arguments"].update({name: value})


def result(**settings: Any) -> Edit:
    return lambda work: work["steps"][1]["result"].update(settings)


def scheduler(kind: str, **options: Any) -> Edit:
    definition = {"configuration": {"scheduler_type": kind}, "from_config_args": options}
    return lambda work: pipeline(work).update(scheduler=definition)


def loras(**scales: float) -> Edit:
    entries = [{"model_name": f"loras/{name}.safetensors", "scale": scale} for name, scale in scales.items()]
    return lambda work: pipeline(work).update(loras=entries)


def size(work: Workflow) -> None:
    pipeline(work)["arguments"].update(width=32, height=32)


def own_seed(work: Workflow) -> None:
    work["steps"][1]["seed"] = 4


def description(work: Workflow) -> None:
    work["description"] = "Draws and crops."
    work["steps"][1]["description"] = "Draws."


def rename(work: Workflow) -> None:
    work["steps"][1]["name"] = "sketch"
    work["steps"][2]["task"]["arguments"]["image"] = "previous_result:sketch"


def unused_variable(work: Workflow) -> None:
    work["variables"]["more"] = 1


def order_of_keys(work: Workflow) -> None:
    for step in work["steps"]:
        for key, value in list(step.items()):
            if isinstance(value, dict):
                step[key] = dict(reversed(value.items()))
    work["steps"] = [dict(reversed(step.items())) for step in work["steps"]]


def feed_model_name(work: Workflow) -> None:
    pipeline(work)["from_pretrained_arguments"]["model_name"] = "variable:model"


def other_vae(work: Workflow) -> None:
    pipeline(work)["vae"] = {
        "configuration": {"component_type": "AutoencoderKL"},
        "from_pretrained_arguments": {"model_name": "./other_vae", "torch_dtype": "torch.float32"},
    }


def own_unet(**more: Any) -> Edit:
    unet = {
        "configuration": {"component_type": "UNet2DConditionModel"},
        "from_pretrained_arguments": {"model_name": "./second", "subfolder": "unet", "torch_dtype": "torch.float32"},
    }
    return lambda work: pipeline(work).update(unet={**unet, **more})


def from_a_picture(work: Workflow) -> None:
    pipeline(work)["configuration"]["component_type"] = "StableDiffusionImg2ImgPipeline"
    pipeline(work)["arguments"].update(image="red.png", strength=0.5)


ROWS: dict[str, tuple[Edit, frozenset[str], list[str]]] = {
    "prompt": (argument("prompt", "a green star"), NOTHING, FROM_THAT_STEP_ON),
    "seed": (own_seed, NOTHING, FROM_THAT_STEP_ON),
    "steps": (argument("num_inference_steps", 5), NOTHING, FROM_THAT_STEP_ON),
    "size": (size, NOTHING, FROM_THAT_STEP_ON),
    "guidance": (argument("guidance_scale", 1.5), NOTHING, FROM_THAT_STEP_ON),
    "order of keys": (order_of_keys, NOTHING, REUSED),
    "description": (description, NOTHING, REUSED),
    "rename of a step": (rename, NOTHING, REUSED),
    "an unused variable": (unused_variable, NOTHING, REUSED),
    "a variable in the place of its value": (feed_model_name, NOTHING, REUSED),
    "spelling of a dtype": (loading("torch_dtype", "float32"), NOTHING, REUSED),
    "format": (result(content_type="image/jpeg"), NOTHING, REUSED),
    "name": (result(file_base_name="other"), NOTHING, REUSED),
    "not saved": (result(save=False), NOTHING, REUSED),
    "scheduler": (scheduler("EulerDiscreteScheduler"), NOTHING, FROM_THAT_STEP_ON),
    "scheduler's arguments": (scheduler("DDIMScheduler", timestep_spacing="linspace"), NOTHING, FROM_THAT_STEP_ON),
    "offload": (configuration("offload", "model"), NOTHING, THAT_STEP_ALONE),
    "tiling": (configuration("vae", {"enable_tiling": True}), NOTHING, THAT_STEP_ALONE),
    "slicing": (configuration("vae", {"enable_slicing": True}), NOTHING, THAT_STEP_ALONE),
    "attention slicing": (configuration("enable_attention_slicing", True), NOTHING, THAT_STEP_ALONE),
    "attention backend": (configuration("attention_backend", "_native_math"), NOTHING, THAT_STEP_ALONE),
    "dtype": (
        loading("torch_dtype", "torch.bfloat16"), frozenset({"text_encoder", "unet", "vae"}), FROM_THAT_STEP_ON,
    ),
    "variant of one component": (loading("variant", "other"), frozenset({"vae"}), FROM_THAT_STEP_ON),
    "the vae's model": (other_vae, frozenset({"vae"}), FROM_THAT_STEP_ON),
    "quantization of one component": (own_unet(**INT8), frozenset({"unet"}), FROM_THAT_STEP_ON),
    "pipeline class": (from_a_picture, NOTHING, FROM_THAT_STEP_ON),
    "model": (loading("model_name", "./second"), frozenset({"unet"}), FROM_THAT_STEP_ON),
    "a LoRA's scale": (loras(both=0.5), NOTHING, FROM_THAT_STEP_ON),
    "a LoRA more": (loras(both=1.0, unet0=1.0), frozenset({"unet0"}), FROM_THAT_STEP_ON),
    "a LoRA less": (loras(), NOTHING, FROM_THAT_STEP_ON),
}  # fmt: skip
#: What is done to the workflow beforehand, where an edit needs something to edit.
BEFORE: dict[str, Edit] = {
    "variant of one component": loading("model_name", "./varied"),
    "quantization of one component": own_unet(),
    "a LoRA's scale": loras(both=1.0),
    "a LoRA more": loras(both=1.0),
    "a LoRA less": loras(both=1.0),
}


def outcomes(ended: RunEnded) -> list[str]:
    assert ended.outcome == "succeeded", ended.error
    return [step.outcome for step in ended.steps]


def loads(ended: RunEnded) -> list[str]:
    return sorted(part.name for part in ended.loaded)


@pytest.mark.parametrize("row", ROWS)
def test_an_edit_loads_and_runs_what_it_must(row: str, worker: Any, make: Any, folder: Path) -> None:
    edit, must_load, must_run = ROWS[row]
    before = base(make)
    if row in BEFORE:
        BEFORE[row](before)
    after = json.loads(json.dumps(before))
    edit(after)
    first = worker.run(before, folder)
    assert outcomes(first) == ["ran", "ran", "ran"]
    ended = worker.run(after, folder)
    assert (outcomes(ended), loads(ended)) == (must_run, sorted(must_load))
    # The edit undone is the first workflow again, state of components included.
    assert outcomes(worker.run(before, folder)) == ["reused"] * 3
    fresh = worker.run(before, folder, output_directory=str(folder / "elsewhere"))
    assert loads(fresh) == []
    with Image.open(str(first.results[1].path)) as one, Image.open(str(fresh.results[1].path)) as other:
        assert one.tobytes() == other.tobytes()


def test_white_space_and_comments_run_nothing(worker: Any, make: Any, folder: Path) -> None:
    worker.run(base(make), folder)
    text = json.dumps(base(make), indent=1).replace("{", "{ // A comment.\n", 3)
    assert outcomes(worker.run(text, folder)) == REUSED


def test_the_dtype_of_one_component_loads_that_component(worker: Any, make: Any, folder: Path) -> None:
    work = base(make)
    argument("output_type", "latent")(work)
    del work["steps"][1]["result"], work["steps"][2]
    worker.run(work, folder)
    loading("torch_dtype", {"default": "torch.float32", "vae": "torch.bfloat16"})(work)
    ended = worker.run(work, folder)
    assert (outcomes(ended), loads(ended)) == (["reused", "ran"], ["vae"])


def test_a_variable_that_feeds_the_model_loads_what_differs(worker: Any, make: Any, folder: Path) -> None:
    work = base(make)
    feed_model_name(work)
    worker.run(work, folder)
    ended = worker.run(work, folder, arguments={"model": "./second"})
    assert (outcomes(ended), loads(ended)) == (FROM_THAT_STEP_ON, ["unet"])
    again = worker.run(work, folder, arguments={"model": str(make.model)}, seed=5)
    assert loads(again) == []


def test_file_a_then_b_then_a_loads_nothing_the_third_time(worker: Any, make: Any, folder: Path) -> None:
    one, other = base(make), {**base(make), "id": "other"}
    for step in other["steps"][:2]:
        step["pipeline"]["from_pretrained_arguments"]["model_name"] = "./second"
    worker.run(one, folder)
    assert loads(worker.run(other, folder, document_path=str(folder / "other.dw.json"))) == ["unet"]
    argument("prompt", "a moon")(one)
    ended = worker.run(one, folder)
    assert (outcomes(ended), loads(ended)) == (FROM_THAT_STEP_ON, [])


def test_offload_without_a_device_is_said_to_do_nothing(worker: Any, make: Any, folder: Path) -> None:
    work = base(make)
    configuration("offload", "sequential")(work)
    worker.run(work, folder)
    assert any("`offload` has no effect on a CPU" in line.message for line in worker.heard(LogLine))
