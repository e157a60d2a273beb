"""Out of memory: recognised, tried again in a more sparing way, explained; with a worker that really has no more."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

from dw_lsp.protocol import LogLine, StepEnded
from dw_lsp.worker.engine.out_of_memory import (
    AS_WRITTEN,
    SAVING_SWITCHES,
    Relief,
    asked_bytes,
    is_out_of_memory,
    next_relief,
    ways_of_task,
    ways_to_reduce,
)

MEGABYTE = 1024 * 1024
TOO_MUCH = 1 << 55


def error_of(call: Any) -> BaseException:
    try:
        call()
    except BaseException as error:
        return error
    raise AssertionError("there was memory enough")


# ---------------------------------------------------------------- recognising


def test_what_the_allocators_of_this_machine_say_is_recognised() -> None:
    for call in (
        lambda: torch.empty(TOO_MUCH, dtype=torch.uint8),
        lambda: numpy.empty(TOO_MUCH, dtype=numpy.uint8),
        lambda: bytearray(TOO_MUCH),
    ):
        assert is_out_of_memory(error_of(call))


def test_what_other_allocators_say_is_recognised() -> None:
    of_device = getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)
    assert is_out_of_memory(of_device("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"))
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    assert is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))


def test_other_errors_are_none_of_memory() -> None:
    for error in (ValueError("out of memory"), RuntimeError("size mismatch"), OSError(errno.ENOSPC, "disk full")):
        assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has", 2 * 2**30),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 67108864 bytes. Error code 12", 67108864),
        ("Unable to allocate 1.50 MiB for an array with shape", 3 * 2**19),
        ("out of memory", None),
    ],
)
def test_how_much_was_asked_for(said: str, expected: int | None) -> None:
    assert asked_bytes(RuntimeError(said)) == expected


def test_how_much_a_real_allocator_was_asked_for() -> None:
    assert asked_bytes(error_of(lambda: torch.empty(TOO_MUCH, dtype=torch.uint8))) == TOO_MUCH


# ---------------------------------------------------------------- what is tried


def ladder(device: str, settings: dict[str, Any], switches: tuple[str, ...] = SAVING_SWITCHES) -> Iterator[Relief]:
    relief: Relief | None = AS_WRITTEN
    while (relief := next_relief(relief, settings, device, switches, freed=False)) is not None:
        yield relief


def test_a_device_of_its_own_has_all_three_ways() -> None:
    assert list(ladder("cuda", {})) == [Relief(True), Relief(True, "model"), Relief(True, "sequential")]


def test_nothing_is_tried_that_is_so_already() -> None:
    assert list(ladder("cuda", {"offload": "model"})) == [Relief(True), Relief(True, "sequential")]
    assert list(ladder("cuda", {"offload": "sequential"})) == [Relief(True)]
    assert list(ladder("cuda", {}, ())) == [Relief(False, "model"), Relief(False, "sequential")]


def test_a_cpu_has_nowhere_to_offload_to() -> None:
    assert list(ladder("cpu", {})) == [Relief(True)]
    assert list(ladder("cpu", {}, ())) == []


def test_the_same_is_tried_again_when_something_has_left_memory() -> None:
    again = next_relief(AS_WRITTEN, {}, "cpu", (), freed=True)
    assert again == AS_WRITTEN and next_relief(Relief(True), {}, "cpu", (), freed=True) is None


def test_a_pipeline_without_an_order_of_its_models_is_offloaded_layer_by_layer() -> None:
    assert next_relief(Relief(True), {}, "cuda", (), False, takes_turns=False) == Relief(True, "sequential")


def test_what_does_not_fit_before_its_switches_are_known_is_decoded_in_parts_later() -> None:
    offloaded = next_relief(AS_WRITTEN, {}, "cuda", (), freed=False)
    assert offloaded == Relief(False, "model")
    assert next_relief(offloaded, {}, "cuda", SAVING_SWITCHES, freed=False) == Relief(True, "model")


def test_a_relief_that_offloads_takes_the_place_of_groups() -> None:
    groups = {"group_offload": {"offload_type": "leaf_level"}}
    assert Relief(False, "model").applied(groups) == {"offload": "model"}
    assert Relief(True).applied(groups)["group_offload"] == groups["group_offload"]


def test_a_relief_changes_the_settings_it_is_about_and_no_others() -> None:
    written = {"vae": {"enable_tiling": False, "other": 1}, "device": "cuda"}
    assert Relief(True, "model").applied(written) == {
        "vae": {"enable_tiling": True, "enable_slicing": True, "other": 1},
        "device": "cuda",
        "offload": "model",
    }
    assert AS_WRITTEN.applied(written) == written


def test_three_ways_to_need_less_fit_the_step() -> None:
    arguments = {"num_images_per_prompt": 4, "width": 2048, "height": 1024}
    first, second, third = ways_to_reduce({"arguments": arguments}, "cuda").split("; ", 2)
    assert "num_images_per_prompt" in first and "2048 x 1024" in second and "sequential" in third
    tried = Relief(True, "sequential").applied({})
    small = {"from_pretrained_arguments": {"torch_dtype": "torch.float16"}, "configuration": tried}
    for device in ("cpu", "cuda"):
        ways = ways_to_reduce(small, device)
        assert "3. " in ways and "bfloat16" not in ways and "offload" not in ways
    sound = {"configuration": {"component_type": "StableAudioPipeline"}, "arguments": {"audio_end_in_s": 90}}
    assert "`audio_end_in_s` is 90" in (ways := ways_to_reduce(sound, "cuda")) and "picture" not in ways


def test_three_ways_of_a_task_are_those_of_a_task() -> None:
    plain = ways_of_task({"command": "qr_code", "arguments": {"qr_code_contents": "x"}}, "cuda", False)
    assert "3. " in plain and not any(word in plain for word in ("torch_dtype", "offload", "`width`", "model_name"))
    models = ways_of_task({"command": "depth", "arguments": {"image": "x"}}, "cuda", True)
    assert "`model_name`" in models and '"device": "cpu"' in models


# ---------------------------------------------------------------- a worker that has no more

ENOUGH_FOR_PARTS = 380
needs_limits = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process's memory")


@pytest.fixture
def worker(own_worker: Any) -> Any:
    """Kernels that could not be made without memory may fail ever after: no other tests use this worker."""
    return own_worker


@pytest.fixture(scope="module")
def warmed_up(own_worker: Any, make: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The worker has computed as much at once before: kernels keep some memory from their first use on."""
    ended = own_worker.run(make.workflow(many(make)), tmp_path_factory.mktemp("warm"))
    assert ended.outcome == "succeeded" and ended.steps[0].notes == ()


@pytest.fixture
def short_of_memory(worker: Any, warmed_up: None) -> Iterator[Any]:
    """Leaves the worker so many megabytes more than it has now; afterwards as many as it likes."""
    import resource

    def limit(megabytes: int) -> None:
        status = Path(f"/proc/{worker.process.pid}/status").read_text()
        used = int(status.partition("VmData:")[2].split()[0]) * 1024
        resource.prlimit(worker.process.pid, resource.RLIMIT_DATA, (used + megabytes * MEGABYTE, -1))

    yield limit
    resource.prlimit(worker.process.pid, resource.RLIMIT_DATA, (-1, -1))


def many(make: Any, count: int = 256, **arguments: Any) -> dict[str, Any]:
    """A step that draws many pictures at once and decodes them at once: 512 MB, or one by one."""
    step: dict[str, Any] = make.drawing(1, "many", guidance_scale=1.0, num_images_per_prompt=count, **arguments)
    step["result"]["save"] = False
    return step


@needs_limits
def test_a_step_without_memory_is_done_again_in_parts(
    worker: Any, make: Any, tmp_path: Path, short_of_memory: Any
) -> None:
    first = make.drawing(1, "first", seed=7)
    worker.run(make.workflow(first), tmp_path)
    short_of_memory(ENOUGH_FOR_PARTS)
    ended = worker.run(make.workflow(make.drawing(2, "first"), many(make), seed=3), tmp_path)
    assert ended.outcome == "succeeded", ended.error
    outcomes = {step.name: step.outcome for step in ended.steps}
    assert outcomes == {"first": "ran", "many": "ran"}
    (note,) = ended.steps[1].notes
    assert "'many' ran out of memory: another" in note and "VAE tiling and slicing" in note
    assert ended.steps[0].notes == ()
    assert note in [line.message for line in worker.heard(LogLine)]
    # The step before was not run again: it is told of once.
    assert [ended.step for ended in worker.heard(StepEnded)] == ["first", "many"]
    again = worker.run(make.workflow(make.drawing(2, "first"), many(make), seed=3), tmp_path)
    assert [step.outcome for step in again.steps] == ["reused", "reused"]
    assert "decoded in parts" in again.steps[1].notes[0]
    written = many(make)
    written["pipeline"]["configuration"]["vae"] = {"enable_slicing": True, "enable_tiling": True}
    assert worker.run(make.workflow(written, seed=3), tmp_path).steps[0].outcome == "ran"


@needs_limits
def test_the_vae_is_as_before_afterwards(worker: Any, make: Any, tmp_path: Path, short_of_memory: Any) -> None:
    before = worker.run(make.workflow(make.drawing(2), seed=5), tmp_path / "a").results[0].path
    short_of_memory(ENOUGH_FOR_PARTS)
    assert worker.run(make.workflow(many(make, 300), seed=3), tmp_path).steps[0].notes
    after = worker.run(make.workflow(make.drawing(2), seed=5), tmp_path / "b").results[0].path
    assert Path(before).read_bytes() == Path(after).read_bytes()


@needs_limits
def test_when_nothing_helps_the_error_says_what_would(
    worker: Any, make: Any, tmp_path: Path, short_of_memory: Any
) -> None:
    worker.run(make.workflow(make.drawing(1)), tmp_path)
    short_of_memory(100)
    ended = worker.run(make.workflow(make.drawing(1, "first", seed=1), many(make, 2000)), tmp_path)
    assert (ended.outcome, ended.error.type, ended.error.step) == ("failed", "OutOfMemory", "many")
    assert "step 'many' ran out of memory: it needs at least" in ended.error.message
    assert "also tried with VAE tiling and slicing" in ended.error.message
    assert "num_images_per_prompt" in ended.error.hint and "1." in ended.error.hint and "3." in ended.error.hint
    assert "DefaultCPUAllocator" in ended.error.traceback
    assert [step.outcome for step in ended.steps] == ["ran", "failed"]
    again = worker.run(make.workflow(make.drawing(1)), tmp_path)
    assert (again.outcome, again.loaded) == ("succeeded", ())


@needs_limits
def test_what_other_steps_have_left_leaves_first(worker: Any, make: Any, tmp_path: Path, short_of_memory: Any) -> None:
    half = make.drawing(1, "half")
    half["pipeline"]["from_pretrained_arguments"]["torch_dtype"] = "torch.bfloat16"
    worker.run(make.workflow(half, make.drawing(1)), tmp_path)
    short_of_memory(ENOUGH_FOR_PARTS + 50)  # The denoiser takes more for more pictures.
    ended = worker.run(make.workflow(many(make, 220)), tmp_path)
    assert ended.outcome == "succeeded", ended.error
    assert "unet" in ended.steps[0].notes[0] and "left memory" in ended.steps[0].notes[0]
    assert {part.name for part in ended.memory.components} >= {"unet", "vae", "text_encoder"}
    assert ended.loaded == ()


@needs_limits
def test_a_picture_that_no_memory_could_hold(worker: Any, make: Any, tmp_path: Path) -> None:
    ended = worker.run(make.workflow(make.drawing(1, width=2**22, height=2**22)), tmp_path)
    assert (ended.outcome, ended.error.type) == ("failed", "OutOfMemory")
    assert "4194304 x 4194304" in ended.error.hint


@needs_limits
def test_a_task_without_memory_says_what_it_needs(worker: Any, make: Any, tmp_path: Path, short_of_memory: Any) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "red.png")
    short_of_memory(100)
    large = make.task("large", "resize_rescale", "image/png", image="red.png", width=16000, height=16000)
    ended = worker.run(make.workflow(large), tmp_path)
    assert (ended.outcome, ended.error.type, ended.error.step) == ("failed", "OutOfMemory", "large")
    assert "step 'large' ran out of memory: it needs at least" in ended.error.message
    assert "16000 x 16000" in ended.error.hint and "offload" not in ended.error.hint
