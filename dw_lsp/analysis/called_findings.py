"""Mistakes in the workflows that a workflow calls, for whoever is about to run it: told at the call."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

from dw_lsp.analysis.diagnose import diagnose
from dw_lsp.analysis.findings import Finding, Related
from dw_lsp.analysis.names import workflow_of
from dw_lsp.analysis.workflow_calls import Call, called_document, calls_of
from dw_lsp.analysis.workspace import Workspace
from dw_lsp.text.document import Document


def called_findings(document: Document, workspace: Workspace, severities: Mapping[str, str]) -> Iterator[Finding]:
    """The errors in the workflows that a document calls, and in those that these call, at the calls in the document.

    What is wrong with a variable's default is none: the caller may hand over another value.
    """
    seen: set[Path] = set()
    for call in calls_of(document, workspace):
        for called, error in _errors(call, workspace, severities, seen):
            where = f"{called.uri.rpartition('/')[2]} line {called.lines.line_of(error.range.start) + 1}"
            yield dataclasses.replace(
                error,
                range=call.node.range,
                message=f"{where}: {error.message}",
                related=(Related(error.range, error.message, called), *error.related),
                fixes=(),
            )


def _errors(
    call: Call, workspace: Workspace, severities: Mapping[str, str], seen: set[Path]
) -> Iterator[tuple[Document, Finding]]:
    called = None if call.path in seen else called_document(call, workspace)
    if called is None:
        return
    seen.add(call.path)
    workflow = workflow_of(called)
    defaults = workflow.root.get("variables") if workflow is not None else None
    for finding in diagnose(called, workspace, severities):
        is_default = defaults is not None and defaults.range.contains(finding.range.start)
        if finding.severity == "error" and not is_default:
            yield called, finding
    for inner in calls_of(called, workspace):
        yield from _errors(inner, workspace, severities, seen)
