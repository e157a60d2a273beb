"""What a plan says is what a run does: steps, components, files, seeds and the estimate, of called workflows too."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
from PIL import Image

from dw_lsp.catalog.catalog import catalog_of
from dw_lsp.catalog.pipeline_components import components_of
from dw_lsp.planning.plan import Plan, plan, run_seed
from dw_lsp.planning.step_store import StepStore
from dw_lsp.protocol import RunBegan, RunEnded
from dw_lsp.text.parser import parse
from dw_lsp.worker.engine.pipelines import constructor_names
from dw_lsp.workflow.resolved import InvalidInput
from dw_lsp.workflow.substitution import resolve
from tests.worker.conftest import CACHE
from tests.worker.engine.tiny_models import write_speaker

OUTCOMES = {"run": "ran", "reuse": "reused"}


@pytest.fixture(autouse=True)
def same_experience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan knows what the worker has measured."""
    monkeypatch.setenv("DW_CACHE", str(CACHE))


def planned(work: dict[str, Any], folder: Path) -> Plan:
    workflow, store = resolve(parse(json.dumps(work)).root, {}), StepStore(folder / "outputs")
    seed = run_seed(workflow, None, store, False)
    return plan(workflow, folder, {}, folder / "outputs", None, store, seed, store.device or "cpu", catalog_of(None))


@pytest.fixture
def agreed(worker: Any, tmp_path: Path) -> Callable[[dict[str, Any]], tuple[Plan, RunEnded]]:
    """Plans, runs, and compares the two."""

    def agree(work: dict[str, Any], **fields: Any) -> tuple[Plan, RunEnded]:
        told = planned(work, tmp_path)
        ended: RunEnded = worker.run(work, tmp_path, **fields)
        assert ended.outcome == "succeeded", ended.error
        assert [OUTCOMES[step.outcome] for step in told.steps] == [step.outcome for step in ended.steps]
        used = {part.key for part in (*ended.loaded, *ended.reused)}
        assert {part.key for part in told.components} == used
        written = [Path(str(result.path)) for result in ended.results if result.path]
        (run_folder,) = {path.parent for path in tmp_path.glob("outputs/*/*/manifest.json")} - seen
        seen.add(run_folder)
        files = [Path(name).relative_to(tmp_path / "outputs" / work["id"] / "RUN") for name in told.writes]
        assert files == [path.relative_to(run_folder) for path in written]
        seeds = {result.step: result.seed for result in reversed(ended.results)}
        assert {step.name: step.seed for step in told.steps if step.name in seeds and not step.steps} == {
            step.name: seeds[step.name] for step in told.steps if step.name in seeds and not step.steps
        }
        assert StepStore(tmp_path / "outputs").device == "cpu"
        (began,) = worker.heard(RunBegan)
        # The run is told of all its calls, the plan of those that will be made.
        if all(step.outcome == "run" for step in told.steps):
            need = 0 if began.estimate is None else began.estimate.device_bytes
            assert told.estimate.device_bytes == need
        return told, ended

    seen: set[Path] = set()
    return agree


@pytest.fixture
def child(make: Any, tmp_path: Path) -> Path:
    """A workflow in a folder of its own: it draws what its variable says, and makes the picture smaller."""
    small = make.task("small", "resize_rescale", "image/png", image="previous_result:draw", width=32, height=32)
    content = make.workflow(
        make.drawing(1, prompt="variable:prompt"), small, id="child", variables={"prompt": "a red circle"}
    )
    (tmp_path / "parts").mkdir()
    file = tmp_path / "parts" / "child.dw.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def calling(name: str = "scene", **arguments: Any) -> dict[str, Any]:
    return {"name": name, "workflow": {"path": "./parts/child.dw.json", "arguments": arguments}}


def test_a_called_workflow(agreed: Any, make: Any, child: Path) -> None:
    again = make.task("again", "crop_square", "image/png", image="previous_result:scene")
    scene = {**calling(prompt="a blue star"), "result": {"content_type": "image/webp"}}
    work = make.workflow(scene, again, id="parent", seed=6)
    told, _ = agreed(work)
    assert [Path(name).name for name in told.writes] == [
        "scene.child-draw.0-0.0.png",
        "scene.child-small.1-0.0.png",
        "parent-scene.0-0.0.webp",
        "parent-again.1-0.0.png",
    ]
    assert told.estimate.device_bytes and told.components
    assert [(step.name, step.seed, step.iterations) for step in told.steps[0].steps] == [
        ("draw", 6, 1),
        ("small", None, 1),
    ]
    after, _ = agreed(work)
    assert [step.outcome for step in after.steps[0].steps] == ["reuse", "reuse"] and after.components == ()


def test_a_workflow_that_is_called_for_each_of_several_results(agreed: Any, make: Any, child: Path) -> None:
    words = {"name": "p", "task": {"command": "gather_inputs", "inputs": ["a red star", "a blue star"]}}
    work = make.workflow(words, calling(prompt="previous_result:p"), id="parent", seed=2)
    told, _ = agreed(work)
    assert [Path(name).name for name in told.writes] == [
        "scene.child-draw.0-0.0.png",
        "scene.child-small.1-0.0.png",
        "scene.child-draw.0-0.0-2.png",
        "scene.child-small.1-0.0-2.png",
    ]
    assert told.steps[1].iterations == 2
    agreed(work)
    words["task"]["inputs"].append("a green star")  # type: ignore[index]
    more, _ = agreed(work)
    assert more.steps[1].outcome == "run" and len(more.writes) == 6


def test_workflows_that_call_others_with_pictures(agreed: Any, make: Any, child: Path, tmp_path: Path) -> None:
    inner = make.workflow(
        make.task("crop", "resize_rescale", "image/png", image="variable:photo", width=20, height=10),
        id="inner",
        variables={"photo": None},
    )
    (tmp_path / "parts" / "inner.json").write_text(json.dumps(inner))
    middle = make.workflow(
        {"name": "in", "workflow": {"path": "inner", "arguments": {"photo": "variable:photo"}}},
        id="middle",
        variables={"photo": {"location": "nowhere.png"}},
    )
    (tmp_path / "parts" / "middle.json").write_text(json.dumps(middle))
    call = {"name": "call", "workflow": {"path": "parts/middle", "arguments": {"photo": "previous_result:draw"}}}
    work = make.workflow(make.drawing(1), call, seed=4)
    told, _ = agreed(work)
    assert [Path(name).name for name in told.writes] == ["test-draw.0-0.0.png", "call.in.inner-crop.0-0.0.png"]
    agreed(work)


def test_several_prompts_and_a_pipeline_that_is_called_again(agreed: Any, make: Any) -> None:
    words = {"name": "p", "task": {"command": "gather_inputs", "inputs": ["a red star", "a blue star"]}}
    first = make.drawing(1, prompt="previous_result:p", num_images_per_prompt=2)
    given = {"prompt": ["a red star", "a green circle"], "num_inference_steps": 1}
    again = {
        "name": "again",
        "pipeline_reference": {"reference_name": "draw", "arguments": given},
        "result": {"content_type": "image/jpeg", "subfolder": "second/try"},
    }
    told, _ = agreed(make.workflow(words, first, again, seed=9))
    assert len(told.writes) == 6 and Path(told.writes[-1]).parent.parts[-2:] == ("second", "try")
    agreed(make.workflow(words, first, {**again, "seed": 3}, seed=9))


def test_names_that_are_taken_and_lists_of_tasks(agreed: Any, make: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
    same = {"content_type": "image/png", "file_base_name": "same"}
    gather = make.task("all", "gather_images", "image/png", urls=["a.png", "b.png"])
    one = {**make.task("one", "crop_square", image="a.png"), "result": same}
    sizes = make.task("size", "get_image_size", "application/json", image="previous_result:all")
    told, _ = agreed(make.workflow(gather, one, sizes, seed=1))
    assert [Path(name).name for name in told.writes][:2] == ["test-all.0-0.0.png", "test-all.0-1.0.png"]


def test_a_chain_inside_of_a_called_workflow(agreed: Any, make: Any, families: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(families["image2video"], tmp_path / "model")
    Image.new("RGB", (32, 32), "red").save(tmp_path / "red.png")
    film = {
        "name": "film",
        "pipeline": {
            "configuration": {"component_type": "LTXImageToVideoPipeline"},
            "from_pretrained_arguments": {"model_name": "./model", "torch_dtype": "torch.float32"},
            "arguments": {
                "image": "red.png", "prompt": "a red circle", "width": 32, "height": 32, "num_frames": 9,
                "num_inference_steps": 1, "max_sequence_length": 16, "guidance_scale": 1.0,
            },
            "chain": {"segments": 2, "fps": 12},
        },
        "result": {"content_type": "video/mp4"},
    }  # fmt: skip
    (tmp_path / "film.json").write_text(json.dumps(make.workflow(film, id="film")))
    work = make.workflow({"name": "call", "workflow": {"path": "film"}}, id="parent", seed=5)
    told, _ = agreed(work)
    assert told.estimate.device_bytes
    agreed(work)


def test_tasks_with_models_and_parts_that_another_step_shares(
    agreed: Any, make: Any, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    speaker = tmp_path / "speaker"
    write_speaker(speaker)
    given = {"prompt": "a red cat", "model_name": str(speaker), "max_new_tokens": 4}
    say = make.task("say", "text_generation", "text/plain", **given)
    one, two = make.drawing(1), make.drawing(1, "two", prompt="previous_result:say")
    one["pipeline"]["shared_components"] = ["vae"]
    two["pipeline"]["reused_components"] = ["vae"]
    work = make.workflow(say, one, two, seed=5)
    roots = (str(tmp_path), str(make.model))
    told, _ = agreed(work, roots=roots)
    assert {"language_model", "unet"} <= {part.name for part in told.components}
    agreed(work, roots=roots)


# ---------------------------------------------------------------- what the class takes


@pytest.mark.parametrize(
    "name", ["StableDiffusionPipeline", "StableDiffusionXLInpaintPipeline", "FluxPipeline", "WanPipeline"]
)
def test_the_catalogue_knows_what_a_pipeline_is_made_of(name: str) -> None:
    catalog, chosen = catalog_of(None), getattr(diffusers, name)
    entry = catalog.resolve(name).entry
    found = None if entry is None else components_of(catalog, entry)
    assert found is not None
    assert found.names == constructor_names(chosen)[0]
    assert found.needed == found.names - set(chosen._optional_components)


def test_a_part_of_the_model_that_the_class_does_not_take_is_not_planned(
    agreed: Any, make: Any, tmp_path: Path
) -> None:
    shutil.copytree(make.model, tmp_path / "model")
    shutil.copytree(tmp_path / "model" / "vae", tmp_path / "model" / "second_vae")
    index = tmp_path / "model" / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "second_vae": ["diffusers", "AutoencoderKL"]}))
    step = make.drawing(1)
    step["pipeline"]["from_pretrained_arguments"]["model_name"] = "./model"
    told, _ = agreed(make.workflow(step, seed=1))
    assert "second_vae" not in [part.name for part in told.components]
    agreed(make.workflow(step, seed=1))


def test_a_class_that_does_not_fit_its_model_is_refused_before_anything_is_loaded(
    worker: Any, make: Any, tmp_path: Path
) -> None:
    work = make.workflow(make.drawing(1, class_name="FluxPipeline"))
    with pytest.raises(InvalidInput) as caught:
        planned(work, tmp_path)
    text = json.dumps(work)
    ended = worker.run(text, tmp_path)
    assert ended.outcome == "failed" and (ended.loaded, ended.reused) == ((), ())
    assert ended.error.message == caught.value.message
    assert "FluxPipeline needs the component 'text_encoder_2'" in ended.error.message
    assert text[ended.error.start : ended.error.end] == '"FluxPipeline"'
