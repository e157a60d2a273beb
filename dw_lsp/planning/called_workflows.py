"""Workflow files that a step names: finding, reading and resolving them; a cycle is an error.

A value that a call will hand in and that nobody knows yet stands in the called workflow as the result of a step that is
named after its variable. What depends on it beside the arguments of calls cannot be judged before it is known.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dw_lsp.planning.task_models import loading_arguments
from dw_lsp.text.parser import parse
from dw_lsp.text.positions import LineIndex
from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.references import RESULTS, references_in, split_result
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

    @property
    def running(self) -> tuple[Path, ...]:
        """The files that are being run: this one, and those that call it."""
        return (*self.above, *((self.path.resolve(),) if self.path is not None else ()))


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


# ---------------------------------------------------------------- files


def read_called(step: ResolvedStep, running: tuple[Path, ...], locate: Callable[[str], Path]) -> Source:
    """The workflow file that a step names.

    Arguments: `running` are the files that are being run; `locate` gives the absolute path of a name.
    Raises `InvalidInput` when it is missing, cannot be read, or is already running (a cycle).
    """
    place = step.place("workflow", "path")
    name = step.body.get("path")
    if not isinstance(name, str) or not name:
        raise InvalidInput("a workflow step needs a `path`", place, step.name)
    if name.startswith("builtin:"):
        raise InvalidInput(f"this engine ships no builtin workflows ({name!r})", place, step.name)
    path = locate(name)
    if not path.is_file() and path.with_name(path.name + ".json").is_file():
        path = path.with_name(path.name + ".json")
    if not path.is_file():
        raise InvalidInput(f"there is no workflow file {name!r} (looked for at {path})", place, step.name)
    if path in running:
        circle = " -> ".join(file.name for file in (*running[running.index(path) :], path))
        raise InvalidInput(f"workflows that call each other in a circle never end: {circle}", place, step.name)
    if len(running) >= DEEPEST:
        raise InvalidInput(f"workflows call each other more than {DEEPEST} levels deep", place, step.name)
    return Source(_read(path, name, step), path, running)


def beside(folder: Path | None, name: str) -> Path:
    """The absolute path of a file that is named in a folder."""
    return Path(os.path.realpath(os.path.join(folder or "", os.path.expanduser(name))))


def _read(path: Path, name: str, step: ResolvedStep) -> str:
    place = step.place("workflow", "path")
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InvalidInput(f"the workflow file {name!r} is larger than 50 MB", place, step.name)
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the workflow file {name!r} cannot be read: {error}", place, step.name) from error


def error_in_child(error: InvalidInput, child: Source, step: ResolvedStep) -> InvalidInput:
    """An error in a called file, told at the place in the calling text where the file is named."""
    where = child.path.name if child.path is not None else "the called workflow"
    if error.range is not None:
        where += f" line {LineIndex(child.text).line_of(error.range.start) + 1}"
    return InvalidInput(f"{where}: {error.message}", step.place("workflow", "path"), step.name, error.hint)


# ---------------------------------------------------------------- values that are not known yet


def arguments_of_call(step: ResolvedStep) -> Mapping[str, Value]:
    """The values that a step hands over. Raises `InvalidInput` where they are no object."""
    arguments = step.body.get("arguments")
    if arguments is not None and not isinstance(arguments, dict):
        message = "`arguments` should be an object"
        raise InvalidInput(message, step.place("workflow", "arguments"), step.name)
    return arguments or {}


def handed_name(variable: str) -> str:
    """The name under which a called workflow reads a value that no text can express, or that is not known yet."""
    return f"@{variable}"


def understand_waiting(child: Source, known: Mapping[str, Any], waiting: frozenset[str]) -> ResolvedWorkflow | None:
    """A called workflow with those of its values that are known. Arguments: `waiting` are the variables of the others.

    Returns `None` where nothing can be said before these are known. Raises `InvalidInput` as `understand` does.
    """
    handed = {name: RESULTS + handed_name(name) for name in waiting}
    try:
        return understand(child, {**known, **handed})
    except InvalidInput:
        # Whatever the values will be: this is wrong without them, too, or one of them has no variable.
        if waiting <= understand(child, known).variables.keys():
            return None
        raise


def waits(step: ResolvedStep, waiting: Collection[str]) -> bool:
    """Whether more of a step than the arguments of its calls depends on values that are not known yet.

    Arguments: `waiting` are the names that these are read under.
    """
    return bool(waiting) and any(
        reference.kind == "previous_result" and split_result(reference.target, waiting)[0] in waiting
        for value in _decisive(step)
        for reference in references_in(value)
    )


def _decisive(step: ResolvedStep) -> Iterator[Value]:
    """The values of a step that have to be known before it is called."""
    for key, value in step.body.items():
        if key == "chain" and isinstance(value, dict):
            yield {name: item for name, item in value.items() if name != "prompts"}
        elif key not in ("arguments", "inputs") or not isinstance(value, (dict, list)):
            yield value
    yield dict(step.result or {})
    arguments = step.body.get("arguments")
    if isinstance(arguments, dict):
        yield from (value for name, value in arguments.items() if name in loading_arguments(step))
