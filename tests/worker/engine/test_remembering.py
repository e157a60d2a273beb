"""The store of remembered steps on disk: what comes back is what went in, it is verified, and it does not grow on."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

from dw_lsp.planning.artifact import TENSOR, Artifact, artifact_of, check_tree
from dw_lsp.planning.step_keys import surroundings
from dw_lsp.planning.step_store import StepStore, entry_text, read_entry
from dw_lsp.worker.engine.artifact_codec import CannotRestore, Contents, encode, live
from dw_lsp.worker.engine.recalling import fresh
from dw_lsp.worker.engine.remembering import COUNTED_PART, LARGEST_STORE, Finished, StepMemory
from dw_lsp.worker.engine.results import plain_png
from dw_lsp.worker.engine.run_folder import RunFolder
from dw_lsp.worker.engine.whole_files import write_whole
from dw_lsp.workflow.identity import content_digest

SECOND = 10**9


def keep(memory: StepMemory, key: str, *results: Any) -> list[Artifact]:
    made = fresh(list(results), key, 7, 0.5)
    memory.remember(key, Finished(made.artifacts, made.contents, made.separate, made.seed, made.seconds))
    return list(made.artifacts)


def noise(seed: int, side: int = 64, mode: str = "RGB") -> Image.Image:
    data = numpy.random.default_rng(seed).integers(0, 255, side * side * 8, dtype=numpy.uint8).tobytes()
    return Image.frombytes(mode, (side, side), data[: len(Image.new(mode, (side, side)).tobytes())])


def files(memory: StepMemory) -> list[Path]:
    return [path for path in memory.root.rglob("*") if path.is_file()]


def with_notes() -> Image.Image:
    image = noise(1)
    image.info = {"icc_profile": b"\0\1", "dpi": (72.0, 72.0), "comment": "a note"}
    return image


VALUES = {
    "text": "a \ud800 text\n with \u2028 everything",
    "numbers": [1, 1.0, -0.5, True, None],
    "object": {"a": {"b": [1, "c"]}, "picture": noise(2)},
    "tuple": (1, (2, "x")),
    "picture": noise(3),
    "grey": noise(4, mode="L"),
    "with alpha": noise(5, mode="RGBA"),
    "black and white": noise(6, side=13, mode="1"),
    "numbers as a picture": Image.new("F", (5, 3), 0.3),
    "notes": with_notes(),
    "frames": [noise(7), noise(8)],
    "array": numpy.arange(24, dtype=numpy.float32).reshape(2, 3, 4)[:, ::2],
    "empty": numpy.zeros((0, 3), dtype=numpy.uint8),
    "half": torch.randn(2, 3, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16),
    "scalar": torch.tensor(3),
    "flags": torch.tensor([True, False]),
}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Image.Image):
        return (one.mode, one.size, one.tobytes(), one.info) == (other.mode, other.size, other.tobytes(), other.info)
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, numpy.ndarray):
        return one.dtype == other.dtype and numpy.array_equal(one, other)
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and bool(one == other)


@pytest.mark.parametrize("name", VALUES)
def test_what_comes_back_is_what_went_in(name: str, tmp_path: Path) -> None:
    memory = StepMemory(tmp_path)
    (artifact,) = keep(memory, "k" * 32, VALUES[name])
    entry = StepMemory(tmp_path).find("k" * 32)
    assert entry is not None and (entry.seed, entry.seconds) == (7, 0.5)
    (back,) = entry.artifacts()
    assert same(VALUES[name], live(back, memory.read)) and back.digest == artifact.digest


def test_a_picture_that_was_saved_as_png_is_stored_as_that(tmp_path: Path) -> None:
    memory, contents = StepMemory(tmp_path), Contents()
    artifact = encode(noise(1), contents)
    (tmp_path / "one.png").write_bytes(b"")
    noise(1).save(tmp_path / "one.png")
    artifact.png = (tmp_path / "one.png").read_bytes()
    memory.remember("k" * 32, Finished([artifact], contents, False, None, 0.0))
    assert [path.suffix for path in files(memory)].count(".png") == 1
    entry = StepMemory(tmp_path).find("k" * 32)
    assert entry is not None and same(live(entry.artifacts()[0], memory.read), noise(1))


def test_a_picture_may_be_larger_than_pillow_takes_from_strangers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, contents = StepMemory(tmp_path), Contents()
    artifact = encode(noise(1), contents)
    artifact.png = plain_png(noise(1))
    memory.remember("k" * 32, Finished([artifact], contents, False, None, 0.0))
    entry = StepMemory(tmp_path).find("k" * 32)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert entry is not None and same(live(entry.artifacts()[0], memory.read), noise(1))


def test_what_no_tree_can_express_is_not_remembered() -> None:
    assert fresh([object()], "key", None, 0.0).key is None
    assert fresh([{"inside": [object()]}], "key", None, 0.0).key is None


def test_equal_contents_are_stored_once(tmp_path: Path) -> None:
    memory = StepMemory(tmp_path)
    keep(memory, "a" * 32, noise(1))
    before = len(files(memory))
    keep(memory, "b" * 32, noise(1), noise(1))
    assert len(files(memory)) == before + 1


def test_an_object_that_vanishes_after_it_was_found_is_told(tmp_path: Path) -> None:
    memory = StepMemory(tmp_path)
    keep(memory, "a" * 32, noise(1))
    entry = memory.find("a" * 32)
    assert entry is not None
    for path in files(memory):
        path.unlink()
    with pytest.raises(CannotRestore, match="gone"):
        live(entry.artifacts()[0], memory.read)
    assert memory.find("a" * 32) is None


@pytest.mark.parametrize(
    "told",
    [
        "",
        "not a checksum\n{}",
        '{"trees":[{"image":{"size":[1,1]}}]}',
        '{"trees":[{"module":"os"}],"separate":false,"seed":null,"seconds":0,"stored":{},"sizes":{}}',
        '{"trees":["x"],"separate":false,"seed":null,"seconds":0,"stored":{"a":"../../etc/passwd"},"sizes":{}}',
        '{"trees":["x"],"separate":false,"seed":null,"seconds":0,"stored":{},"sizes":{"../../x.png":3}}',
        "[" * 100_000,
    ],
)
def test_an_entry_of_another_form_is_none(told: str, tmp_path: Path) -> None:
    path = tmp_path / "entry.json"
    path.write_text(told if "\n" in told else f"{content_digest(told)}\n{told}")
    assert read_entry(path) is None


def test_a_picture_whose_size_is_a_lie_is_not_decoded(tmp_path: Path) -> None:
    memory = StepMemory(tmp_path)
    keep(memory, "a" * 32, noise(1))
    entry = memory.find("a" * 32)
    assert entry is not None
    tree = {"image": {**entry.trees[0]["image"], "size": [60000, 60000]}}
    with pytest.raises(CannotRestore, match="number of bytes"):
        live(artifact_of(tree, stored=entry.stored), memory.read)


def test_the_least_recently_used_go_first_and_the_bound_holds(tmp_path: Path) -> None:
    each = len(noise(0).tobytes())
    memory = StepMemory(tmp_path, largest=10 * each)
    for number in range(25):
        memory.begin_run(10 * each)
        keep(memory, f"{number:032}", noise(number))
        os.utime(memory.entry_path(f"{number:032}"), ns=(number * SECOND, number * SECOND))
        # The first one is used again and again.
        os.utime(memory.entry_path(f"{0:032}"), ns=(10**6 * SECOND, 10**6 * SECOND))
    assert sum(path.stat().st_size for path in files(memory)) <= 10 * each
    kept = [number for number in range(25) if memory.find(f"{number:032}")]
    assert kept[0] == 0 and kept[1:] == list(range(25 - len(kept) + 1, 25)) and len(kept) > 4


def test_results_as_large_as_the_store_are_not_remembered(tmp_path: Path) -> None:
    memory = StepMemory(tmp_path, largest=20_000)
    keep(memory, "a" * 32, noise(1))
    assert memory.find("a" * 32) is None and not files(memory)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_what_a_run_uses_is_not_pushed_out_by_what_it_makes(tmp_path: Path) -> None:
    each = len(noise(0).tobytes())
    memory = StepMemory(tmp_path, largest=6 * each)
    for number in range(3):
        keep(memory, f"{number:032}", noise(number))
    memory.begin_run(6 * each)
    assert memory.find(f"{1:032}")
    os.utime(memory.entry_path(f"{1:032}"), ns=(SECOND, SECOND))
    for number in range(10, 20):
        keep(memory, f"{number:032}", noise(number))
    assert memory.find(f"{1:032}") and size_of(tmp_path) <= 6 * each
    # Nor by each other: a set of results larger than the bound is remembered as far as there is room.
    assert [number for number in range(10, 20) if memory.find(f"{number:032}")] == [10, 11, 12, 13]


def test_the_bound_holds_for_several_workers_together(tmp_path: Path) -> None:
    each, count = len(noise(0).tobytes()), 4
    workers = [StepMemory(tmp_path, largest=30 * each) for _ in range(count)]
    largest = 0
    for number in range(100):
        workers[number % count].begin_run(30 * each)
        keep(workers[number % count], f"{number:032}", noise(number))
        largest = max(largest, size_of(tmp_path))
    # Each writes some of it, and one more, before it looks at what the others have written.
    assert largest <= (30 * (1 + count * COUNTED_PART) + count) * each


def test_no_more_is_kept_than_a_run_allows(tmp_path: Path) -> None:
    memory = StepMemory(tmp_path)
    keep(memory, "a" * 32, noise(1))
    memory.begin_run(0)
    keep(memory, "b" * 32, "text")
    assert not files(memory)


class FullDisk:
    """Takes so many bytes under a folder, and no more."""

    def __init__(self, folder: Path, capacity: int):
        self._folder, self._capacity = folder, capacity

    def write(self, path: str, data: bytes) -> None:
        if size_of(self._folder) + len(data) > self._capacity:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_whole(path, data)


def test_on_a_full_disk_results_come_before_what_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    each = len(noise(0).tobytes())
    disk = FullDisk(tmp_path, 5 * each)
    for module in ("remembering", "run_folder"):
        monkeypatch.setattr(f"dw_lsp.worker.engine.{module}.write_whole", disk.write)
    memory = StepMemory(tmp_path)
    for number in range(20):
        memory.begin_run(LARGEST_STORE)
        keep(memory, f"{number:032}", noise(number))
        os.utime(memory.entry_path(f"{number:032}"), ns=(number * SECOND, number * SECOND))
    assert memory.find(f"{19:032}") and not memory.find(f"{0:032}")
    memory.begin_run(LARGEST_STORE)
    folder = RunFolder(tmp_path, "id", "run", 0.0, memory.makes_room)
    assert folder.write("a.bin", noise(99).tobytes()).path.stat().st_size == each
    with pytest.raises(OSError, match="No space"):
        folder.write("b.bin", bytes(9 * each))


@pytest.mark.parametrize("error", [MemoryError(), ValueError("odd"), OSError(errno.EIO, "bad disk")])
def test_whatever_goes_wrong_costs_a_word_and_no_run(
    error: Exception, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def failing() -> bytes:
        raise error

    memory, contents = StepMemory(tmp_path), Contents()
    artifact = encode(numpy.zeros(3), contents)
    for _ in range(2):
        for _ in range(2):
            memory.remember("a" * 32, Finished([artifact], dict.fromkeys(contents, failing), False, None, 0.0))
        assert len(caplog.records) == 1 and memory.find("a" * 32) is None
        caplog.clear()
        memory.begin_run(LARGEST_STORE)


def test_what_another_entry_needs_is_not_forgotten(tmp_path: Path) -> None:
    memory = StepMemory(tmp_path)
    keep(memory, "a" * 32, noise(1), noise(2))
    keep(memory, "b" * 32, noise(2))
    memory.forget("a" * 32)
    assert memory.find("a" * 32) is None and memory.find("b" * 32)
    assert len(list((memory.root / "objects").rglob("*.raw"))) == 1


def test_seeds_are_kept_of_the_last_workflows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dw_lsp.worker.engine.remembering.MOST_SEEDS", 3)
    for number in range(5):
        memory = StepMemory(tmp_path)
        memory.note_seed(f"flow {number}", number)
        os.utime(memory.root / "seeds" / content_digest(f"flow {number}"), (number, number))
    keep(memory, "a" * 32, "text")
    assert [memory.seed_of(f"flow {number}") for number in range(5)] == [None, None, 2, 3, 4]


def test_using_an_entry_is_noted(tmp_path: Path) -> None:
    memory = StepMemory(tmp_path)
    keep(memory, "a" * 32, "text")
    os.utime(memory.entry_path("a" * 32), ns=(SECOND, SECOND))
    assert memory.find("a" * 32) is not None
    assert os.stat(memory.entry_path("a" * 32)).st_mtime_ns > 10**6 * SECOND


def test_nothing_unfinished_is_left_or_taken_for_an_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = StepMemory(tmp_path)

    def full(source: Any, target: Any, **_: Any) -> None:
        raise OSError(28, "No space left on device")

    for name in ("replace", "link"):
        monkeypatch.setattr(f"dw_lsp.worker.engine.whole_files.os.{name}", full)
    keep(memory, "a" * 32, noise(1))
    monkeypatch.undo()
    assert files(memory) == [] and memory.find("a" * 32) is None


def test_a_plan_reads_what_the_worker_wrote(tmp_path: Path) -> None:
    memory, store = StepMemory(tmp_path), StepStore(tmp_path)
    assert store.find("a" * 32) is None and store.surroundings is None and store.seed_of("flow") is None
    keep(memory, "a" * 32, noise(1))
    memory.note_surroundings("here", "cpu")
    memory.note_seed("flow", 12)
    found = store.find("a" * 32)
    assert found is not None and entry_text(found) == Path(memory.entry_path("a" * 32)).read_text()
    assert (store.surroundings, store.seed_of("flow")) == ("here", 12)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0)])
def test_a_tensor_comes_back_as_it_lay_in_memory(order: tuple[int, ...]) -> None:
    """A convolution over "channels last" adds up in another order: the last bits of its results would be others."""
    value = torch.randn(2, 3, 4, 5).permute(order)
    value = value.contiguous().permute([order.index(dimension) for dimension in range(4)])
    contents: Contents = {}
    kept = encode(value, contents)
    check_tree(kept.tree)
    stored = {content: f"{content}.raw" for content in contents}
    back = live(artifact_of(kept.tree, stored=stored), lambda name: contents[name.removesuffix(".raw")]())
    assert torch.equal(back, value) and back.stride() == value.stride()


def test_an_order_in_memory_that_does_not_fit_is_refused() -> None:
    contents: Contents = {}
    tree = encode(torch.zeros(2, 3).T, contents).tree
    tree[TENSOR]["order"] = [0, 7]
    stored = {content: f"{content}.raw" for content in contents}
    with pytest.raises(CannotRestore, match="order in memory"):
        live(artifact_of(tree, stored=stored), lambda name: contents[name.removesuffix(".raw")]())


def test_libraries_and_variables_that_change_how_it_is_computed_are_other_surroundings() -> None:
    versions = {"python": "3.11.1", "torch": "2.13", "sdnq": "0.2"}
    plain = surroundings(versions, "cpu", {})
    assert surroundings({**versions, "python": "3.11.2"}, "cpu", {"HOME": "/home/me"}) == plain
    changed = (
        surroundings({**versions, "sdnq": "0.3"}, "cpu", {}),
        surroundings({**versions, "torchao": "1"}, "cpu", {}),
        surroundings(versions, "cuda", {}),
        surroundings(versions, "cpu", {"DIFFUSERS_ATTN_BACKEND": "flash"}),
    )
    assert len({plain, *changed}) == 5
