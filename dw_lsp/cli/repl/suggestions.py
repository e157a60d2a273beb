"""What Tab offers at the prompt: commands, files, variables and the values that fit where they are used, steps."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dw_lsp.analysis.completion.complete import complete
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.cli.inputs import UnusableInput, read_document, workspace_folder
from dw_lsp.settings import Settings
from dw_lsp.text.document import Document, path_of
from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.reader import read

_SUFFIXES = (".json", ".jsonc")
_ESCAPED = re.compile(r"\\(.)")
_SPECIAL = re.compile(r"([\s\\\"'])")


@dataclass(frozen=True)
class Suggestion:
    """What the word at the cursor may become, and a note beside it. `typed`: how many characters of it are there."""

    text: str
    typed: int
    note: str = ""


@dataclass(frozen=True)
class Scene:
    """What suggestions are made from: the commands with their help, the file and the values given, the settings."""

    commands: Mapping[str, str]
    file: Path | None
    arguments: Mapping[str, Value]
    settings: Settings


def suggestions(line: str, scene: Scene) -> Iterator[Suggestion]:
    """What may stand at the end of a line."""
    command, space, rest = line.lstrip().partition(" ")
    if not space:
        named = ((f"{name} " if name in _PROVIDERS else name, told) for name, told in scene.commands.items())
        yield from _beginning(command, named)
    elif command in _PROVIDERS:
        yield from _PROVIDERS[command](rest.lstrip(), scene)


def _beginning(typed: str, named: Iterable[tuple[str, str]]) -> Iterator[Suggestion]:
    for name, note in named:
        if name.startswith(typed):
            yield Suggestion(name, len(typed), note)


def _help(typed: str, scene: Scene) -> Iterator[Suggestion]:
    yield from _beginning(typed, scene.commands.items())


def _files(typed: str, scene: Scene) -> Iterator[Suggestion]:
    """Workflows and folders; what is hidden is not offered."""
    folder, slash, beginning = _ESCAPED.sub(r"\1", typed).rpartition("/")
    try:
        found = sorted(Path((folder + slash) or ".").expanduser().iterdir(), key=lambda entry: entry.name.lower())
    except OSError:
        return
    for entry in found:
        if entry.name.startswith(beginning) and not entry.name.startswith("."):
            name = _SPECIAL.sub(r"\\\1", folder + slash + entry.name)
            if entry.is_dir():
                yield Suggestion(f"{name}/", len(typed), "folder")
            elif entry.suffix in _SUFFIXES:
                yield Suggestion(name, len(typed))


def _arguments(typed: str, scene: Scene) -> Iterator[Suggestion]:
    document = _document(scene)
    workflow = None if document is None else read(document.root)
    if document is None or workflow is None:
        return
    name, equals, value = typed.partition("=")
    defaults = {
        variable.name: document.text[variable.member.value.range.start : variable.member.value.range.end]
        for variable in workflow.variables
    }
    if not equals:
        yield from _beginning(name, ((f"{variable}=", default) for variable, default in defaults.items()))
    elif name in defaults:
        default = _plain(defaults[name])
        flags = ("true", "false") if default in ("true", "false") else ()
        offered = dict.fromkeys([default, *flags, *fitting_values(document, name, scene.settings)])
        notes = {default: "default", str(scene.arguments.get(name, "")): "now"}
        yield from _beginning(value.lstrip(), ((text, notes.get(text, "")) for text in offered if text))


def _plain(written: str) -> str:
    """A default as one types it here: a text without its quotes."""
    try:
        value = json.loads(written)
    except ValueError:
        return written
    return value if isinstance(value, str) else written


def _steps(typed: str, scene: Scene) -> Iterator[Suggestion]:
    document = _document(scene)
    workflow = None if document is None else read(document.root)
    names = () if workflow is None else workflow.step_names()
    yield from _beginning(typed, ((name, "up to this step") for name in names))


_PROVIDERS: Mapping[str, Callable[[str, Scene], Iterator[Suggestion]]] = {
    "help": _help,
    "load": _files,
    "arg": _arguments,
    "run": _steps,
}


def _document(scene: Scene) -> Document | None:
    try:
        return None if scene.file is None else replace(read_document(scene.file), language_id="dw-workflow")
    except UnusableInput:
        return None  # Told when the file is run; while a word is typed there is just nothing to offer.


def fitting_values(document: Document, variable: str, settings: Settings) -> list[str]:
    """Texts that fit where a variable is used: classes, models, files, number types, choices.

    Asked of completion at that very place, with nothing written there yet.
    """
    workflow = read(document.root)
    uses = [] if workflow is None else workflow.uses
    for use in uses:
        if use.reference.kind == "variable" and use.reference.name == variable:
            place = use.node.range
            empty = replace(document, text=f'{document.text[: place.start]}""{document.text[place.end :]}')
            path = path_of(document.uri)
            roots = [] if path is None else [workspace_folder(path)]
            found = complete(empty, place.start + 1, DiskWorkspace(roots, settings))
            return [item.label for item in found.items if item.kind not in ("variable", "step", "skeleton")]
    return []
