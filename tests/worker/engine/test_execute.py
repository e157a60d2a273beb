"""Whole runs in a real worker with the real small model: what is loaded, what comes out, what is the same again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image

from dw_lsp.protocol import MemoryReported, PreviewMade, RunBegan, RunEnded, StepEnded, StepProgress


def digests(ended: RunEnded) -> list[str]:
    """What the files of a run hold."""
    assert ended.outcome == "succeeded", ended.error
    return [hashlib.sha256(Path(result.path).read_bytes()).hexdigest() for result in ended.results if result.path]


def picture(ended: RunEnded, index: int = 0) -> Image.Image:
    assert ended.outcome == "succeeded", ended.error
    return Image.open(str(ended.results[index].path)).convert("RGB")


# ---------------------------------------------------------------- loading and sharing


def test_a_second_run_loads_nothing(worker: Any, make: Any, tmp_path: Path) -> None:
    worker.run(make.workflow(make.drawing(1)), tmp_path)
    ended = worker.run(make.workflow(make.drawing(1, prompt="a green star on a black background")), tmp_path)
    assert ended.loaded == ()
    assert {part.name for part in ended.reused} == {"text_encoder", "tokenizer", "unet", "vae"}


@pytest.mark.parametrize("class_name", ["StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline"])
def test_other_pipelines_of_the_model_share_everything(class_name: str, worker: Any, make: Any, tmp_path: Path) -> None:
    worker.run(make.workflow(make.drawing(1)), tmp_path)
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    more = {"mask_image": "red.png"} if "Inpaint" in class_name else {}
    step = make.drawing(4, name="other", class_name=class_name, image="red.png", strength=0.5, **more)
    ended = worker.run(make.workflow(step, id="another file"), tmp_path)
    assert ended.outcome == "succeeded", ended.error
    assert ended.loaded == () and len(ended.reused) == 4


def test_a_class_that_leaves_the_choice_to_the_model_shares_too(worker: Any, make: Any, tmp_path: Path) -> None:
    expected = picture(worker.run(make.workflow(make.drawing(3), seed=4), tmp_path)).tobytes()
    for class_name in ("DiffusionPipeline", "AutoPipelineForText2Image"):
        ended = worker.run(make.workflow(make.drawing(3, class_name=class_name), seed=4), tmp_path)
        assert picture(ended).tobytes() == expected
        assert ended.loaded == ()


def test_latents_go_on_undecoded(worker: Any, make: Any, tmp_path: Path) -> None:
    base = make.drawing(1, name="base", output_type="{latent}", num_images_per_prompt=2)
    base["result"]["save"] = False
    again = make.drawing(1, name="again", latents="previous_result:base")
    onto = make.drawing(2, name="onto", class_name="StableDiffusionImg2ImgPipeline", image="previous_result:base")
    ended = worker.run(make.workflow(base, again, onto, seed=3), tmp_path)
    assert len(digests(ended)) == 4 and {result.width for result in ended.results if result.path} == {64}


def test_another_precision_is_another_component(worker: Any, make: Any, tmp_path: Path) -> None:
    full = worker.run(make.workflow(make.drawing(1)), tmp_path)
    step = make.drawing(1)
    step["pipeline"]["from_pretrained_arguments"]["torch_dtype"] = "torch.bfloat16"
    half = worker.run(make.workflow(step), tmp_path)
    sizes = [{part.name: part.bytes for part in (*ended.loaded, *ended.reused)} for ended in (full, half)]
    assert sizes[1]["unet"] * 2 == sizes[0]["unet"]
    assert worker.run(make.workflow(make.drawing(1)), tmp_path).loaded == ()


def test_without_a_precision_everything_is_in_full_precision_on_a_cpu(worker: Any, make: Any, tmp_path: Path) -> None:
    step = make.drawing(1)
    del step["pipeline"]["from_pretrained_arguments"]["torch_dtype"]
    ended = worker.run(make.workflow(step), tmp_path)
    full = worker.run(make.workflow(make.drawing(1)), tmp_path)
    used = {part.name: part.bytes for part in (*ended.loaded, *ended.reused)}
    assert used == {part.name: part.bytes for part in (*full.loaded, *full.reused)}


def test_explicit_and_shared_components(worker: Any, make: Any, tmp_path: Path) -> None:
    first, second = make.drawing(2), make.drawing(2, name="again")
    first["pipeline"]["vae"] = {
        "configuration": {"component_type": "AutoencoderKL"},
        "from_pretrained_arguments": {
            "model_name": str(make.model),
            "subfolder": "vae",
            "torch_dtype": "torch.float32",
        },
    }
    first["pipeline"]["configuration"]["shared_components"] = ["vae"]
    second["pipeline"]["configuration"]["reused_components"] = ["vae"]
    ended = worker.run(make.workflow(first, second, seed=1), tmp_path)
    assert picture(ended, 0).tobytes() == picture(ended, 1).tobytes()
    used = [part.key for part in (*ended.loaded, *ended.reused) if part.name == "vae"]
    assert len(used) == 1
    assert worker.run(make.workflow(first, second, seed=1), tmp_path).loaded == ()


def test_release_gives_the_components_back(worker: Any, make: Any, tmp_path: Path) -> None:
    ended = worker.run(make.workflow({**make.drawing(1), "release_pipeline": True}), tmp_path)
    used = {part.key for part in (*ended.loaded, *ended.reused)}
    assert len(used) == 4 and not used & {part.key for part in ended.memory.components}


@pytest.mark.filterwarnings("ignore")  # Of a scheduler made for a model of pictures.
def test_a_model_that_a_pipeline_makes_of_two_is_made_once(worker: Any, make: Any, tmp_path: Path) -> None:
    config = json.loads((make.model / "unet" / "config.json").read_text())
    torch.manual_seed(0)
    diffusers.MotionAdapter(
        config["block_out_channels"], motion_layers_per_block=1, motion_mid_block_layers_per_block=1,
        motion_num_attention_heads=2, motion_norm_num_groups=4, motion_max_seq_length=4,
    ).save_pretrained(tmp_path / "motion")  # fmt: skip
    moving = make.drawing(1, "move", "AnimateDiffPipeline", num_frames=2, width=32, height=32)
    moving["pipeline"]["motion_adapter"] = {
        "configuration": {"component_type": "MotionAdapter"},
        "from_pretrained_arguments": {"model_name": "./motion", "torch_dtype": "torch.float32"},
    }
    moving["pipeline"]["configuration"]["shared_components"] = ["unet"]
    moving["result"] = {"content_type": "image/gif"}
    still = make.drawing(1)
    still["pipeline"]["configuration"]["reused_components"] = ["unet"]
    runs = [
        worker.run(make.workflow(moving, still, seed=3), tmp_path, output_directory=str(tmp_path / where))
        for where in "ab"
    ]
    assert [each.outcome for each in runs] == ["succeeded", "succeeded"], runs[-1].error
    made = [[part for part in each.memory.components if part.class_name == "UNetMotionModel"] for each in runs]
    assert len(made[0]) == 1 and made[0][0].seconds == made[1][0].seconds
    assert digests(runs[0]) == digests(runs[1]) and runs[1].loaded == ()
    released = worker.run(make.workflow({**moving, "release_pipeline": True}, seed=4), tmp_path)
    assert "UNetMotionModel" not in {part.class_name for part in released.memory.components}


def test_release_at_a_reference_gives_back_what_the_definer_has_loaded(worker: Any, make: Any, tmp_path: Path) -> None:
    reference = {"reference_name": "draw", "arguments": {"prompt": "a blue star", "num_inference_steps": 1}}
    again = [{"name": name, "pipeline_reference": reference} for name in ("more", "last")]
    released = [make.drawing(1), *({**step, "release_pipeline": True} for step in again)]
    ended = worker.run(make.workflow(*released), tmp_path)
    assert ended.outcome == "succeeded", ended.error
    used = {part.key for part in (*ended.loaded, *ended.reused)}
    assert len(used) == 4 and not used & {part.key for part in ended.memory.components}
    assert [step.load_seconds for step in ended.steps[1:]] == [0.0, 0.0]  # Not before the last one that calls it.


# ---------------------------------------------------------------- seeds and bytes


def test_same_seed_and_prompt_give_the_same_bytes(worker: Any, make: Any, tmp_path: Path) -> None:
    first = worker.run(make.workflow(make.drawing(4), seed=7), tmp_path)
    second = worker.run(make.workflow(make.drawing(4), seed=7), tmp_path, output_directory=str(tmp_path / "others"))
    assert digests(first) == digests(second)
    assert [step.outcome for step in second.steps] == ["ran"]


def test_previews_leave_the_picture_as_it_is(worker: Any, make: Any, tmp_path: Path) -> None:
    work = make.workflow(make.drawing(30), seed=7)
    without = digests(worker.run(work, tmp_path, options=make.options(preview_enabled=False)))
    assert not worker.heard(PreviewMade)
    with_previews = digests(worker.run(work, tmp_path, output_directory=str(tmp_path / "others")))
    assert worker.heard(PreviewMade)
    assert with_previews == without


def test_the_prompt_may_come_as_an_argument_or_stand_in_the_text(worker: Any, make: Any, tmp_path: Path) -> None:
    prompt = "a green square on a white background"
    by_argument = make.workflow(make.drawing(3, prompt="variable:p"), variables={"p": "x"}, seed=5)
    ended = worker.run(by_argument, tmp_path, arguments={"p": prompt})
    assert digests(ended) == digests(worker.run(make.workflow(make.drawing(3, prompt=prompt), seed=5), tmp_path))


def test_a_run_without_a_seed_draws_one_and_can_be_repeated(worker: Any, make: Any, tmp_path: Path) -> None:
    first = worker.run(make.workflow(make.drawing(3)), tmp_path)
    other = worker.run(make.workflow(make.drawing(3)), tmp_path)
    assert first.seed is not None and first.seed != other.seed and first.seed < 2**53
    again = worker.run(make.workflow(make.drawing(3)), tmp_path, seed=first.seed)
    assert digests(again) == digests(first) and again.seed == first.seed
    assert first.results[0].seed == first.seed


def test_the_nearest_seed_counts(worker: Any, make: Any, tmp_path: Path) -> None:
    of_pipeline, of_step, of_run = make.drawing(1, name="a"), make.drawing(1, name="b"), make.drawing(1, name="c")
    of_pipeline["pipeline"]["seed"], of_pipeline["seed"], of_step["seed"] = 100, 200, 200
    ended = worker.run(make.workflow(of_pipeline, of_step, of_run, seed=300), tmp_path, seed=400)
    assert [result.seed for result in ended.results] == [100, 200, 400] and ended.seed == 400


def test_each_iteration_can_be_repeated_on_its_own(worker: Any, make: Any, tmp_path: Path) -> None:
    prompts = ["a red circle on a white background", "a blue star on a black background"]
    gather = {"name": "prompts", "task": {"command": "gather_inputs", "inputs": prompts}}
    batch = worker.run(make.workflow(gather, make.drawing(4, prompt="previous_result:prompts"), seed=20), tmp_path)
    assert [result.seed for result in batch.results] == [20, 21]
    alone = worker.run(make.workflow(make.drawing(4, prompt=prompts[1]), seed=21), tmp_path)
    assert picture(alone).tobytes() == picture(batch, 1).tobytes()


def test_a_called_pipeline_is_as_good_as_its_own(worker: Any, make: Any, tmp_path: Path) -> None:
    reference = {
        "name": "again",
        "pipeline_reference": {
            "reference_name": "draw",
            "arguments": {
                "prompt": "a blue star on a black background",
                "num_inference_steps": 3,
                "guidance_scale": 3.0,
            },
        },
        "result": {"content_type": "image/png"},
    }
    ended = worker.run(make.workflow(make.drawing(3), reference, seed=3), tmp_path)
    direct = make.drawing(3, prompt="a blue star on a black background")
    alone = worker.run(make.workflow(direct, seed=3), tmp_path)
    assert picture(ended, 1).tobytes() == picture(alone).tobytes()
    assert [result.seed for result in ended.results] == [3, 3]


# ---------------------------------------------------------------- steps and their results


def test_the_messages_of_a_run_come_in_order(worker: Any, make: Any, tmp_path: Path) -> None:
    size = make.task("size", "get_image_size", image="previous_result:draw")
    ended = worker.run(make.workflow(make.drawing(3), size), tmp_path)
    kinds = [type(message) for message in worker.said if not isinstance(message, (MemoryReported, PreviewMade))]
    assert kinds[0] is RunBegan and kinds[-1] is RunEnded and kinds.count(RunEnded) == 1
    assert [message.step for message in worker.heard(StepEnded)] == ["draw", "size"]
    began = worker.heard(RunBegan)[0]
    assert (began.workflow, began.steps) == ("test", ("draw", "size"))
    assert [step.outcome for step in ended.steps] == ["ran", "ran"]
    assert all(step.seconds > 0 and step.peak_bytes for step in ended.steps)
    assert ended.run_count == ended.memory.run_count


def test_progress_names_the_phases_and_counts_the_steps(worker: Any, make: Any, tmp_path: Path) -> None:
    worker.run(make.workflow(make.drawing(5)), tmp_path)
    told = worker.heard(StepProgress)
    phases = list(dict.fromkeys(message.phase for message in told if message.phase != "loading"))
    assert phases == ["encoding", "denoising", "decoding", "saving"]
    counts = [message for message in told if message.phase == "denoising" and message.current is not None]
    assert counts[0].current == 1 and counts[-1].current == 5
    assert {message.total for message in counts} == {5} and {message.unit for message in counts} == {"step"}
    assert counts[-1].eta == 0 and (counts[-1].seconds_per_unit or 0) > 0


def test_strength_shortens_what_is_counted(worker: Any, make: Any, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    step = make.drawing(10, class_name="StableDiffusionImg2ImgPipeline", image="red.png", strength=0.3)
    worker.run(make.workflow(step), tmp_path)
    assert {message.total for message in worker.heard(StepProgress) if message.phase == "denoising"} == {None, 3}


def test_run_to_here_stops_after_the_step(worker: Any, make: Any, tmp_path: Path) -> None:
    ended = worker.run(make.workflow(make.drawing(1, name="a"), make.drawing(1, name="b")), tmp_path, step="a")
    assert [step.name for step in ended.steps] == ["a"] and len(ended.results) == 1


def test_every_combination_of_results_is_run(worker: Any, make: Any, tmp_path: Path) -> None:
    one = {"name": "one", "task": {"command": "gather_inputs", "inputs": ["a", "b"]}}
    two = {"name": "two", "task": {"command": "gather_inputs", "inputs": ["x", "y", "z"]}}
    join = make.task(
        "join", "compose_text", "text/plain", parts=["previous_result:one", "previous_result:two"], separator=""
    )
    ended = worker.run(make.workflow(one, two, join), tmp_path)
    texts = [Path(str(result.path)).read_text() for result in ended.results]
    assert texts == ["ax", "ay", "az", "bx", "by", "bz"]


def test_members_of_results_can_be_read(worker: Any, make: Any, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    border = make.task("border", "add_border_and_mask", image="red.png", zoom_all=1.5)
    size = make.task("size", "get_image_size", "application/json", image="previous_result:border.mask")
    ended = worker.run(make.workflow(border, size), tmp_path)
    assert json.loads(Path(str(ended.results[0].path)).read_text()) == {"width": 96, "height": 96}


def test_several_pictures_of_one_call_are_several_artifacts(worker: Any, make: Any, tmp_path: Path) -> None:
    ended = worker.run(make.workflow(make.drawing(2, num_images_per_prompt=2)), tmp_path)
    assert [Path(str(result.path)).name for result in ended.results] == ["test-draw.0-0.0.png", "test-draw.0-0.1.png"]


def test_arrays_are_written_as_the_pictures_they_are(worker: Any, make: Any, tmp_path: Path) -> None:
    arrays = worker.run(make.workflow(make.drawing(2, output_type="{np}", num_images_per_prompt=2), seed=1), tmp_path)
    images = worker.run(make.workflow(make.drawing(2, num_images_per_prompt=2), seed=1), tmp_path)
    assert picture(arrays, 1).tobytes() == picture(images, 1).tobytes()


def test_a_result_that_is_not_saved_is_told_without_a_path(worker: Any, make: Any, tmp_path: Path) -> None:
    step = make.drawing(1)
    step["result"]["save"] = False
    crop = make.task("crop", "resize_rescale", "image/png", image="previous_result:draw", width=32, height=16)
    ended = worker.run(make.workflow(step, crop), tmp_path)
    assert [(result.path is None, result.width, result.height) for result in ended.results] == [
        (True, 64, 64),
        (False, 32, 16),
    ]


def test_a_scheduler_is_changed_for_one_step_only(worker: Any, make: Any, tmp_path: Path) -> None:
    before = digests(worker.run(make.workflow(make.drawing(5), seed=1), tmp_path))
    step = make.drawing(5)
    step["pipeline"]["scheduler"] = {
        "configuration": {"scheduler_type": "EulerDiscreteScheduler"},
        "from_config_args": {"timestep_spacing": "linspace"},
    }
    euler = worker.run(make.workflow(step, seed=1), tmp_path)
    assert digests(euler) != before and euler.loaded == ()
    assert digests(worker.run(make.workflow(make.drawing(5), seed=1), tmp_path)) == before


def test_switches_of_one_step_are_set_back(worker: Any, make: Any, tmp_path: Path) -> None:
    before = digests(worker.run(make.workflow(make.drawing(2), seed=1), tmp_path))
    step = make.drawing(2)
    step["pipeline"]["configuration"].update(
        vae={"enable_tiling": True, "enable_slicing": True}, enable_attention_slicing=True, offload="model"
    )
    assert worker.run(make.workflow(step, seed=1), tmp_path).outcome == "succeeded"
    assert digests(worker.run(make.workflow(make.drawing(2), seed=1), tmp_path)) == before


# ---------------------------------------------------------------- called workflows


@pytest.fixture
def child(make: Any, tmp_path: Path) -> Path:
    """A workflow in a folder of its own, that draws what its variable says."""
    folder = tmp_path / "parts"
    folder.mkdir()
    content = make.workflow(make.drawing("variable:steps", prompt="variable:prompt"), id="child", variables={
        "prompt": "a red circle on a white background", "steps": 2,
    })  # fmt: skip
    (folder / "child.dw.json").write_text(json.dumps(content))
    return folder / "child.dw.json"


def calling(**arguments: Any) -> dict[str, Any]:
    return {"name": "scene", "workflow": {"path": "./parts/child.dw.json", "arguments": arguments}}


def test_a_called_workflow_gives_its_last_results(worker: Any, make: Any, child: Path, tmp_path: Path) -> None:
    size = make.task("size", "get_image_size", "application/json", image="previous_result:scene")
    ended = worker.run(make.workflow(calling(steps="3"), size, id="parent", seed=6), tmp_path)
    assert ended.outcome == "succeeded", ended.error
    assert [Path(str(result.path)).name for result in ended.results] == [
        "scene.child-draw.0-0.0.png",
        "parent-size.1-0.json",
    ]
    assert [result.step for result in ended.results] == ["scene", "size"]
    assert any("draw" in str(message.message) for message in worker.heard(StepProgress))


def test_a_called_workflow_inherits_the_seed(worker: Any, make: Any, child: Path, tmp_path: Path) -> None:
    ended = worker.run(make.workflow(calling(), id="parent", seed=6), tmp_path)
    alone = worker.run(child.read_text(), child.parent, seed=6)
    assert picture(ended).tobytes() == picture(alone).tobytes()


def test_results_iterate_a_called_workflow(worker: Any, make: Any, child: Path, tmp_path: Path) -> None:
    gather = {"name": "p", "task": {"command": "gather_inputs", "inputs": ["a red star", "a blue star"]}}
    ended = worker.run(make.workflow(gather, calling(prompt="previous_result:p"), id="parent"), tmp_path)
    assert ended.outcome == "succeeded" and len(ended.results) == 2
    assert len({result.path for result in ended.results}) == 2


def test_a_picture_can_be_handed_to_a_called_workflow(worker: Any, make: Any, tmp_path: Path) -> None:
    content = make.workflow(
        make.task("crop", "resize_rescale", "image/png", image="variable:photo", width=20, height=10),
        id="child",
        variables={"photo": {"location": "nothing.png"}},
    )
    (tmp_path / "crop.dw.json").write_text(json.dumps(content))
    call = {"name": "call", "workflow": {"path": "crop.dw.json", "arguments": {"photo": "previous_result:draw"}}}
    Image.new("RGB", (8, 8)).save(tmp_path / "nothing.png")
    ended = worker.run(make.workflow(make.drawing(1), call), tmp_path)
    assert ended.outcome == "succeeded", ended.error
    assert picture(ended, 1).size == (20, 10)


def test_workflows_that_call_each_other_are_an_error(worker: Any, make: Any, tmp_path: Path) -> None:
    text = json.dumps(make.workflow({"name": "me", "workflow": {"path": "test.dw.json", "arguments": {}}}))
    (tmp_path / "test.dw.json").write_text(text)
    ended = worker.run(text, tmp_path)
    assert ended.outcome == "failed"
    assert "circle" in ended.error.message and "test.dw.json -> test.dw.json" in ended.error.message


def test_an_error_in_a_called_file_is_told_at_the_call(worker: Any, make: Any, child: Path, tmp_path: Path) -> None:
    child.write_text(child.read_text().replace("image/png", "audio/wav"))
    text = json.dumps(make.workflow(calling()))
    ended = worker.run(text, tmp_path)
    assert ended.outcome == "failed" and "child.dw.json line 1" in ended.error.message
    assert text[ended.error.start : ended.error.end] == '"./parts/child.dw.json"'


def test_empty_lists_are_handed_over_where_something_is_made_all_the_same(
    worker: Any, make: Any, tmp_path: Path
) -> None:
    usual = make.drawing(1, callback_on_step_end_tensor_inputs="variable:names")
    content = make.workflow(usual, id="child", variables={"names": ["latents"]})
    (tmp_path / "child.json").write_text(json.dumps(content))
    call = {"name": "call", "workflow": {"path": "child", "arguments": {"names": []}}}
    ended = worker.run(make.workflow(call, seed=1), tmp_path)
    assert ended.outcome == "succeeded", ended.error
    assert picture(ended).tobytes() == picture(worker.run(make.workflow(make.drawing(1), seed=1), tmp_path)).tobytes()


# ---------------------------------------------------------------- values that a call hands over later


def words(*inputs: Any) -> dict[str, Any]:
    return {"name": "words", "task": {"command": "gather_inputs", "inputs": list(inputs)}}


def test_a_called_workflow_is_not_judged_by_values_that_it_will_be_given(
    worker: Any, make: Any, tmp_path: Path
) -> None:
    step = make.drawing(1, prompt="variable:prompt", num_inference_steps="variable:steps")
    step["pipeline"]["from_pretrained_arguments"]["model_name"] = "variable:model"
    small = make.task("small", "resize_rescale", "image/png", image="variable:photo", width=20, height=10)
    given = {"prompt": None, "steps": 0, "model": "./nowhere", "photo": {"location": "nothing.png"}}
    content = make.workflow(step, small, id="child", variables=given)
    (tmp_path / "child.json").write_text(json.dumps(content))
    keys = {"prompt": "a red circle", "steps": 1, "model": str(make.model)}
    handed = {key: f"previous_result:words.{key}" for key in keys}
    call = {"name": "call", "workflow": {"path": "child", "arguments": {**handed, "photo": "previous_result:first"}}}
    ended = worker.run(make.workflow(words(keys), make.drawing(1, "first"), call, seed=1), tmp_path)
    assert ended.outcome == "succeeded", ended.error
    assert picture(ended, 2).size == (20, 10)


def test_what_is_wrong_in_a_called_workflow_whatever_it_is_given_is_found_at_once(
    worker: Any, make: Any, tmp_path: Path
) -> None:
    step = make.drawing(1, prompt="variable:prompt", width="wide enough", bogus=1)
    step["pipeline"]["configuration"]["component_type"] = "AutoencoderKL"
    content = make.workflow(step, id="child", variables={"prompt": None})
    (tmp_path / "child.json").write_text(json.dumps(content))
    for given, told in (("prompt", "AutoencoderKL"), ("promt", "there is no variable 'promt'")):
        call = {"name": "call", "workflow": {"path": "child", "arguments": {given: "previous_result:words"}}}
        ended = worker.run(make.workflow(words("a", "b"), call), tmp_path)
        assert ended.outcome == "failed" and told in ended.error.message
        assert [step.outcome for step in ended.steps] == ["notRun", "notRun"]


def test_a_value_that_turns_out_to_be_wrong_is_told_at_the_call(worker: Any, make: Any, tmp_path: Path) -> None:
    step = make.drawing(1)
    step["pipeline"]["from_pretrained_arguments"]["model_name"] = "variable:model"
    (tmp_path / "child.json").write_text(
        json.dumps(make.workflow(step, {**make.task("end", "compose_text", parts=["a"])}, id="child",
                                 variables={"model": str(make.model)}))
    )  # fmt: skip
    call = {"name": "call", "workflow": {"path": "child", "arguments": {"model": "previous_result:words"}}}
    ended = worker.run(make.workflow(words("./nowhere"), call), tmp_path)
    assert ended.outcome == "failed" and "'./nowhere' does not exist" in ended.error.message
    assert [step.outcome for step in ended.steps] == ["ran", "failed"]
