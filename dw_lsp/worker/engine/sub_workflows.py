"""Workflow files that a step names: finding, reading and resolving them; a cycle is an error."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dw_lsp.planning.artifact import Artifact, plain_value
from dw_lsp.text.parser import parse
from dw_lsp.text.positions import LineIndex
from dw_lsp.worker.engine.allowed_paths import AllowedPaths
from dw_lsp.worker.engine.artifact_codec import encode
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep, ResolvedWorkflow
from dw_lsp.workflow.substitution import resolve

LARGEST_FILE = 50 * 1024 * 1024
DEEPEST = 16


@dataclass(frozen=True)
class Source:
    """Where a workflow's text comes from: `path` is its file (`None`: never saved), `above` the calling files."""

    text: str
    path: Path | None
    above: tuple[Path, ...] = ()

    @property
    def folder(self) -> Path | None:
        """Where relative paths start."""
        return self.path.parent if self.path is not None else None


def understand(source: Source, arguments: Mapping[str, Any]) -> ResolvedWorkflow:
    """The workflow of a text, with values for its variables. The same text and values give the same object for a while.

    Raises `InvalidInput`, with offsets into that text, for the first thing that cannot be understood.
    """
    return _understood(source.text, json.dumps(arguments))


@functools.lru_cache(maxsize=16)
def _understood(text: str, arguments: str) -> ResolvedWorkflow:
    parsed = parse(text)
    if parsed.problems:
        problem = parsed.problems[0]
        raise InvalidInput(f"the workflow is not valid JSON: {problem.message}", problem.range)
    if parsed.root is None:
        raise InvalidInput("the workflow is empty")
    return resolve(parsed.root, json.loads(arguments))


def read_child(step: ResolvedStep, source: Source, allowed: AllowedPaths) -> Source:
    """The workflow file that a step names.

    Raises `InvalidInput` when it is missing, may not be read, or is already running (a cycle).
    """
    place = step.place("workflow", "path")
    name = step.body.get("path")
    if not isinstance(name, str) or not name:
        raise InvalidInput("a workflow step needs a `path`", place, step.name)
    if name.startswith("builtin:"):
        raise InvalidInput(f"this engine ships no builtin workflows ({name!r})", place, step.name)
    try:
        path = allowed.resolve(name, source.folder, "the workflow file")
    except InvalidInput as error:
        raise InvalidInput(error.message, place, step.name, error.hint) from error
    if not path.is_file() and path.with_name(path.name + ".json").is_file():
        path = path.with_name(path.name + ".json")
    if not path.is_file():
        raise InvalidInput(f"there is no workflow file {name!r} (looked for at {path})", place, step.name)
    running = (*source.above, *((source.path.resolve(),) if source.path is not None else ()))
    if path in running:
        circle = " -> ".join(file.name for file in (*running[running.index(path) :], path))
        raise InvalidInput(f"workflows that call each other in a circle never end: {circle}", place, step.name)
    if len(running) >= DEEPEST:
        raise InvalidInput(f"workflows call each other more than {DEEPEST} levels deep", place, step.name)
    return Source(_read(path, name, step), path, running)


def _read(path: Path, name: str, step: ResolvedStep) -> str:
    place = step.place("workflow", "path")
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InvalidInput(f"the workflow file {name!r} is larger than 50 MB", place, step.name)
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the workflow file {name!r} cannot be read: {error}", place, step.name) from error


def handed_over(arguments: Mapping[str, Any], live: Callable[[Any], Any]) -> tuple[dict[str, Any], dict[str, Artifact]]:
    """The arguments as a called workflow takes them: plain values, and artifacts under names that it can refer to.

    A picture is no value that a text could hold: the variable becomes a reference to a result that is handed in.
    Arguments: `live` puts live objects in the place of the artifacts in a value.
    """
    plain: dict[str, Any] = {}
    handed: dict[str, Artifact] = {}
    for name, value in arguments.items():
        known = plain_value(value)
        if known is not None:
            plain[name] = known[0]
        else:
            handed[f"@{name}"] = value if isinstance(value, Artifact) else encode(live(value), {})
            plain[name] = f"previous_result:@{name}"
    return plain, handed


def error_in_child(error: InvalidInput, child: Source, step: ResolvedStep) -> InvalidInput:
    """An error in a called file, told at the place in the calling text where the file is named."""
    where = child.path.name if child.path is not None else "the called workflow"
    if error.range is not None:
        where += f" line {LineIndex(child.text).line_of(error.range.start) + 1}"
    return InvalidInput(f"{where}: {error.message}", step.place("workflow", "path"), step.name, error.hint)
