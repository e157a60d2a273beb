"""Modular pipelines in a real worker: the same components as ordinary pipelines of the model, nothing loaded twice."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image

from dw_lsp.planning.plan import plan
from dw_lsp.protocol import ClearMemory, MemoryReported, PreviewMade, RunEnded, StepProgress
from dw_lsp.text.parser import parse
from dw_lsp.workflow.substitution import resolve

Edit = Callable[[dict[str, Any]], Any]
NOTHING: frozenset[str] = frozenset()
CLASSES = {
    "sdxl": ("StableDiffusionXLModularPipeline", "StableDiffusionXLPipeline"),
    "flux": ("FluxModularPipeline", "FluxPipeline"),
}
SDNQ = {
    "configuration": {"config_type": "sdnq.SDNQConfig"},
    "arguments": {"weights_dtype": "{int8}", "quantization_device": "cpu", "return_device": "cpu"},
}
BLOCKS = """
from pathlib import Path
from diffusers import ModularPipelineBlocks
Path({there!r}).touch()
class Blocks(ModularPipelineBlocks):
    @property
    def intermediate_outputs(self):
        from diffusers.modular_pipelines.modular_pipeline_utils import OutputParam
        return [OutputParam("text")]
    def __call__(self, components, state):
        state.set("text", "from the model's own code")
        return components, state
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, families: dict[str, Path]) -> Path:
    """A folder with copies of two families, and of one in the modular layout."""
    folder = tmp_path_factory.mktemp("modular")
    for family in CLASSES:
        shutil.copytree(families[family], folder / family)
    shutil.copytree(families["flux"], folder / "layout")
    index = json.loads((folder / "layout" / "model_index.json").read_text())
    (folder / "layout" / "model_index.json").unlink()
    told: dict[str, Any] = {"_class_name": "FluxModularPipeline", "_blocks_class_name": "FluxAutoBlocks"}
    for name, value in index.items():
        if isinstance(value, list) and value[0]:
            source = {"pretrained_model_name_or_path": "someone/flux", "subfolder": name, "type_hint": value}
            told[name] = [None, None, {**source, "variant": None, "revision": None}]
    (folder / "layout" / "modular_model_index.json").write_text(json.dumps(told))
    return folder


@pytest.fixture
def folder(models: Path, worker: Any) -> Path:
    """The folder, with nothing of it in memory."""
    worker.send(ClearMemory(1))
    worker.wait_for(MemoryReported, lambda answer: answer.request_id == 1)
    return models


def drawing(make: Any, family: str, **arguments: Any) -> dict[str, Any]:
    step = {
        "name": "draw",
        "pipeline": {
            "configuration": {"component_type": "ModularPipeline", "load_components": {"dtype": "torch.float32"}},
            "from_pretrained_arguments": {"model_name": f"./{family}"},
            "arguments": {"prompt": "a red circle", "width": 32, "height": 32, "num_inference_steps": 2, **arguments},
        },
        "result": {"content_type": "image/png"},
    }
    work: dict[str, Any] = make.workflow(step, seed=3)
    return work


def pipeline(work: dict[str, Any]) -> Any:
    return work["steps"][0]["pipeline"]


def changed(work: dict[str, Any], **configuration: Any) -> dict[str, Any]:
    after = copy.deepcopy(work)
    pipeline(after)["configuration"].update(configuration)
    return after


def run(worker: Any, work: dict[str, Any], folder: Path, **fields: Any) -> RunEnded:
    ended: RunEnded = worker.run(work, folder, **fields)
    assert ended.outcome == "succeeded", ended.error
    return ended


def refused(worker: Any, work: dict[str, Any], folder: Path, **fields: Any) -> str:
    ended: RunEnded = worker.run(work, folder, **fields)
    assert ended.outcome == "failed" and ended.error is not None and ended.loaded == ()
    return f"{ended.error.message} {ended.error.hint}"


def names(components: Any) -> list[str]:
    return sorted(part.name for part in components)


def pixels(ended: RunEnded) -> bytes:
    with Image.open(str(ended.results[0].path)) as image:
        return image.tobytes()


def picture(ended: RunEnded) -> bytes:
    return Path(str(ended.results[0].path)).read_bytes()


# ---------------------------------------------------------------- loads and runs


def scheduler(work: dict[str, Any]) -> None:
    flow = "sdxl" not in json.dumps(work)
    kind = "FlowMatchEulerDiscreteScheduler" if flow else "EulerDiscreteScheduler"
    options = {"shift": 2.0} if flow else {"beta_start": 0.001}
    pipeline(work)["scheduler"] = {"configuration": {"scheduler_type": kind}, "from_config_args": options}


def other_dtype(work: dict[str, Any]) -> None:
    dtypes = {"text_encoder": "torch.bfloat16", "default": "torch.float32"}
    pipeline(work)["configuration"]["load_components"]["dtype"] = dtypes


def quantized(work: dict[str, Any]) -> None:
    denoiser = "unet" if "sdxl" in json.dumps(work) else "transformer"
    pipeline(work)["configuration"]["load_components"]["quantization_config"] = {denoiser: SDNQ}


ROWS: dict[str, tuple[Edit, Callable[[str], frozenset[str]]]] = {
    "prompt": (lambda work: pipeline(work)["arguments"].update(prompt="a green star"), lambda _: NOTHING),
    "scheduler": (scheduler, lambda _: NOTHING),
    "dtype of one component": (other_dtype, lambda _: frozenset({"text_encoder"})),
    "quantization": (quantized, lambda family: frozenset({"unet" if family == "sdxl" else "transformer"})),
    "tiling": (lambda work: pipeline(work)["configuration"].update(vae={"enable_tiling": True}), lambda _: NOTHING),
    "the class by its name": (
        lambda work: pipeline(work)["configuration"].update(
            component_type=CLASSES["sdxl" if "sdxl" in json.dumps(work) else "flux"][0]
        ),
        lambda _: NOTHING,
    ),
}


#: FLUX's blocks, as ordinary ones, take all components in one precision.
CASES = [(family, row) for family in CLASSES for row in ROWS if (family, row) != ("flux", "dtype of one component")]


@pytest.mark.parametrize(("family", "row"), CASES)
def test_an_edit_loads_what_it_must(
    family: str, row: str, worker: Any, make: Any, models: Path, tmp_path: Path
) -> None:
    if row == "quantization":
        pytest.importorskip("sdnq")
    edit, must_load = ROWS[row]
    before = drawing(make, family)
    after = copy.deepcopy(before)
    edit(after)
    first = run(worker, before, models, output_directory=str(tmp_path))
    ended = run(worker, after, models, output_directory=str(tmp_path))
    assert frozenset(names(ended.loaded)) == must_load(family)
    assert ended.steps[0].outcome == "ran"
    undone = run(worker, before, models, output_directory=str(tmp_path / "elsewhere"))
    assert (undone.loaded, picture(undone)) == ((), picture(first))


@pytest.mark.parametrize("family", CLASSES)
def test_components_are_those_of_the_ordinary_pipeline(
    family: str, worker: Any, make: Any, folder: Path, tmp_path: Path
) -> None:
    work = drawing(make, family, num_inference_steps=3)
    ordinary = copy.deepcopy(work)
    pipeline(ordinary)["configuration"] = {"component_type": CLASSES[family][1]}
    pipeline(ordinary)["from_pretrained_arguments"]["torch_dtype"] = "torch.float32"
    loaded = run(worker, ordinary, folder, output_directory=str(tmp_path)).loaded
    modular = run(worker, work, folder, output_directory=str(tmp_path))
    assert modular.loaded == () and names(modular.reused) == names(loaded)
    with Image.open(str(modular.results[0].path)) as image:
        assert image.size == (32, 32)


def test_it_computes_what_diffusers_computes(worker: Any, make: Any, models: Path, tmp_path: Path) -> None:
    import diffusers
    import torch

    pipe = diffusers.ModularPipeline.from_pretrained(str(models / "flux"))
    pipe.load_components(dtype=torch.float32)
    generator = torch.Generator().manual_seed(3)
    arguments = pipeline(drawing(make, "flux"))["arguments"]
    expected = pipe(**arguments, generator=generator, output="images")[0]
    ended = run(worker, drawing(make, "flux"), models, output_directory=str(tmp_path))
    with Image.open(str(ended.results[0].path)) as image:
        assert (numpy.asarray(image) == numpy.asarray(expected)).all()


def test_a_modular_index_names_the_same_components(worker: Any, make: Any, folder: Path, tmp_path: Path) -> None:
    run(worker, drawing(make, "flux"), folder, output_directory=str(tmp_path))
    ended = run(worker, drawing(make, "layout"), folder, output_directory=str(tmp_path))
    assert ended.loaded == () and len(ended.reused) == 6
    assert ended.steps[0].outcome == "ran"


def test_the_same_again_is_remembered(worker: Any, make: Any, models: Path, tmp_path: Path) -> None:
    work = drawing(make, "flux", prompt="remembered", output="images")
    first = run(worker, work, models, output_directory=str(tmp_path))
    again = run(worker, work, models, output_directory=str(tmp_path))
    assert [step.outcome for step in (*first.steps, *again.steps)] == ["ran", "reused"]
    assert picture(again) == picture(first)


def test_the_plan_names_what_is_loaded(worker: Any, make: Any, folder: Path, tmp_path: Path) -> None:
    work = drawing(make, "sdxl")
    planned = plan(resolve(parse(json.dumps(work)).root, {}), folder, {}, tmp_path)
    ended = run(worker, work, folder, output_directory=str(tmp_path))
    assert {part.key for part in planned.components} == {part.key for part in ended.loaded}
    weights = sum(part.bytes or 0 for part in planned.components)
    assert weights == pytest.approx(sum(part.bytes for part in ended.loaded), rel=0.01)  # Buffers come on top.
    assert planned.estimate.device_bytes is not None and planned.estimate.download_bytes == 0


def test_only_the_named_components_are_loaded(worker: Any, make: Any, folder: Path, tmp_path: Path) -> None:
    kept = ["text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2", "transformer"]
    work = changed(drawing(make, "flux"), load_components={"names": kept, "dtype": "torch.float32"})
    ended = worker.run(work, folder, output_directory=str(tmp_path))
    assert names(ended.loaded) == sorted(kept)
    assert ended.outcome == "failed"  # Nothing is there to decode with.


def test_steps_share_a_modular_pipeline(worker: Any, make: Any, folder: Path, tmp_path: Path) -> None:
    work = drawing(make, "flux")
    arguments = {**pipeline(work)["arguments"], "prompt": "another"}
    again = {"name": "again", "pipeline_reference": {"reference_name": "draw", "arguments": arguments}}
    work["steps"].append({**again, "result": {"content_type": "image/png"}})
    ended = run(worker, work, folder, output_directory=str(tmp_path))
    assert len(ended.results) == 2 and len(ended.loaded) == 6


def test_a_lora_costs_that_lora(worker: Any, make: Any, models: Path, tmp_path: Path) -> None:
    import diffusers
    import torch
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    pipe = diffusers.FluxPipeline.from_pretrained(str(models / "flux"))
    pipe.transformer.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_v"]))
    layers = {name: torch.full_like(each, 0.3) for name, each in get_peft_model_state_dict(pipe.transformer).items()}
    pipe.save_lora_weights(str(models), weight_name="lora.safetensors", transformer_lora_layers=layers)
    plain = drawing(make, "flux")
    styled = copy.deepcopy(plain)
    pipeline(styled)["loras"] = [{"model_name": "./lora.safetensors", "scale": 0.8}]
    first = run(worker, plain, models, output_directory=str(tmp_path))
    ended = run(worker, styled, models, output_directory=str(tmp_path))
    assert [part.class_name for part in ended.loaded] == ["LoRA"] and picture(ended) != picture(first)
    undone = run(worker, plain, models, output_directory=str(tmp_path / "undone"))
    assert picture(undone) == picture(first)


# ---------------------------------------------------------------- results


def test_several_results_are_pictures_and_an_object(worker: Any, make: Any, models: Path, tmp_path: Path) -> None:
    work = drawing(make, "flux", output=["images", "num_inference_steps"])
    work["steps"][0]["result"] = {"content_type": "application/json", "save": False}
    task = make.task("crop", "crop_square", image="previous_result:draw")
    ended = worker.run({**work, "steps": [*work["steps"], task]}, models, output_directory=str(tmp_path))
    assert len(ended.results) >= 1 and "2" not in names(ended.loaded)
    assert ended.error is not None and "crop" in (ended.error.step or ""), "its second result is no picture"


@pytest.mark.parametrize("arguments", [{"output": "pictures"}, {"output": ["images", "sound"]}, {"output": 3}])
def test_a_result_that_it_does_not_give(
    arguments: dict[str, Any], worker: Any, make: Any, models: Path, tmp_path: Path
) -> None:
    told = refused(worker, drawing(make, "flux", **arguments), models, output_directory=str(tmp_path))
    assert "FluxModularPipeline gives no" in told and "images" in told


# ---------------------------------------------------------------- while it runs


def test_it_can_be_stopped_within_a_step(worker: Any, make: Any, models: Path, tmp_path: Path) -> None:
    work = drawing(make, "flux", num_inference_steps=500)
    run_id = worker.begin(work, models, output_directory=str(tmp_path))
    seen = worker.wait_for(StepProgress, lambda told: told.phase == "denoising" and (told.current or 0) >= 2)
    worker.cancel(run_id)
    ended = worker.wait_for(RunEnded)
    last = [told.current for told in worker.heard(StepProgress) if told.phase == "denoising"][-1]
    assert ended.outcome == "cancelled" and last is not None and last < 400
    assert seen.total == 500 and seen.unit == "step"


def test_it_tells_each_step_and_phase(worker: Any, make: Any, folder: Path, tmp_path: Path) -> None:
    run(worker, drawing(make, "sdxl", num_inference_steps=3), folder, output_directory=str(tmp_path))
    told = worker.heard(StepProgress)
    phases = list(dict.fromkeys(each.phase for each in told))
    assert phases == ["loading", "encoding", "denoising", "decoding", "saving"]
    assert [(each.current, each.total) for each in told if each.phase == "denoising" and each.current][-1] == (3, 3)
    assert worker.complaints.count(b"it/s]") == 0, "its own bar would be read as a library's message"


def test_previews_are_shown(worker: Any, make: Any, models: Path, tmp_path: Path) -> None:
    work = drawing(make, "sdxl", num_inference_steps=12)
    run(worker, work, models, output_directory=str(tmp_path), options=make.options(preview_every_steps=1))
    assert worker.heard(PreviewMade)


# ---------------------------------------------------------------- settings and mistakes


def test_a_components_manager_is_an_offload(worker: Any, make: Any, models: Path, tmp_path: Path) -> None:
    plain = run(worker, drawing(make, "flux"), models, output_directory=str(tmp_path))
    manager = {"enable_auto_cpu_offload": True, "memory_reserve_margin": "1GB"}
    work = changed(drawing(make, "flux"), components_manager=manager)
    ended = run(worker, work, models, output_directory=str(tmp_path))
    assert ended.loaded == () and pixels(ended) == pixels(plain)


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ({"load_components": {"names": "transformers"}}, "no component 'transformers'"),
        ({"load_components": {"quantization_config": {"unet": SDNQ}}}, "no component 'unet'"),
        ({"load_components": {"dtype": "torch.float23"}}, "no dtype of torch"),
        ({"load_components": {"dtype": {"vae": "torch.floaty"}}}, "no dtype of torch"),
        ({"load_components": {"trust_remote_code": True}}, "would run code"),
        ({"load_components": {"revision": "main"}}, "`load_components` has no key `revision`"),
        ({"load_components": {"variant": {"vae": "fp16"}}}, "the same for all components"),
        ({"load_components": []}, "should be an object"),
        ({"configs": {"canvas": 3}}, "no setting 'canvas'"),
        ({"components_manager": {"enable_auto_cpu_offload": "yes"}}, "true or false"),
    ],
)
def test_what_it_does_not_have_is_told_before_loading(
    configuration: dict[str, Any], words: str, worker: Any, make: Any, models: Path, tmp_path: Path
) -> None:
    work = changed(drawing(make, "flux"), **configuration)
    assert words in refused(worker, work, models, output_directory=str(tmp_path))


def test_an_ordinary_pipeline_has_no_such_settings(worker: Any, make: Any, models: Path, tmp_path: Path) -> None:
    work = changed(drawing(make, "flux"), component_type="FluxPipeline")
    assert "Only modular pipelines" in refused(worker, work, models, output_directory=str(tmp_path))


def test_a_workflow_is_chosen_among_those_of_the_blocks(worker: Any, make: Any, models: Path, tmp_path: Path) -> None:
    work = drawing(make, "flux")
    pipeline(work)["from_pretrained_arguments"]["workflow"] = "text2image"
    run(worker, work, models, output_directory=str(tmp_path))
    pipeline(work)["from_pretrained_arguments"]["workflow"] = "text2film"
    told = refused(worker, work, models, output_directory=str(tmp_path))
    assert "no workflow 'text2film'; it has text2image" in told


def test_a_component_that_is_unknown_to_it(worker: Any, make: Any, models: Path, tmp_path: Path) -> None:
    work = drawing(make, "flux")
    pipeline(work)["controlnet_2"] = {
        "configuration": {"component_type": "AutoencoderKL"},
        "from_pretrained_arguments": {"model_name": "./flux", "subfolder": "vae"},
    }
    assert "no component 'controlnet_2'" in refused(worker, work, models, output_directory=str(tmp_path))


def test_a_model_without_a_modular_family(worker: Any, make: Any, tmp_path: Path) -> None:
    work = drawing(make, "x")
    pipeline(work)["from_pretrained_arguments"]["model_name"] = str(make.model)
    told = refused(worker, work, tmp_path)
    assert "no modular pipeline for models of StableDiffusionPipeline" in told


# ---------------------------------------------------------------- security


@pytest.fixture
def own_code(tmp_path: Path) -> Path:
    """A model that brings blocks of its own, which touch a file when they are imported."""
    model = tmp_path / "coded"
    model.mkdir()
    (model / "modular_config.json").write_text(
        json.dumps({"_class_name": "Blocks", "auto_map": {"ModularPipelineBlocks": "block.Blocks"}})
    )
    (model / "block.py").write_text(BLOCKS.format(there=str(tmp_path / "ran")))
    return model


def saying(make: Any) -> dict[str, Any]:
    work = drawing(make, "coded")
    pipeline(work)["arguments"] = {}
    work["steps"][0]["result"] = {"content_type": "text/plain"}
    return work


def test_code_of_a_model_is_not_run(own_code: Path, worker: Any, make: Any, tmp_path: Path) -> None:
    told = refused(worker, saying(make), tmp_path)
    assert "code with the model" in told and "dw.security.trustRemoteCode" in told
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif("DW_TEST_LONG" not in os.environ, reason="a worker of its own")
def test_code_of_a_model_is_run_where_that_is_allowed(
    own_code: Path, start_worker: Any, make: Any, tmp_path: Path
) -> None:
    worker = start_worker(HF_MODULES_CACHE=str(tmp_path / "modules"))
    ended = run(worker, saying(make), tmp_path, options=make.options(trust_remote_code=True))
    assert Path(str(ended.results[0].path)).read_text() == "from the model's own code"


def test_an_index_cannot_name_what_is_not_allowed(worker: Any, make: Any, models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "layout", tmp_path / "layout")
    index = tmp_path / "layout" / "modular_model_index.json"
    told = json.loads(index.read_text())
    told["vae"][2]["type_hint"] = ["subprocess", "Popen"]
    index.write_text(json.dumps(told))
    ended = worker.run(drawing(make, "layout"), tmp_path)
    assert ended.outcome == "failed" and "'subprocess', which is not allowed" in str(ended.error)


def test_an_index_cannot_lead_out_of_the_allowed_folders(worker: Any, make: Any, models: Path, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    told = json.loads((models / "layout" / "modular_model_index.json").read_text())
    for value in told.values():
        if isinstance(value, list):
            value[2]["pretrained_model_name_or_path"] = str(models / "flux")
    (tmp_path / "inside" / "modular_model_index.json").write_text(json.dumps(told))
    work = drawing(make, "inside")
    assert "outside the folders" in refused(worker, work, tmp_path)
    ended = run(worker, work, tmp_path, options=make.options(allowed_paths=(str(models),)))
    assert len(ended.results) == 1
