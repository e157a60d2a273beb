"""Who looked at which file."""

from __future__ import annotations

from pathlib import Path

from dw_lsp.server.dependencies import Dependencies, normal

ROOT = Path("/flows")


def test_a_changed_file_concerns_those_who_looked_at_it() -> None:
    depends = Dependencies()
    depends.note("a", {normal(ROOT / "x.json"), normal(ROOT / "y.json")})
    depends.note("b", {normal(ROOT / "sub" / ".." / "x.json")})
    assert depends.users_of(ROOT / "x.json") == {"a", "b"}
    assert depends.users_of(ROOT / "y.json") == {"a"}
    assert depends.users_of(ROOT / "z.json") == set()


def test_a_file_within_a_folder_concerns_those_who_looked_at_the_folder() -> None:
    depends = Dependencies()
    depends.note("a", {normal(ROOT / "model")})
    assert depends.users_of(ROOT / "model" / "unet" / "config.json") == {"a"}


def test_what_is_no_longer_looked_at_concerns_nobody() -> None:
    depends = Dependencies()
    depends.note("a", {normal(ROOT / "x.json")})
    depends.note("a", {normal(ROOT / "y.json")})
    assert depends.users_of(ROOT / "x.json") == set()
    depends.forget("a")
    assert depends.users_of(ROOT / "y.json") == set()


def test_a_link_is_another_name_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    depends = Dependencies()
    depends.note("a", {normal(tmp_path / "link" / "x.json"), normal(tmp_path / "real" / "x.json")})
    depends.note("b", {normal(tmp_path / "link" / "x.json")})
    assert depends.users_of(tmp_path / "real" / "x.json") == {"a", "b"}
    depends.note("a", {normal(tmp_path / "link" / "x.json")})
    assert depends.users_of(tmp_path / "real" / "x.json") == {"a", "b"}
    depends.forget("b")
    assert depends.users_of(tmp_path / "link" / "x.json") == {"a"}


def test_a_folder_that_comes_or_goes_concerns_those_who_looked_inside() -> None:
    depends = Dependencies()
    depends.note("a", {normal(ROOT / "media" / "deep" / "x.png")})
    depends.note("b", {normal(ROOT / "media2.png")})
    assert depends.users_below(ROOT / "media") == {"a"}
    assert depends.users_below(ROOT / "other") == set()
