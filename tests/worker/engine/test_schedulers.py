"""Schedulers of a step: made anew, of the class and with the options that it asks for."""

from __future__ import annotations

from typing import Any

import diffusers
import pytest

from dw_lsp.protocol import RunOptions
from dw_lsp.text.syntax_tree import Range
from dw_lsp.worker.engine.schedulers import change_schedulers, check_schedulers, defined_schedulers
from dw_lsp.worker.engine.trusted_types import TrustedTypes
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

TYPES = TrustedTypes(RunOptions().allowed_modules)


class Pipeline:
    """Anything that has a scheduler."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler

    def register_modules(self, **modules: Any) -> None:
        self.__dict__.update(modules)


def step_with(**definition: Any) -> ResolvedStep:
    return ResolvedStep("draw", 0, "pipeline", {"scheduler": definition}, None, None, False, False, Range(0, 1), {})


def changed(scheduler: Any, **definition: Any) -> Any:
    pipeline, step = Pipeline(scheduler), step_with(**definition)
    change_schedulers(pipeline, step, step.body, TYPES)
    return pipeline.scheduler


def test_another_class_takes_over_the_configuration() -> None:
    old = diffusers.DDIMScheduler(beta_start=0.002, prediction_type="v_prediction")
    new = changed(old, configuration={"scheduler_type": "EulerDiscreteScheduler"})
    assert type(new) is diffusers.EulerDiscreteScheduler
    assert (new.config.beta_start, new.config.prediction_type) == (0.002, "v_prediction")


def test_options_go_before_the_configuration() -> None:
    configuration = {"scheduler_type": "DDIMScheduler"}
    new = changed(
        diffusers.DDIMScheduler(), configuration=configuration, from_config_args={"rescale_betas_zero_snr": True}
    )
    assert new.config.rescale_betas_zero_snr is True


def test_options_may_be_plain_text_in_braces_and_constants() -> None:
    options = {"algorithm_type": "{sde-dpmsolver++}", "beta_end": "constant:torch.pi"}
    new = changed(
        diffusers.DDIMScheduler(),
        configuration={"scheduler_type": "DPMSolverMultistepScheduler"},
        from_config_args=options,
    )
    assert (new.config.algorithm_type, round(new.config.beta_end, 3)) == ("sde-dpmsolver++", 3.142)


def test_options_are_looked_at_before_anything_is_loaded() -> None:
    for options, told in (
        ({"karras": 1}, "no option 'karras'"),
        ({"beta_end": "constant:torch.absent"}, "torch has no"),
    ):
        step = step_with(configuration={"scheduler_type": "DDIMScheduler"}, from_config_args=options)
        with pytest.raises(InvalidInput, match=told):
            check_schedulers(step, step.body, TYPES)


def test_an_option_that_the_class_does_not_have() -> None:
    with pytest.raises(InvalidInput, match="DDIMScheduler has no option 'karras'") as refused:
        changed(
            diffusers.DDIMScheduler(), configuration={"scheduler_type": "DDIMScheduler"}, from_config_args={"karras": 1}
        )
    assert "beta_start" in str(refused.value.hint)


def test_a_shift_is_set() -> None:
    assert changed(diffusers.FlowMatchEulerDiscreteScheduler(), configuration={"shift": 3}).shift == 3
    assert changed(diffusers.FlowMatchEulerDiscreteScheduler(), configuration={"shift": "2.5"}).shift == 2.5


@pytest.mark.parametrize("shift", [0, -1, "wide"])
def test_a_shift_is_a_number_above_zero(shift: Any) -> None:
    with pytest.raises(InvalidInput, match="above 0"):
        changed(diffusers.FlowMatchEulerDiscreteScheduler(), configuration={"shift": shift})


def test_a_scheduler_without_shift() -> None:
    with pytest.raises(InvalidInput, match="DDIMScheduler has no shift"):
        changed(diffusers.DDIMScheduler(), configuration={"shift": 3})


def test_a_pipeline_without_a_scheduler() -> None:
    with pytest.raises(InvalidInput, match="has no scheduler"):
        changed(None, configuration={"scheduler_type": "DDIMScheduler"})


def test_a_scheduler_that_no_model_gives() -> None:
    made = defined_schedulers(step_with(configuration={"scheduler_type": "DDIMScheduler"}), TYPES)
    assert type(made["scheduler"]) is diffusers.DDIMScheduler
    assert defined_schedulers(step_with(configuration={"shift": 3}), TYPES) == {}
