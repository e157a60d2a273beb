"""The Python that runs the models, as the settings name it: which program it is, and in which environment it runs."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

#: Where a Python looks for its own library: of no use, and a danger, to another Python.
_OF_ONE_PYTHON = ("PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__")


class NoPython(Exception):
    """The settings name no interpreter: which setting, and what to do."""


def find_python(setting: str | None) -> str:
    """The interpreter that `dw.worker.python` means: a path, a virtual environment's folder, or a name on the PATH.

    `~` and environment variables are expanded; unset it is our own. Raises `NoPython` when there is none.
    """
    if not setting:
        if not sys.executable:
            raise NoPython("This program does not know its own Python. Set dw.worker.python.")
        return sys.executable
    text = os.path.expandvars(os.path.expanduser(setting.strip()))
    path = Path(text)
    if path.is_dir():
        inside = path / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        if inside.is_file():
            return str(inside)
        raise NoPython(f"dw.worker.python is the folder {_shown(setting, text)}, and there is no {inside.name} in it.")
    found = shutil.which(text)
    if found is None:
        state = "may not be executed" if path.is_file() else "does not exist"
        raise NoPython(
            f"dw.worker.python is {_shown(setting, text)}, which {state}. "
            "Set it to a Python that has torch and diffusers, or remove the setting."
        )
    return os.path.abspath(found)


def environment_for(python: str, own: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """The variables that an interpreter runs with. Arguments: its path; ours; `dw.worker.environment`."""
    environment = dict(own)
    if python != sys.executable:
        for name in _OF_ONE_PYTHON:
            environment.pop(name, None)
    return {**environment, **extra}


def _shown(setting: str, text: str) -> str:
    return repr(setting) if setting == text else f"{setting!r} ({text})"
