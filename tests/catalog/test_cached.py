"""The models in the hub's cache, by name and size."""

from __future__ import annotations

from pathlib import Path

from dw_lsp.catalog.cached import CachedModel, cached_models, revisions


def _download(cache: Path, name: str, blobs: dict[str, int], *, finished: bool = True) -> None:
    folder = cache / ("models--" + name.replace("/", "--"))
    (folder / "blobs").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "snapshots").mkdir()
    if finished:
        (folder / "snapshots" / "abc").mkdir()
        (folder / "refs" / "main").write_text("abc")
    for blob, size in blobs.items():
        (folder / "blobs" / blob).write_bytes(b"x" * size)


def test_models_have_their_name_and_size(tmp_path: Path) -> None:
    _download(tmp_path, "owner/model", {"1": 10, "2": 20, "3.incomplete": 99})
    _download(tmp_path, "gpt2", {"1": 5})
    assert cached_models(tmp_path) == (CachedModel("gpt2", 5), CachedModel("owner/model", 30))


def test_what_was_never_finished_is_left_out(tmp_path: Path) -> None:
    _download(tmp_path, "owner/model", {"1.incomplete": 10}, finished=False)
    (tmp_path / "models--torn--one").mkdir()
    (tmp_path / "datasets--owner--data").mkdir()
    assert cached_models(tmp_path) == ()


def test_a_new_file_changes_the_size(tmp_path: Path) -> None:
    _download(tmp_path, "owner/model", {"1": 10})
    assert cached_models(tmp_path)[0].bytes == 10
    (tmp_path / "models--owner--model" / "blobs" / "2").write_bytes(b"xx")
    assert cached_models(tmp_path)[0].bytes == 12


def test_without_a_cache_there_are_none(tmp_path: Path) -> None:
    assert cached_models(tmp_path / "nowhere") == () and revisions(tmp_path, "owner/model") == ()


def test_revisions_are_those_that_were_downloaded(tmp_path: Path) -> None:
    _download(tmp_path, "owner/model", {})
    assert revisions(tmp_path, "owner/model") == ("main",)
