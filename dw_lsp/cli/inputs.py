"""What the commands take in: settings, workflow files, NAME=VALUE. What is wrong with it is told, never guessed at."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from dw_lsp.settings import Settings, settings_from_environment
from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Value


class UnusableInput(Exception):
    """A file, folder or argument that a command cannot work with: which, why, and what to do."""


def read_settings() -> Settings:
    """The settings of the DW_... variables; a wrong one keeps its default and is told on standard error."""
    settings, problems = settings_from_environment(os.environ)
    for problem in problems:
        tell(f"warning: {problem}")
    return settings


def read_document(path: Path) -> Document:
    """The document in a file, its line ends as they are. Raises `UnusableInput` when it cannot be read as UTF-8."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnusableInput(f"{path}: byte {error.start} is not UTF-8; save the file in UTF-8") from None
    except IsADirectoryError:
        raise UnusableInput(f"{path} is a folder; name a workflow file") from None
    except FileNotFoundError:
        raise UnusableInput(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise UnusableInput(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return Document(path.resolve().as_uri(), text, language_id="jsonc" if path.suffix == ".jsonc" else "json")


def read_arguments(words: Sequence[str]) -> dict[str, Value]:
    """NAME=VALUE words as values for variables, all still text: the workflow's defaults say what they become.

    Raises `UnusableInput` for a word without `=` or a name that is given twice.
    """
    arguments: dict[str, Value] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.strip():
            raise UnusableInput(
                f'{word!r} is not NAME=VALUE; a value with spaces stands in quotes: prompt="a red star"'
            )
        if name in arguments:
            raise UnusableInput(f"variable {name!r} is given twice; remove one of them")
        arguments[name] = value
    return arguments


def workspace_folder(path: Path) -> Path:
    """The folder that stands for the editor's workspace: the current one if the file is in it, else the file's own."""
    current, folder = Path.cwd(), path.resolve().parent
    return current if folder.is_relative_to(current) else folder


def tell(message: str) -> None:
    """Say something to the person at the terminal; standard output is for results alone."""
    print(f"dw-lsp: {message}", file=sys.stderr)
