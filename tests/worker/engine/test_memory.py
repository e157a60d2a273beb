"""Memory: reports with real values, growth and its warning, budgets, and who leaves first."""

from __future__ import annotations

import gc
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from dw_lsp.protocol import Component, MemoryReported, Ready, ReportMemory, RunBegan
from dw_lsp.worker.engine import components as components_module
from dw_lsp.worker.engine import memory as memory_module
from dw_lsp.worker.engine.components import Components, device_of, size_of
from dw_lsp.worker.engine.devices import default_device, device_name, is_present, named_device, same_device
from dw_lsp.worker.engine.eviction import Budgets
from dw_lsp.worker.engine.host_memory import host_memory
from dw_lsp.worker.engine.memory import FIRST_SAMPLE_SECONDS, SAMPLING_SECONDS, Meter, Sampler, budget_bytes
from dw_lsp.worker.engine.room import Room

MEGABYTE = 1024 * 1024


def test_host_memory_is_that_of_the_system() -> None:
    memory = host_memory()
    assert memory.total and memory.free and memory.process and memory.process_peak
    assert memory.total > memory.free > 0 and memory.process_peak >= memory.process > 10 * MEGABYTE


def test_the_report_of_a_run_has_real_values(worker: Any, make: Any, tmp_path: Path) -> None:
    ended = worker.run(make.workflow(make.drawing(1)), tmp_path)
    report = ended.memory
    assert (report.device, report.device_name != "") == ("cpu", True)
    assert report.allocated_bytes == sum(part.bytes for part in report.components) > 4 * MEGABYTE
    for value in (
        report.reserved_bytes,
        report.free_bytes,
        report.total_bytes,
        report.peak_bytes,
        report.process_bytes,
    ):
        assert value is not None and value > 0
    assert report.total_bytes > report.process_bytes and report.peak_bytes >= report.process_bytes


def test_memory_is_told_while_a_run_is_busy_and_after_it(worker: Any, make: Any, tmp_path: Path) -> None:
    ended = worker.run(make.workflow(make.drawing(200)), tmp_path)
    told = worker.heard(MemoryReported)
    assert len(told) >= 2 and told[-1].report == ended.memory
    assert all(report.request_id is None for report in told)


def test_the_need_is_told_before_the_run(worker: Any, make: Any, tmp_path: Path) -> None:
    ended = worker.run(make.workflow(make.drawing(1, width=128, height=64)), tmp_path)
    (began,) = worker.heard(RunBegan)
    estimate = began.estimate
    assert estimate.weight_bytes == pytest.approx(sum(part.bytes for part in (*ended.loaded, *ended.reused)), rel=0.01)
    assert estimate.device_bytes == estimate.weight_bytes + estimate.activation_bytes > estimate.weight_bytes


def test_without_models_there_is_no_estimate(worker: Any, make: Any, tmp_path: Path) -> None:
    worker.run(make.workflow(make.task("code", "qr_code", "image/png", qr_code_contents="x")), tmp_path)
    assert worker.heard(RunBegan)[0].estimate is None


def test_an_estimate_is_corrected_by_what_was_measured(start_worker: Any, make: Any, tmp_path: Path) -> None:
    worker = start_worker(DW_CACHE=str(tmp_path / "cache"))
    worker.wait_for(Ready)
    estimates = []
    for number in range(3):
        many = make.drawing(2, num_images_per_prompt=200, guidance_scale=1.0, seed=number)
        many["result"]["save"] = False
        ended = worker.run(make.workflow(many), tmp_path)
        assert ended.outcome == "succeeded", ended.error
        estimates.append(worker.heard(RunBegan)[0].estimate)
    # The first run loads, so its peak is none of computing alone; the second is measured.
    assert [each.measured for each in estimates] == [False, False, True]
    # What the allocator kept from the runs before is in the process too: it took at most so much, and the shapes alone
    # had predicted more.
    at_most = ended.steps[0].peak_bytes - ended.memory.baseline_bytes
    assert estimates[0].device_bytes > at_most > estimates[2].device_bytes
    assert estimates[2].activation_bytes > estimates[0].activation_bytes / 4


def test_growth_counts_from_the_first_run_after_a_cleanup() -> None:
    used = [1000 * MEGABYTE]
    meter = Meter(torch.device("cpu"), "a processor")
    meter.used = lambda: used[0]  # type: ignore[method-assign]
    assert meter.report((), 0).growth_bytes is None
    meter.note_run()
    used[0] += 600 * MEGABYTE
    meter.note_run()
    report = meter.report((), 2, 500 * MEGABYTE)
    assert report.growth_bytes == 600 * MEGABYTE
    assert "600 MB" in report.warnings[0] and "growthWarningMb" in report.warnings[0]
    assert meter.report((), 2, 700 * MEGABYTE).warnings == ()
    meter.forget()
    assert meter.report((), 2, 500 * MEGABYTE).growth_bytes is None


def test_growth_of_host_memory_beside_a_device_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    process = [1000 * MEGABYTE]
    monkeypatch.setattr(memory_module, "process_memory", lambda: process[0])
    meter = Meter(torch.device("mps"), "a device")
    meter.used = lambda: 50 * MEGABYTE  # type: ignore[method-assign]
    meter.note_run()
    process[0] += 600 * MEGABYTE
    parked = Component("a", "unet", "UNet", 150 * MEGABYTE, "cpu", 0.1)
    assert meter.growth(()) == {"mps": 0, "cpu": 600 * MEGABYTE}
    assert meter.growth((parked,)) == {"mps": 0, "cpu": 450 * MEGABYTE}


def test_growth_of_a_real_run_is_warned_of(worker: Any, make: Any, tmp_path: Path) -> None:
    worker.run(make.workflow(make.drawing(1)), tmp_path)
    ended = worker.run(make.workflow(make.drawing(1)), tmp_path, options=make.options(growth_warning_bytes=-(2**40)))
    assert ended.memory.warnings and ended.memory.growth_bytes is not None
    worker.send(ReportMemory(71))
    again = worker.wait_for(MemoryReported, lambda each: each.request_id == 71).report
    assert again.warnings


def test_objects_that_are_kept_are_counted() -> None:
    meter = Meter(torch.device("cpu"), "a processor")
    gc.collect()
    before = meter.pools(()).python_objects
    kept = [[number] for number in range(5000)]
    after = meter.pools(()).python_objects
    assert before is not None and after is not None and len(kept) <= after - before < 2 * len(kept)


def test_the_highest_use_of_a_step_is_caught_between_its_ends() -> None:
    used = [10]
    meter = Meter(torch.device("cpu"), "a processor")
    meter.used = lambda: used[0]  # type: ignore[method-assign]
    meter.begin_peak()
    used[0] = 50
    meter.sample()
    used[0] = 20
    assert meter.peak() == 50


def test_what_is_handed_out_leaves_out_what_is_kept_for_reuse() -> None:
    meter = Meter(torch.device("cpu"), "a processor")
    before = meter.begin_in_use()
    if before is None:
        pytest.skip("this C library does not tell")
    tensor = torch.zeros(16 * MEGABYTE)
    meter.sample()
    del tensor
    peak, after = meter.peak_in_use(), meter.in_use()
    assert peak is not None and after is not None
    assert peak - before >= 60 * MEGABYTE and after - before < 10 * MEGABYTE


def test_the_sampler_reports_during_runs_and_never_between_them() -> None:
    told: list[str] = []
    heard = threading.Event()
    sampler = Sampler(Meter(torch.device("cpu"), "a processor"))

    def run(name: str) -> None:
        heard.clear()
        with sampler.during(lambda: (told.append(name), heard.set())):
            assert heard.wait(10)

    run("first")
    count = len(told)
    time.sleep(FIRST_SAMPLE_SECONDS + SAMPLING_SECONDS)
    assert len(told) == count
    run("second")
    assert set(told[:count]) == {"first"} and set(told[count:]) == {"second"}


def test_all_runs_share_one_sampling_thread() -> None:
    sampler = Sampler(Meter(torch.device("cpu"), "a processor"))
    with sampler.during(lambda: None):
        threads = set(threading.enumerate())
    for _ in range(20):
        with sampler.during(lambda: None):
            assert set(threading.enumerate()) <= threads


@pytest.mark.parametrize(
    ("setting", "expected"), [(0.5, 500), ("20GB", 20 * 1024**3), ("1.5 GiB", 3 * 2**29), ("700 MB", 700 * MEGABYTE)]
)
def test_budgets(setting: Any, expected: int) -> None:
    assert budget_bytes(setting, 1000) == expected


def test_a_budget_of_an_unknown_capacity_is_unknown() -> None:
    assert budget_bytes(0.9, None) is None


@pytest.mark.parametrize("setting", ["much", "20XB", ""])
def test_a_budget_that_is_no_amount(setting: str) -> None:
    with pytest.raises(ValueError, match="20GB"):
        budget_bytes(setting, 1000)


# ---------------------------------------------------------------- components


def filled(*names: str) -> Components:
    components = Components()
    for name in names:
        components.add(name, name, torch.nn.Linear(10, 10, bias=False), 0.1)  # 400 bytes each
    return components


def keys(components: Components) -> list[str]:
    return [record.key for record in components.records()]


def test_shared_weights_count_once() -> None:
    first = torch.nn.Linear(10, 10, bias=False)
    second = torch.nn.Linear(10, 10, bias=False)
    second.weight = first.weight
    assert size_of(torch.nn.ModuleList([first, second])) == 400
    assert size_of(object()) == 0


ONE_TIER = partial(Budgets, host=None, one_tier=True)


def test_the_least_recently_used_leave_first() -> None:
    components = filled("a", "b", "c")
    components.get("a")
    parked, gone = components.make_room(400, 0, ONE_TIER(1000), keep=())
    assert [record.key for record in gone] == ["b", "c"] and parked == () and keys(components) == ["a"]


def test_what_was_used_in_a_later_turn_stays_though_it_came_first() -> None:
    components = filled("a", "b")
    components.begin_turn()
    components.get("a")
    components.make_room(400, 0, ONE_TIER(800), keep=())
    assert keys(components) == ["a"]


def test_what_is_needed_stays() -> None:
    components = filled("a", "b", "c")
    components.make_room(400, 0, ONE_TIER(900), keep=("a", "b"))
    assert keys(components) == ["a", "b"]


def test_without_a_budget_all_stay() -> None:
    components = filled("a", "b")
    assert components.make_room(10**12, 0, ONE_TIER(None), keep=()) == ((), ()) and keys(components) == ["a", "b"]


@pytest.mark.parametrize(("working", "left"), [(0, ["a", "b", "c"]), (500, ["a", "b", "c"]), (700, ["b", "c"])])
def test_what_computing_takes_makes_others_leave_before_the_call(working: int, left: list[str]) -> None:
    components = filled("a", "b", "c")
    needed = components.get("c")
    assert needed is not None
    Room(ONE_TIER(None), lambda: 500, working).make(components, (), (needed,))
    assert keys(components) == left


def test_parked_components_come_back_without_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The moves between tiers, carried out: what a device would hold is told by hand, its bytes are real."""
    components = filled("a", "b", "c")
    away = {"a", "b", "c"}
    monkeypatch.setattr(components_module, "device_of", lambda live: "cuda:0" if names[id(live)] in away else "cpu")
    names = {id(resident.live): key for key, resident in components._residents.items()}
    monkeypatch.setattr(torch.nn.Linear, "to", lambda self, device: away.discard(names[id(self)]))
    live = {key: components.get(key).live for key in ("a", "b", "c")}  # type: ignore[union-attr]
    parked, gone = components.make_room(800, 0, Budgets(1200, 400, False), keep=())
    assert ([each.key for each in parked], [each.key for each in gone]) == (["b"], ["a"])
    back = components.get("b")
    assert back is not None and back.live is live["b"] and components.bytes_on_device(False) == 400


def test_what_is_on_another_device_counts_in_no_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    components = Components(torch.device("cuda", 0))
    for name in ("here", "there"):
        components.add(name, name, torch.nn.Linear(10, 10, bias=False), 0.1)
    places = {id(resident.live): f"cuda:{number}" for number, resident in enumerate(components._residents.values())}
    monkeypatch.setattr(components_module, "device_of", lambda live: places[id(live)])
    assert (components.bytes_on_device(False), components.bytes_in_host()) == (400, 0)
    assert components.make_room(0, 0, Budgets(400, 0, False), keep=()) == ((), ())


def test_weights_that_come_one_by_one_are_in_host_memory() -> None:
    assert device_of(torch.nn.Linear(2, 2, device="meta")) == "cpu"


def test_a_budget_of_the_settings_is_kept(worker: Any, make: Any, tmp_path: Path) -> None:
    worker.run(make.workflow(make.drawing(1)), tmp_path)
    half = make.drawing(1)
    half["pipeline"]["from_pretrained_arguments"]["torch_dtype"] = "torch.bfloat16"
    half["pipeline"]["from_pretrained_arguments"]["variant"] = None
    ended = worker.run(make.workflow(half), tmp_path, options=make.options(memory_budget="14MB"))
    assert ended.outcome == "succeeded", ended.error
    assert sum(part.bytes for part in ended.memory.components) < 14 * MEGABYTE
    assert "unet" in {part.name for part in ended.memory.components}


def test_a_budget_that_shrinks_is_kept_when_nothing_is_loaded(worker: Any, make: Any, tmp_path: Path) -> None:
    half = make.drawing(1)
    half["pipeline"]["from_pretrained_arguments"]["torch_dtype"] = "torch.bfloat16"
    worker.run(make.workflow(half), tmp_path)
    worker.run(make.workflow(make.drawing(1)), tmp_path)
    ended = worker.run(make.workflow(make.drawing(1)), tmp_path, options=make.options(memory_budget="1MB"))
    used = {part.key for part in ended.reused}
    assert ended.loaded == () and {part.key for part in ended.memory.components if part.bytes} <= used


# ---------------------------------------------------------------- devices


def test_the_device_of_this_machine_is_there() -> None:
    device = default_device()
    assert is_present(device) and device_name(device) not in ("", "unknown")


def test_a_device_that_is_absent_is_replaced_with_a_warning() -> None:
    device, warning = named_device("cuda:97", torch.device("cpu"))
    assert device == torch.device("cpu") and warning and "cuda:97" in warning
    assert named_device("cpu", torch.device("cpu")) == (torch.device("cpu"), None)


def test_what_is_no_device() -> None:
    with pytest.raises(ValueError, match="'toaster' is no device"):
        named_device("toaster", torch.device("cpu"))


def test_a_device_without_number_is_the_first() -> None:
    assert same_device(torch.device("cuda"), torch.device("cuda", 0))
    assert not same_device(torch.device("cuda", 1), torch.device("cuda", 0))
