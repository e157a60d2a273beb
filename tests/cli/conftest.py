"""The real program in a process of its own, as a shell would start it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Program = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Starts `python -m dw_lsp` with words, in a folder of the test's own, and waits for its end.

    Variables of the user's that begin with DW_ are not handed on; keywords set others.
    """

    def start(*words: str, cwd: Path = tmp_path, **variables: str) -> subprocess.CompletedProcess[str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("DW_")}
        return subprocess.run(
            [sys.executable, "-m", "dw_lsp", *words],
            cwd=cwd,
            env={**plain, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PYTHONUTF8": "1", **variables},
            capture_output=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            timeout=100,
            check=False,
        )

    return start
