"""What a run refuses, and how it says so: at the right place, with a sentence, before anything is loaded."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dw_lsp.protocol import ClearMemory, LogLine, MemoryReported, RunEnded, StepProgress

PIPELINE = ("steps", 0, "pipeline")


@pytest.fixture(scope="module", autouse=True)
def nothing_loaded(shared_worker: Any) -> None:
    """The tests here see that a refused run has loaded nothing."""
    shared_worker.send(ClearMemory(900))
    shared_worker.wait_for(MemoryReported, lambda each: each.request_id == 900)


@pytest.fixture
def refused(worker: Any, tmp_path: Path) -> Any:
    """Runs what must be refused; returns its error and the text at the place it names."""

    def run(content: Any, **fields: Any) -> tuple[Any, str | None]:
        text = content if isinstance(content, str) else json.dumps(content)
        ended: RunEnded = worker.run(text, tmp_path, **fields)
        assert ended.outcome == "failed" and ended.error is not None
        assert ended.error.type == "InvalidInput", ended.error.traceback
        assert not ended.loaded and not ended.memory.components and not worker.heard(StepProgress)
        place = None if ended.error.start is None else text[ended.error.start : ended.error.end]
        return ended.error, place

    return run


def changed(make: Any, path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The drawing workflow with a value put in at a path inside its pipeline."""
    step = make.drawing(1)
    inner = step["pipeline"]
    for key in path[:-1]:
        inner = inner.setdefault(key, {})
    inner[path[-1]] = value
    return make.workflow(step)


# ---------------------------------------------------------------- not done yet


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("remote_text_encoder",), {"url": "https://example.org"}),
        (("configuration", "teacache"), {"rel_l1_thresh": 0.1}),
        (("configuration", "load_components"), {"names": ["vae"]}),
        (("configuration", "configs"), {"x": 1}),
        (("configuration", "prompt_weighting"), True),
        (("configuration", "inversion"), True),
        (("configuration", "generate"), True),
        (("from_pretrained_arguments", "device_map"), "balanced"),
        (("from_pretrained_arguments", "quantization_config"), {}),
        (("arguments", "prompt"), "prompt:animals/cat"),
        (("arguments", "image"), "asset:cat.png"),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_what_is_not_done_yet_is_named(path: tuple[str, ...], value: Any, make: Any, refused: Any) -> None:
    error, place = refused(changed(make, path, value))
    assert path[-1] in error.message or "prompt:" in error.message or "asset:" in error.message
    assert error.step == "draw" and place and place != '"draw"'
    assert error.hint or path[0] in ("from_pretrained_arguments", "arguments")


@pytest.mark.parametrize(
    ("path", "value", "message", "hint"),
    [
        (("configuration", "ofload"), "model", "`configuration` has no key `ofload`", "Did you mean `offload`?"),
        (("configuration", "foo"), None, "`configuration` has no key `foo`", "Remove it, or correct its name."),
        (("shedule",), 1, "`pipeline` has no key `shedule`", "Did you mean `scheduler`?"),
        (("controlnet",), "./controlnet", "the component `controlnet` should be an object", None),
        (("painter",), {"configuration": {}}, "the component `painter` needs `from_pretrained_arguments`", None),
    ],
)  # fmt: skip
def test_what_nobody_knows_is_unknown(path: Any, value: Any, message: str, hint: Any, make: Any, refused: Any) -> None:
    error, place = refused(changed(make, path, value))
    assert message in error.message and error.hint == hint
    assert place and place != '"draw"'


def test_an_unknown_key_of_a_result(make: Any, refused: Any) -> None:
    step = make.drawing(1)
    step["result"]["note"] = "for Anna"
    error, _ = refused(make.workflow(step))
    assert error.message == "`result` has no key `note`"


def test_what_is_null_is_not_there(worker: Any, make: Any, tmp_path: Path) -> None:
    step = make.drawing(1)
    step["pipeline"].update(controlnet=None, remote_text_encoder=None)
    step["pipeline"]["configuration"].update(generate=None, vae={"torch_dtype": None})
    ended = worker.run(make.workflow(step), tmp_path, step="draw")
    assert ended.outcome == "succeeded", ended.error
    worker.send(ClearMemory(902))
    worker.wait_for(MemoryReported, lambda each: each.request_id == 902)


def test_an_attention_backend_that_would_be_downloaded_runs_foreign_code(make: Any, refused: Any) -> None:
    error, place = refused(changed(make, ("configuration", "attention_backend"), "flash_hub"))
    assert "code from the hub" in error.message and place == '"flash_hub"'


@pytest.mark.parametrize("content_type", ["video/webm", "model/gltf", "text/html"])
def test_content_types_that_are_not_written(content_type: str, make: Any, refused: Any) -> None:
    step = make.drawing(1)
    step["result"]["content_type"] = content_type
    error, place = refused(make.workflow(step))
    assert content_type in error.message and place == f'"{content_type}"'


@pytest.mark.parametrize("content_type", ["image/png", "video/mp4", "application/json"])
def test_latents_are_not_written(content_type: str, make: Any, refused: Any) -> None:
    step = make.drawing(1, output_type="{latent}")
    step["result"]["content_type"] = content_type
    error, place = refused(make.workflow(step))
    assert "`output_type`" in error.message and "`save: false`" in error.hint and place == f'"{content_type}"'


def test_tasks_that_are_not_carried_out(make: Any, refused: Any) -> None:
    error, place = refused(make.workflow(make.task("faces", "restore_faces", image="a.png", model_name="a")))
    assert "'restore_faces'" in error.message and place == '"restore_faces"' and "resize_rescale" in error.hint


# ---------------------------------------------------------------- mistakes


def test_a_missing_model_folder(make: Any, refused: Any) -> None:
    error, place = refused(changed(make, ("from_pretrained_arguments", "model_name"), "./models/absent"))
    assert "./models/absent" in error.message and place == '"./models/absent"'


def test_a_model_of_the_hub_that_cannot_be_had(worker: Any, make: Any, tmp_path: Path) -> None:
    ended = worker.run(changed(make, ("from_pretrained_arguments", "model_name"), "nobody/no-such-model"), tmp_path)
    assert ended.outcome == "failed" and ended.error.type == "InvalidInput", ended.error
    assert "nobody/no-such-model" in ended.error.message and "could not be downloaded" in ended.error.message
    assert "hf download" in ended.error.hint


def test_an_argument_that_the_pipeline_does_not_have(make: Any, refused: Any) -> None:
    content = changed(make, ("configuration", "component_type"), "DDPMPipeline")
    error, _ = refused(content)
    assert error.message == "DDPMPipeline has no argument 'prompt'"
    assert "num_inference_steps" in error.hint


def test_a_mistyped_argument_of_a_call_that_takes_any(worker: Any, make: Any, tmp_path: Path) -> None:
    worker.run(changed(make, ("arguments", "promt"), "a cat"), tmp_path, step="draw")
    warned = [line.message for line in worker.heard(LogLine) if line.level == "warning"]
    assert any("no argument 'promt'" in line and "did you mean 'prompt'" in line for line in warned)
    worker.send(ClearMemory(901))
    worker.wait_for(MemoryReported, lambda each: each.request_id == 901)


def test_a_class_that_does_not_exist(make: Any, refused: Any) -> None:
    error, place = refused(changed(make, ("configuration", "component_type"), "StableDifusionPipeline"))
    assert "did you mean StableDiffusionPipeline" in error.message and place == '"StableDifusionPipeline"'


@pytest.mark.parametrize(
    ("name", "reason"),
    [("DDIMScheduler", "a scheduler"), ("AutoencoderKL", "a model"), ("ModularPipeline", "modular"),
     ("transformers.pipeline", "no class")],
)  # fmt: skip
def test_a_class_of_another_kind(name: str, reason: str, make: Any, refused: Any) -> None:
    error, _ = refused(changed(make, ("configuration", "component_type"), name))
    assert reason in error.message


def test_a_scheduler_that_is_none(make: Any, refused: Any) -> None:
    definition = {"configuration": {"scheduler_type": "AutoencoderKL"}}
    error, place = refused(changed(make, ("scheduler",), definition))
    assert "no scheduler" in error.message and place == '"AutoencoderKL"'


def test_an_empty_prompt_list(make: Any, refused: Any) -> None:
    empty = {"name": "prompts", "task": {"command": "gather_inputs", "inputs": []}}
    error, place = refused(make.workflow(empty, make.drawing(1, prompt="previous_result:prompts")))
    assert "`inputs` of step 'prompts' is empty" in error.message and place == "[]"


def test_an_empty_prompt_list_in_a_variable(make: Any, refused: Any) -> None:
    step = {"name": "prompts", "task": {"command": "gather_inputs", "inputs": "variable:prompts"}}
    error, _ = refused(make.workflow(step, make.drawing(1), variables={"prompts": []}))
    assert "is empty" in error.message


def test_a_prompt_that_is_an_empty_list(make: Any, refused: Any) -> None:
    error, _ = refused(changed(make, ("arguments", "prompt"), []))
    assert "`prompt` is empty" in error.message


def test_a_step_whose_results_are_none(worker: Any, make: Any, tmp_path: Path) -> None:
    gather = {"name": "things", "task": {"command": "gather_inputs", "inputs": [{"a": 1}]}}
    join = make.task("join", "compose_text", parts=["previous_result:things.b"])
    ended = worker.run(make.workflow(gather, join), tmp_path)
    assert ended.outcome == "failed"
    assert "'things.b' gives an empty list" in ended.error.message and ended.error.step == "join"


def test_results_of_a_later_step(make: Any, refused: Any) -> None:
    join = make.task("join", "compose_text", parts=["previous_result:draw"])
    error, place = refused(make.workflow(join, make.drawing(1)))
    assert "no earlier step" in error.message and place == '"previous_result:draw"'


def test_text_that_is_no_json(refused: Any) -> None:
    error, place = refused('{"id": "a", "steps": [}')
    assert "not valid JSON" in error.message and place is not None


def test_a_document_of_ten_thousand_brackets(refused: Any) -> None:
    error, _ = refused("[" * 10_000)
    assert "not valid JSON" in error.message


def test_an_unknown_last_step(make: Any, refused: Any) -> None:
    error, _ = refused(make.workflow(make.drawing(1)), step="nothing")
    assert "'nothing'" in error.message and "'draw'" in error.message


def test_a_seed_out_of_range(make: Any, refused: Any) -> None:
    error, _ = refused(make.workflow(make.drawing(1)), seed=-1)
    assert "2^64" in error.message


def test_reused_but_never_shared(make: Any, refused: Any) -> None:
    error, place = refused(changed(make, ("configuration", "reused_components"), ["vae"]))
    assert "no earlier step shares it" in error.message and place == '["vae"]'


def test_shared_by_a_step_that_does_not_have_it(make: Any, refused: Any) -> None:
    first, second = make.drawing(1), make.drawing(1, name="again")
    first["pipeline"]["shared_components"] = ["vae", "controlnet"]
    second["pipeline"]["reused_components"] = ["controlnet"]
    error, place = refused(make.workflow(first, second))
    assert "'controlnet' is reused, but step 'draw', which shares it, has none" in error.message
    assert error.step == "again" and place == '["controlnet"]' and "vae" in error.hint


def test_a_component_that_the_class_does_not_take(worker: Any, make: Any, tmp_path: Path) -> None:
    step = make.drawing(1)
    step["pipeline"]["prompt_enhancer"] = {
        "configuration": {"component_type": "AutoencoderKL"},
        "from_pretrained_arguments": {"model_name": str(make.model), "subfolder": "vae"},
    }
    worker.run(make.workflow(step), tmp_path)
    warned = [line.message for line in worker.heard(LogLine) if line.level == "warning"]
    assert "StableDiffusionPipeline does not take 'prompt_enhancer'; it has no effect" in warned
    worker.send(ClearMemory(903))
    worker.wait_for(MemoryReported, lambda each: each.request_id == 903)


def test_a_reference_to_a_released_pipeline(make: Any, refused: Any) -> None:
    reference = {"name": "again", "pipeline_reference": {"reference_name": "draw", "arguments": {"prompt": "x"}}}
    error, _ = refused(make.workflow({**make.drawing(1), "release_pipeline": True}, reference))
    assert "released" in error.message


def test_a_reference_to_no_pipeline(make: Any, refused: Any) -> None:
    reference = {"name": "again", "pipeline_reference": {"reference_name": "drew", "arguments": {"prompt": "x"}}}
    error, place = refused(make.workflow(make.drawing(1), reference))
    assert "'drew' is no earlier pipeline step" in error.message and place == '"drew"'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image": "red.png", "width": 0}, "must be between 1 and 16384"),
        ({"image": "red.png", "width": "wide"}, "must be a whole number, not a text"),
        ({"image": "red.png", "wide": 3}, "did you mean 'width'?"),
        ({"width": 3}, "needs the argument 'image'"),
        ({"image": "absent.png"}, "there is no image 'absent.png'"),
        ({"image": 7}, "should be a picture"),
    ],
)
def test_task_arguments_that_do_not_fit(
    arguments: dict[str, Any], message: str, make: Any, refused: Any, tmp_path: Path
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "red.png")
    error, _ = refused(make.workflow(make.drawing(1), make.task("crop", "resize_rescale", **arguments)))
    assert message in error.message and error.step == "crop"


def test_arguments_that_do_not_go_together(make: Any, refused: Any) -> None:
    error, _ = refused(make.workflow(make.task("all", "gather_images")))
    assert "needs a 'glob' pattern or 'urls'" in error.message


# ---------------------------------------------------------------- what is not trusted


@pytest.mark.parametrize("name", ["os.system", "subprocess.Popen", "builtins.eval", "diffusers.utils.logging.os"])
def test_types_come_from_allowed_packages_only(name: str, make: Any, refused: Any) -> None:
    error, _ = refused(changed(make, ("configuration", "component_type"), name))
    assert "not allowed" in error.message or "no class" in error.message


def test_a_type_in_the_arguments_is_judged_too(make: Any, refused: Any) -> None:
    error, _ = refused(changed(make, ("arguments", "output_type"), "subprocess.Popen"))
    assert "not allowed" in error.message


@pytest.mark.parametrize("key", ["trust_remote_code", "custom_pipeline", "custom_revision"])
def test_code_that_comes_with_a_model_is_not_run(key: str, make: Any, refused: Any) -> None:
    error, _ = refused(changed(make, ("from_pretrained_arguments", key), "someone/code"))
    assert key in error.message and "code" in error.message


def test_pickle_is_refused(make: Any, refused: Any) -> None:
    error, _ = refused(changed(make, ("from_pretrained_arguments", "use_safetensors"), False))
    assert "safetensors" in error.message and "allowPickle" in error.hint


def test_a_module_that_is_not_allowed_is_not_imported(make: Any, refused: Any) -> None:
    error, _ = refused(changed(make, ("configuration", "pre_load_modules"), ["antigravity"]))
    assert "'antigravity' is not allowed" in error.message


@pytest.mark.parametrize("place", ["/etc/hostname", "../outside.png", "~/secret.png", "file:///etc/hostname"])
def test_pictures_outside_the_workspace_are_not_read(place: str, make: Any, refused: Any) -> None:
    error, _ = refused(make.workflow(make.task("crop", "crop_square", image=place)))
    assert "outside" in error.message or "no path" in error.message


def test_a_link_out_of_the_workspace_is_not_followed(make: Any, refused: Any, tmp_path: Path) -> None:
    outside = tmp_path.parent / "outside.png"
    Image.new("RGB", (8, 8)).save(outside)
    os.symlink(outside, tmp_path / "inside.png")
    error, _ = refused(make.workflow(make.task("crop", "crop_square", image="inside.png")))
    assert "outside the folders" in error.message and "allowedPaths" in error.hint


def test_an_allowed_path_may_be_read(worker: Any, make: Any, tmp_path: Path) -> None:
    outside = tmp_path.parent / "allowed"
    outside.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8)).save(outside / "picture.png")
    work = make.workflow(make.task("crop", "crop_square", image=str(outside / "picture.png")))
    assert worker.run(work, tmp_path).outcome == "failed"
    assert worker.run(work, tmp_path, options=make.options(allowed_paths=(str(outside),))).outcome == "succeeded"


def test_a_model_outside_is_not_loaded(make: Any, refused: Any, tmp_path: Path) -> None:
    error, _ = refused(make.workflow(make.drawing(1)), roots=(str(tmp_path),))
    assert "outside the folders" in error.message


def test_a_pattern_that_leaves_the_workspace(make: Any, refused: Any) -> None:
    error, place = refused(make.workflow(make.task("all", "gather_images", glob="../*.png")))
    assert "outside" in error.message and place == '"../*.png"'


def test_a_workflow_file_outside(make: Any, refused: Any) -> None:
    call = {"name": "call", "workflow": {"path": "/etc/passwd", "arguments": {}}}
    error, place = refused(make.workflow(call))
    assert "outside" in error.message and place == '"/etc/passwd"'


def test_an_internal_address_is_not_visited(worker: Any, make: Any, tmp_path: Path) -> None:
    for address in ("http://127.0.0.1:9/a.png", "http://localhost/a.png", "http://169.254.169.254/latest/meta-data"):
        ended = worker.run(make.workflow(make.task("crop", "crop_square", image=address)), tmp_path)
        assert ended.outcome == "failed" and "refused" in ended.error.message, ended.error


@pytest.mark.parametrize("subfolder", ["../up", "/root", "a//b", "a/../../b"])
def test_results_stay_in_the_runs_folder(subfolder: str, make: Any, refused: Any) -> None:
    step = make.drawing(1)
    step["result"]["subfolder"] = subfolder
    error, _ = refused(make.workflow(step))
    assert "subfolder" in error.message


def test_names_cannot_lead_out_of_the_output_folder(worker: Any, make: Any, tmp_path: Path) -> None:
    step = make.task("../../step", "format_chat_message", "application/json", system_prompt="a", user_message="b")
    step["result"]["file_base_name"] = "../../base"
    ended = worker.run(make.workflow(step, id="../../../id"), tmp_path)
    assert ended.outcome == "succeeded", ended.error
    assert Path(str(ended.results[0].path)).resolve().is_relative_to(tmp_path / "outputs")
    assert not list(tmp_path.parent.glob("*base*"))


def test_weights_that_are_a_link_out_of_the_workspace(worker: Any, make: Any, tmp_path: Path) -> None:
    model = tmp_path / "model"
    for part in make.model.rglob("*"):
        place = model / part.relative_to(make.model)
        if part.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(part.read_bytes())
    weights = model / "vae" / "diffusion_pytorch_model.safetensors"
    elsewhere = tmp_path.parent / "elsewhere.safetensors"
    elsewhere.write_bytes(weights.read_bytes())
    weights.unlink()
    weights.symlink_to(elsewhere)
    ended = worker.run(changed(make, ("from_pretrained_arguments", "model_name"), "./model"), tmp_path)
    assert ended.outcome == "failed" and "outside the folders" in ended.error.message


@pytest.mark.parametrize("kind", ["DiffusionPipeline", "ModularPipeline"])
def test_what_a_class_takes_is_not_judged_before_it_is_known(
    kind: str, worker: Any, make: Any, lora_files: Path, tmp_path: Path
) -> None:
    """The class of a model that is not here is known after its download: nothing is said of its LoRAs before."""
    shutil.copytree(lora_files, tmp_path / "loras")
    step = make.drawing(1, class_name=kind)
    step["pipeline"]["from_pretrained_arguments"]["model_name"] = "nobody/nothing"
    step["pipeline"]["loras"] = [{"model_name": "./loras/unet0.safetensors"}]
    ended = worker.run(make.workflow(step), tmp_path)
    assert "could not be downloaded" in ended.error.message
    assert not [line for line in worker.heard(LogLine) if "names no argument" in line.message]


def test_a_class_that_a_model_chooses_needs_a_model(worker: Any, make: Any, tmp_path: Path) -> None:
    step = make.drawing(1, class_name="DiffusionPipeline")
    vae = {"model_name": str(make.model), "subfolder": "vae"}
    step["pipeline"]["vae"] = {
        "configuration": {"component_type": "AutoencoderKL"},
        "from_pretrained_arguments": vae,
    }
    step["pipeline"]["from_pretrained_arguments"] = {"requires_safety_checker": False}
    assert "chosen by a model, and none is named" in worker.run(make.workflow(step), tmp_path).error.message
    shutil.copytree(make.model, tmp_path / "nameless")
    index = tmp_path / "nameless" / "model_index.json"
    known = json.loads(index.read_text())
    del known["_class_name"]
    index.write_text(json.dumps(known))
    step["pipeline"]["from_pretrained_arguments"] = {"model_name": "./nameless"}
    assert "does not say which pipeline class" in worker.run(make.workflow(step), tmp_path).error.message
