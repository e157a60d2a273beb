"""What was measured is kept, read again by others, and never believed blindly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dw_lsp.planning.measured import LARGEST_FACTOR, MOST_KINDS, MOST_SAMPLES, Measurements


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "memory.json"


def test_the_median_of_the_last_measurements_counts(file: Path) -> None:
    known = Measurements(file)
    assert known.factor("a") is None
    for measured in (100, 200, 900):
        known.note("a", 100, measured)
    assert known.factor("a") == 2 and known.factor("b") is None
    for _ in range(MOST_SAMPLES):
        known.note("a", 100, 300)
    assert known.factor("a") == 3 and len(json.loads(file.read_text())["a"]) == MOST_SAMPLES


def test_another_process_sees_it(file: Path) -> None:
    reader = Measurements(file)
    assert reader.factor("a") is None
    Measurements(file).note("a", 100, 150)
    assert reader.factor("a") == 1.5


@pytest.mark.parametrize("measured", [0, -5, int(100 * LARGEST_FACTOR) + 1])
def test_a_measurement_that_cannot_be_is_left_out(file: Path, measured: int) -> None:
    known = Measurements(file)
    known.note("a", 100, measured)
    known.note("b", 0, 100)
    assert known.factor("a") is None and not file.exists()


@pytest.mark.parametrize("content", ["", "[]", '{"a": "x"}', '{"a": [null, -1, 1e9]}', "\x00"])
def test_a_file_that_is_damaged_corrects_nothing(file: Path, content: str) -> None:
    file.parent.mkdir()
    file.write_text(content)
    known = Measurements(file)
    assert known.factor("a") is None
    known.note("b", 100, 100)
    assert known.factor("b") == 1


def test_it_does_not_grow_without_end(file: Path) -> None:
    known = Measurements(file)
    for number in range(MOST_KINDS + 5):
        known.note(str(number), 100, 100)
    assert len(json.loads(file.read_text())) == MOST_KINDS


def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    known = Measurements(tmp_path / "cache" / "memory.json")
    known.note("a", 100, 100)
