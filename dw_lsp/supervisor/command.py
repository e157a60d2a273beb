"""Which command starts the worker: the user's own, an interpreter of the user's choice, or the server's own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dw_lsp
from dw_lsp.interpreter import NoPython, environment_for, find_python
from dw_lsp.protocol import SUPERVISOR
from dw_lsp.settings import Settings

#: Executed by path, so that nothing of ours has to be installed in the worker's Python.
LAUNCHER = Path(dw_lsp.__file__).resolve().parent / "worker" / "launch.py"
#: The launcher's argument for a process that imports and then waits to be activated.
STANDING_BY = "--standby"


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
    worker = settings.worker
    ours = {**environ, "PYTHONUNBUFFERED": "1", SUPERVISOR: str(os.getpid())}
    if worker.command:
        return WorkerCommand(tuple(worker.command), {**ours, **worker.environment})
    try:
        python = find_python(worker.python)
    except NoPython as error:
        raise NoCommand(str(error)) from None
    return WorkerCommand((python, str(LAUNCHER)), environment_for(python, ours, worker.environment))


def spare_command(settings: Settings, environ: Mapping[str, str]) -> WorkerCommand | None:
    """The same where a spare process may be made of it; `None` for a command of the user's own. Raises `NoCommand`."""
    command = worker_command(settings, environ)
    return command if command.is_ours else None
