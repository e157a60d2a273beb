"""Folders for a moment: gone with their use, and with the next worker where theirs was killed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dw_lsp.worker.engine.temporary_folders import sweep, temporary_folder

ROOT = Path(__file__).resolve().parents[3]
KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from dw_lsp.worker.engine.temporary_folders import temporary_folder
with temporary_folder() as folder:
    (folder / "medium.mp4").touch()
    print(folder, flush=True)
    {then}
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def other(then: str) -> subprocess.Popen[str]:
    program = KILLED.format(root=str(ROOT), then=then)
    return subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )


def test_it_goes_with_its_use(temporary: Path) -> None:
    with temporary_folder() as folder:
        assert folder.parent == temporary and folder.is_dir()
        sweep()
        assert folder.is_dir(), "it is in use"
    assert not folder.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be locked there")
def test_what_a_killed_process_left_is_swept_and_what_another_uses_is_not() -> None:
    killed = other("os.kill(os.getpid(), signal.SIGKILL)")
    left = Path(killed.communicate(timeout=20)[0].strip())
    using = other("input()")
    assert using.stdout is not None
    used = Path(using.stdout.readline().strip())
    assert (left / "medium.mp4").exists() and (used / "medium.mp4").exists()
    sweep()
    assert not left.exists() and (used / "medium.mp4").exists()
    using.communicate("\n", timeout=20)
    assert not used.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_is_not_followed(temporary: Path) -> None:
    (temporary / "mine").mkdir()
    (temporary / "dw-lsp-medium-link").symlink_to(temporary / "mine")
    sweep()
    assert (temporary / "mine").is_dir()
