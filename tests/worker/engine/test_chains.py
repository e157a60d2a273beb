"""Chains: segments that go on from one another, remembered one by one, joined into one film."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dw_lsp.planning.chains import chain_of, segment_seed
from dw_lsp.planning.plan import plan
from dw_lsp.planning.step_store import StepStore
from dw_lsp.protocol import RunEnded, StepProgress
from dw_lsp.text.parser import parse
from dw_lsp.worker.engine.videos import decode_video
from dw_lsp.workflow.resolved import ResolvedWorkflow
from dw_lsp.workflow.substitution import resolve

FRAMES = 9


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, families: dict[str, Path]) -> Path:
    folder = tmp_path_factory.mktemp("chain")
    shutil.copytree(families["image2video"], folder / "model")
    return folder


@pytest.fixture
def folder(tmp_path: Path, model: Path) -> Path:
    shutil.copytree(model / "model", tmp_path / "model")
    Image.new("RGB", (32, 32), "red").save(tmp_path / "red.png")
    return tmp_path


def arguments(**more: Any) -> dict[str, Any]:
    return {
        "image": "red.png", "prompt": "a red circle", "width": 32, "height": 32, "num_frames": FRAMES,
        "num_inference_steps": 2, "max_sequence_length": 16, "guidance_scale": 1.0, **more,
    }  # fmt: skip


def film(chain: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    step: dict[str, Any] = {
        "name": "film",
        "pipeline": {
            "configuration": {"component_type": "LTXImageToVideoPipeline"},
            "from_pretrained_arguments": {"model_name": "./model", "torch_dtype": "torch.float32"},
            "arguments": arguments(**more),
        },
        "result": {"content_type": "video/mp4"},
    }
    if chain is not None:
        step["pipeline"]["chain"] = chain
    return step


def run(worker: Any, work: dict[str, Any], folder: Path, **fields: Any) -> RunEnded:
    ended: RunEnded = worker.run(work, folder, **fields)
    assert ended.outcome == "succeeded", ended.error
    return ended


def frames_of(path: str | None) -> list[Image.Image]:
    return decode_video(Path(str(path)).read_bytes(), "a film")


def denoised(worker: Any) -> int:
    """How many segments of the run were really made."""
    told = worker.heard(StepProgress)
    return len({each.iteration for each in told if each.phase == "denoising"})


def understood(work: dict[str, Any]) -> ResolvedWorkflow:
    return resolve(parse(json.dumps(work)).root, {})


def test_segments_are_joined_and_each_is_remembered(worker: Any, make: Any, folder: Path) -> None:
    two = run(worker, make.workflow(film({"segments": 2, "fps": 12}), seed=3), folder)
    assert len(frames_of(two.results[0].path)) == 2 * FRAMES - 1
    assert denoised(worker) == 2 and two.results[0].seed == 3
    told = [each for each in worker.heard(StepProgress) if each.phase == "denoising"]
    assert {(each.iteration, each.iteration_count) for each in told} == {(0, 2), (1, 2)}
    three = run(worker, make.workflow(film({"segments": 3, "fps": 12}), seed=3), folder)
    assert len(frames_of(three.results[0].path)) == 3 * FRAMES - 2 and denoised(worker) == 1
    # A segment that is not trimmed is the same segment.
    loose = run(worker, make.workflow(film({"segments": 3, "trim_frames": 0}), seed=3), folder)
    assert len(frames_of(loose.results[0].path)) == 3 * FRAMES and denoised(worker) == 0
    again = run(worker, make.workflow(film({"segments": 3, "fps": 12}), seed=3), folder)
    assert [step.outcome for step in again.steps] == ["reused"]
    assert Path(str(again.results[0].path)).read_bytes() == Path(str(three.results[0].path)).read_bytes()


def test_a_segment_goes_on_from_the_last_frame(worker: Any, make: Any, folder: Path) -> None:
    chained = make.workflow(
        film({"segments": 2, "trim_frames": 0, "prompts": ["one", "two"]}, output_type="np"),
        make.task("end", "get_frame", "image/png", video="previous_result:film", frame_index=2 * FRAMES - 1),
        seed=3,
    )
    by_hand = make.workflow(
        film(None, prompt="one"),
        make.task("last", "get_last_frame", "image/png", video="previous_result:film"),
        {
            "name": "second",
            "seed": segment_seed(3, 1, 2**64),
            "pipeline_reference": {"reference_name": "film", "arguments": arguments(image="previous_result:last")},
        },
        make.task("end", "get_last_frame", "image/png", video="previous_result:second"),
    )
    by_hand["seed"] = 3
    by_hand["steps"][2]["pipeline_reference"]["arguments"]["prompt"] = "two"
    pictures = []
    for work in (chained, by_hand):
        ended = run(worker, work, folder)
        (end,) = [each for each in ended.results if each.step == "end"]
        with Image.open(str(end.path)) as image:
            pictures.append(image.tobytes())
    assert pictures[0] == pictures[1]


def test_a_cancelled_chain_goes_on_where_it_stopped(worker: Any, make: Any, folder: Path) -> None:
    work = make.workflow(film({"segments": 5, "fps": 12, "save_segments": True}), seed=5)
    run_id = worker.begin(work, folder)
    worker.wait_for(StepProgress, lambda told: told.iteration == 2 and told.phase == "denoising")
    worker.cancel(run_id)
    assert worker.wait_for(RunEnded).outcome == "cancelled"
    (broken,) = folder.glob("outputs/test/*")
    assert len(list(broken.glob("test-film.0.segment-*.mp4"))) >= 2
    ended = run(worker, work, folder)
    assert denoised(worker) <= 3
    written = Path(str(ended.results[0].path))
    assert len(frames_of(str(written))) == 5 * FRAMES - 4 and not list(written.parent.glob("*segment*"))


def test_a_plan_says_what_a_chain_would_do(worker: Any, make: Any, folder: Path) -> None:
    chain = {"segments": 2, "fps": 12, "save_segments": True, "keep_segments": True, "prompts": ["previous_result:a"]}
    kept = {f"test-{name}.0.segment-00{number}.mp4" for name in ("film", "b") for number in (1, 2)}
    words = make.task("a", "compose_text", parts=["a", "ship"])
    referring = {
        "name": "b",
        "pipeline_reference": {"reference_name": "film", "arguments": arguments(num_inference_steps=1), "chain": chain},
    }
    work = make.workflow(words, film(chain), referring, seed=3)
    outputs = folder / "outputs"
    told = plan(understood(work), folder, {}, outputs, None, StepStore(outputs), 3)
    assert [step.outcome for step in told.steps] == ["run"] * 3
    run(worker, work, folder)
    (made,) = outputs.glob("test/*")
    files = {path.name for path in made.iterdir()} - {"manifest.json"}
    assert {Path(path).name for path in told.writes} == files
    assert files == {"test-film.1-0.0.mp4", *kept}
    after = plan(understood(work), folder, {}, outputs, None, StepStore(outputs), 3)
    assert [step.outcome for step in after.steps] == ["reuse"] * 3 and len(after.writes) == 1
    longer = make.workflow(words, film({**chain, "segments": 3}), seed=3)
    assert plan(understood(longer), folder, {}, outputs, None, StepStore(outputs), 3).steps[1].outcome == "run"


def test_the_end_of_a_segment_goes_on_as_a_film(worker: Any, make: Any, folder: Path) -> None:
    step = film({"segments": 2, "continuity": "last_segment", "segment_argument": "video", "carry_frames": 9})
    step["pipeline"]["configuration"]["component_type"] = "LTXConditionPipeline"
    step["pipeline"]["arguments"].update(image_cond_noise_scale=0.0)
    ended = run(worker, make.workflow(step, seed=3), folder)
    assert len(frames_of(ended.results[0].path)) == 2 * FRAMES - 1


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "no length": ({}, "either `segments` or `match_audio: true`"),
    "zero": ({"segments": 0}, "`segments` should be a whole number from 1"),
    "too many": ({"segments": 2000}, "2000 segments are too many"),
    "guide": ({"segments": 2, "continuity": "guide"}, "`continuity` is last_frame or last_segment"),
    "guided": ({"segments": 2, "guide_frames": 22}, "`guide_frames` of a chain is not carried out"),
    "carried": ({"segments": 2, "carry_frames": 2}, "is for the continuity last_segment"),
    "trim": ({"segments": 2, "trim_frames": 9}, "of segments of 9 frames, 9 cannot be left out"),
    "rate": ({"segments": 2, "save_segments": True, "fps": 0}, "only if `fps` says how fast"),
    "grid": ({"segments": 2, "frame_snap": {"modulus": 8, "remainder": 0}}, "which `frame_snap` does not allow"),
    "prompts": ({"segments": 2, "prompts": []}, "should be a list of texts"),
    "argument": ({"segments": 2, "segment_argument": "picture"}, "has no argument 'picture'"),
    "flag": ({"segments": 2, "keep_segments": "yes"}, "is true or false"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_no_chain_is_refused_before_anything_runs(case: str, worker: Any, make: Any, folder: Path) -> None:
    chain, message = REFUSALS[case]
    ended = worker.run(make.workflow(film(chain), seed=3), folder)
    assert ended.outcome == "failed" and message in ended.error.message
    assert ended.error.step == "film" and ended.error.start is not None and not worker.heard(StepProgress)


def test_segments_that_are_no_videos_say_so(worker: Any, make: Any, folder: Path) -> None:
    step = make.drawing(1)
    step["pipeline"]["configuration"]["component_type"] = "StableDiffusionImg2ImgPipeline"
    step["pipeline"]["arguments"].update(image="red.png", strength=1.0)
    step["pipeline"]["chain"] = {"segments": 2}
    ended = worker.run(make.workflow(step, seed=3), folder)
    assert "segment 1 should be one video; the pipeline gave image" in ended.error.message


def test_segments_have_seeds_of_their_own() -> None:
    seeds = {segment_seed(7 + index, segment, 2**64) for index in range(10) for segment in range(10)}
    assert len(seeds) == 100 and segment_seed(7, 0, 2**64) == 7 and segment_seed(None, 2, 2**64) is None


def test_lengths_are_brought_to_what_the_model_makes(make: Any) -> None:
    (step,) = understood(make.workflow(film({"segments": 2, "frame_snap": {"modulus": 8, "remainder": 1}}))).steps
    chain = chain_of(step)
    assert chain is not None and [chain.snapped(each) for each in (1, 2, 9, 10)] == [1, 9, 9, 17]
