"""Calling a workflow file: which may be read, and what is handed over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dw_lsp.planning.artifact import Artifact, plain_value
from dw_lsp.planning.called_workflows import Source, handed_name, read_called
from dw_lsp.worker.engine.allowed_paths import AllowedPaths
from dw_lsp.worker.engine.artifact_codec import encode
from dw_lsp.workflow.references import RESULTS
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep


def read_child(step: ResolvedStep, source: Source, allowed: AllowedPaths) -> Source:
    """The workflow file that a step names.

    Raises `InvalidInput` when it is missing, may not be read, or is already running (a cycle).
    """

    def locate(name: str) -> Path:
        try:
            return allowed.resolve(name, source.folder, "the workflow file")
        except InvalidInput as error:
            raise InvalidInput(error.message, step.place("workflow", "path"), step.name, error.hint) from error

    return read_called(step, source.running, locate)


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
            handed[handed_name(name)] = value if isinstance(value, Artifact) else encode(live(value), {})
            plain[name] = RESULTS + handed_name(name)
    return plain, handed
