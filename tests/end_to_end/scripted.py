"""A real editor without a screen that carries out a script: a line for each check, then its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
EDITORS = HERE.parents[1] / "docs" / "editors"


def printed_by(command: Sequence[str], workspace: Path, state: Path, **variables: str) -> str:
    """What an editor's script prints; it must end well, and tell of what it began in the folder `state`."""
    environment = {
        **os.environ,
        "DW_PYTHON": sys.executable,
        "DW_WORKSPACE": str(workspace),
        "XDG_STATE_HOME": str(state),
        "HOME": str(state),
        "LC_ALL": "C.UTF-8",
        "HF_HUB_OFFLINE": "1",
        **variables,
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
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
