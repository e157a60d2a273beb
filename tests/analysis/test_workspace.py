"""What the analysis may ask of folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from dw_lsp.analysis import workspace as module
from dw_lsp.analysis.workspace import DiskWorkspace, FolderEntry


def test_a_folder_is_listed_by_name(tmp_path: Path) -> None:
    (tmp_path / "Beta").mkdir()
    (tmp_path / "alpha.png").write_bytes(b"xyz")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert DiskWorkspace([]).list_folder(tmp_path) == (
        FolderEntry("alpha.png", False, 3),
        FolderEntry("Beta", True),
        FolderEntry("gone.png", False),
    )


@pytest.mark.parametrize("name", ["nowhere", "file", "a\0b"])
def test_what_is_no_folder_holds_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert DiskWorkspace([]).list_folder(tmp_path / name) == ()


def test_only_so_much_of_a_folder_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ENTRIES", 3)
    for number in range(5):
        (tmp_path / str(number)).write_bytes(b"")
    assert len(DiskWorkspace([]).list_folder(tmp_path)) == 3
