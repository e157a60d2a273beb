"""Tasks that compute with models: loaded once, kept by content like a pipeline's, watched, remembered, let go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dw_lsp.planning.plan import plan
from dw_lsp.planning.step_store import StepStore
from dw_lsp.protocol import Evict, MemoryReported, Ready, RunEnded, StepProgress
from dw_lsp.text.parser import parse
from dw_lsp.workflow.substitution import resolve
from tests.worker.engine.tiny_models import tokenizer, write_captioner, write_depth, write_seer, write_speaker


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_speaker(folder / "speaker")
    write_seer(folder / "seer")
    write_captioner(folder / "captioner")
    write_depth(folder / "depth")
    write_depth(folder / "mute")
    tokenizer(None).save_pretrained(folder / "mute")
    return folder


@pytest.fixture
def run(worker: Any, make: Any, models: Path, tmp_path: Path) -> Any:
    def start(work: dict[str, Any], folder: Path = tmp_path, **fields: Any) -> RunEnded:
        roots = (str(folder), str(models), str(tmp_path), str(make.model))
        ended: RunEnded = worker.run(work, folder, roots=roots, **fields)
        return ended

    return start


def saying(make: Any, models: Path, name: str = "say", **arguments: Any) -> dict[str, Any]:
    given = {"prompt": "a red cat", "model_name": str(models / "speaker"), "max_new_tokens": 8, "do_sample": True}
    step: dict[str, Any] = make.task(name, "text_generation", "text/plain", **{**given, **arguments})
    return step


def picture(folder: Path) -> str:
    file = folder / "half.png"
    image = Image.new("RGB", (48, 32), "black")
    image.paste("white", (0, 0, 24, 32))
    image.save(file)
    return str(file)


def names(components: Any) -> list[str]:
    return sorted(part.name for part in components)


def text_of(ended: RunEnded, index: int = 0) -> str:
    assert ended.outcome == "succeeded", ended.error
    path = ended.results[index].path
    assert path is not None
    return Path(path).read_text(encoding="utf-8")


def test_a_model_is_loaded_once_for_all_that_it_is_asked(run: Any, make: Any, models: Path) -> None:
    work = make.workflow(saying(make, models), saying(make, models, "more", prompt="the blue dog"), seed=1)
    ended = run(work)
    assert text_of(ended) and names(ended.loaded) == ["language_model", "language_processor"]
    again = run(make.workflow(saying(make, models, prompt="a tree"), seed=1))
    assert text_of(again) and again.loaded == () and names(again.reused) == ["language_model", "language_processor"]
    [model] = [part for part in again.memory.components if part.name == "language_model"]
    assert model.class_name == "LlamaForCausalLM" and model.bytes > 50_000


def test_an_answer_is_drawn_by_the_seed_and_remembered_with_it(
    run: Any, make: Any, models: Path, tmp_path: Path
) -> None:
    work = make.workflow(saying(make, models), seed=5)
    first, again = run(work), run(work)
    assert [step.outcome for step in again.steps] == ["reused"] and text_of(again) == text_of(first)
    (tmp_path / "other").mkdir()
    anew = run(work, tmp_path / "other")
    assert [step.outcome for step in anew.steps] == ["ran"] and text_of(anew) == text_of(first)
    others = {text_of(run(make.workflow(saying(make, models), seed=seed))) for seed in range(6, 10)}
    assert others - {text_of(first)}


def test_tokens_are_counted_and_a_cancel_stops_between_two(worker: Any, run: Any, make: Any, models: Path) -> None:
    long = saying(make, models, max_new_tokens=4000, generate_kwargs={"min_new_tokens": 4000})
    folder = models.parent
    run_id = worker.begin(make.workflow(long, seed=3), folder, roots=(str(folder), str(models)))
    told = worker.wait_for(StepProgress, lambda each: each.unit == "token" and each.current >= 3)
    assert (told.phase, told.total) == ("task", 4000)
    worker.cancel(run_id)
    ended = worker.wait_for(RunEnded)
    assert (ended.outcome, ended.steps[0].outcome) == ("cancelled", "notRun")
    counted = [each.current for each in worker.heard(StepProgress) if each.unit == "token"]
    assert counted == sorted(counted) and counted[-1] < 3000
    assert text_of(run(make.workflow(saying(make, models), seed=3)))


def test_release_models_forgets_what_tasks_have_loaded(run: Any, make: Any, models: Path, tmp_path: Path) -> None:
    work = make.workflow({**saying(make, models), "release_models": True}, make.drawing(1), seed=11)
    ended = run(work)
    assert text_of(ended) and "language_model" not in names(ended.memory.components)
    assert "unet" in names(ended.memory.components)
    (tmp_path / "again").mkdir()
    assert "language_model" in names(run(work, tmp_path / "again").loaded)


def test_release_models_at_a_pipeline_forgets_that_as_well(run: Any, make: Any, models: Path) -> None:
    ended = run(make.workflow(make.drawing(1), {**make.drawing(1, "more"), "release_models": True}, seed=12))
    used = {part.key for part in (*ended.loaded, *ended.reused)}
    assert ended.outcome == "succeeded" and used.isdisjoint(part.key for part in ended.memory.components)


def test_one_of_them_can_be_evicted(worker: Any, run: Any, make: Any, models: Path) -> None:
    ended = run(make.workflow(saying(make, models), seed=21))
    [key] = [part.key for part in ended.memory.components if part.name == "language_model"]
    worker.send(Evict(3, key))
    report = worker.wait_for(MemoryReported, lambda each: each.request_id == 3).report
    assert "language_model" not in names(report.components)


def test_they_leave_when_room_is_wanted(run: Any, make: Any, models: Path) -> None:
    run(make.workflow(saying(make, models), seed=22))
    options = make.options(memory_budget="6MB")
    ended = run(make.workflow(make.drawing(1), seed=22), options=options)
    assert ended.outcome == "succeeded" and "language_model" not in names(ended.memory.components)


def test_the_plan_names_what_the_run_loads(run: Any, make: Any, models: Path, tmp_path: Path) -> None:
    work = make.workflow({**saying(make, models), "release_models": True}, seed=31)
    workflow = resolve(parse(json.dumps(work)).root, {})
    store = StepStore(tmp_path / "outputs")
    before = plan(workflow, tmp_path, {}, tmp_path / "outputs", None, store, 31)
    ended = run(work)
    assert {part.key for part in before.components} == {part.key for part in (*ended.loaded, *ended.reused)}
    sizes = {part.key: part.bytes for part in before.components}
    # What is not in the files, such as the angles of the positions, is computed when it is loaded.
    assert all(0 <= part.bytes - (sizes[part.key] or 0) < 1024 for part in ended.loaded)
    assert before.estimate.device_bytes and before.estimate.disk_bytes
    after = plan(workflow, tmp_path, {}, tmp_path / "outputs", None, StepStore(tmp_path / "outputs"), 31)
    assert [step.outcome for step in after.steps] == ["reuse"] and after.components == ()
    unseeded = plan(workflow, tmp_path, {}, tmp_path / "outputs", None, StepStore(tmp_path / "outputs"), None)
    assert [step.outcome for step in unseeded.steps] == ["run"]


@pytest.mark.parametrize("model", ["seer", "captioner"])
def test_a_picture_is_described(run: Any, make: Any, models: Path, tmp_path: Path, model: str) -> None:
    given = {"image": picture(tmp_path), "model_name": str(models / model), "max_new_tokens": 6}
    ended = run(make.workflow(make.task("see", "image_to_text", "text/plain", **given), seed=1))
    assert text_of(ended) and "language_processor" in names((*ended.loaded, *ended.reused))


def test_a_question_about_a_picture_shares_the_model_that_describes(
    run: Any, make: Any, models: Path, tmp_path: Path
) -> None:
    given = {"image": picture(tmp_path), "model_name": str(models / "seer"), "max_new_tokens": 6}
    see = make.task("see", "image_to_text", "text/plain", **given)
    ask = make.task("ask", "text_generation", "text/plain", prompt="a circle on the sky", **given)
    ended = run(make.workflow(see, ask, seed=41))
    assert text_of(ended, 1) and [step.load_seconds for step in ended.steps][1] == 0


def test_depth_comes_from_the_models_of_the_cache(start_worker: Any, make: Any, models: Path, tmp_path: Path) -> None:
    for name in ("dpt-large", "dpt-hybrid-midas", "zoedepth-nyu-kitti"):
        home = tmp_path / "hub" / f"models--Intel--{name}"
        write_depth(home / "snapshots" / "abc")
        (home / "refs").mkdir()
        (home / "refs" / "main").write_text("abc", encoding="utf-8")
    worker = start_worker(HF_HUB_CACHE=str(tmp_path / "hub"))
    worker.wait_for(Ready)
    image = picture(tmp_path)
    steps = [
        make.task("far", "depth_estimator", "image/png", image=image),
        make.task("sized", "depth", "image/png", image=image, width=40, height=24),
        make.task("metres", "zoe_depth", "image/png", image=image),
        make.task("hint", "depth_estimator_tensor", image=image),
    ]
    ended = worker.run(make.workflow(*steps), tmp_path)
    assert ended.outcome == "succeeded", ended.error
    shown = [Image.open(result.path) for result in ended.results if result.path]
    assert [(each.mode, each.size) for each in shown] == [("RGB", (48, 32)), ("RGB", (40, 24)), ("RGB", (48, 32))]
    assert all(each.getextrema()[0] == (0, 255) for each in shown)
    again = worker.run(make.workflow(*steps), tmp_path)
    assert [step.outcome for step in again.steps] == ["reused"] * 4


# ---------------------------------------------------------------- what cannot be


def test_a_model_that_is_nowhere_is_told_at_its_name(run: Any, make: Any, models: Path) -> None:
    ended = run(make.workflow(saying(make, models, model_name="./none")))
    assert ended.outcome == "failed" and "'./none' does not exist" in ended.error.message
    ended = run(make.workflow(saying(make, models, model_name="nobody/nothing")))
    assert ended.outcome == "failed" and "nobody/nothing" in ended.error.message


def test_a_name_that_is_known_only_later_is_refused(run: Any, make: Any, models: Path) -> None:
    name = make.task("name", "compose_text", parts=["./", "speaker"])
    ended = run(make.workflow(name, saying(make, models, model_name="previous_result:name")))
    assert ended.outcome == "failed" and "known before the run begins" in ended.error.message


def test_a_model_outside_the_workspace_is_refused(worker: Any, make: Any, models: Path, tmp_path: Path) -> None:
    ended = worker.run(make.workflow(saying(make, models)), tmp_path)
    assert ended.outcome == "failed" and "outside" in ended.error.message


def test_weights_that_could_run_code_are_refused(run: Any, make: Any, models: Path, tmp_path: Path) -> None:
    write_speaker(tmp_path / "old")
    (tmp_path / "old" / "model.safetensors").rename(tmp_path / "old" / "pytorch_model.bin")
    ended = run(make.workflow(saying(make, models, model_name="./old")))
    assert ended.outcome == "failed" and "not safetensors" in ended.error.message


def test_an_argument_of_no_use_is_told_of(run: Any, make: Any, models: Path) -> None:
    ended = run(make.workflow(saying(make, models, wings=2), seed=5))
    assert text_of(ended)
    assert ended.steps[0].notes == ("step 'say': the task text_generation has no use for the argument 'wings'",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_name": "depth"}, "cannot be loaded"),
        ({"model_name": "mute"}, "writes no text"),
        ({"generate_kwargs": {"wings": 2}}, "wings"),
        ({"max_new_tokens": 0}, "must be above 0"),
        ({"device": "moon"}, "no device"),
    ],
)
def test_what_does_not_fit_is_said(run: Any, make: Any, models: Path, changes: Any, message: str) -> None:
    if "model_name" in changes:
        changes = {"model_name": str(models / changes["model_name"])}
    ended = run(make.workflow(saying(make, models, **changes), seed=1))
    assert ended.outcome == "failed" and message in ended.error.message, ended.error
