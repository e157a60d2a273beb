"""Which classes a package's sources define: found by the heads of their definitions, importing nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dw_lsp.catalog.environment import Package

_HEAD = re.compile(rb"^class[ \t]+(\w+)[ \t]*(?:\(([^()]*(?:\([^()]*\)[^()]*)*)\))?", re.MULTILINE)
_COMMENT = re.compile(r"#[^\n]*")
#: Folders that hold no definitions a workflow could name.
_SKIPPED = frozenset({"__pycache__", "tests", "testing"})
#: Stand-ins that a library defines for classes whose requirements are absent.
_STAND_INS = re.compile(r"^dummy_\w+\.py$")


@dataclass(frozen=True)
class Definition:
    """A class at the top level of a module. `bases` are as written; `file` is relative to the package."""

    name: str
    file: str
    bases: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        """The module inside of the package, with dots; empty for the package itself."""
        return self.file.removesuffix(".py").replace("/", ".").removesuffix("__init__").rstrip(".")


def scan(package: Package) -> dict[str, list[list[str]]]:
    """Every class at the top level of every module of a package: for each name its files, each with the bases there."""
    found: dict[str, list[list[str]]] = {}
    for file, text in _modules(package.folder):
        for name, bases in _HEAD.findall(text):
            found.setdefault(name.decode(), []).append([file, *_bases(bases)])
    return found


def _modules(folder: Path) -> Iterator[tuple[str, bytes]]:
    for directory, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        for name in sorted(files):
            if name.endswith(".py") and not _STAND_INS.match(name) and not _made_from(folder, name):
                path = os.path.join(directory, name)
                try:
                    with open(path, "rb") as opened:
                        text = opened.read()
                except OSError:
                    continue  # A file that cannot be read defines nothing that could be used.
                yield os.path.relpath(path, folder).replace(os.sep, "/"), text


def _made_from(package: Path, name: str) -> bool:
    """Whether a file of transformers is only what another one is generated from."""
    return package.name == "transformers" and name.startswith("modular_")


def _bases(text: bytes) -> tuple[str, ...]:
    written = _COMMENT.sub("", text.decode(errors="replace"))
    parts = (part.strip() for part in re.sub(r"\[[^\]]*\]", "", written).split(","))
    return tuple(part.rpartition(".")[2] for part in parts if part and "=" not in part and part.isascii())


def module_file(package: Package, module: str) -> Path | None:
    """The file of a module of a package. Arguments: the module without the package's name, with dots."""
    path = package.folder.joinpath(*module.split(".")) if module else package.folder
    for candidate in (path / "__init__.py", path.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None
