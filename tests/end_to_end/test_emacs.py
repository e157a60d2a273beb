"""The main job in a real Emacs with eglot, which counts columns in its own way."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from scripted import EDITORS, HERE, is_red_on_yellow, printed_by

EMACS = os.environ.get("DW_TEST_EMACS") or shutil.which("emacs") or ""


def has_eglot() -> bool:
    """Whether this Emacs has eglot: from version 29 on its own, before as a package."""
    command = [EMACS, "-q", "--batch", "-f", "package-initialize", "-l", "eglot"]
    return bool(EMACS) and subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


pytestmark = [
    pytest.mark.skipif(not has_eglot(), reason="no Emacs with eglot: apt-get install emacs-nox elpa-eglot"),
    pytest.mark.timeout(300),
]


def test_the_main_job_in_emacs(misspelt: Path, tmp_path: Path) -> None:
    # -Q would hide the packages of a distribution, of which eglot is one.
    command = [EMACS, "-q", "--batch", "-l", str(HERE / "emacs" / "main_job.el")]
    plugin, severities = str(EDITORS / "emacs"), '{"unused-variable": "off"}'
    assert is_red_on_yellow(
        printed_by(command, misspelt, tmp_path, DW_PLUGIN=plugin, DW_DIAGNOSTICS_SEVERITY=severities)
    )
