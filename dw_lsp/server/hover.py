"""What is shown of the text at hand: hover, signatures, notes within the text, lenses above it."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from lsprotocol import types

from dw_lsp.analysis.code_lenses import code_lenses
from dw_lsp.analysis.diagnose import LARGEST_DOCUMENT
from dw_lsp.analysis.hover.hover import hover
from dw_lsp.analysis.inlay_hints import inlay_hints, tooltip_of
from dw_lsp.analysis.last_run import LastRun
from dw_lsp.analysis.signature_help import ShownParameter, signature_help
from dw_lsp.server.convert import lsp_position, lsp_range
from dw_lsp.server.diagnostics import is_large
from dw_lsp.server.subject import subject_of
from dw_lsp.text.document import Document
from dw_lsp.text.positions import Encoding, Position
from dw_lsp.text.syntax_tree import Range

if TYPE_CHECKING:
    from dw_lsp.server.app import Server

_ESCAPED = re.compile(r"\\([\[\]<*_])")


def hover_at(server: Server, params: types.HoverParams) -> types.Hover | None:
    """What is to be said of the word under the cursor."""
    subject = subject_of(server, params.text_document.uri)
    if subject is None:
        return None
    rich = _takes_markdown(server.client_capabilities)
    last = server.last_runs.get(params.text_document.uri)
    found = hover(subject.document, subject.offset(params.position), subject.workspace, last, rich)
    if found is None:
        return None
    kind = types.MarkupKind.Markdown if rich else types.MarkupKind.PlainText
    text = found.text if rich else plain_text(found.text)
    return types.Hover(contents=types.MarkupContent(kind=kind, value=text), range=subject.range(found.range))


def _takes_markdown(capabilities: types.ClientCapabilities) -> bool:
    document = capabilities.text_document
    formats = document.hover.content_format if document and document.hover else None
    return formats is None or types.MarkupKind.Markdown in formats


def plain_text(markdown: str) -> str:
    """Our own Markdown without its marks, for clients that show it as it is."""
    lines = [line for line in markdown.split("\n") if not line.startswith("```") and set(line) - set("|- ")]
    text = "\n".join(line.strip("*") if line.startswith("*") else line for line in lines)
    text = text.replace("**", "").replace("`", "").replace("| ", "").replace(" |", "")
    return _ESCAPED.sub(r"\g<1>", text)


def signature_at(server: Server, params: types.SignatureHelpParams) -> types.SignatureHelp | None:
    """The call whose arguments are being written."""
    subject = subject_of(server, params.text_document.uri)
    if subject is None:
        return None
    shown = signature_help(subject.document, subject.offset(params.position), subject.workspace)
    if shown is None:
        return None
    document = server.client_capabilities.text_document
    can = document.signature_help.signature_information if document and document.signature_help else None
    # Beyond the last one there is none: so a client marks nothing for an argument that the call does not have.
    active = len(shown.parameters) if shown.active is None else shown.active
    information = types.SignatureInformation(
        label=shown.label,
        documentation=_documentation(shown.documentation, can),
        parameters=[
            types.ParameterInformation(
                label=_label(shown.label, each, can), documentation=_documentation(each.documentation, can)
            )
            for each in shown.parameters
        ],
        active_parameter=active,
    )
    return types.SignatureHelp(signatures=[information], active_signature=0, active_parameter=active)


def _label(
    label: str, parameter: ShownParameter, can: types.ClientSignatureInformationOptions | None
) -> str | tuple[int, int]:
    """An argument's place in the label, or its text for a client that knows no places."""
    if can is None or can.parameter_information is None or not can.parameter_information.label_offset_support:
        return label[parameter.start : parameter.end]
    # Places in a label are counted in UTF-16, whatever the documents are counted in.
    start, end = (len(label[:place].encode("utf-16-le")) // 2 for place in (parameter.start, parameter.end))
    return start, end


def _documentation(text: str, can: types.ClientSignatureInformationOptions | None) -> types.MarkupContent | str | None:
    """Documentation in a form that the client shows."""
    if not text:
        return None
    formats = can.documentation_format if can is not None else None
    if formats is None:
        return text
    kind = types.MarkupKind.Markdown if types.MarkupKind.Markdown in formats else types.MarkupKind.PlainText
    return types.MarkupContent(kind=kind, value=text)


def inlay_hints_in(server: Server, params: types.InlayHintParams) -> list[types.InlayHint]:
    """The notes in a stretch of a document."""
    subject = subject_of(server, params.text_document.uri)
    if subject is None:
        return []
    start, end = (
        subject.document.lines.offset(Position(place.line, place.character), subject.encoding)
        for place in (params.range.start, params.range.end)
    )
    document, last = subject.document, server.last_runs.get(params.text_document.uri)
    asks = _asks_for_tooltips(server.client_capabilities)
    return [
        types.InlayHint(
            position=lsp_position(document.lines, hint.offset, subject.encoding),
            label=hint.label,
            tooltip=None if asks else hint.tooltip or None,
            padding_left=True,
            data=[document.uri, document.version, hint.offset] if asks else None,
        )
        for hint in inlay_hints(document, Range(start, max(start, end)), subject.workspace, last)
    ]


def _asks_for_tooltips(capabilities: types.ClientCapabilities) -> bool:
    """Whether the client asks for a note's tooltip once it is needed."""
    document = capabilities.text_document
    options = document.inlay_hint.resolve_support if document and document.inlay_hint else None
    return options is not None and "tooltip" in options.properties


def inlay_hint_resolve(server: Server, hint: types.InlayHint) -> types.InlayHint:
    """A note with its tooltip: the whole value and the argument's default, or the class; not after a change."""
    match hint.data:
        case [str(uri), int(version), int(offset)]:
            subject = subject_of(server, uri)
            if subject is not None and subject.document.version == version:
                text = tooltip_of(subject.document, offset, subject.workspace)
                hint.tooltip = types.MarkupContent(kind=types.MarkupKind.Markdown, value=text) if text else None
    return hint


async def code_lens(server: Server, params: types.CodeLensParams) -> list[types.CodeLens]:
    """The lenses over a document and its steps."""
    document = server.documents.get(params.text_document.uri)
    if document is None or len(document.text) > LARGEST_DOCUMENT:
        return []
    last = server.last_runs.get(document.uri)
    if is_large(document):
        return await asyncio.to_thread(_lenses, document, server.encoding(), last)
    return _lenses(document, server.encoding(), last)


def _lenses(document: Document, encoding: Encoding, last: LastRun | None) -> list[types.CodeLens]:
    lenses = []
    for lens in code_lenses(document, last):
        argument = {"uri": document.uri} if lens.step is None else {"uri": document.uri, "step": lens.step}
        command = types.Command(title=lens.title, command="dw.run", arguments=[argument])
        lenses.append(types.CodeLens(range=lsp_range(document.lines, lens.range, encoding), command=command))
    return lenses
