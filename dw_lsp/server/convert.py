"""Offsets and findings of the core as LSP types, in the client's encoding. The only place that knows both."""

from __future__ import annotations

from collections.abc import Sequence

from lsprotocol import types

from dw_lsp.analysis.findings import Finding
from dw_lsp.server.documentation import address_of
from dw_lsp.text.document import Change, Document
from dw_lsp.text.positions import Encoding, LineIndex, Position
from dw_lsp.text.syntax_tree import Range

_SEVERITY = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
    "information": types.DiagnosticSeverity.Information,
    "hint": types.DiagnosticSeverity.Hint,
}
_TAG = {"unnecessary": types.DiagnosticTag.Unnecessary, "deprecated": types.DiagnosticTag.Deprecated}
_ENCODING: dict[str, Encoding] = {"utf-8": "utf-8", "utf-16": "utf-16", "utf-32": "utf-32"}


def encoding_of(kind: types.PositionEncodingKind | str | None) -> Encoding:
    """The core's name of a negotiated position encoding; UTF-16 when none was."""
    name = kind.value if isinstance(kind, types.PositionEncodingKind) else kind
    return _ENCODING.get(name or "utf-16", "utf-16")


def lsp_position(lines: LineIndex, offset: int, encoding: Encoding) -> types.Position:
    """An offset as a position."""
    place = lines.position(offset, encoding)
    return types.Position(line=place.line, character=place.character)


def lsp_range(lines: LineIndex, place: Range, encoding: Encoding) -> types.Range:
    """A range of offsets as a range of positions."""
    return types.Range(start=lsp_position(lines, place.start, encoding), end=lsp_position(lines, place.end, encoding))


def offset_range(lines: LineIndex, place: types.Range, encoding: Encoding) -> Range:
    """A range of positions as a range of offsets; one that ends before it begins is empty."""
    start = lines.offset(_position(place.start), encoding)
    return Range(start, max(start, lines.offset(_position(place.end), encoding)))


def change_of(change: types.TextDocumentContentChangeEvent) -> Change:
    """One change of a document as the core takes it."""
    if isinstance(change, types.TextDocumentContentChangePartial):
        return Change(_position(change.range.start), _position(change.range.end), change.text)
    return Change(None, None, change.text)


def _position(position: types.Position) -> Position:
    return Position(position.line, position.character)


def diagnostics_of(document: Document, findings: Sequence[Finding], encoding: Encoding) -> list[types.Diagnostic]:
    """Findings as diagnostics."""
    return [_diagnostic(document, finding, encoding) for finding in findings]


def _location(document: Document, place: Range, encoding: Encoding) -> types.Location:
    return types.Location(uri=document.uri, range=lsp_range(document.lines, place, encoding))


def _diagnostic(document: Document, finding: Finding, encoding: Encoding) -> types.Diagnostic:
    related = [
        types.DiagnosticRelatedInformation(
            location=_location(other.document or document, other.range, encoding),
            message=other.message,
        )
        for other in finding.related
    ]
    address = address_of(finding.code)
    return types.Diagnostic(
        range=lsp_range(document.lines, finding.range, encoding),
        severity=_SEVERITY[finding.severity],
        source="dw",
        code=finding.code,
        code_description=None if address is None else types.CodeDescription(href=address),
        message=finding.message,
        related_information=related or None,
        tags=[_TAG[tag] for tag in finding.tags] or None,
    )
