"""Names of result files never leave their folder and never clash within a run."""

from __future__ import annotations

import pytest

from dw_lsp.planning.output_names import extension_of, result_stem, safe_name


@pytest.mark.parametrize(
    ("content_type", "extension"),
    [
        ("image/png", ".png"),
        ("image/jpeg", ".jpg"),
        ("Image/PNG; quality=9", ".png"),
        ("application/problem+json", ".json"),
        ("text/x-anything", ".txt"),
        ("nonsense", None),
    ],
)
def test_the_extension_follows_the_content_type(content_type: str, extension: str | None) -> None:
    assert extension_of(content_type) == extension


@pytest.mark.parametrize("text", ["../../etc/passwd", "/root", "a/b\\c", "..", "", ".hidden", "x" * 500, "a\x00b"])
def test_a_name_stays_in_its_folder(text: str) -> None:
    name = safe_name(text)
    assert name and len(name) <= 100
    assert not set(name) & set("/\\\x00") and not name.startswith(".")


def test_names_in_other_alphabets_stay_readable() -> None:
    assert safe_name("Füchse 狐") == "Füchse_狐"


def test_the_stem_tells_step_iteration_and_artifact() -> None:
    assert result_stem("shapes", "draw", 0, 2, 1) == "shapes-draw.0-2.1"


def test_json_has_no_artifact_index() -> None:
    assert result_stem("shapes", "size", 1, 0, None) == "shapes-size.1-0"


def test_a_base_name_replaces_the_front() -> None:
    assert result_stem("shapes", "draw", 0, 0, 0, "../mine") == "_mine.0-0.0"
