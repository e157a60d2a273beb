"""The extension's own checks: types, style, and the tests of what needs no editor."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

EXTENSION = Path(__file__).resolve().parents[2] / "vscode-extension"


@pytest.mark.parametrize("script", ["check", "test:unit"])
def test_the_extension_passes_its(script: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not on the PATH")
    if not (EXTENSION / "node_modules").exists():
        pytest.skip("the packages of the extension are not installed: `make vsix` does that")
    done = subprocess.run([npm, "run", script], cwd=EXTENSION, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
