"""What Tab offers at the prompt, for lines as they are typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dw_lsp.cli.repl.suggestions import Scene, suggestions
from dw_lsp.settings import Settings

FLOW = """{
  "id": "flow",
  "variables": { "prompt": "a star", "steps": 20, "scheduler": "DDIMScheduler", "content": "image/png", "idle": true },
  "steps": [
    { "name": "draw",
      "pipeline": {
        "configuration": { "component_type": "StableDiffusionPipeline" },
        "from_pretrained_arguments": { "model_name": "./models/shapes" },
        "scheduler": { "configuration": { "scheduler_type": "variable:scheduler" } },
        "arguments": { "prompt": "variable:prompt", "num_inference_steps": "variable:steps" }
      },
      "result": { "content_type": "variable:content" } },
    { "name": "crop", "task": { "command": "crop_square", "arguments": { "image": "previous_result:draw" } } }
  ]
}
"""
COMMANDS = {"arg": "values", "exit": "leaves", "help": "helps", "load": "loads", "run": "runs", "restart": "restarts"}


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Gives what is offered for a line, in a folder with some files."""
    (tmp_path / "flow.dw.json").write_text(FLOW, encoding="utf-8")
    (tmp_path / "my flows").mkdir()
    (tmp_path / "my flows" / "other.json").write_text("{}", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("", encoding="utf-8")
    (tmp_path / ".hidden.json").write_text("{}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def offer(line: str, file: str | None = "flow.dw.json", **given: str) -> list[str]:
        scene = Scene(COMMANDS, None if file is None else tmp_path / file, given, Settings())
        return [line[: len(line) - found.typed] + found.text for found in suggestions(line, scene)]

    return offer


def test_commands_with_the_space_behind_those_that_take_something(offered) -> None:
    assert offered("re") == ["restart"]
    assert offered("l") == ["load "]
    assert offered("help r") == ["help run", "help restart"]
    assert offered("dance ") == []


def test_files_are_workflows_and_folders(offered) -> None:
    assert offered("load ") == ["load flow.dw.json", r"load my\ flows/"]
    assert offered(r"load my\ flows/o") == [r"load my\ flows/other.json"]
    assert offered("load nowhere/") == []


def test_variables_and_their_defaults(offered) -> None:
    assert offered("arg st") == ["arg steps="]
    assert offered("arg steps=")[0] == "arg steps=20"
    assert offered("arg prompt=a") == ["arg prompt=a star"]


def test_values_are_those_that_fit_where_the_variable_is_used(offered) -> None:
    found = offered("arg scheduler=Euler")
    assert "arg scheduler=EulerDiscreteScheduler" in found and not any("Pipeline" in line for line in found)
    assert "arg content=image/jpeg" in offered("arg content=")
    assert offered("arg idle=") == ["arg idle=true", "arg idle=false"]


def test_no_reference_is_offered_as_a_value(offered) -> None:
    assert not any("variable:" in line or "previous_result:" in line for line in offered("arg scheduler="))


def test_steps_of_the_file_as_it_is_now(offered, tmp_path: Path) -> None:
    assert offered("run ") == ["run draw", "run crop"]
    (tmp_path / "flow.dw.json").write_text(FLOW.replace('"crop"', '"cut"'), encoding="utf-8")
    assert offered("run c") == ["run cut"]


@pytest.mark.parametrize("line", ["arg ", "arg steps=", "run "])
def test_without_a_readable_file_nothing_is_offered(line: str, offered) -> None:
    assert offered(line, None) == [] and offered(line, "gone.json") == []
