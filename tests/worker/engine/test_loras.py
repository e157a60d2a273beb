"""LoRAs are a state of the models that all steps share: what a step asks for is what it gets, and nothing more."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from safetensors.torch import load_file, save_file

from dw_lsp.protocol import ClearMemory, Evict, MemoryReported, RunEnded

Entry = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path, lora_files: Path, worker: Any) -> Path:
    worker.send(ClearMemory(1))
    worker.wait_for(MemoryReported, lambda answer: answer.request_id == 1)
    shutil.copytree(lora_files, tmp_path / "loras")
    return tmp_path


def lora(name: str, **settings: Any) -> Entry:
    return {"model_name": "./loras", "weight_name": f"{name}.safetensors", **settings}


def drawing(make: Any, name: str, *loras: Entry, **arguments: Any) -> dict[str, Any]:
    step: dict[str, Any] = make.drawing(2, name=name, **arguments)
    step["pipeline"]["loras"] = list(loras)
    return step


def run(worker: Any, make: Any, folder: Path, *steps: dict[str, Any], fresh: str = "") -> RunEnded:
    """Run steps with one seed. Arguments: `fresh` names a folder where nothing is remembered."""
    target = {"output_directory": str(folder / fresh)} if fresh else {}
    ended: RunEnded = worker.run(make.workflow(*steps, seed=3), folder, **target)
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


@pytest.mark.filterwarnings("ignore")  # Of diffusers and peft about each other.
def test_a_step_with_loras_draws_what_diffusers_draws(worker: Any, make: Any, folder: Path) -> None:
    ours = pixels(run(worker, make, folder, drawing(make, "draw", lora("both", scale=0.6), lora("unet0", scale="1.5"))))
    pipe = StableDiffusionPipeline.from_pretrained(str(make.model), torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    for name in ("both", "unet0"):
        pipe.load_lora_weights(str(folder / "loras"), weight_name=f"{name}.safetensors", adapter_name=name)
    pipe.set_adapters(["both", "unet0"], [0.6, 1.5])
    image = pipe(
        "a red circle on a blue background",
        num_inference_steps=2,
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(3),
    ).images[0]
    difference = numpy.abs(numpy.asarray(image, dtype=int).ravel() - numpy.frombuffer(ours[0], dtype=numpy.uint8))
    assert difference.max() <= 1  # Another process may use other threads, hence round differently.


def test_changing_a_scale_loads_nothing_and_adding_loads_that_file_only(worker: Any, make: Any, folder: Path) -> None:
    run(worker, make, folder, drawing(make, "draw"))
    added = run(worker, make, folder, drawing(make, "draw", lora("unet0")))
    scaled = run(worker, make, folder, drawing(make, "draw", lora("unet0", scale=0.5)))
    second = run(worker, make, folder, drawing(make, "draw", lora("unet0", scale=0.5), lora("both")))
    removed = run(worker, make, folder, drawing(make, "draw", lora("unet0", scale=0.25)))
    assert [loads(each) for each in (added, scaled, second, removed)] == [["unet0"], [], ["both"], []]
    assert len({pixels(each)[0] for each in (added, scaled, second, removed)}) == 4


def test_what_has_been_removed_leaves_no_trace(worker: Any, make: Any, folder: Path) -> None:
    plain = pixels(run(worker, make, folder, drawing(make, "draw")))
    with_it = pixels(run(worker, make, folder, drawing(make, "draw", lora("both"))))
    without = run(worker, make, folder, drawing(make, "draw"), fresh="elsewhere")
    again = run(worker, make, folder, drawing(make, "draw", lora("both")), fresh="elsewhere")
    assert (pixels(without), loads(without)) == (plain, [])
    assert (pixels(again), loads(again)) == (with_it, [])
    assert plain != with_it


def test_steps_with_and_without_a_lora_share_a_unet(worker: Any, make: Any, folder: Path) -> None:
    plain = pixels(run(worker, make, folder, drawing(make, "alone")))[0]
    mixed = run(
        worker, make, folder,
        drawing(make, "one", lora("both")),
        drawing(make, "two"),
        drawing(make, "three", lora("both", scale=0.5)),
        drawing(make, "four", lora("both")),
        drawing(make, "five"),
        fresh="mixed",
    )  # fmt: skip
    one, two, three, four, five = pixels(mixed)
    assert two == five == plain
    assert one == four
    assert len({one, two, three}) == 3


def test_another_pipeline_class_shares_the_lora_too(worker: Any, make: Any, folder: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(folder / "red.png")
    run(worker, make, folder, drawing(make, "draw", lora("both")))
    step = drawing(make, "again", lora("both"), class_name="StableDiffusionImg2ImgPipeline", image="red.png")
    assert loads(run(worker, make, folder, step)) == []


def test_a_lora_that_is_named_twice_counts_with_the_sum(worker: Any, make: Any, folder: Path) -> None:
    twice = run(worker, make, folder, drawing(make, "draw", lora("unet0", scale=0.25), lora("unet0", scale=0.5)))
    once = run(worker, make, folder, drawing(make, "draw", lora("unet0", scale=0.75)), fresh="elsewhere")
    assert (pixels(twice), loads(twice).count("unet0")) == (pixels(once), 1)


def test_an_alpha_takes_the_place_of_the_files_own(worker: Any, make: Any, folder: Path) -> None:
    own = run(worker, make, folder, drawing(make, "draw", lora("alpha")))
    doubled = run(worker, make, folder, drawing(make, "draw", lora("alpha", alpha=4)))
    back = run(worker, make, folder, drawing(make, "draw", lora("alpha")), fresh="elsewhere")
    scaled = run(worker, make, folder, drawing(make, "draw", lora("alpha", scale=2)))
    assert pixels(own) == pixels(back) != pixels(doubled) == pixels(scaled)
    assert loads(doubled) == []


def test_a_scale_given_to_the_call_does_not_wear_the_weights(worker: Any, make: Any, folder: Path) -> None:
    before = pixels(run(worker, make, folder, drawing(make, "draw", lora("both", scale=0.7))))
    odd = drawing(make, "draw", lora("both", scale=0.7), cross_attention_kwargs={"scale": 0.3})
    for number in range(3):
        run(worker, make, folder, odd, fresh=f"odd{number}")
    after = pixels(run(worker, make, folder, drawing(make, "draw", lora("both", scale=0.7)), fresh="after"))
    assert after == before


def test_the_name_that_a_workflow_gives_decides_nothing(worker: Any, make: Any, folder: Path) -> None:
    first = run(worker, make, folder, drawing(make, "draw", lora("unet0", adapter_name="style")))
    other = run(worker, make, folder, drawing(make, "draw", lora("unet1", adapter_name="style")))
    renamed = run(worker, make, folder, drawing(make, "draw", lora("unet0", adapter_name="other")))
    assert pixels(first) == pixels(renamed) != pixels(other)
    assert [step.outcome for step in renamed.steps] == ["reused"]


def test_an_entry_without_a_model_is_off(worker: Any, make: Any, folder: Path) -> None:
    run(worker, make, folder, drawing(make, "draw"))
    off = run(worker, make, folder, drawing(make, "draw", {"model_name": None, "scale": 3}))
    assert [step.outcome for step in off.steps] == ["reused"]


def test_a_changed_file_is_another_lora(worker: Any, make: Any, folder: Path) -> None:
    first = run(worker, make, folder, drawing(make, "draw", lora("unet0")))
    shutil.copyfile(folder / "loras" / "unet1.safetensors", folder / "loras" / "unet0.safetensors")
    changed = run(worker, make, folder, drawing(make, "draw", lora("unet0")))
    assert loads(changed) == ["unet0"]
    assert pixels(first) != pixels(changed)


def test_memory_tells_of_loras_and_lets_them_go(worker: Any, make: Any, folder: Path) -> None:
    plain = pixels(run(worker, make, folder, drawing(make, "draw")))
    ended = run(worker, make, folder, drawing(make, "draw", lora("both")))
    (told,) = [part for part in ended.memory.components if part.class_name == "LoRA"]
    assert told.bytes > 0
    worker.send(Evict(2, told.key))
    report = worker.wait_for(MemoryReported, lambda answer: answer.request_id == 2).report
    assert told.key not in {part.key for part in report.components}
    assert pixels(run(worker, make, folder, drawing(make, "draw"), fresh="without")) == plain
    again = run(worker, make, folder, drawing(make, "draw", lora("both")), fresh="again")
    assert (loads(again), pixels(again)) == (["both"], pixels(ended))


def test_loras_that_are_tried_one_after_another_do_not_pile_up(worker: Any, make: Any, folder: Path) -> None:
    for number in range(7):
        shutil.copyfile(folder / "loras" / "unet0.safetensors", folder / "loras" / f"try{number}.safetensors")
        ended = run(worker, make, folder, drawing(make, "draw", lora(f"try{number}")))
    kept = [part.name for part in ended.memory.components if part.class_name == "LoRA"]
    assert kept == [f"try{number}" for number in range(2, 7)]


def test_a_lora_stays_in_each_of_two_base_models(worker: Any, make: Any, folder: Path) -> None:
    """They share a text encoder, which has it once; what is in memory is told once, too."""
    shutil.copytree(make.model, folder / "second")
    (weights,) = (folder / "second" / "unet").glob("*.safetensors")
    save_file({name: tensor * 0.99 for name, tensor in load_file(weights).items()}, weights, {"format": "pt"})
    one, other = drawing(make, "draw", lora("both")), drawing(make, "draw", lora("both"))
    other["pipeline"]["from_pretrained_arguments"]["model_name"] = "./second"
    runs = [run(worker, make, folder, step, fresh=f"{turn}") for turn, step in enumerate((one, other, one, other))]
    assert [loads(each) for each in runs[1:]] == [["both", "unet"], [], []]
    assert [pixels(each) for each in runs[2:]] == [pixels(each) for each in runs[:2]]
    (single,) = [part for part in runs[0].memory.components if part.class_name == "LoRA"]
    (double,) = [part for part in runs[-1].memory.components if part.class_name == "LoRA"]
    (told,) = [part for part in runs[-1].reused if part.class_name == "LoRA"]
    assert told.bytes == single.bytes < double.bytes < 2 * single.bytes
    worker.send(Evict(2, told.key))
    worker.wait_for(MemoryReported, lambda answer: answer.request_id == 2)
    again = [run(worker, make, folder, step, fresh=f"again{turn}") for turn, step in enumerate((one, other))]
    assert [loads(each) for each in again] == [["both"], ["both"]]


REFUSALS: dict[str, tuple[Entry, str]] = {
    "not there": (lora("none"), "does not hold 'none.safetensors'"),
    "several in a folder": ({"model_name": "./loras"}, "holds several files that may be the LoRA"),
    "no number": (lora("unet0", scale="strong"), "`scale` should be a number, not 'strong'"),
    "outside": ({"model_name": "/etc", "weight_name": "passwd"}, "lies outside the folders"),
    "pickled": ({"model_name": "./loras/old.bin"}, "neither safetensors nor GGUF"),
    "of another model": ({"model_name": "./other.safetensors"}, "other.safetensors"),
    "without a name": ({"weight_name": "unet0.safetensors"}, "a LoRA needs a `model_name`"),
    "a token": (lora("unet0", token="secret"), "`token` is not taken by this engine"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_used_is_refused(case: str, worker: Any, make: Any, folder: Path) -> None:
    entry, message = REFUSALS[case]
    (folder / "loras" / "old.bin").write_bytes(b"\x80")
    shutil.copyfile(make.model / "vae" / "diffusion_pytorch_model.safetensors", folder / "other.safetensors")
    ended = worker.run(make.workflow(drawing(make, "draw", entry)), folder)
    assert ended.outcome == "failed"
    assert message in ended.error.message
    assert ended.error.type == "InvalidInput"
    # A LoRA that could not be loaded leaves nothing behind.
    good = run(worker, make, folder, drawing(make, "draw"), fresh="good")
    assert [step.outcome for step in good.steps] == ["ran"]


def test_a_pipeline_that_takes_no_loras_says_so(worker: Any, make: Any, folder: Path) -> None:
    step = drawing(make, "draw", lora("unet0"))
    step["pipeline"]["configuration"]["component_type"] = "DDPMPipeline"
    ended = worker.run(make.workflow(step), folder)
    assert "DDPMPipeline takes no LoRAs" in ended.error.message
