"""Steps that are remembered: what is not run again, what is, and what a store that has been tampered with costs."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dw_lsp.planning.plan import plan, run_seed
from dw_lsp.planning.step_store import StepStore
from dw_lsp.protocol import Ready, ResultsWritten, RunBegan, RunEnded, StepEnded, StepProgress
from dw_lsp.text.parser import parse
from dw_lsp.workflow.identity import content_digest
from dw_lsp.workflow.substitution import resolve


def outcomes(ended: RunEnded) -> list[str]:
    assert ended.outcome == "succeeded", ended.error
    return [step.outcome for step in ended.steps]


def digests(ended: RunEnded) -> list[str]:
    return [hashlib.sha256(Path(result.path).read_bytes()).hexdigest() for result in ended.results if result.path]


def planned(work: dict[str, Any], folder: Path, reuse_unseeded: bool = False) -> list[str]:
    workflow, store = resolve(parse(json.dumps(work)).root, {}), StepStore(folder / "outputs")
    seed = run_seed(workflow, None, store, reuse_unseeded)
    return [step.outcome for step in plan(workflow, folder, {}, folder / "outputs", None, store, seed).steps]


def objects(folder: Path) -> list[Path]:
    return [path for path in (folder / "outputs" / ".dw-lsp" / "steps" / "objects").rglob("*") if path.is_file()]


# ---------------------------------------------------------------- taken from the store


def test_an_unchanged_seeded_workflow_runs_nothing_and_writes_the_same_files(
    worker: Any, make: Any, tmp_path: Path
) -> None:
    work = make.workflow(
        make.drawing(2),
        make.task("small", "resize_rescale", "image/png", image="previous_result:draw", width=32, height=32),
        seed=7,
    )  # fmt: skip
    first, second = worker.run(work, tmp_path), worker.run(work, tmp_path)
    assert outcomes(first) == ["ran", "ran"] and outcomes(second) == ["reused", "reused"]
    assert digests(first) == digests(second) and len(digests(first)) == 2
    assert not {result.path for result in first.results} & {result.path for result in second.results}
    assert (second.loaded, second.reused) == ((), ())
    assert [message.outcome for message in worker.heard(StepEnded)] == ["reused", "reused"]
    assert not [message for message in worker.heard(StepProgress) if message.phase != "saving"]


def test_the_store_outlives_the_worker(
    worker: Any, start_worker: Callable[..., Any], make: Any, tmp_path: Path
) -> None:
    work = make.workflow(make.drawing(2), seed=7)
    first = worker.run(work, tmp_path)
    other = start_worker()
    other.wait_for(Ready)
    again = other.run(work, tmp_path)
    assert outcomes(again) == ["reused"] and digests(again) == digests(first)


def test_names_comments_and_the_order_of_keys_do_not_count(worker: Any, make: Any, tmp_path: Path) -> None:
    step = make.drawing(2, negative_prompt="blurred")
    worker.run(make.workflow(step, seed=7, variables={"unused": 1}), tmp_path)
    step["pipeline"] = {key: step["pipeline"][key] for key in reversed(step["pipeline"])}
    step["pipeline"]["arguments"] = dict(reversed(step["pipeline"]["arguments"].items()))
    text = "// A comment.\n" + json.dumps(make.workflow({**step, "name": "renamed"}, seed=7), indent=8)
    ended = worker.run(text, tmp_path)
    assert outcomes(ended) == ["reused"]
    assert "renamed" in Path(str(ended.results[0].path)).name


def test_the_same_step_in_another_file_and_place_is_remembered(worker: Any, make: Any, tmp_path: Path) -> None:
    worker.run(make.workflow(make.drawing(2), seed=7), tmp_path)
    before = make.task("words", "compose_text", parts=["a", "b"])
    ended = worker.run(make.workflow(before, make.drawing(2, name="other"), seed=7, id="another"), tmp_path)
    assert outcomes(ended) == ["ran", "reused"]


def test_another_format_only_saves_anew(worker: Any, make: Any, tmp_path: Path) -> None:
    step = make.drawing(2)
    work = make.workflow(step, seed=7)
    first = worker.run(work, tmp_path)
    for result in ({"content_type": "image/jpeg"}, {"content_type": "image/webp", "file_base_name": "named"}):
        step["result"] = result
        ended = worker.run(work, tmp_path)
        assert outcomes(ended) == ["reused"]
        with Image.open(str(ended.results[0].path)) as written:
            assert written.size == (64, 64)
    step["result"] = {"content_type": "image/png"}
    assert digests(worker.run(work, tmp_path)) == digests(first)


def test_what_was_not_saved_at_first_is_saved_later_without_a_run(worker: Any, make: Any, tmp_path: Path) -> None:
    step = make.drawing(2)
    saved = worker.run(make.workflow(step, seed=7), tmp_path, output_directory=str(tmp_path / "others"))
    result = step.pop("result")
    worker.run(make.workflow(step, seed=7), tmp_path)
    ended = worker.run(make.workflow({**step, "result": result}, seed=7), tmp_path)
    assert outcomes(ended) == ["reused"] and digests(ended) == digests(saved)


# ---------------------------------------------------------------- run again


@pytest.mark.parametrize(
    "change",
    [{"prompt": "a green star"}, {"num_inference_steps": 3}, {"guidance_scale": 1.5}, {"negative_prompt": "blue"}],
)
def test_another_argument_runs_that_step_and_those_that_depend_on_it(
    change: dict[str, Any], worker: Any, make: Any, tmp_path: Path
) -> None:
    def work(**arguments: Any) -> dict[str, Any]:
        small = make.task("small", "resize_rescale", image="previous_result:draw", width=32, height=32)
        return make.workflow(make.drawing(2, name="other"), make.drawing(2, **arguments), small, seed=7)

    worker.run(work(prompt="a blue star"), tmp_path)
    ended = worker.run(work(**{"prompt": "a blue star", **change}), tmp_path)
    assert outcomes(ended) == ["reused", "ran", "ran"]


def test_an_earlier_step_that_gives_the_same_again_stops_what_follows_from_it(
    worker: Any, make: Any, tmp_path: Path
) -> None:
    def work(parts: list[str]) -> dict[str, Any]:
        words = make.task("words", "compose_text", parts=parts, separator="")
        return make.workflow(words, make.drawing(2, prompt="previous_result:words"), seed=7)

    worker.run(work(["a red", " circle"]), tmp_path)
    assert outcomes(worker.run(work(["a ", "red circle"]), tmp_path)) == ["ran", "reused"]


def test_a_file_counts_by_what_is_in_it(worker: Any, make: Any, tmp_path: Path) -> None:
    work = make.workflow(make.task("crop", "crop_square", image="in.png"))
    Image.new("RGB", (8, 4), "red").save(tmp_path / "in.png")
    worker.run(work, tmp_path)
    Image.new("RGB", (8, 4), "red").save(tmp_path / "copy.png")
    same = make.workflow(make.task("crop", "crop_square", image={"location": "copy.png", "media_type": "image"}))
    assert outcomes(worker.run(same, tmp_path)) == ["reused"]
    Image.new("RGB", (8, 4), "blue").save(tmp_path / "in.png")
    assert outcomes(worker.run(work, tmp_path)) == ["ran"]


def test_a_file_is_what_it_is_read_as(worker: Any, make: Any, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), (60 * number, 0, 0)) for number in range(4)]
    frames[0].save(tmp_path / "in.gif", save_all=True, append_images=frames[1:])

    def work(read_as: str, content_type: str) -> dict[str, Any]:
        held = {"a": {"location": "in.gif", "media_type": read_as}}
        return make.workflow(make.task("member", "get_dict_value", content_type, dict=held, key="a"))

    assert outcomes(worker.run(work("image", "image/png"), tmp_path)) == ["ran"]
    assert outcomes(worker.run(work("video", "video/mp4"), tmp_path)) == ["ran"]
    assert planned(work("image", "image/png"), tmp_path) == ["reuse"]


@pytest.mark.skipif(sys.platform == "win32", reason="a file's time of change is that of its making there")
def test_a_file_that_was_changed_in_place_counts_as_another(worker: Any, make: Any, tmp_path: Path) -> None:
    work = make.workflow(make.task("crop", "crop_square", image="in.bmp"))
    Image.new("RGB", (8, 4), "red").save(tmp_path / "in.bmp")
    worker.run(work, tmp_path)
    before = os.stat(tmp_path / "in.bmp")
    Image.new("RGB", (8, 4), "blue").save(tmp_path / "in.bmp")
    os.utime(tmp_path / "in.bmp", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert outcomes(worker.run(work, tmp_path)) == ["ran"]


def test_a_new_file_of_a_pattern_runs_the_step_again(worker: Any, make: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    work = make.workflow(make.task("files", "gather_images", glob="in/*.png"))
    Image.new("RGB", (8, 4), "red").save(tmp_path / "in" / "1.png")
    assert outcomes(worker.run(work, tmp_path)) == ["ran"]
    assert outcomes(worker.run(work, tmp_path)) == ["reused"]
    Image.new("RGB", (8, 4), "blue").save(tmp_path / "in" / "2.png")
    assert outcomes(worker.run(work, tmp_path)) == ["ran"]


def test_iterations_are_remembered_singly(worker: Any, make: Any, tmp_path: Path) -> None:
    def work(*colours: str) -> dict[str, Any]:
        words = make.task("words", "gather_inputs")
        words["task"] = {"command": "gather_inputs", "inputs": list(colours)}
        return make.workflow(words, make.drawing(2, prompt="previous_result:words"), seed=7)

    first = worker.run(work("red", "green"), tmp_path)
    ended = worker.run(work("red", "green", "blue"), tmp_path)
    assert outcomes(ended) == ["ran", "ran"]
    assert digests(ended)[:2] != digests(first)  # The pictures tell of the whole workflow ...
    with Image.open(first.results[1].path) as one, Image.open(ended.results[1].path) as other:
        assert one.tobytes() == other.tobytes()  # ... and show the same.
    denoised = [message for message in worker.heard(StepProgress) if message.phase == "denoising"]
    assert {message.iteration for message in denoised} == {2}


def test_a_step_that_shares_a_component_need_not_run_for_one_that_takes_it(
    worker: Any, make: Any, tmp_path: Path
) -> None:
    first, second = make.drawing(2), make.drawing(2, name="again")
    first["pipeline"]["configuration"]["shared_components"] = ["vae"]
    second["pipeline"]["configuration"]["reused_components"] = ["vae"]
    worker.run(make.workflow(first, second, seed=1), tmp_path)
    second["pipeline"]["arguments"]["prompt"] = "a star"
    ended = worker.run(make.workflow(first, second, seed=1), tmp_path)
    assert outcomes(ended) == ["reused", "ran"]
    assert sum(part.name == "vae" for part in (*ended.loaded, *ended.reused)) == 1


def test_a_reference_is_remembered_without_its_pipeline(worker: Any, make: Any, tmp_path: Path) -> None:
    def work(prompt: str) -> dict[str, Any]:
        again = {"name": "again", "pipeline_reference": {"reference_name": "draw", "arguments": {"prompt": prompt}}}
        return make.workflow(make.drawing(2), again, seed=1)

    worker.run(work("a star"), tmp_path)
    assert outcomes(worker.run(work("a star"), tmp_path)) == ["reused", "reused"]
    assert outcomes(worker.run(work("a moon"), tmp_path)) == ["reused", "ran"]


def test_a_called_workflow_is_remembered_step_by_step(worker: Any, make: Any, tmp_path: Path) -> None:
    child = make.workflow(
        make.drawing(2, prompt="variable:what"), make.task("crop", "crop_square", image="previous_result:draw"),
        id="child", variables={"what": "a star"},
    )  # fmt: skip
    (tmp_path / "child.dw.json").write_text(json.dumps(child))

    def work(what: str) -> dict[str, Any]:
        call = {"name": "call", "workflow": {"path": "child.dw.json", "arguments": {"what": what}}}
        return make.workflow(call, make.task("size", "get_image_size", image="previous_result:call"), seed=3)

    worker.run(work("a star"), tmp_path)
    assert outcomes(worker.run(work("a star"), tmp_path)) == ["reused", "reused"]
    assert planned(work("a star"), tmp_path) == ["reuse", "reuse"]
    assert outcomes(worker.run(work("a moon"), tmp_path))[0] == "ran"
    assert planned(work("the sun"), tmp_path)[0] == "run"


# ---------------------------------------------------------------- seeds


def test_without_a_seed_a_step_is_drawn_again_and_its_seed_told(worker: Any, make: Any, tmp_path: Path) -> None:
    work = make.workflow(make.drawing(2))
    first, second = worker.run(work, tmp_path), worker.run(work, tmp_path)
    assert outcomes(second) == ["ran"] and first.seed != second.seed
    assert first.results[0].seed == first.seed
    repeated = worker.run(work, tmp_path, seed=first.seed)
    assert outcomes(repeated) == ["reused"] and digests(repeated) == digests(first)


def test_a_setting_takes_results_without_a_seed_again(worker: Any, make: Any, tmp_path: Path) -> None:
    work = make.workflow(make.drawing(2))
    first = worker.run(work, tmp_path)
    assert planned(work, tmp_path) == ["run"] and planned(work, tmp_path, reuse_unseeded=True) == ["reuse"]
    second = worker.run(work, tmp_path, options=make.options(reuse_unseeded=True))
    assert outcomes(second) == ["reused"] and second.seed == first.seed


def test_a_run_that_failed_goes_on_with_the_seed_that_it_drew(worker: Any, make: Any, tmp_path: Path) -> None:
    work = make.workflow(make.drawing(2), make.task("use", "get_dict_value", dict={"a": 1}, key="b"), id="broken")
    failed = worker.run(work, tmp_path)
    assert failed.outcome == "failed" and failed.seed is not None
    (began,) = worker.heard(RunBegan)
    assert began.seed == failed.seed
    assert planned(work, tmp_path) == ["reuse", "run"]
    again = worker.run(work, tmp_path)
    assert again.seed == failed.seed and [step.outcome for step in again.steps] == ["reused", "failed"]
    work["steps"][0]["pipeline"]["configuration"]["vae"] = {"enable_slicing": True}
    assert worker.run(work, tmp_path).seed == failed.seed
    work["steps"][1]["task"]["arguments"]["key"] = "a"
    mended = worker.run(work, tmp_path)
    assert mended.seed != failed.seed and outcomes(mended) == ["ran", "ran"]
    assert worker.run(work, tmp_path).seed != mended.seed


def test_calls_without_a_generator_are_never_remembered(worker: Any, make: Any, tmp_path: Path) -> None:
    step = make.drawing(2)
    step["pipeline"]["configuration"]["no_generator"] = True
    work = make.workflow(step, seed=7)
    worker.run(work, tmp_path)
    assert planned(work, tmp_path) == ["run"]
    assert outcomes(worker.run(work, tmp_path)) == ["ran"]


# ---------------------------------------------------------------- the plan


def test_the_plan_says_what_the_run_then_does(worker: Any, make: Any, tmp_path: Path) -> None:
    def work(prompt: str) -> dict[str, Any]:
        crop = make.task("crop", "crop_square", image="previous_result:draw")
        return make.workflow(make.drawing(2, prompt=prompt), crop, make.drawing(2, name="other"), seed=7)

    assert planned(work("a star"), tmp_path) == ["run", "run", "run"]
    worker.run(work("a star"), tmp_path)
    for prompt in ("a star", "a moon"):
        expected = planned(work(prompt), tmp_path)
        ended = worker.run(work(prompt), tmp_path)
        assert [{"reuse": "reused", "run": "ran"}[outcome] for outcome in expected] == outcomes(ended)


# ---------------------------------------------------------------- damage


def damage_objects(folder: Path) -> None:
    for path in objects(folder):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


def damage_secretly(folder: Path) -> None:
    before = {path: path.stat() for path in objects(folder)}
    damage_objects(folder)
    for path, status in before.items():
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def lie_in_entries(folder: Path) -> None:
    """Entries that are whole and of the right form, but cannot be true."""
    for path in (folder / "outputs" / ".dw-lsp" / "steps" / "entries").rglob("*.json"):
        text = path.read_text().partition("\n")[2].replace('"notes":{}', '"notes":{"a":{"bytes":5}}')
        path.with_suffix(".lie").write_text(f"{content_digest(text)}\n{text}")
        path.with_suffix(".lie").replace(path)


def lose_objects(folder: Path) -> None:
    for path in objects(folder):
        path.unlink()


def damage_entries(folder: Path) -> None:
    for path in (folder / "outputs" / ".dw-lsp" / "steps" / "entries").rglob("*.json"):
        torn = path.with_suffix(".torn")
        torn.write_bytes(path.read_bytes()[:-5])
        torn.replace(path)


@pytest.mark.parametrize("damage", [damage_objects, damage_secretly, lose_objects, damage_entries])
def test_what_is_damaged_is_made_anew(damage: Callable[[Path], None], worker: Any, make: Any, tmp_path: Path) -> None:
    work = make.workflow(make.drawing(2), seed=7)
    first = worker.run(work, tmp_path)
    assert objects(tmp_path)
    damage(tmp_path)
    second = worker.run(work, tmp_path)
    assert outcomes(second) == ["ran"] and digests(second) == digests(first)
    assert outcomes(worker.run(work, tmp_path)) == ["reused"]


@pytest.mark.parametrize("damage", [damage_secretly, lie_in_entries])
def test_what_is_found_lost_when_it_is_needed_is_made_anew(
    damage: Callable[[Path], None], worker: Any, make: Any, tmp_path: Path
) -> None:
    crop = make.task("crop", "crop_square", image="in.png")
    first = make.task("words", "compose_text", "text/plain", parts=["a"])
    Image.new("RGB", (12, 9), "red").save(tmp_path / "in.png")
    worker.run(make.workflow(first, crop), tmp_path)
    damage(tmp_path)
    small = make.task("small", "resize_rescale", "image/png", image="previous_result:crop", width=5, height=5)
    ended = worker.run(make.workflow(first, crop, small), tmp_path)
    assert outcomes(ended) == ["reused", "ran", "ran"]
    paths = [Path(str(result.path)) for result in ended.results]
    assert {path.name for path in paths[0].parent.iterdir()} == {"manifest.json", *(path.name for path in paths)}
    assert [path.name for path in paths] == ["test-words.0-0.0.txt", "test-small.2-0.0.png"]


def test_results_that_cannot_be_remembered_cost_a_warning_only(worker: Any, make: Any, tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "outputs" / ".dw-lsp").symlink_to(tmp_path / "elsewhere")
    ended = worker.run(make.workflow(make.drawing(2), seed=7), tmp_path)
    assert outcomes(ended) == ["ran"]
    assert not list((tmp_path / "elsewhere").rglob("*.json"))


def test_what_was_done_before_a_failure_is_kept(worker: Any, make: Any, tmp_path: Path) -> None:
    bad = make.task("bad", "get_dict_value", dict={"a": 1}, key="b")
    failed = worker.run(make.workflow(make.drawing(2), bad, seed=7), tmp_path)
    assert failed.outcome == "failed"
    assert outcomes(worker.run(make.workflow(make.drawing(2), seed=7), tmp_path)) == ["reused"]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize("seed", [{"seed": 3}, {}])
def test_a_sweep_goes_on_where_its_worker_was_killed(
    seed: dict[str, int], worker: Any, start_worker: Any, make: Any, tmp_path: Path
) -> None:
    for number in range(6):
        Image.new("RGB", (64, 64), (40 * number, 0, 0)).save(tmp_path / f"{number}.png")
    paths = [f"{number}.png" for number in range(6)]
    sweep = make.drawing(
        8, class_name="StableDiffusionImg2ImgPipeline", image="previous_result:pictures", strength=0.9
    )  # fmt: skip
    work = make.workflow(make.task("pictures", "gather_images", urls=paths), sweep, **seed)
    dying = start_worker()
    dying.wait_for(Ready)
    dying.begin(work, tmp_path)
    dying.wait_for(StepProgress, lambda told: told.iteration == 3 and told.phase == "denoising" and told.current)
    os.kill(dying.process.pid, signal.SIGKILL)
    dying.process.wait(10)
    resumed = worker.run(work, tmp_path)
    denoised = {told.iteration for told in worker.heard(StepProgress) if told.phase == "denoising"}
    assert resumed.outcome == "succeeded" and denoised == {3, 4, 5}
    assert len([result for told in dying.heard(ResultsWritten) for result in told.results]) == 3
    whole = worker.run(work, tmp_path, output_directory=str(tmp_path / "whole"), seed=resumed.seed)
    assert [Path(each.path).read_bytes() for each in resumed.results] == [
        Path(each.path).read_bytes() for each in whole.results
    ]
