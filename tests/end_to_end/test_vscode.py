"""The packaged extension in a real editor, from a mistake under its squiggle to a picture of the right colours.

`make test` installs the editor (vscode/install.py) and these run by default; without it, or without a Chromium, they
are skipped, and the reason is told. DW_TEST_CODE_SERVER and DW_TEST_CHROMIUM name others.
"""

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
BUILD_SECONDS = 240
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: What the package is made of: it is made anew when one of these is newer.
SOURCES = (ROOT / "dw_lsp", EXTENSION / "src", EXTENSION / "package.json", EXTENSION / "media", EXTENSION / "templates")

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


def code_server() -> Path:
    """The folder with the editor; the test is skipped without it."""
    named = os.environ.get("DW_TEST_CODE_SERVER")
    folder = Path(named) if named else Path(sys.prefix) / "editors"
    if not (folder / "node_modules" / "code-server").is_dir():
        pytest.skip(f"there is no code-server in {folder}: `make editors` installs it, or says why it cannot")
    return folder


def browser() -> str:
    """A Chromium; the test is skipped without one."""
    named = os.environ.get("DW_TEST_CHROMIUM")
    found = named or next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if not found:
        pytest.skip("no Chromium or Chrome is installed; DW_TEST_CHROMIUM names one that is elsewhere")
    return found


@pytest.fixture(scope="module")
def package() -> Path:
    """The package of the extension as the sources are now; the test is skipped where it cannot be made."""
    code_server(), browser()
    made = sorted(EXTENSION.glob("*.vsix"))
    files = [file for source in SOURCES for file in (source.rglob("*") if source.is_dir() else [source])]
    newest = max(file.stat().st_mtime for file in files if file.suffix != ".pyc" and file.is_file())
    if made and made[-1].stat().st_mtime > newest:
        return made[-1]
    if not (EXTENSION / "node_modules").exists():
        build("npm", "ci", "--no-audit", "--no-fund")
    build("npm", "run", "package")
    return sorted(EXTENSION.glob("*.vsix"))[-1]


def build(*command: str) -> None:
    """A step of building the package."""
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(
        command, cwd=EXTENSION, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "workspace"
    folder.mkdir()
    shutil.copy(ROOT / "workflows" / "shapes.dw.json", folder)
    shutil.copytree(MODEL, folder / "models" / "shapes")
    (folder / "mistake.dw.json").write_text(MISTAKE, encoding="utf-8")
    (folder / "plain.json").write_text('{"steps": [{"uses": "something else"}]}', encoding="utf-8")
    (folder / "other.json").write_text(MISTAKE.replace('"image/png" }', '"image/png" ,, }'), encoding="utf-8")
    (folder / "fails.dw.json").write_text(failing(), encoding="utf-8")
    second = tmp_path / "second"
    second.mkdir()
    (second / "mistake.dw.json").write_text(MISTAKE, encoding="utf-8")
    yield folder


def failing() -> str:
    """A workflow of which only the run finds out that a number is no picture."""
    workflow = json.loads((ROOT / "workflows" / "shapes.dw.json").read_text(encoding="utf-8"))
    draw = {**workflow["steps"][0], "result": {"content_type": "image/png"}}
    task = {"command": "get_image_size", "arguments": {"image": "previous_result:draw"}}
    crop = {"name": "crop", "task": task, "result": {"content_type": "image/png"}}
    return json.dumps({**workflow, "id": "fails", "steps": [draw, crop]}, indent=2)


def bare_python() -> str:
    """The system's Python, which has no packages, wherever there is one."""
    return shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable


def run_suite(suite: str, package: Path, workspace: Path, worker: str = sys.executable) -> dict[str, list[str]]:
    """The report of one suite of vscode/run.py; fails with what it printed when a test in it failed."""
    report = workspace.parent / "report.json"
    command = [sys.executable, str(DRIVER), "--code-server", str(code_server()), "--chromium", browser()]
    command += ["--vsix", str(package), "--workspace", str(workspace), "--report", str(report)]
    command += ["--server-python", bare_python(), "--worker-python", worker, "--good-python", sys.executable]
    command += ["--second-folder", str(workspace.parent / "second"), "--suite", suite]
    if kept := os.environ.get("DW_TEST_PICTURES"):
        command += ["--pictures", kept]
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


@pytest.mark.timeout(SUITE_SECONDS + BUILD_SECONDS + 60)
def test_a_workflow_is_checked_run_and_seen(package: Path, workspace: Path) -> None:
    pictures = run_suite("full", package, workspace)["pictures"]
    (yellow, blue), (red, green) = colours(pictures[0]), colours(pictures[1])
    assert min(yellow[:2]) > 150 > yellow[2] + 30, f"a yellow star has {yellow} in its middle"
    assert blue[2] > 1.5 * max(blue[:2]), f"a blue background is {blue}"
    assert red[0] > 1.5 * max(red[1:]), f"a red circle has {red} in its middle"
    assert green[1] > 1.5 * max(green[0], green[2]), f"a green background is {green}"


@pytest.mark.timeout(SUITE_SECONDS + 60)
def test_an_untrusted_workspace_is_checked_but_not_run(package: Path, workspace: Path) -> None:
    assert run_suite("untrusted", package, workspace)["failed"] == []


@pytest.mark.timeout(SUITE_SECONDS + 60)
def test_without_torch_the_way_to_it_is_shown(package: Path, workspace: Path) -> None:
    if bare_python() == sys.executable:
        pytest.skip("the system has no Python of its own without torch")
    assert run_suite("bare", package, workspace, worker=bare_python())["failed"] == []


@pytest.mark.timeout(SUITE_SECONDS + 60)
def test_what_the_user_sees(package: Path, workspace: Path) -> None:
    assert run_suite("screen", package, workspace)["failed"] == []
