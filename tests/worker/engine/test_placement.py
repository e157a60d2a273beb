"""Settings of single components: set for a step, undone after it; what cuts something out makes another component."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import numpy
import pytest
import torch
from PIL import Image

from dw_lsp.protocol import ClearMemory, LogLine, MemoryReported, RunEnded
from dw_lsp.text.syntax_tree import Range
from dw_lsp.worker.engine import offloading
from dw_lsp.worker.engine.placement import _move_around, bring_on_demand, offload_groups, set_state
from dw_lsp.workflow.resolved import ResolvedStep

CPU = torch.device("cpu")
STEP = ResolvedStep("draw", 0, "pipeline", {}, None, None, False, False, Range(0, 1), {})


@pytest.fixture
def folder(tmp_path: Path, worker: Any) -> Path:
    worker.send(ClearMemory(1))
    worker.wait_for(MemoryReported, lambda answer: answer.request_id == 1)
    return tmp_path


def drawing(make: Any, **components: Any) -> dict[str, Any]:
    step = make.drawing(2)
    step["pipeline"]["configuration"]["components"] = components
    work: dict[str, Any] = make.workflow(step, seed=3)
    return work


def run(worker: Any, work: dict[str, Any], folder: Path, where: str = "outputs") -> RunEnded:
    ended: RunEnded = worker.run(work, folder, output_directory=str(folder / where))
    assert ended.outcome == "succeeded", ended.error
    return ended


def pixels(ended: RunEnded) -> bytes:
    with Image.open(str(ended.results[0].path)) as image:
        return image.tobytes()


STATES: dict[str, dict[str, Any]] = {
    "device": {"unet": {"device": "cpu"}},
    "residency": {"unet": {"residency": "on_demand"}, "vae": {"residency": "resident"}},
    "groups": {"unet": {"group_offload": {"offload_type": "leaf_level"}}},
    "tiling": {"vae": {"enable_tiling": True}},
    "attention": {"unet": {"attention_backend": "_native_math"}},
}


@pytest.mark.parametrize("state", STATES)
def test_a_state_of_one_component_loads_nothing_and_is_undone(state: str, worker: Any, make: Any, folder: Path) -> None:
    plain = run(worker, drawing(make), folder)
    changed = run(worker, drawing(make, **STATES[state]), folder)
    back = run(worker, drawing(make), folder, "back")
    assert (changed.steps[0].outcome, changed.loaded, back.loaded) == ("ran", (), ())
    assert pixels(plain) == pixels(back) == pixels(changed)


def configured(make: Any, **settings: Any) -> dict[str, Any]:
    step = make.drawing(2)
    step["pipeline"]["configuration"].update(settings)
    work: dict[str, Any] = make.workflow(step, seed=3)
    return work


@pytest.mark.parametrize(
    "settings",
    [
        {"unet": {"channels_last": True}},
        {"unet": {"enable_forward_chunking": True}, "vae": {"channels_last": True, "enable_slicing": True}},
        {"unet": {"attn_processor_type": "diffusers.models.attention_processor.AttnProcessor"}},
        {"group_offload": {"offload_type": "leaf_level"}},
        {"sdnq_optimize": ["unet"]},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_a_state_of_a_model_loads_nothing_and_is_undone(settings: Any, worker: Any, make: Any, folder: Path) -> None:
    plain = run(worker, drawing(make), folder)
    changed = run(worker, configured(make, **settings), folder)
    back = run(worker, drawing(make), folder, "back")
    assert (changed.steps[0].outcome, changed.loaded, back.loaded) == ("ran", (), ())
    assert pixels(plain) == pixels(back)
    difference = numpy.frombuffer(pixels(changed), "uint8").astype(int) - numpy.frombuffer(pixels(plain), "uint8")
    assert numpy.abs(difference).max() <= 2  # Sums in another order.


def test_the_precision_of_one_model_loads_that_one(worker: Any, make: Any, folder: Path) -> None:
    plain = run(worker, drawing(make), folder)
    half = worker.run(configured(make, text_encoder={"torch_dtype": "torch.bfloat16"}), folder)
    assert [part.name for part in half.loaded] == [
        "text_encoder"
    ]  # Not every pipeline bears it, and this one does not.
    (small,) = [part for part in half.memory.components if part.key == half.loaded[0].key]
    (whole,) = [part for part in plain.memory.components if part.name == "text_encoder"]
    assert small.bytes == pytest.approx(whole.bytes / 2, rel=0.01)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"unet": {"wings": True}}, "`unet` has no key `wings`"),
        ({"unet": {"attn_processor_type": "torch.nn.Linear"}}, "is no attention processor"),
        ({"unet": {"attn_processor_type": "os.getcwd"}}, "not allowed"),
        ({"vae": {"attn_processor_type": "x"}}, "`vae` has no key `attn_processor_type`"),
        ({"group_offload": {"offload_type": "leaf_level"}, "offload": "model"}, "rule each other out"),
        (
            {"offload": "model", "components": {"unet": {"group_offload": {"offload_type": "leaf_level"}}}},
            "rule each other out",
        ),
        ({"group_offload": {"offload_type": "block_level"}}, "need `num_blocks_per_group`"),
        ({"components": {"unet": {"group_offload": {"use_stream": False}}}}, "need `num_blocks_per_group`"),
        ({"sdnq_optimize": "unet"}, "a list of component names"),
        ({"sdnq_optimize": ["wings"]}, "no component 'wings'"),
    ],
)
def test_settings_that_cannot_be(settings: Any, message: str, worker: Any, make: Any, folder: Path) -> None:
    ended = worker.run(configured(make, **settings), folder)
    assert ended.outcome == "failed" and message in ended.error.message


def test_tiles_of_a_size_of_their_own_are_forgotten_after_the_step(worker: Any, make: Any, folder: Path) -> None:
    def work(**components: Any) -> dict[str, Any]:
        made = drawing(make, **components)
        made["steps"][0]["pipeline"]["arguments"].update(width=128, height=128)
        return made

    plain = pixels(run(worker, work(), folder))
    tiled = pixels(run(worker, work(vae={"enable_tiling": True}), folder))
    again = pixels(run(worker, work(), folder, "again"))
    assert plain == again
    assert isinstance(tiled, bytes)


def test_offloading_on_a_processor_is_said_to_do_nothing(worker: Any, make: Any, folder: Path) -> None:
    run(worker, drawing(make, unet={"residency": "on_demand"}), folder)
    assert any("offloading has no effect on a CPU" in line.message for line in worker.heard(LogLine))


def test_what_is_cut_short_is_another_component(worker: Any, make: Any, folder: Path) -> None:
    plain = run(worker, drawing(make), folder)
    layers = {"truncate_layers": {"text_model.encoder.layers": 1}}
    if not hasattr(_text_encoder(make), "text_model"):
        layers = {"truncate_layers": {"encoder.layers": 1}}
    cut = run(worker, drawing(make, text_encoder=layers), folder)
    assert [part.name for part in cut.loaded] == ["text_encoder"]
    assert pixels(cut) != pixels(plain)
    again = run(worker, drawing(make), folder, "again")
    assert (again.loaded, pixels(again)) == ((), pixels(plain))


def test_a_part_is_cut_by_its_own_path(worker: Any, make: Any, folder: Path) -> None:
    whole = {"text_encoder": {"truncate_layers": {"encoder.layers": 1}}}
    parts = {"text_encoder.encoder": {"truncate_layers": {"layers": 1}, "device": "cpu"}}
    if hasattr(_text_encoder(make), "text_model"):
        whole = {"text_encoder": {"truncate_layers": {"text_model.encoder.layers": 1}}}
        parts = {"text_encoder.text_model.encoder": {"truncate_layers": {"layers": 1}, "device": "cpu"}}
    one = run(worker, drawing(make, **whole), folder)
    other = run(worker, drawing(make, **parts), folder, "other")
    assert pixels(one) == pixels(other) and other.loaded == ()


def test_a_model_is_placed_around_parts_with_a_place_of_their_own() -> None:
    inner, beside = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    outer = torch.nn.Sequential(torch.nn.Sequential(inner, torch.nn.Linear(2, 2)), beside)
    outer.register_buffer("own", torch.zeros(2))
    _move_around(outer, [inner], torch.device("meta"))
    assert {name: each.device.type for name, each in (*outer.named_parameters(), *outer.named_buffers())} == {
        "0.0.weight": "cpu", "0.0.bias": "cpu", "0.1.weight": "meta", "0.1.bias": "meta", "1.weight": "meta",
        "1.bias": "meta", "own": "meta",
    }  # fmt: skip


def _text_encoder(make: Any) -> Any:
    import transformers

    return transformers.CLIPTextModel.from_pretrained(str(make.model / "text_encoder"))


def test_a_module_can_be_left_out(worker: Any, make: Any, folder: Path) -> None:
    run(worker, drawing(make), folder)
    ended = run(worker, drawing(make, unet={"remove_modules": ["mid_block.attentions.0.norm"]}), folder)
    assert [part.name for part in ended.loaded] == ["unet"]


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"painter": {"device": "cpu"}}, "has no component 'painter'; it has"),
    "path": ({"unet.nowhere": {"device": "cpu"}}, "unet has no part 'nowhere'"),
    "key": ({"unet": {"wings": {}}}, "`wings`"),
    "both": ({"unet": {"group_offload": {"offload_type": "leaf_level"}, "residency": "on_demand"}}, "rule each other"),
    "residency": ({"unet": {"residency": "sometimes"}}, "either resident or on_demand"),
    "backend": ({"unet": {"attention_backend": "nothing"}}, "the attention backend 'nothing' cannot be used for unet"),
    "too many": ({"text_encoder": {"truncate_layers": {"encoder": 3}}}, "text_encoder"),
    "foreign code": ({"unet": {"attention_backend": "flash_hub"}}, "would run code from the hub"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_set_is_refused(case: str, worker: Any, make: Any, folder: Path) -> None:
    components, message = REFUSALS[case]
    ended = worker.run(drawing(make, **components), folder)
    assert ended.outcome == "failed" and message in ended.error.message
    assert ended.error.type == "InvalidInput"


@pytest.fixture
def transformer() -> Any:
    """A model whose attention leaves the backend open."""
    torch.manual_seed(0)
    return diffusers.FluxTransformer2DModel(
        patch_size=1, in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=8, pooled_projection_dim=8, axes_dims_rope=[4, 4, 8],
    )  # fmt: skip


def test_the_attention_backend_of_one_model_is_nobody_elses(transformer: Any, make: Any) -> None:
    other = diffusers.AutoencoderKL.from_pretrained(str(make.model / "vae"))
    pipeline = SimpleNamespace(components={"transformer": transformer, "vae": other})
    settings = {"components": {"transformer": {"attention_backend": "_native_math"}}}
    with contextlib.ExitStack() as undo:
        set_state(pipeline, STEP, settings, undo)  # type: ignore[arg-type]
        assert {each._attention_backend.value for each in transformer.attn_processors.values()} == {"_native_math"}
        assert active_backend() == "native"
    assert {each._attention_backend for each in transformer.attn_processors.values()} == {None}
    assert active_backend() == "native"


def test_an_attention_backend_that_a_model_cannot_choose_ends_with_the_step(make: Any, caplog: Any) -> None:
    unet = diffusers.UNet2DConditionModel.from_pretrained(str(make.model / "unet"))
    pipeline = SimpleNamespace(components={"unet": unet})
    settings = {"components": {"unet": {"attention_backend": "_native_math"}}}
    with contextlib.ExitStack() as undo:
        set_state(pipeline, STEP, settings, undo)  # type: ignore[arg-type]
    assert active_backend() == "native"
    assert "no effect on unet" in caplog.text


def active_backend() -> str:
    from diffusers.models.attention_dispatch import _AttentionBackendRegistry

    return str(_AttentionBackendRegistry.get_active_backend()[0].value)


def test_groups_of_layers_are_offloaded_and_brought_back(make: Any) -> None:
    unet = diffusers.UNet2DConditionModel.from_pretrained(str(make.model / "unet")).float()
    values = torch.randn(1, 4, 16, 16), 3, torch.randn(1, 7, 64)
    with torch.no_grad(), contextlib.ExitStack() as undo:
        before = unet(*values).sample
        offload_groups(unet, {"offload_type": "leaf_level"}, CPU, undo)
        assert any(getattr(module, "_diffusers_hook", None) for module in unet.modules())
        assert torch.equal(unet(*values).sample, before)
        undo.close()
        assert torch.equal(unet(*values).sample, before)
    left = [module._diffusers_hook.hooks for module in unet.modules() if hasattr(module, "_diffusers_hook")]
    assert not any(left)


def test_weights_on_their_way_arrive_before_they_are_brought_back(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    unet = diffusers.UNet2DConditionModel.from_pretrained(str(make.model / "unet"))
    done: list[str] = []
    monkeypatch.setattr(offloading, "synchronize", lambda device: done.append(f"waited for {device}"))
    with contextlib.ExitStack() as undo:
        offload_groups(unet, {"offload_type": "leaf_level"}, CPU, undo)
        monkeypatch.setattr(unet, "to", lambda device: done.append(f"brought to {device}"))
    assert done == ["waited for cpu", "brought to cpu"]


def test_a_model_comes_to_its_device_for_each_of_its_calls(make: Any) -> None:
    vae = diffusers.AutoencoderKL.from_pretrained(str(make.model / "vae"))
    with torch.no_grad(), contextlib.ExitStack() as undo:
        before = vae.decode(torch.ones(1, 4, 8, 8)).sample
        bring_on_demand(vae, CPU, undo)
        assert {"forward", "encode", "decode"} <= vars(vae).keys()
        assert torch.equal(vae.decode(torch.ones(1, 4, 8, 8)).sample, before)
        undo.close()
    assert not {"forward", "encode", "decode"} & vars(vae).keys()
