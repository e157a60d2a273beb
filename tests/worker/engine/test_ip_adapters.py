"""Image-prompt adapters are put on for the step that asks for them: loaded once, and gone without a trace after it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from diffusers import StableDiffusionPipeline
from PIL import Image

from dw_lsp.protocol import ClearMemory, MemoryReported, RunEnded


@pytest.fixture
def folder(tmp_path: Path, ip_adapter_files: Path, worker: Any) -> Path:
    worker.send(ClearMemory(1))
    worker.wait_for(MemoryReported, lambda answer: answer.request_id == 1)
    shutil.copytree(ip_adapter_files, tmp_path / "adapters")
    Image.new("RGB", (48, 48), "green").save(tmp_path / "green.png")
    return tmp_path


def adapted(make: Any, name: str, number: int = 0, **settings: Any) -> dict[str, Any]:
    step: dict[str, Any] = make.drawing(2, name=name, ip_adapter_image="green.png")
    adapter = {"model_name": "./adapters", "weight_name": f"adapter{number}.safetensors", **settings}
    step["pipeline"]["ip_adapter"] = adapter
    return step


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


def test_steps_with_and_without_an_adapter_share_a_unet(worker: Any, make: Any, folder: Path) -> None:
    plain = pixels(run(worker, make.workflow(make.drawing(2, name="alone"), seed=3), folder))
    steps = [adapted(make, "one"), make.drawing(2, name="two"), adapted(make, "three", 1), adapted(make, "four")]
    mixed = run(worker, make.workflow(*steps, seed=3), folder, "mixed")
    one, two, three, four = pixels(mixed)
    assert [two] == plain and one == four
    assert len({one, two, three}) == 3
    assert loads(mixed) == ["adapter0", "adapter1", "image_encoder"]
    again = run(worker, make.workflow(*steps, seed=3), folder, "again")
    assert (pixels(again), again.loaded) == ([one, two, three, four], ())


def test_the_picture_is_that_of_a_bare_call(worker: Any, make: Any, folder: Path) -> None:
    Image.new("RGB", (48, 48), "red").save(folder / "red.png")
    other = adapted(make, "red")
    other["pipeline"]["arguments"]["ip_adapter_image"] = "red.png"
    green, red = pixels(run(worker, make.workflow(adapted(make, "green"), other, seed=3), folder))
    assert green != red
    encoder = transformers.CLIPVisionModelWithProjection.from_pretrained(str(folder / "adapters" / "image_encoder"))
    extractor = transformers.CLIPImageProcessor(size=32, crop_size=32)
    pipe = StableDiffusionPipeline.from_pretrained(
        str(make.model), image_encoder=encoder, feature_extractor=extractor, dtype=torch.float32
    )
    pipe.load_ip_adapter(str(folder / "adapters"), subfolder="", weight_name="adapter0.safetensors")
    given = make.drawing(2)["pipeline"]["arguments"]
    with Image.open(folder / "green.png") as image:
        bare = pipe(**given, ip_adapter_image=image, generator=torch.Generator().manual_seed(3)).images[0]
    assert bare.tobytes() == green


def test_its_weight_loads_nothing(worker: Any, make: Any, folder: Path) -> None:
    full = run(worker, make.workflow(adapted(make, "draw"), seed=3), folder)
    half = run(worker, make.workflow(adapted(make, "draw", scale=0.5), seed=3), folder)
    none = run(worker, make.workflow(adapted(make, "draw", scale=0), seed=3), folder)
    assert (half.loaded, none.loaded) == ((), ())
    assert len({pixels(each)[0] for each in (full, half, none)}) == 3
    assert [step.outcome for step in half.steps] == ["ran"]


def test_several_at_once(worker: Any, make: Any, folder: Path) -> None:
    files = {"weight_name": ["adapter0.safetensors", "adapter1.safetensors"]}
    both, weak, second, alone = (
        adapted(make, "both", **files),
        adapted(make, "weak", **files, scale=[0.0, 0.5]),
        adapted(make, "second", 1, scale=0.5),
        adapted(make, "alone"),
    )
    for step in (both, weak):
        step["pipeline"]["arguments"]["ip_adapter_image"] = ["green.png", "green.png"]
    ended = run(worker, make.workflow(both, weak, second, alone, seed=3), folder)
    together, faded, other, one = pixels(ended)
    assert faded == other and len({together, faded, one}) == 3
    assert "adapter0 + adapter1" in loads(ended)
    half = adapted(make, "half", **files, scale=0.5)
    half["pipeline"]["arguments"]["ip_adapter_image"] = ["green.png", "green.png"]
    again = run(worker, make.workflow(half, seed=3), folder, "again")
    assert again.loaded == () and pixels(again)[0] != together


def test_a_lora_and_an_adapter_go_together(worker: Any, make: Any, folder: Path, lora_files: Path) -> None:
    shutil.copy(lora_files / "unet0.safetensors", folder)
    both = adapted(make, "both")
    both["pipeline"]["loras"] = [{"model_name": "./unet0.safetensors"}]
    work = make.workflow(adapted(make, "one"), both, adapted(make, "two"), seed=3)
    one, mixed, two = pixels(run(worker, work, folder))
    assert one == two != mixed


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "absent": ({"weight_name": "none.safetensors"}, "does not hold 'none.safetensors'"),
    "no adapter": ({"weight_name": "image_encoder/model.safetensors"}, "cannot be loaded as an image-prompt adapter"),
    "pickled": ({"weight_name": "old.bin"}, "neither safetensors nor GGUF"),
    "scale": ({"scale": "strong"}, "`scale` should be a number, not 'strong'"),
    "lengths": ({"weight_name": ["a", "b"], "model_name": ["a", "b", "c"]}, "lists of texts of one length"),
    "no text": ({"weight_name": ["a", 3]}, "lists of texts of one length"),
    "scales": ({"weight_name": ["adapter0.safetensors"] * 2, "scale": [1, 1, 1]}, "2 adapters, but 3 scales"),
    "unknown": ({"strength": 1}, "`strength`"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_used_is_refused(case: str, worker: Any, make: Any, folder: Path) -> None:
    settings, message = REFUSALS[case]
    (folder / "adapters" / "old.bin").write_bytes(b"\x80")
    ended = worker.run(make.workflow(adapted(make, "draw", **settings), seed=3), folder)
    assert ended.outcome == "failed" and message in ended.error.message
    good = run(worker, make.workflow(make.drawing(1), seed=3), folder, "good")
    assert [step.outcome for step in good.steps] == ["ran"]


def test_a_class_that_takes_none_says_so(worker: Any, make: Any, folder: Path) -> None:
    step = adapted(make, "draw")
    step["pipeline"]["configuration"]["component_type"] = "DDPMPipeline"
    ended = worker.run(make.workflow(step), folder)
    assert "DDPMPipeline takes no image-prompt adapter" in ended.error.message
