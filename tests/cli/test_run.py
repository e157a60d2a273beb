"""`dw-lsp run` as a user has it: a process, its exit code, what it prints, on the real worker or on a scripted one."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTED = ROOT / "tests" / "supervisor" / "scripted_worker.py"
SHAPES = ROOT / "workflows" / "shapes.dw.json"
WORKFLOW = """{
  "id": "greeting",
  "variables": {"text": "hello", "size": 3},
  "steps": [{
    "name": "code",
    "task": {"command": "qr_code", "arguments": {"qr_code_contents": "variable:text"}},
    "result": {"content_type": "image/png"}
  }]
}
"""


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    """A workflow without a model."""
    path = tmp_path / "greeting.dw.json"
    path.write_text(WORKFLOW)
    return path


def scripted(path: Path, *commands: list[Any], start: dict[str, Any] | None = None) -> dict[str, str]:
    """The environment in which the worker is a scripted one, and each run of it does these commands."""
    wrapper = path.parent / "worker.py"
    wrapper.write_text(
        "import runpy, sys\n"
        f"module = runpy.run_path({str(SCRIPTED)!r})\n"
        "import json, os\n"
        "worker = module['ScriptedWorker'](json.loads(sys.argv[1]))\n"
        "execute = worker.execute\n"
        "def with_script(run):\n"
        "    import dataclasses\n"
        "    execute(dataclasses.replace(run, text=sys.argv[2]))\n"
        "worker.execute = with_script\n"
        "worker.serve()\n"
        "os._exit(0)\n"
    )
    command = [sys.executable, str(wrapper), json.dumps(start or {}), json.dumps(commands)]
    return {"DW_WORKER_COMMAND": json.dumps(command)}


def start(*words: str, cwd: Path, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """A `dw-lsp run` that is running."""
    return subprocess.Popen(
        [sys.executable, "-m", "dw_lsp", "run", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*words: str, cwd: Path, environment: dict[str, str] | None = None) -> tuple[int, list[str], list[str]]:
    """Exit code, lines on standard output, lines on standard error."""
    process = start(*words, cwd=cwd, environment=environment)
    output, errors = process.communicate(timeout=100)
    return process.returncode, output.splitlines(), errors.splitlines()


@contextlib.contextmanager
def running(*words: str, cwd: Path, environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A `dw-lsp run` that does not outlive the test."""
    process = start(*words, cwd=cwd, environment=environment)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[str], word: str) -> list[str]:
    """The lines on standard error up to one with this word."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line.rstrip())
        if word in line:
            return lines
    raise AssertionError(f"{word!r} was never said; the lines were {lines}")


# ---------------------------------------------------------------- the real worker


def test_a_workflow_runs_and_the_path_of_its_result_is_printed(workflow: Path) -> None:
    code, output, errors = run(workflow.name, cwd=workflow.parent)
    assert code == 0, errors
    [path] = output
    assert Path(path).read_bytes().startswith(b"\x89PNG")
    assert Path(path).is_relative_to(workflow.parent / "outputs")
    assert errors[0] == "starting worker"
    assert errors[-1].startswith("succeeded after")


def test_the_embedded_model_draws_what_the_prompt_says(tmp_path: Path) -> None:
    prompt = "a red circle on a blue background"
    code, output, errors = run(str(SHAPES), f"prompt={prompt}", "--json", "--output-dir", "here", cwd=tmp_path)
    assert code == 0, errors
    events = [json.loads(line) for line in output]
    assert {"dw/workerState", "dw/runStarted", "dw/runProgress", "dw/preview", "dw/stepFinished", "dw/memory"} <= {
        event["method"] for event in events
    }
    [finished] = [event["params"] for event in events if event["method"] == "dw/runFinished"]
    assert finished["outcome"] == "succeeded"
    path = Path(finished["results"][0]["path"])
    assert path.is_relative_to(tmp_path / "here")
    red, green, blue = _pixel(path, 4, 4)
    assert blue > 1.3 * max(red, green)


def _pixel(path: Path, x: int, y: int) -> tuple[int, int, int]:
    from PIL import Image

    with Image.open(path) as image:
        pixel = image.convert("RGB").getpixel((x, y))
    assert isinstance(pixel, tuple)
    return int(pixel[0]), int(pixel[1]), int(pixel[2])


def test_a_failure_of_the_worker_is_told_at_its_place(workflow: Path) -> None:
    workflow.write_text(WORKFLOW.replace('"variable:text"', "[]"))
    code, output, errors = run(workflow.name, cwd=workflow.parent)
    assert (code, output) == (1, [])
    assert any(line.startswith("greeting.dw.json:") and "'code'" in line for line in errors), errors


# ---------------------------------------------------------------- what is wrong is told before a worker starts


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (["nowhere.dw.json"], "does not exist"),
        (["."], "is a folder"),
        (["greeting.dw.json", "text"], "is not NAME=VALUE"),
        (["greeting.dw.json", "text=a", "text=b"], "given twice"),
        (["greeting.dw.json", "txt=a"], "did you mean 'text'?"),
        (["greeting.dw.json", "other=a"], "text"),
        (["greeting.dw.json", "size=large"], "size"),
        (["greeting.dw.json", "--step", "cod"], "the steps are: code"),
    ],
)
def test_wrong_words_end_with_2(workflow: Path, words: list[str], word: str) -> None:
    code, output, errors = run(*words, cwd=workflow.parent, environment=scripted(workflow))
    assert (code, output) == (2, [])
    assert word in errors[-1]
    assert "starting worker" not in errors


def test_mistakes_in_the_file_are_told_at_their_places(workflow: Path) -> None:
    workflow.write_text(WORKFLOW.replace("variable:text", "variable:txet"))
    code, output, errors = run(workflow.name, cwd=workflow.parent, environment=scripted(workflow))
    assert (code, output) == (2, [])
    assert re.match(r"greeting\.dw\.json:6:\d+: error: .*txet.* \[unknown-variable\]", errors[0])
    assert "starting worker" not in errors


def test_a_file_that_is_no_utf8_is_told(workflow: Path) -> None:
    workflow.write_bytes(b'{"steps": "\xff"}')
    code, _, errors = run(workflow.name, cwd=workflow.parent)
    assert code == 2
    assert "not UTF-8" in errors[-1]


def test_a_wrong_setting_is_told_and_the_run_goes_on(workflow: Path) -> None:
    environment = {**scripted(workflow), "DW_RUN_TIMEOUT_SECONDS": "soon"}
    code, _, errors = run(workflow.name, cwd=workflow.parent, environment=environment)
    assert code == 0
    assert any("DW_RUN_TIMEOUT_SECONDS" in line for line in errors)


# ---------------------------------------------------------------- what the supervisor is asked for


def test_all_options_reach_the_worker(workflow: Path) -> None:
    wrapper = workflow.parent / "echo.py"
    wrapper.write_text(
        "import json, os, runpy, sys\n"
        f"module = runpy.run_path({str(SCRIPTED)!r})\n"
        "worker = module['ScriptedWorker']({})\n"
        "def execute(run):\n"
        "    worker.run = run\n"
        "    worker.log('error', json.dumps([run.arguments, run.step, run.seed, run.output_directory,"
        " run.roots, run.document_path]))\n"
        "    execute_script(run)\n"
        "import dataclasses\n"
        "original = worker.execute\n"
        "execute_script = lambda run: original(dataclasses.replace(run, text='[]'))\n"
        "worker.execute = execute\n"
        "worker.serve()\n"
        "os._exit(0)\n"
    )
    environment = {"DW_WORKER_COMMAND": json.dumps([sys.executable, str(wrapper)])}
    words = ["greeting.dw.json", "--step", "code", "size=4", "--seed", "7", "--output-dir", "pictures", "text=a=b"]
    code, _, errors = run(*words, cwd=workflow.parent, environment=environment)
    assert code == 0, errors
    [line] = [line for line in errors if line.startswith("[")]
    folder = str(workflow.parent)
    assert json.loads(line) == [
        {"size": "4", "text": "a=b"},
        "code",
        7,
        f"{folder}/pictures",
        [folder],
        str(workflow),
    ]


# ---------------------------------------------------------------- outcomes


@pytest.mark.parametrize(
    ("commands", "code", "word"),
    [
        ([], 0, "succeeded"),
        ([["fail", "no such model"]], 1, "no such model"),
        ([["die", "SIGKILL"]], 1, "SIGKILL"),
        ([["exit", 3]], 1, "exit code 3"),
    ],
)
def test_the_exit_code_tells_the_outcome(workflow: Path, commands: list[list[Any]], code: int, word: str) -> None:
    got, _, errors = run(workflow.name, cwd=workflow.parent, environment=scripted(workflow, *commands))
    assert got == code
    assert any(word in line for line in errors)


def test_a_time_out_is_a_failure(workflow: Path) -> None:
    environment = {**scripted(workflow, ["sleep", 60]), "DW_RUN_TIMEOUT_SECONDS": "0.3"}
    code, _, errors = run(workflow.name, cwd=workflow.parent, environment=environment)
    assert code == 1
    assert any("DW" in line or "dw.run.timeoutSeconds" in line for line in errors)


def test_a_worker_that_cannot_start_is_told_with_its_remedy(workflow: Path) -> None:
    environment = scripted(workflow, start={"start_failed": ["torch is not installed.", "pip install torch"]})
    code, _, errors = run(workflow.name, cwd=workflow.parent, environment=environment)
    assert code == 1
    assert "greeting.dw.json: torch is not installed." in errors
    assert "  pip install torch" in errors


# ---------------------------------------------------------------- Ctrl-C


def test_ctrl_c_cancels(workflow: Path) -> None:
    with running(
        workflow.name, cwd=workflow.parent, environment=scripted(workflow, ["advance"], ["sleep", 60])
    ) as process:
        read_until(process, "denoising")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "cancelling" in errors
    assert "cancelled after" in errors


def test_ctrl_c_while_the_worker_starts(workflow: Path) -> None:
    environment = scripted(workflow, start={"import_seconds": 60})
    with running(workflow.name, cwd=workflow.parent, environment=environment) as process:
        read_until(process, "starting worker")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130


def test_a_second_ctrl_c_does_not_wait(workflow: Path) -> None:
    environment = scripted(workflow, ["advance"], ["hang"])
    with running(workflow.name, cwd=workflow.parent, environment=environment) as process:
        read_until(process, "denoising")
        process.send_signal(signal.SIGINT)
        read_until(process, "cancelling")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130
    assert time.monotonic() - began < 5


# ---------------------------------------------------------------- watch


def save(path: Path, text: str) -> None:
    """As editors do it: another file takes the place of the old one."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def test_watch_runs_at_each_save_on_the_same_worker(workflow: Path) -> None:
    with running(workflow.name, "--watch", cwd=workflow.parent, environment=scripted(workflow)) as process:
        read_until(process, "watching greeting.dw.json")
        for _ in range(2):
            time.sleep(0.05)
            save(workflow, WORKFLOW)
            said = read_until(process, "watching greeting.dw.json")
            assert "starting worker" not in said
            assert any("nothing had to be loaded" in line for line in said)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_watch_survives_a_mistake(workflow: Path) -> None:
    with running(workflow.name, "--watch", cwd=workflow.parent, environment=scripted(workflow)) as process:
        read_until(process, "watching greeting.dw.json")
        save(workflow, WORKFLOW.replace("variable:text", "variable:txet"))
        assert any("unknown-variable" in line for line in read_until(process, "watching greeting.dw.json"))
        save(workflow, WORKFLOW)
        assert any("succeeded" in line for line in read_until(process, "watching greeting.dw.json"))


def test_ctrl_c_during_a_watched_run_ends_with_130(workflow: Path) -> None:
    environment = scripted(workflow, ["advance"], ["sleep", 60])
    with running(workflow.name, "--watch", cwd=workflow.parent, environment=environment) as process:
        read_until(process, "denoising")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130
