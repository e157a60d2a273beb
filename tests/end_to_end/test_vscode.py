"""The packaged extension in a real editor, from a mistake under its squiggle to a picture of the right colours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXTENSION = ROOT / "vscode-extension"
DRIVER = Path(__file__).resolve().parent / "vscode" / "run.py"
MODEL = ROOT / "workflows" / "models" / "shapes"
SUITE_SECONDS = 240

#: The mistake stands behind characters that take one, two and four bytes, and one or two UTF-16 units.
MISTAKE = """\
{
  "id": "mistake", "variables": { "prompt": "a red circle on a blue background" },
  "steps": [
    { "name": "dráw 🎨", "pipeline": {
      "configuration": { "component_type": "StableDiffusionPipeline" },
      "from_pretrained_arguments": { "model_name": "./models/shapes" },
      "arguments": { "negative_prompt": "é🟥🧑‍🎨 漢", "prompt": "variable:promt", "num_inference_steps": 4 } },
      "result": { "content_type": "image/png" } }
  ]
}
"""

Colour = tuple[int, int, int]


def place(variable: str) -> str:
    """What the variable names; the test is skipped without it."""
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set: see tests/end_to_end/vscode/run.py")
    return value


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "workspace"
    folder.mkdir()
    shutil.copy(ROOT / "workflows" / "shapes.dw.json", folder)
    if MODEL.is_dir():
        shutil.copytree(MODEL, folder / "models" / "shapes")
    (folder / "mistake.dw.json").write_text(MISTAKE, encoding="utf-8")
    (folder / "plain.json").write_text('{"steps": [{"uses": "something else"}]}', encoding="utf-8")
    yield folder


def run_suite(suite: str, workspace: Path) -> dict[str, list[str]]:
    """The report of one suite of vscode/index.cjs; fails with what it printed when a test in it failed."""
    code_server, chromium = place("DW_TEST_CODE_SERVER"), place("DW_TEST_CHROMIUM")
    packages = sorted(EXTENSION.glob("*.vsix"))
    assert packages, "there is no package to test: run `make vsix`"
    report = workspace.parent / "report.json"
    # The server gets a Python without packages wherever the system has one; the worker gets ours.
    server_python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    command = [sys.executable, str(DRIVER), "--code-server", code_server, "--chromium", chromium]
    command += ["--vsix", str(packages[-1]), "--workspace", str(workspace), "--report", str(report)]
    command += ["--server-python", server_python, "--worker-python", sys.executable, "--suite", suite]
    done = subprocess.run([*command, "--seconds", str(SUITE_SECONDS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    written: dict[str, list[str]] = json.loads(report.read_text(encoding="utf-8"))
    return written


def colours(path: str) -> tuple[Colour, Colour]:
    """The colours in the middle and in a corner of a picture."""
    image_module = pytest.importorskip("PIL.Image")
    with image_module.open(path) as picture:
        image = picture.convert("RGB")
    middle: Colour = image.getpixel((image.width // 2, image.height // 2))
    corner: Colour = image.getpixel((1, 1))
    return middle, corner


@pytest.mark.timeout(SUITE_SECONDS + 60)
def test_a_workflow_is_checked_run_and_seen(workspace: Path) -> None:
    pictures = run_suite("full", workspace)["pictures"]
    (yellow, blue), (red, green) = colours(pictures[0]), colours(pictures[1])
    assert min(yellow[:2]) > 150 > yellow[2] + 30, f"a yellow star has {yellow} in its middle"
    assert blue[2] > 1.5 * max(blue[:2]), f"a blue background is {blue}"
    assert red[0] > 1.5 * max(red[1:]), f"a red circle has {red} in its middle"
    assert green[1] > 1.5 * max(green[0], green[2]), f"a green background is {green}"


@pytest.mark.timeout(SUITE_SECONDS + 60)
def test_an_untrusted_workspace_is_checked_but_not_run(workspace: Path) -> None:
    assert run_suite("untrusted", workspace)["failed"] == []
