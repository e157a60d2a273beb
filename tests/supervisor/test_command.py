"""Which command starts the worker."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import pytest

from dw_lsp.interpreter import NoPython, find_python
from dw_lsp.settings import Settings
from dw_lsp.supervisor.command import LAUNCHER, NoCommand, worker_command


def settings(**worker: object) -> Settings:
    return dataclasses.replace(Settings(), worker=dataclasses.replace(Settings().worker, **worker))  # type: ignore[arg-type]


@pytest.fixture
def environment_folder(tmp_path: Path) -> Path:
    """A folder that looks like a virtual environment."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    return tmp_path / "venv"


def test_by_default_it_is_this_python_and_the_launcher_by_path() -> None:
    assert worker_command(settings(), {}).arguments == (sys.executable, str(LAUNCHER))


def test_the_launcher_is_named_by_its_path() -> None:
    assert LAUNCHER.is_absolute()
    assert LAUNCHER.parts[-3:] == ("dw_lsp", "worker", "launch.py")


def test_another_python_runs_the_same_launcher(environment_folder: Path) -> None:
    python = str(environment_folder / "bin" / "python")
    assert worker_command(settings(python=python), {}).arguments == (python, str(LAUNCHER))


def test_a_command_is_taken_as_it_is() -> None:
    command = ("ssh", "gpu-box", "dw-lsp", "worker")
    assert worker_command(settings(command=command, python="nowhere"), {}).arguments == command


def test_a_folder_of_a_virtual_environment_means_its_python(environment_folder: Path) -> None:
    assert find_python(str(environment_folder)) == str(environment_folder / "bin" / "python")


def test_a_link_is_not_followed(environment_folder: Path) -> None:
    """The Python of a virtual environment is a link; behind the link are not its packages."""
    assert find_python(str(environment_folder / "bin" / "python")).startswith(str(environment_folder))


def test_home_and_variables_are_expanded(environment_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(environment_folder.parent))
    monkeypatch.setenv("MY_PYTHON", str(environment_folder / "bin"))
    assert find_python("~/venv/bin/python") == find_python("$MY_PYTHON/python")


def test_a_name_is_looked_for_on_the_path(environment_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(environment_folder / "bin"))
    assert find_python("python") == str(environment_folder / "bin" / "python")


def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoPython, match=r"dw\.worker\.python is '.*nowhere', which does not exist"):
        find_python(str(tmp_path / "nowhere"))
    with pytest.raises(NoCommand, match="does not exist"):
        worker_command(settings(python=str(tmp_path / "nowhere")), {})


def test_what_was_expanded_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(NoPython) as raised:
        find_python("~/nowhere")
    assert "'~/nowhere'" in str(raised.value)
    assert str(tmp_path) in str(raised.value)


def test_a_file_that_cannot_be_executed_is_no_python(tmp_path: Path) -> None:
    (tmp_path / "python").write_text("")
    with pytest.raises(NoPython, match="may not be executed"):
        find_python(str(tmp_path / "python"))


def test_a_folder_without_python_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoPython, match="there is no python in it"):
        find_python(str(tmp_path))


def test_the_environment_is_ours_and_the_user_s() -> None:
    command = worker_command(
        settings(environment={"HF_HOME": "/models", "PATH": "/theirs"}), {"PATH": "/ours", "A": "1"}
    )
    ours = {"PYTHONUNBUFFERED": "1", "DW_SUPERVISOR": str(os.getpid())}
    assert command.environment == {"PATH": "/theirs", "A": "1", "HF_HOME": "/models", **ours}


def test_another_python_does_not_get_the_places_of_ours(environment_folder: Path) -> None:
    environ = {"PYTHONHOME": "/ours", "PYTHONPATH": "/ours"}
    command = worker_command(settings(python=str(environment_folder)), environ)
    assert not {"PYTHONHOME", "PYTHONPATH"} & set(command.environment)
    assert {"PYTHONHOME", "PYTHONPATH"} <= set(worker_command(settings(), environ).environment)


def test_our_environment_is_not_changed() -> None:
    before = dict(os.environ)
    worker_command(settings(environment={"HF_HOME": "/models"}), os.environ)
    assert dict(os.environ) == before
