"""`dw-lsp plan`: what a run would do, told without doing it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    """A workflow without a model, in the folder that the program is started in."""
    path = tmp_path / "codes.dw.json"
    path.write_text(
        """{
  "id": "codes",
  "variables": { "text": "hello", "size": 10 },
  "steps": [
    { "name": "code",
      "task": { "command": "qr_code", "arguments": { "qr_code_contents": "variable:text" } },
      "result": { "content_type": "image/png" } }
  ]
}
""",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """The workflow that draws, with its model, in a folder of the test's own."""
    shutil.copytree(WORKFLOWS / "models" / "shapes", tmp_path / "models" / "shapes")
    return Path(shutil.copy(WORKFLOWS / "shapes.dw.json", tmp_path))


def test_it_tells_steps_components_sizes_and_files(shapes, program) -> None:
    done = program("plan", "shapes.dw.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert "  1. draw: pipeline, 1 x, run" in done.stdout
    assert "UNet2DConditionModel" in done.stdout
    assert "on disk, would be loaded" in done.stdout
    assert f"  {shapes.parent}/outputs/shapes/RUN/shapes-draw.0-0.0.png" in done.stdout


def test_as_json_it_is_what_an_editor_gets(shapes, program) -> None:
    planned = json.loads(program("plan", "shapes.dw.json", "--json").stdout)
    assert set(planned) == {"steps", "components", "estimate", "writes", "seed"}
    assert {part["name"]: part["where"] for part in planned["components"]}["unet"] == "disk"
    assert planned["estimate"]["downloadBytes"] == 0
    computing = planned["estimate"]["activationBytes"]
    assert planned["estimate"]["deviceBytes"] == sum(part["bytes"] for part in planned["components"]) + computing > 0


def test_it_writes_nothing(shapes, program) -> None:
    before = sorted(shapes.parent.rglob("*"))
    program("plan", "shapes.dw.json")
    assert sorted(shapes.parent.rglob("*")) == before


def test_outputs_go_where_the_setting_says(flow, program) -> None:
    planned = json.loads(program("plan", "codes.dw.json", "--json", DW_OUTPUT_DIRECTORY="elsewhere").stdout)
    assert planned["writes"] == [str(flow.parent / "elsewhere" / "codes" / "RUN" / "codes-code.0-0.0.png")]


def test_a_file_outside_the_current_folder_has_its_outputs_beside_it(flow, program, tmp_path_factory) -> None:
    planned = json.loads(program("plan", str(flow), "--json", cwd=tmp_path_factory.mktemp("other")).stdout)
    assert planned["writes"][0].startswith(str(flow.parent / "outputs"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["txet=hi"], "there is no variable 'txet', which is not declared; did you mean 'text'?"),
        (["size=big"], "variable 'size': 'big' is not a whole number"),
        (["text"], "'text' is not NAME=VALUE"),
        (["=x"], "'=x' is not NAME=VALUE"),
        (["text=a", "text=b"], "variable 'text' is given twice"),
    ],
)
def test_arguments_that_would_keep_it_from_starting_are_told(words, told, flow, program) -> None:
    done = program("plan", "codes.dw.json", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


def test_errors_in_the_file_are_told_with_their_places(flow, program) -> None:
    flow.write_text(flow.read_text().replace('"variable:text"', '"variable:txt"'), encoding="utf-8")
    done = program("plan", "codes.dw.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "codes.dw.json:6:74: error: " in done.stderr
    assert "[unknown-variable]" in done.stderr


def test_a_missing_model_is_told_at_its_name(shapes, program) -> None:
    shutil.rmtree(shapes.parent / "models")
    done = program("plan", "shapes.dw.json")
    assert (done.returncode, done.stdout) == (2, "")
    line = next(number for number, text in enumerate(shapes.read_text().splitlines(), 1) if "model_name" in text)
    assert f"shapes.dw.json:{line}:" in done.stderr
    assert "There is no folder ./models/shapes here. [unknown-model]" in done.stderr


@pytest.mark.parametrize("text", ["", "[]", '{"steps": []}', '{"a": 1}'])
def test_a_file_that_is_no_workflow_would_not_start(text, tmp_path, program) -> None:
    (tmp_path / "data.json").write_text(text, encoding="utf-8")
    done = program("plan", "data.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "data.json:1:1: error: " in done.stderr


def test_a_file_that_is_not_there_is_told(program) -> None:
    done = program("plan", "nowhere.dw.json")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "dw-lsp: nowhere.dw.json does not exist\n")


@pytest.fixture
def caller(shapes: Path) -> Path:
    """A workflow that calls the one that draws."""
    path = shapes.parent / "caller.dw.json"
    path.write_text('{ "id": "caller", "steps": [\n{ "name": "call", "workflow": { "path": "shapes.dw.json" } }\n] }')
    return path


def test_a_called_workflow_is_told_of_below_its_call(caller, program) -> None:
    done = program("plan", "caller.dw.json", "--seed", "5")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Steps (the run's seed is 5)" in done.stdout
    assert "  1. call: workflow, 1 x, run" in done.stdout and "     draw: pipeline, 1 x, run" in done.stdout
    assert "UNet2DConditionModel" in done.stdout
    assert f"  {caller.parent}/outputs/caller/RUN/call.shapes-draw.0-0.0.png" in done.stdout


def test_a_model_that_a_called_workflow_lacks_is_told_at_the_call(caller, program) -> None:
    shutil.rmtree(caller.parent / "models")
    done = program("plan", "caller.dw.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "caller.dw.json:2:41: error: shapes.dw.json line" in done.stderr and "models/shapes" in done.stderr


def test_mistakes_in_a_called_workflow_are_told_at_the_call(caller, shapes, program) -> None:
    shapes.write_text(shapes.read_text().replace('"StableDiffusionPipeline"', '"StableDifusionPipeline"'))
    done = program("plan", "caller.dw.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "caller.dw.json:2:41: error: shapes.dw.json line" in done.stderr and "[unknown-class]" in done.stderr


def test_a_default_that_the_caller_replaces_is_no_mistake(caller, shapes, program) -> None:
    text = shapes.read_text().replace('"variables": {', '"variables": { "model": "./nowhere",')
    shapes.write_text(text.replace('"model_name": "./models/shapes"', '"model_name": "variable:model"'))
    assert program("plan", "caller.dw.json").returncode == 2
    given = '"shapes.dw.json", "arguments": { "model": "./models/shapes" }'
    caller.write_text(caller.read_text().replace('"shapes.dw.json"', given))
    done = program("plan", "caller.dw.json")
    assert (done.returncode, done.stderr) == (0, "")


def test_it_plans_for_the_device_of_the_last_run(shapes, program) -> None:
    text = shapes.read_text()
    shapes.write_text(text.replace('"configuration": {', '"configuration": { "offload": "model",'))

    def weights() -> int:
        estimate = json.loads(program("plan", "shapes.dw.json", "--json").stdout)["estimate"]
        return int(estimate["deviceBytes"] - estimate["activationBytes"])

    on_the_cpu = weights()
    notes = shapes.parent / "outputs" / ".dw-lsp" / "steps"
    notes.mkdir(parents=True)
    (notes / "device").write_text("cuda")
    assert weights() < on_the_cpu


def test_a_plan_may_stop_after_a_step_and_have_a_seed(tmp_path, program) -> None:
    command = '"task": {"command": "gather_inputs", "inputs": [1]}'
    text = f'{{"id": "x", "steps": [{{"name": "a", {command}}}, {{"name": "b", {command}}}]}}'
    (tmp_path / "x.dw.json").write_text(text)
    planned = json.loads(program("plan", "x.dw.json", "--json", "--step", "a", "--seed", "7").stdout)
    assert [step["name"] for step in planned["steps"]] == ["a"] and planned["seed"] == 7
    assert json.loads(program("plan", "x.dw.json", "--json").stdout)["seed"] is None
    for words, told in ((["--step", "c"], "no step named 'c'"), (["--seed", "-1"], "a whole number from 0")):
        done = program("plan", "x.dw.json", *words)
        assert done.returncode == 2 and told in done.stderr
