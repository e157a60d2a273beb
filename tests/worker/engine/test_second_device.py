"""Placement, two tiers of memory, offloading, the ways out of a shortage: on a device that is not the processor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from dw_lsp.planning.measured import FILE
from dw_lsp.protocol import ClearMemory, Evict, MemoryReported, RequestFailed, RunEnded
from dw_lsp.worker.engine import room
from dw_lsp.worker.engine.components import Components
from dw_lsp.worker.engine.eviction import Budgets
from dw_lsp.worker.engine.host_memory import HostMemory
from dw_lsp.worker.engine.profiling import TIMELINE
from tests.worker.conftest import CACHE


@pytest.fixture
def worker(device_worker: Any) -> Any:
    return device_worker


def drawing(make: Any, settings: dict[str, Any] | None = None, dtype: str = "torch.float32", **arguments: Any) -> Any:
    step = make.drawing(1, **arguments)
    step["pipeline"]["configuration"].update(settings or {})
    step["pipeline"]["from_pretrained_arguments"]["torch_dtype"] = dtype
    return step


def run(worker: Any, work: Any, folder: Path, where: str = "outputs", **options: Any) -> RunEnded:
    ended: RunEnded = worker.run(work, folder, output_directory=str(folder / where), **options)
    return ended


def pixels(ended: RunEnded) -> bytes:
    assert ended.outcome == "succeeded", ended.error
    with Image.open(str(ended.results[0].path)) as image:
        return image.tobytes()


def places(ended: RunEnded) -> set[str]:
    return {part.device for part in ended.memory.components if part.bytes}


#: Not `group_offload`: it sets the data of live weights, which torch lets no device do that is not its own.
STATES: dict[str, dict[str, Any]] = {
    "model": {"offload": "model"},
    "sequential": {"offload": "sequential"},
    "on demand": {"components": {"unet": {"residency": "on_demand"}}},
    "one elsewhere": {"components": {"text_encoder": {"device": "cpu"}}},
}


@pytest.mark.parametrize("state", STATES)
def test_where_a_model_rests_changes_no_picture(state: str, worker: Any, make: Any, tmp_path: Path) -> None:
    plain = run(worker, make.workflow(drawing(make), seed=3), tmp_path)
    assert places(plain) == {"second:0"}
    changed = run(worker, make.workflow(drawing(make, STATES[state]), seed=3), tmp_path)
    again = run(worker, make.workflow(drawing(make), seed=3), tmp_path, "again")
    assert pixels(plain) == pixels(changed) == pixels(again)
    assert (changed.loaded, again.loaded, places(again)) == ((), (), {"second:0"})


def test_weights_that_do_not_fit_are_offloaded_and_leave_nothing_behind(worker: Any, make: Any, tmp_path: Path) -> None:
    plain = run(worker, make.workflow(drawing(make), seed=3), tmp_path)
    worker.ask(ClearMemory(3))
    weights = sum(part.bytes for part in plain.memory.components)
    worker.has(0.8 * weights / 2**20)
    ended = run(worker, make.workflow(drawing(make), seed=3), tmp_path, "short")
    assert pixels(ended) == pixels(plain)
    assert "ran out of memory" in ended.steps[0].notes[0] and "offload" in ended.steps[0].notes[-1]
    worker.has(64)
    again = run(worker, make.workflow(drawing(make), seed=3), tmp_path, "again")
    assert (pixels(again), again.loaded, places(again)) == (pixels(plain), (), {"second:0"})


def test_a_device_too_small_for_anything_is_told_and_forgotten(worker: Any, make: Any, tmp_path: Path) -> None:
    plain = run(worker, make.workflow(drawing(make), seed=3), tmp_path)
    worker.ask(ClearMemory(3))
    worker.has(0.5)
    ended = run(worker, make.workflow(drawing(make), seed=3), tmp_path, "short")
    assert (ended.outcome, ended.error.type, ended.error.step) == ("failed", "OutOfMemory", "draw")
    assert "it needs at least" in ended.error.message and "sequential offload" in ended.error.message
    assert "offload" not in ended.error.hint
    worker.has(64)
    again = run(worker, make.workflow(drawing(make), seed=3), tmp_path, "again")
    assert (pixels(again), places(again)) == (pixels(plain), {"second:0"})


@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_what_was_offloaded_leaves_memory_as_a_whole(offload: str, worker: Any, make: Any, tmp_path: Path) -> None:
    empty = worker.memory().allocated_bytes
    run(worker, make.workflow(drawing(make, {"offload": offload})), tmp_path)
    assert run(worker, make.workflow(drawing(make)), tmp_path).memory.allocated_bytes > empty + 2**20
    worker.ask(ClearMemory(3))
    assert worker.memory().allocated_bytes == empty


def test_a_part_with_a_place_of_its_own_comes_back(worker: Any, make: Any, tmp_path: Path) -> None:
    plain = run(worker, make.workflow(drawing(make), seed=3), tmp_path)
    apart = {"components": {"unet.mid_block": {"device": "cpu"}}}
    mixed = run(worker, make.workflow(drawing(make, apart), seed=4), tmp_path)
    assert "on the same device" in mixed.error.message  # A part that its model calls needs its model's device.
    assert pixels(run(worker, make.workflow(drawing(make), seed=3), tmp_path, "again")) == pixels(plain)


# ---------------------------------------------------------------- image-prompt adapters


@pytest.fixture
def adapted(make: Any, tmp_path: Path, ip_adapter_files: Path) -> Any:
    Image.new("RGB", (48, 48), "green").save(tmp_path / "green.png")
    step = drawing(make, ip_adapter_image="green.png")
    step["pipeline"]["ip_adapter"] = {"model_name": str(ip_adapter_files), "weight_name": "adapter0.safetensors"}
    return step


def adapters(ended: RunEnded) -> list[Any]:
    return [part for part in ended.memory.components if part.class_name == "IPAdapter"]


def test_an_adapter_outlives_offloading(worker: Any, make: Any, tmp_path: Path, adapted: Any) -> None:
    roots = (str(tmp_path), str(make.model.parent.parent), str(tmp_path.parent.parent))
    plain = run(worker, make.workflow(adapted, seed=3), tmp_path, roots=roots)
    for number, offload in enumerate(("sequential", "model")):
        adapted["pipeline"]["configuration"]["offload"] = offload
        assert pixels(run(worker, make.workflow(adapted, seed=3), tmp_path, str(number), roots=roots)) == pixels(plain)
    del adapted["pipeline"]["configuration"]["offload"]
    again = run(worker, make.workflow(adapted, seed=3), tmp_path, "again", roots=roots)
    assert (pixels(again), again.loaded) == (pixels(plain), ())


def test_an_adapter_leaves_the_device_when_it_is_off_and_memory_when_told_to(
    worker: Any, make: Any, tmp_path: Path, adapted: Any
) -> None:
    before = run(worker, make.workflow(drawing(make)), tmp_path).memory.allocated_bytes
    roots = (str(tmp_path), str(make.model.parent.parent), str(tmp_path.parent.parent))
    ended = run(worker, make.workflow(adapted, seed=3), tmp_path, roots=roots)
    (encoder,) = [part for part in ended.loaded if part.name == "image_encoder"]
    assert ended.memory.allocated_bytes == before + encoder.bytes
    (adapter,) = adapters(ended)
    assert isinstance(worker.ask(Evict(5, adapter.key)), MemoryReported)
    assert isinstance(worker.ask(Evict(6, adapter.key)), RequestFailed)
    again = run(worker, make.workflow(adapted, seed=3), tmp_path, "again", roots=roots)
    assert [part.name for part in again.loaded] == [adapter.name]
    assert pixels(again) == pixels(ended)


def test_an_adapter_that_does_not_fit_is_a_shortage_of_memory(
    worker: Any, make: Any, tmp_path: Path, adapted: Any
) -> None:
    roots = (str(tmp_path), str(make.model.parent.parent), str(tmp_path.parent.parent))
    plain = run(worker, make.workflow(drawing(make)), tmp_path)
    worker.has(plain.memory.allocated_bytes / 2**20 + 0.01)
    ended = run(worker, make.workflow(adapted, seed=3), tmp_path, roots=roots)
    assert ended.outcome == "succeeded", ended.error
    assert "ran out of memory" in ended.steps[0].notes[0]


# ---------------------------------------------------------------- two tiers


def from_file(make: Any, folder: Path) -> Any:
    if not (file := folder / "all.safetensors").exists():
        file.write_text(str(make.model))
    step = drawing(make)
    step["pipeline"]["from_pretrained_arguments"] = {
        "from_single_file": "all.safetensors",
        "torch_dtype": "torch.float32",
    }
    return step


def test_what_came_out_of_a_single_file_is_released(worker: Any, make: Any, tmp_path: Path) -> None:
    ended = run(worker, make.workflow({**from_file(make, tmp_path), "release_pipeline": True}), tmp_path)
    assert ended.outcome == "succeeded", ended.error
    assert ended.loaded and not places(ended)
    kept = run(worker, make.workflow(from_file(make, tmp_path), seed=3), tmp_path)
    assert places(kept) == {"second:0"}
    # Its results are remembered: nothing has to be loaded, and what an earlier run has loaded goes all the same.
    again = run(worker, make.workflow({**from_file(make, tmp_path), "release_pipeline": True}, seed=3), tmp_path)
    assert (again.steps[0].outcome, places(again)) == ("reused", set())


def on_device(ended: RunEnded) -> int:
    return sum(part.bytes for part in ended.memory.components if part.device == "second:0")


def test_budgets_hold_when_nothing_is_loaded(worker: Any, make: Any, tmp_path: Path) -> None:
    run(worker, make.workflow(drawing(make, dtype="torch.bfloat16")), tmp_path)
    both = run(worker, make.workflow(drawing(make)), tmp_path)
    assert on_device(both) == sum(part.bytes for part in both.memory.components)
    less = run(worker, make.workflow(drawing(make)), tmp_path, options=make.options(memory_budget="12MB"))
    assert (less.loaded, places(less)) == ((), {"second:0", "cpu"}) and on_device(less) <= 12 * 2**20
    none = make.options(memory_budget="12MB", host_memory_budget="1KB")
    least = run(worker, make.workflow(drawing(make)), tmp_path, options=none)
    assert (least.loaded, places(least)) == ((), {"second:0"})


def test_room_is_made_for_what_came_out_of_a_single_file(worker: Any, make: Any, tmp_path: Path) -> None:
    narrow = make.options(memory_budget="12MB")
    run(worker, make.workflow(from_file(make, tmp_path)), tmp_path, options=narrow)
    plain = run(worker, make.workflow(drawing(make)), tmp_path, options=narrow)
    assert places(plain) == {"second:0", "cpu"}
    back = run(worker, make.workflow(from_file(make, tmp_path)), tmp_path, options=narrow)
    assert back.loaded == () and back.steps[0].peak_bytes < 1.5 * on_device(plain)


def test_what_is_parked_is_no_more_than_the_host_has(monkeypatch: pytest.MonkeyPatch) -> None:
    components = Components()
    for name in ("old", "new"):
        components.begin_turn()
        components.add(name, name, torch.nn.Linear(10, 10, bias=False), 0.1)  # 400 bytes each, parked already.
    monkeypatch.setattr(room, "host_memory", lambda: HostMemory(10**9, -300, None, None))
    room.keep_within(components, Budgets(10**9, 10**9, one_tier=False), ())
    assert [record.key for record in components.records()] == ["new"]


def test_what_is_measured_of_an_offloaded_step_corrects_no_estimate(worker: Any, make: Any, tmp_path: Path) -> None:
    def noted(settings: dict[str, Any]) -> int:
        run(worker, make.workflow(drawing(make, settings)), tmp_path)
        return (CACHE / FILE).stat().st_mtime_ns if (CACHE / FILE).exists() else 0

    noted({})
    last = noted({})
    assert last and last == noted({"offload": "model"}) == noted({"components": {"unet": {"residency": "on_demand"}}})
    assert noted({}) > last


# ---------------------------------------------------------------- what is told


def test_growth_of_both_memories_is_warned_of(worker: Any, make: Any, tmp_path: Path) -> None:
    run(worker, make.workflow(drawing(make)), tmp_path)
    ended = run(worker, make.workflow(drawing(make)), tmp_path, options=make.options(growth_warning_bytes=-(2**40)))
    assert [("device" in warning, "process (host)" in warning) for warning in ended.memory.warnings] == [
        (True, False), (False, True),
    ]  # fmt: skip


def test_while_layers_come_one_by_one_their_weights_are_told_to_be_in_host_memory(
    worker: Any, make: Any, tmp_path: Path
) -> None:
    step = drawing(make, {"offload": "sequential"}, num_inference_steps=8)
    ended = run(worker, make.workflow(step), tmp_path, options=make.options(profile_memory=True))
    told = {part.device for each in worker.heard(MemoryReported) for part in each.report.components}
    assert told <= {"cpu", "second:0"}
    profile = json.loads((Path(ended.results[0].path).parent / TIMELINE).read_text())
    assert max(sample["allocated"] for sample in profile["samples"]) > 0
