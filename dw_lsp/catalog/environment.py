"""The Python that runs the models: where its packages lie and which versions they have. Imports none of them."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dw_lsp.interpreter import NoPython, environment_for, find_python

#: Distributions whose name differs from that of the module they bring.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python",
    "modelopt": "nvidia-modelopt",
    "optimum": "optimum-quanto",
    "auto_round": "auto-round",
    "note_seq": "note-seq",
    "controlnet_aux": "controlnet-aux",
}
_ASK = "import json, sys; print(json.dumps(sys.path))"
_PATIENCE = 15.0
#: Folders into which installers write.
_PACKAGES = ("site-packages", "dist-packages")
_VERSION = re.compile(rb"^__version__\s*=\s*[\"']([^\"']+)[\"']", re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """An installed package: the folder of its sources, and its version if that can be told."""

    name: str
    folder: Path
    version: str | None


@dataclass(frozen=True)
class Environment:
    """A Python and the folders in which it looks for packages; `problem` says why there are none."""

    python: str
    search_path: tuple[Path, ...]
    problem: str | None = None

    def package(self, name: str) -> Package | None:
        """The package of that import name with its sources, or `None`."""
        return _package(self.search_path, name)

    def has(self, name: str) -> bool:
        """Whether a module of that name can be imported: a package, a namespace, a single or a compiled file."""
        return any(_has(folder, name) for folder in self.search_path)

    def stamp(self) -> tuple[int, ...]:
        """What changes when a package is installed or removed, or the interpreter itself: times of a few folders."""
        python = Path(shutil.which(self.python) or self.python)
        folders = (folder for folder in self.search_path if folder.name in _PACKAGES)
        return tuple(_changed(place) for place in (python, *folders))


def environment_of(python: str | None, variables: Mapping[str, str] | None = None) -> Environment:
    """The environment of an interpreter.

    Arguments: `dw.worker.python` (`None`: the one that runs this); `dw.worker.environment`, which may add folders.
    """
    variables = variables or {}
    try:
        found = find_python(python)
    except NoPython as error:
        return Environment(python or "", (), str(error))
    if _is_this(found) and not any(name.startswith("PYTHON") for name in variables):
        return Environment(found, _folders(sys.path))
    return _asked(found, tuple(sorted(variables.items())))


def forget_packages() -> None:
    """Look for packages anew."""
    for known in (_asked, _package, _has):
        known.cache_clear()


def pip_install(*modules: str) -> str:
    """The command, for people, that brings modules."""
    return " ".join(["pip install", *(DISTRIBUTIONS.get(module, module) for module in modules)])


def _is_this(python: str) -> bool:
    # Started without its site packages, this interpreter cannot see what its worker will see.
    return not sys.flags.no_site and os.path.abspath(python) == os.path.abspath(sys.executable)


@functools.lru_cache(maxsize=16)
def _asked(python: str, variables: tuple[tuple[str, str], ...]) -> Environment:
    """Ask an interpreter itself: only it knows its `.pth` files, user site and the layout of its platform."""
    environment = environment_for(python, os.environ, dict(variables))
    try:
        answer = subprocess.run(
            [python, "-c", _ASK],
            capture_output=True,
            timeout=_PATIENCE,
            check=True,
            stdin=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        paths = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return Environment(python, (), f"{python} cannot be asked for its packages: {error}")
    return Environment(python, _folders(paths))  # The working folder, which is an empty text, is none of them.


def _folders(paths: list[str]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(Path(path) for path in paths if path and os.path.isdir(path)))


def _changed(place: Path) -> int:
    try:
        return os.stat(place).st_mtime_ns
    except (OSError, ValueError):
        return 0


@functools.lru_cache(maxsize=256)
def _package(search_path: tuple[Path, ...], name: str) -> Package | None:
    for folder in search_path:
        package = folder / name
        if (package / "__init__.py").is_file():
            return Package(name, package, _version(folder, package, name))
    return None


def _version(folder: Path, package: Path, name: str) -> str | None:
    normal = re.sub(r"[-_.]+", "_", DISTRIBUTIONS.get(name, name)).lower()
    try:
        entries = os.listdir(folder)
    except OSError:
        return None
    for entry in entries:
        stem, _, rest = entry.partition("-")
        if entry.endswith(".dist-info") and re.sub(r"[-_.]+", "_", stem).lower() == normal:
            return rest.removesuffix(".dist-info")
    try:
        found = _VERSION.search((package / "__init__.py").read_bytes())
    except OSError:
        return None
    return found[1].decode() if found else None


@functools.lru_cache(maxsize=2048)
def _has(folder: Path, name: str) -> bool:
    if (folder / name).is_dir() or (folder / f"{name}.py").is_file():
        return True
    return any(folder.glob(f"{name}.*.so")) or (folder / f"{name}.pyd").is_file()
