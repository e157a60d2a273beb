"""The table of task commands: whole, and as the worker has those that it runs."""

from __future__ import annotations

import json

import pytest

from dw_lsp.analysis.rules.values import fits, value_findings
from dw_lsp.text.parser import parse
from dw_lsp.worker.tasks.registry import TASKS, parameters
from dw_lsp.workflow.format.commands import COMMANDS


def test_each_command_stands_there_once_and_says_what_it_does() -> None:
    assert len(COMMANDS) == 63 + 35 + 3
    for command in COMMANDS.values():
        names = [argument.name for argument in command.arguments]
        assert len(names) == len(set(names)), command.name
        assert command.meaning.endswith("."), command.name
        assert all(argument.meaning.endswith(".") for argument in command.arguments), command.name


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_command_that_runs_has_the_arguments_that_it_is_said_to_have(name: str) -> None:
    known, anything = parameters(name)
    command = COMMANDS[name]
    assert {argument.name: argument.required for argument in command.arguments} == {
        # Every command bears a device, said or not.
        parameter.name: parameter.required
        for parameter in known.values()
        if parameter.name != "device"
    }
    assert (command.others == "passed on") is anything


def test_every_default_is_a_value_that_its_argument_takes() -> None:
    for command in COMMANDS.values():
        for argument in command.arguments:
            if argument.default is not None:
                node = parse(json.dumps(argument.default)).root
                assert node is not None and fits(node, argument.shape), (command.name, argument.name)
                assert not list(value_findings(node, argument.shape, argument.name)), (command.name, argument.name)


def test_control_image_detectors_hand_further_keywords_on() -> None:
    assert COMMANDS["openpose"].others == "passed on"
    assert COMMANDS["canny_cv"].others == "refused"
    assert COMMANDS["text_generation"].others == "ignored"


def test_every_command_bears_a_device_but_not_every_one_a_seed() -> None:
    assert COMMANDS["qr_code"].accepts("device")
    assert not COMMANDS["qr_code"].accepts("seed")
    assert COMMANDS["diffusion_upscale"].accepts("seed")
