"""Watching pipelines from outside: counts, phases and stops for pipelines with callbacks and without."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import diffusers
import pytest
import torch
import transformers
from PIL import Image

from dw_lsp.protocol import Advanced, StepProgress
from dw_lsp.worker.cancellation import Cancellation, RunCancelled
from dw_lsp.worker.engine.instruments import Instruments, _blocks, before_each, denoisers, steps_to_come
from dw_lsp.worker.engine.progress import StepReporter
from dw_lsp.worker.engine.signatures import signatures_known


def unconditional() -> Any:
    """A pipeline that has neither callbacks nor an interrupt flag."""
    unet = diffusers.UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
    )
    pipeline = diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler())
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


class Told:
    """A reporter and what it told."""

    @property
    def progress(self) -> list[StepProgress]:
        """All but the signs of life, which depend on how busy the machine is."""
        return [message for message in self.messages if isinstance(message, StepProgress)]

    def __init__(self) -> None:
        self.messages: list[StepProgress] = []
        self.cancellation = Cancellation("run")
        self.reporter = StepReporter("run", self.messages.append, self.cancellation, "step", 0, 1)  # type: ignore[arg-type]


def test_a_pipeline_without_callbacks_is_counted() -> None:
    told, pipeline = Told(), unconditional()
    with Instruments(pipeline, told.reporter):
        pipeline(num_inference_steps=5, output_type="np")
    counts = [(message.current, message.total) for message in told.progress if message.current]
    assert counts[0] == (1, 5) and counts[-1] == (5, 5)


def test_a_pipeline_without_callbacks_is_stopped_within_a_step() -> None:
    told, pipeline = Told(), unconditional()
    calls: list[int] = []

    def stop(*_: Any) -> None:
        calls.append(1)
        told.cancellation.cancel()

    with pytest.raises(RunCancelled), Instruments(pipeline, told.reporter, stop):
        pipeline(num_inference_steps=500, output_type="np")
    assert len(calls) == 1


def test_nothing_is_left_behind() -> None:
    told, pipeline = Told(), unconditional()
    own, bar = type(pipeline.scheduler), pipeline.progress_bar
    with Instruments(pipeline, told.reporter):
        assert type(pipeline.scheduler) is not own and isinstance(pipeline.scheduler, own)
        assert type(pipeline.scheduler).__name__ == own.__name__
    assert type(pipeline.scheduler) is own and pipeline.progress_bar == bar
    assert not any(module._forward_pre_hooks for module in pipeline.unet.modules())


def test_the_wrapped_step_looks_like_the_schedulers_own() -> None:
    told, pipeline = Told(), unconditional()
    own = inspect.signature(pipeline.scheduler.step)
    with Instruments(pipeline, told.reporter):
        assert inspect.signature(pipeline.scheduler.step) == own


def test_the_result_is_the_same_as_without() -> None:
    told, pipeline = Told(), unconditional()
    plain = pipeline(num_inference_steps=3, output_type="np", generator=torch.Generator().manual_seed(1)).images
    with Instruments(pipeline, told.reporter):
        watched = pipeline(num_inference_steps=3, output_type="np", generator=torch.Generator().manual_seed(1)).images
    assert (plain == watched).all()


# The scheduler uses numpy in a way that its newest release warns of.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_scheduler_that_is_asked_twice_a_step_is_counted_by_its_timesteps() -> None:
    scheduler = diffusers.HeunDiscreteScheduler()
    scheduler.set_timesteps(10)
    assert steps_to_come(scheduler, scheduler.timesteps[0]) == 19


def test_timesteps_that_do_not_tell() -> None:
    assert steps_to_come(object(), 1) is None
    scheduler = diffusers.DDIMScheduler()
    scheduler.set_timesteps(10)
    assert steps_to_come(scheduler, torch.tensor(-5)) is None


def test_seconds_left_follow_the_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("dw_lsp.worker.engine.progress.time.monotonic", lambda: now[0])
    told = Told()
    told.reporter.phase("denoising")
    for step in range(1, 5):
        now[0] += 2.0
        told.reporter.unit_done(step, 10, "step")
    last = told.messages[-1]
    assert (last.current, last.seconds_per_unit, last.eta) == (4, 2.0, 12.0)


def test_fast_steps_are_not_all_told(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("dw_lsp.worker.engine.progress.time.monotonic", lambda: now[0])
    told = Told()
    told.reporter.phase("denoising")
    for step in range(1, 1001):
        now[0] += 0.001
        told.reporter.unit_done(step, 1000, "step")
    counts = [message.current for message in told.progress if message.current]
    assert counts[0] == 1 and counts[-1] == 1000 and len(counts) < 50


def test_a_reporter_stops_a_run_that_was_cancelled() -> None:
    told = Told()
    told.cancellation.cancel()
    with pytest.raises(RunCancelled):
        told.reporter.phase("loading")
    with pytest.raises(RunCancelled):
        told.reporter.unit_done(1, 2, "step")


# ---------------------------------------------------------------- stopping within one block


def tiny_flux() -> torch.nn.Module:
    return diffusers.FluxTransformer2DModel(
        in_channels=4,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=8,
        pooled_projection_dim=8,
        axes_dims_rope=(2, 2, 4),
        guidance_embeds=True,
    )


def call_flux(model: Any) -> None:
    ids = torch.zeros(4, 3)
    one = torch.ones(1)
    model(torch.zeros(1, 4, 4), torch.zeros(1, 4, 8), torch.zeros(1, 8), one, ids, ids, guidance=one)


def tiny_cascade() -> torch.nn.Module:
    """Its lists of blocks are lists of lists."""
    return diffusers.models.StableCascadeUNet(
        in_channels=4,
        out_channels=4,
        conditioning_dim=16,
        block_out_channels=(16, 32),
        num_attention_heads=(2, 4),
        down_num_layers_per_block=(1, 1),
        up_num_layers_per_block=(1, 1),
        down_blocks_repeat_mappers=(1, 1),
        up_blocks_repeat_mappers=(1, 1),
        block_types_per_layer=(("SDCascadeResBlock", "SDCascadeTimestepBlock"),) * 2,
        clip_text_pooled_in_channels=8,
        patch_size=1,
        timestep_ratio_embedding_dim=8,
        timestep_conditioning_type=("sca",),
        switch_level=(False,),
    )


def call_cascade(model: Any) -> None:
    model(torch.zeros(1, 4, 8, 8), torch.ones(1), torch.zeros(1, 1, 8))


class Plain(torch.nn.Module):
    """A model without any list of blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)

    def forward(self, values: Any) -> Any:
        return self.third(self.second(self.first(values)))


def call_plain(model: Any) -> None:
    model(torch.zeros(1, 2))


@pytest.mark.parametrize(
    ("make_model", "call", "count"),
    [(tiny_flux, call_flux, 4), (tiny_cascade, call_cascade, 8), (Plain, call_plain, 3)],
)
def test_a_cancel_takes_effect_before_the_next_block(
    make_model: Callable[[], Any], call: Callable[[Any], None], count: int
) -> None:
    model = make_model().eval()
    told, begun = Told(), [0]
    pipeline = type("Pipeline", (), {"components": {"transformer": model}})()

    def began(*_: Any) -> None:
        begun[0] += 1
        if begun[0] == 2:
            told.cancellation.cancel()

    with Instruments(pipeline, told.reporter):
        blocks = list(_blocks(model))
        for block in blocks:
            block.register_forward_pre_hook(began)
        assert len(blocks) >= count
        with pytest.raises(RunCancelled), torch.no_grad():
            call(model)
    assert begun[0] == 2


def large_autoencoder() -> Any:
    """One whose layers are watched; its mid block has an attention."""
    return diffusers.AutoencoderKL(
        block_out_channels=(256, 512),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=4,
    ).eval()


def test_a_cancel_takes_effect_between_two_layers_of_an_autoencoder() -> None:
    vae, told, begun = large_autoencoder(), Told(), []
    pipeline = type("Pipeline", (), {"components": {"vae": vae}})()
    resnets = [module for name, module in vae.decoder.named_modules() if name.split(".")[-2:-1] == ["resnets"]]

    def began(module: Any, *_: Any) -> None:
        begun.append(module)
        # The second one of the middle block, which is a single block of the decoder.
        if module is vae.decoder.mid_block.resnets[0]:
            told.cancellation.cancel()

    with Instruments(pipeline, told.reporter):
        for module in (*resnets, vae.decoder.mid_block.attentions[0]):
            module.register_forward_pre_hook(began)
        with pytest.raises(RunCancelled), torch.no_grad():
            vae.decode(torch.zeros(1, 4, 4, 4))
    assert begun == [vae.decoder.mid_block.resnets[0]]
    assert [message.phase for message in told.progress] == ["decoding"]


def test_a_small_autoencoder_is_watched_by_its_blocks_only(make: Any) -> None:
    vae = diffusers.AutoencoderKL.from_pretrained(str(make.model), subfolder="vae")
    assert len(_blocks_of_kind(vae, "resnets")) > 0
    assert not set(_blocks(vae)) & set(_blocks_of_kind(vae, "resnets"))


def _blocks_of_kind(model: Any, kind: str) -> list[Any]:
    return [module for name, module in model.named_modules() if name.split(".")[-2:-1] == [kind]]


def test_a_cancel_takes_effect_between_two_layers_of_a_text_encoder() -> None:
    config = transformers.CLIPTextConfig(
        vocab_size=16, hidden_size=16, intermediate_size=16, num_hidden_layers=4, num_attention_heads=2
    )
    encoder, told, begun = transformers.CLIPTextModel(config).eval(), Told(), [0]
    pipeline = type("Pipeline", (), {"components": {"text_encoder": encoder}})()

    def began(*_: Any) -> None:
        begun[0] += 1
        if begun[0] == 2:
            told.cancellation.cancel()

    with Instruments(pipeline, told.reporter):
        for layer in encoder.text_model.encoder.layers if hasattr(encoder, "text_model") else encoder.encoder.layers:
            layer.register_forward_pre_hook(began)
        with pytest.raises(RunCancelled), torch.no_grad():
            encoder(torch.tensor([[1, 2, 3]]))
    assert begun[0] == 2
    assert [message.phase for message in told.progress] == ["encoding"]


# ---------------------------------------------------------------- schedulers and progress bars of every kind


# The scheduler uses numpy in a way that its newest release warns of.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_copy_of_the_scheduler_steps_itself() -> None:
    """Some pipelines denoise sound with a copy of the pictures' scheduler: it must not step the original."""
    told, pipeline = Told(), unconditional()
    scheduler = pipeline.scheduler = diffusers.EulerDiscreteScheduler()
    scheduler.set_timesteps(5)
    sample = torch.ones(1, 3, 4, 4)
    with Instruments(pipeline, told.reporter):
        other = copy.deepcopy(scheduler)
        for timestep in scheduler.timesteps[:2]:
            scheduler.step(sample, timestep, sample)
            other.step(sample, timestep, sample)
    assert (scheduler.step_index, other.step_index) == (2, 2)
    assert [message.current for message in told.progress if message.current] == [1]


def test_a_scheduler_with_an_order_of_its_own() -> None:
    told = Told()
    scheduler = diffusers.CogVideoXDPMScheduler()
    scheduler.set_timesteps(4)
    pipeline = type("Pipeline", (), {"components": {"scheduler": scheduler}})()
    seen: list[Any] = []
    sample = torch.ones(1, 2, 4, 4, 4)
    with Instruments(pipeline, told.reporter, lambda *given: seen.append(given[1])):
        before, old = scheduler.timesteps, None
        for index, timestep in enumerate(before):
            last = before[index - 1] if index else None
            sample, old = scheduler.step(sample, old, timestep, last, sample, return_dict=False)
    counts = [(message.current, message.total) for message in told.progress if message.current]
    assert counts[0] == (1, 4) and counts[-1] == (4, 4)
    assert [int(each) for each in seen] == [int(each) for each in before]


def test_of_two_schedulers_in_one_loop_one_counts() -> None:
    told = Told()
    pictures, sound = diffusers.DDIMScheduler(), diffusers.DDIMScheduler()
    pipeline = type("Pipeline", (), {"components": {"scheduler": pictures, "audio_scheduler": sound}})()
    sample = torch.ones(1, 3, 4, 4)
    for scheduler in (pictures, sound):
        scheduler.set_timesteps(3)
    with Instruments(pipeline, told.reporter):
        for timestep in pictures.timesteps:
            pictures.step(sample, timestep, sample)
            sound.step(sample, timestep, sample)
    counts = [(message.current, message.total) for message in told.progress if message.current]
    assert counts[0] == (1, 3) and counts[-1] == (3, 3)
    assert [current for current, _ in counts] == sorted(current for current, _ in counts)


def test_a_scheduler_that_goes_through_several_loops_is_counted_in_each() -> None:
    """Films that are made in sections, ensembles of predictions: one call, one scheduler, the same steps anew."""
    told, scheduler = Told(), diffusers.FlowMatchEulerDiscreteScheduler()
    pipeline = type("Pipeline", (), {"components": {"scheduler": scheduler}})()
    with Instruments(pipeline, told.reporter):
        for _ in range(3):
            scheduler.set_timesteps(4)
            sample = torch.zeros(1, 4, 4, 4)
            for timestep in scheduler.timesteps:
                sample = scheduler.step(sample, timestep, sample, return_dict=False)[0]
    counts = [(message.current, message.total) for message in told.progress if message.current]
    assert counts.count((1, 4)) == 3 and counts.count((4, 4)) == 3
    assert max(current for current, _ in counts) == 4


def test_a_scheduler_without_timesteps_of_its_own_is_counted() -> None:
    told, scheduler = Told(), diffusers.DDPMWuerstchenScheduler()
    pipeline = type("Pipeline", (), {"components": {"prior_scheduler": scheduler}})()
    sample = torch.zeros(1, 4, 4, 4)
    with Instruments(pipeline, told.reporter):
        scheduler.set_timesteps(4)
        for timestep in scheduler.timesteps[:-1]:
            sample = scheduler.step(sample, timestep.expand(1), sample).prev_sample
    counts = [(message.current, message.total) for message in told.progress if message.current]
    assert counts[0] == (1, 4) and counts[-1] == (4, 4)


def test_the_models_of_a_combined_pipelines_prior_have_their_own_phases() -> None:
    told = Told()
    parts = {"prior_text_encoder": Plain(), "prior_prior": Plain(), "text_encoder": Plain(), "decoder": Plain()}
    with Instruments(type("Pipeline", (), {"components": parts})(), told.reporter):
        for part in parts.values():
            call_plain(part)
    phases = [message.phase for message in told.progress if message.current is None]
    assert phases == ["encoding", "denoising", "encoding", "denoising"]
    assert [name for name, _ in denoisers(type("Pipeline", (), {"components": parts})())] == ["prior_prior", "decoder"]


class Barred(diffusers.DiffusionPipeline):  # type: ignore[misc]
    """A pipeline without scheduler and callbacks: nothing but its progress bar tells how far it is."""

    def __init__(self, unet: Any = None) -> None:
        super().__init__()
        self.register_modules(unet=unet)
        self.rounds = 0

    def __call__(self, count: int, listed: bool) -> int:
        if listed:
            for _ in self.progress_bar(range(count)):
                self.rounds += 1
        else:
            with self.progress_bar(total=count) as bar:
                for _ in range(count):
                    self.rounds += 1
                    bar.update()
        return self.rounds


@pytest.mark.parametrize("listed", [True, False])
def test_where_no_scheduler_counts_the_progress_bar_does(listed: bool) -> None:
    told, pipeline = Told(), Barred()
    pipeline.set_progress_bar_config(disable=True)
    with Instruments(pipeline, told.reporter):
        assert pipeline(6, listed) == 6
    counts = [(message.current, message.total) for message in told.progress if message.current]
    assert counts[0] == (1, 6) and counts[-1] == (6, 6)


def test_a_progress_bar_may_have_arguments_of_its_own(make: Any) -> None:
    """As in the pipelines that predict depth: `desc`, `leave`."""
    told = Told()
    plain = diffusers.StableDiffusionPipeline.from_pretrained(str(make.model)).to(torch.float32)
    parts = {name: getattr(plain, name) for name in ("vae", "text_encoder", "tokenizer")}
    config = {**plain.unet.config, "in_channels": 2 * plain.unet.config.in_channels}
    pipeline = diffusers.MarigoldDepthPipeline(
        unet=diffusers.UNet2DConditionModel.from_config(config),
        scheduler=diffusers.LCMScheduler(prediction_type="v_prediction"),
        prediction_type="depth",
        scale_invariant=True,
        shift_invariant=True,
        **parts,
    )
    with Instruments(pipeline, told.reporter):
        made = pipeline(Image.new("RGB", (16, 16)), num_inference_steps=2, processing_resolution=0)
    assert made.prediction.shape == (1, 16, 16, 1)
    counts = [(message.current, message.total) for message in told.progress if message.unit == "step"]
    assert counts == [(1, 2), (2, 2)]


@pytest.mark.parametrize("listed", [True, False])
def test_a_pipeline_with_nothing_but_a_progress_bar_is_stopped(listed: bool) -> None:
    told, pipeline = Told(), Barred()
    pipeline.set_progress_bar_config(disable=True)
    told.cancellation.cancel()
    with pytest.raises(RunCancelled), Instruments(pipeline, told.reporter):
        pipeline(50, listed)
    assert pipeline.rounds == 1


def test_a_modular_pipeline_is_counted_and_stopped_within_a_step() -> None:
    from diffusers.modular_pipelines import ComponentSpec, ModularPipelineBlocks, OutputParam

    class Denoise(ModularPipelineBlocks):  # type: ignore[misc]
        model_name = "any"

        @property
        def expected_components(self) -> list[Any]:
            return [ComponentSpec("unet", diffusers.UNet2DModel), ComponentSpec("scheduler", diffusers.DDPMScheduler)]

        @property
        def intermediate_outputs(self) -> list[Any]:
            return [OutputParam("latents")]

        def __call__(self, components: Any, state: Any) -> Any:
            block = self.get_block_state(state)
            block.latents = torch.zeros(1, 3, 8, 8)
            components.scheduler.set_timesteps(5)
            with torch.no_grad():
                for timestep in components.scheduler.timesteps:
                    predicted = components.unet(block.latents, timestep).sample
                    block.latents = components.scheduler.step(predicted, timestep, block.latents).prev_sample
            self.set_block_state(state, block)
            return components, state

    plain = unconditional()
    pipeline = Denoise().init_pipeline()
    pipeline.update_components(unet=plain.unet, scheduler=plain.scheduler)
    told = Told()
    with Instruments(pipeline, told.reporter):
        pipeline()
    counts = [(message.current, message.total) for message in told.progress if message.current]
    assert counts[0] == (1, 5) and counts[-1] == (5, 5)
    calls: list[int] = []

    def stop(*_: Any) -> None:
        calls.append(1)
        told.cancellation.cancel()

    with pytest.raises(RunCancelled), Instruments(pipeline, told.reporter, stop):
        pipeline()
    assert len(calls) == 1


def test_units_of_many_bytes_are_timed_by_the_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("dw_lsp.worker.engine.progress.time.monotonic", lambda: now[0])
    told = Told()
    told.reporter.phase("downloading")
    for done in range(1, 5):
        now[0] += 1.0
        told.reporter.unit_done(done * 1000, 10_000, "byte")
    last = told.messages[-1]
    assert last.seconds_per_unit == pytest.approx(0.001) and last.eta == pytest.approx(6.0)


def test_a_second_loop_of_a_phase_is_timed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("dw_lsp.worker.engine.progress.time.monotonic", lambda: now[0])
    told = Told()
    told.reporter.phase("denoising")
    for seconds, count in ((1.0, 3), (5.0, 2)):
        for step in range(1, count + 1):
            now[0] += seconds
            told.reporter.unit_done(step, count, "step")
    assert told.messages[-1].seconds_per_unit == pytest.approx(5.0)


def test_a_step_that_is_slow_says_that_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("dw_lsp.worker.engine.progress.time.monotonic", lambda: now[0])
    told = Told()
    told.reporter.phase("denoising")
    for _ in range(30):
        now[0] += 0.4
        told.reporter.goes_on()
    assert [message for message in told.messages if isinstance(message, Advanced)] == [Advanced("run")] * 10


def test_what_is_called_before_a_module_leaves_no_trace() -> None:
    model = torch.nn.Linear(2, 2)
    heard: list[str] = []
    given = torch.ones(1, 2)
    expected = model(given)
    with before_each(model, lambda: heard.append("outer")):
        with before_each(model, lambda: heard.append("inner")):
            assert inspect.signature(model.forward) == inspect.signature(torch.nn.Linear(2, 2).forward)
            assert torch.equal(model(given), expected) and heard == ["inner", "outer"]
        model(given)
        assert heard == ["inner", "outer", "outer"]
    model(given)
    assert len(heard) == 3 and "forward" not in vars(model)


def test_signatures_are_known_for_the_time_of_a_call_only(make: Any) -> None:
    unet = diffusers.UNet2DConditionModel.from_pretrained(make.model, subfolder="unet")
    method = type(next(iter(unet.attn_processors.values()))).__call__
    plain = inspect.signature(method)
    for _ in range(2):
        with signatures_known([unet]):
            with signatures_known([unet]):
                assert vars(method)["__signature__"] == plain == inspect.signature(method)
            assert "__signature__" in vars(method)
        assert "__signature__" not in vars(method) and inspect.signature(method) == plain
