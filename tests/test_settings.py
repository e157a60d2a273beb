"""The settings: each can be set both ways, a wrong value keeps the default and is told, and nothing stops."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from dw_lsp.settings import (
    SEVERITIES,
    RunSettings,
    Settings,
    WorkerSettings,
    describe_settings,
    read_settings,
    settings_from_environment,
)

#: For each setting a value that it can have, not its default, and one that it cannot have.
VALUES: dict[str, tuple[Any, Any]] = {
    "dw.worker.python": ("/venv/bin/python", 3),
    "dw.worker.command": (["ssh", "box"], "ssh box"),
    "dw.worker.prewarm": ("onRun", "never"),
    "dw.worker.environment": ({"A": "1"}, {"A": 1}),
    "dw.run.timeoutSeconds": (12.5, -1),
    "dw.run.maxSeconds": (600.0, "long"),
    "dw.run.reuseUnseeded": (True, 1),
    "dw.run.rememberedGb": (0.5, "8GB"),
    "dw.run.onSave": (True, "yes"),
    "dw.outputDirectory": ("results", "  "),
    "dw.memory.growthWarningMb": (10.0, True),
    "dw.memory.budget": ("20GB", 1.5),
    "dw.memory.hostBudget": (0.25, "half"),
    "dw.preview.enabled": (False, None.__class__),
    "dw.preview.everySteps": (5, 0),
    "dw.security.trustRemoteCode": (True, "true"),
    "dw.security.allowPickle": (True, 1),
    "dw.security.allowedModules": (["diffusers"], [1]),
    "dw.security.allowedPaths": (["/data"], "/data"),
    "dw.diagnostics.severity": ({"syntax": "off"}, {"syntax": "loud"}),
}
NAMES = [setting.name for setting in describe_settings()]


def describe(settings: Settings) -> dict[str, Any]:
    """All values by name, as plain JSON."""
    found: dict[str, Any] = {}

    def add(section: Any, prefix: str) -> None:
        for part in dataclasses.fields(section):
            first, *others = part.name.split("_")
            name, value = prefix + first + "".join(word.capitalize() for word in others), getattr(section, part.name)
            if dataclasses.is_dataclass(value):
                add(value, name + ".")
            else:
                found[name] = list(value) if isinstance(value, tuple) else value

    add(settings, "dw.")
    return found


def test_the_values_below_are_of_all_settings() -> None:
    assert list(VALUES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_an_editor_can_set_it(name) -> None:
    settings, problems = read_settings({name.removeprefix("dw."): VALUES[name][0]})
    assert problems == ()
    assert describe(settings) == {**describe(Settings()), name: VALUES[name][0]}
    assert describe(settings) != describe(Settings())


@pytest.mark.parametrize("name", NAMES)
def test_a_variable_can_set_it(name) -> None:
    variable = next(setting.variable for setting in describe_settings() if setting.name == name)
    value = VALUES[name][0]
    settings, problems = settings_from_environment({variable: value if isinstance(value, str) else json.dumps(value)})
    assert problems == ()
    assert describe(settings)[name] == value


@pytest.mark.parametrize("name", NAMES)
def test_a_value_that_it_cannot_have_is_told_and_the_default_stays(name) -> None:
    settings, problems = read_settings({name.removeprefix("dw."): VALUES[name][1]})
    assert settings == Settings()
    (problem,) = problems
    assert problem.startswith(f"{name} must be ")
    assert problem.endswith(" is ignored")


def test_nested_and_dotted_names_mean_the_same() -> None:
    nested = read_settings({"run": {"onSave": True, "maxSeconds": 5}})
    assert nested == read_settings({"run.onSave": True, "dw.run.maxSeconds": 5})
    assert nested == read_settings({"run": {"onSave": True}, "run.maxSeconds": 5})


def test_null_means_unset() -> None:
    assert read_settings({"worker": {"python": None}, "run": {"onSave": None}}) == (Settings(), ())


def test_a_name_that_is_no_setting_is_told() -> None:
    settings, problems = read_settings({"run": {"timeout": 5}, "speed": 1})
    assert settings == Settings()
    assert problems == ("dw.run.timeout is no setting of dw-lsp", "dw.speed is no setting of dw-lsp")


def test_a_section_that_is_no_object_is_told() -> None:
    assert read_settings({"run": 5}) == (Settings(), ("dw.run must be an object",))


def test_one_wrong_value_does_not_cost_the_others() -> None:
    settings, problems = read_settings({"run": {"onSave": "yes", "maxSeconds": 5}})
    assert settings.run == RunSettings(max_seconds=5.0)
    assert len(problems) == 1


def test_what_is_not_set_stays_as_it_was() -> None:
    base = Settings(worker=WorkerSettings(python="/a"))
    settings, _ = read_settings({"run": {"onSave": True}}, base)
    assert settings.worker.python == "/a"
    assert settings.run.on_save


def test_an_empty_python_means_the_servers_own() -> None:
    assert read_settings({"worker": {"python": "  "}})[0].worker.python is None


@pytest.mark.parametrize("value", ["20GB", "1.5 GiB", "500mb", 0.5, 1])
def test_a_budget_is_a_fraction_or_a_size(value) -> None:
    settings, problems = read_settings({"memory": {"budget": value}})
    assert (settings.memory.budget, problems) == (value, ())


@pytest.mark.parametrize("value", [0, -0.5, 1.5, True, "GB", "20", "20 apples", [1]])
def test_anything_else_is_no_budget(value) -> None:
    _, problems = read_settings({"memory": {"budget": value}})
    assert len(problems) == 1


def test_a_problem_with_a_variable_names_the_variable() -> None:
    _, problems = settings_from_environment({"DW_RUN_TIMEOUT_SECONDS": "soon"})
    assert problems == ('DW_RUN_TIMEOUT_SECONDS must be a number from 0; "soon" is ignored',)


def test_a_list_of_texts_may_be_written_with_commas() -> None:
    settings, problems = settings_from_environment({"DW_SECURITY_ALLOWED_PATHS": "/a, /b,"})
    assert (settings.security.allowed_paths, problems) == (("/a", "/b"), ())


@pytest.mark.parametrize("text", ["007", "true", "null", '"quoted"'])
def test_text_in_a_variable_is_taken_as_it_is(text) -> None:
    settings, problems = settings_from_environment({"DW_OUTPUT_DIRECTORY": text})
    assert (settings.output_directory, problems) == (text, ())


def test_other_variables_are_none_of_ours() -> None:
    assert settings_from_environment({"DWARF": "1", "PATH": "/bin", "DW_UNHEARD_OF": "1"}) == (Settings(), ())


def test_every_severity_can_be_given_to_a_rule() -> None:
    severities = {f"rule-{severity}": severity for severity in SEVERITIES}
    settings, problems = read_settings({"diagnostics": {"severity": severities}})
    assert (settings.diagnostics.severity, problems) == (severities, ())


def test_every_setting_is_described() -> None:
    for setting in describe_settings():
        assert setting.meaning.endswith("."), setting.name
        assert setting.variable == setting.variable.upper()
    assert len({setting.variable for setting in describe_settings()}) == len(NAMES)
