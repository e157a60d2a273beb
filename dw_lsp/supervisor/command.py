"""Which command starts the worker: the user's own, an interpreter of the user's choice, or the server's own."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dw_lsp
from dw_lsp.protocol import SUPERVISOR
from dw_lsp.settings import Settings

#: Executed by path, so that nothing of ours has to be installed in the worker's Python.
LAUNCHER = Path(dw_lsp.__file__).resolve().parent / "worker" / "launch.py"
#: The launcher's argument for a process that imports and then waits to be activated.
STANDING_BY = "--standby"
#: Where a Python looks for its own library: of no use, and a danger, to another Python.
_OF_ONE_PYTHON = ("PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__")


class NoCommand(Exception):
    """The settings name no program that could be a worker: which setting, and what to do."""


@dataclass(frozen=True)
class WorkerCommand:
    """What to execute, and its whole environment."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]

    @property
    def is_ours(self) -> bool:
        """Whether it is our own launcher, and nobody's ssh or wrapper around it."""
        return self.arguments[-1:] == (str(LAUNCHER),)

    def standing_by(self) -> WorkerCommand:
        """The same for a spare process. Only for a command of ours."""
        return WorkerCommand((*self.arguments, STANDING_BY), self.environment)


def worker_command(settings: Settings, environ: Mapping[str, str]) -> WorkerCommand:
    """The command that starts a worker. Arguments: `environ` is this process's environment.

    Raises `NoCommand` when the interpreter that is set does not exist.
    """
    environment = dict(environ)
    if settings.worker.command:
        arguments = tuple(settings.worker.command)
    else:
        python = find_python(settings.worker.python) if settings.worker.python else sys.executable
        if not python:
            raise NoCommand("This program does not know its own Python. Set dw.worker.python.")
        if python != sys.executable:
            for name in _OF_ONE_PYTHON:
                environment.pop(name, None)
        arguments = (python, str(LAUNCHER))
    environment["PYTHONUNBUFFERED"] = "1"
    environment[SUPERVISOR] = str(os.getpid())
    environment.update(settings.worker.environment)
    return WorkerCommand(arguments, environment)


def spare_command(settings: Settings, environ: Mapping[str, str]) -> WorkerCommand | None:
    """The same where a spare process may be made of it; `None` for a command of the user's own. Raises `NoCommand`."""
    command = worker_command(settings, environ)
    return command if command.is_ours else None


def find_python(setting: str) -> str:
    """The interpreter that `dw.worker.python` means: a path, a virtual environment's folder, or a name on the PATH.

    `~` and environment variables are expanded. Raises `NoCommand` when there is none.
    """
    text = os.path.expandvars(os.path.expanduser(setting.strip()))
    path = Path(text)
    if path.is_dir():
        inside = path / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        if inside.is_file():
            return str(inside)
        raise NoCommand(f"dw.worker.python is the folder {_shown(setting, text)}, and there is no {inside.name} in it.")
    found = shutil.which(text)
    if found is None:
        state = "may not be executed" if path.is_file() else "does not exist"
        raise NoCommand(
            f"dw.worker.python is {_shown(setting, text)}, which {state}. "
            "Set it to a Python that has torch and diffusers, or remove the setting."
        )
    return os.path.abspath(found)


def _shown(setting: str, text: str) -> str:
    return repr(setting) if setting == text else f"{setting!r} ({text})"
