"""All rules over one document."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import cast

from dw_lsp.analysis.findings import SEVERITIES, Finding, Severity
from dw_lsp.analysis.names import workflow_of
from dw_lsp.analysis.rules import CHECKS
from dw_lsp.analysis.rules.context import Context, finding
from dw_lsp.analysis.rules.syntax import SYNTAX
from dw_lsp.analysis.workspace import Workspace
from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Range
from dw_lsp.workflow.recognition import LANGUAGE_ID, SUFFIXES, is_workflow

#: Characters beyond which a document is not checked as one types.
LARGEST_DOCUMENT = 4_000_000


def diagnose(document: Document, workspace: Workspace, severities: Mapping[str, str]) -> tuple[Finding, ...]:
    """What is wrong with a document, in the order of the text; nothing for one that is no workflow.

    Arguments: `severities` maps rule codes to another severity, or to "off".
    """
    if len(document.text) > LARGEST_DOCUMENT:
        return _with_severities(_too_large(document), severities)
    if not is_workflow(document.root, document.uri, document.language_id):
        return ()
    context = Context(document, workflow_of(document), workspace)
    found = [result for check in CHECKS for result in check(context)]
    found.sort(key=lambda result: (result.range.start, result.range.end))
    return _with_severities(found, severities)


def _too_large(document: Document) -> list[Finding]:
    """One finding for a document that is not read, if it calls itself a workflow."""
    named = document.language_id == LANGUAGE_ID or document.uri.lower().endswith(SUFFIXES)
    if not named and '"steps"' not in document.text:
        return []
    size = len(document.text) / 1_000_000
    message = (
        f"This document has {size:.1f} million characters; above {LARGEST_DOCUMENT // 1_000_000} million it is neither "
        "checked nor run. Put what makes it large (embedded media, long lists) into files of its own."
    )
    return [finding(SYNTAX, Range(0, 1), message)]


def _with_severities(found: Iterable[Finding], severities: Mapping[str, str]) -> tuple[Finding, ...]:
    kept = []
    for result in found:
        wanted = severities.get(result.code, result.severity)
        if wanted in SEVERITIES:
            kept.append(result if wanted == result.severity else dataclasses.replace(result, severity=_as(wanted)))
    return tuple(kept)


def _as(severity: str) -> Severity:
    return cast(Severity, severity)
