"""Findings to the client: for the newest version of a document, once for a burst of changes, never for an older one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from lsprotocol import types

from dw_lsp.analysis.diagnose import diagnose
from dw_lsp.analysis.findings import Finding
from dw_lsp.server.convert import diagnostics_of
from dw_lsp.server.dependencies import Dependencies
from dw_lsp.server.documents import Documents
from dw_lsp.text.document import Document
from dw_lsp.text.positions import Encoding

#: Characters above which a document is analysed on a thread, so that the next key stroke is not kept waiting.
LARGE_DOCUMENT = 150_000
#: Characters above which what comes right behind a change, such as a request for completion, is answered before the
#: document is analysed; and the seconds for which that is waited for.
LONG_DOCUMENT, BEHIND_REQUESTS = 20_000, 0.003


class Diagnostics:
    """Gives the client the findings of open documents.

    Most clients are told of them. One that asks for them itself (`pulled`) is told when to ask again.

    Arguments: the documents; the severities of the settings; the client's encoding; what sends to the client, and what
    has it ask again; `analysed` is called with each document whose findings were given.
    """

    def __init__(
        self,
        documents: Documents,
        severities: Callable[[], Mapping[str, str]],
        encoding: Callable[[], Encoding],
        publish: Callable[[types.PublishDiagnosticsParams], None],
        ask_again: Callable[[], None],
        analysed: Callable[[Document], None],
    ):
        self._documents, self._severities = documents, severities
        self._encoding, self._publish, self._analysed = encoding, publish, analysed
        self._ask_again, self._is_asked_again = ask_again, False
        self._generation = 0
        self._depends = Dependencies()
        self.pulled = False
        self._due: set[str] = set()
        self._told: dict[str, tuple[Document, tuple[Finding, ...]]] = {}
        self._threads: dict[str, asyncio.Task[None]] = {}

    def schedule(self, uri: str) -> None:
        """A document was edited: publish once all changes that have come in are applied."""
        if uri not in self._due and not self.pulled:
            self._due.add(uri)
            document, loop = self._documents.get(uri), asyncio.get_running_loop()
            if document is not None and len(document.text) > LONG_DOCUMENT:
                loop.call_later(BEHIND_REQUESTS, self._begin, uri)
            else:
                loop.call_soon(self._begin, uri)

    def schedule_all(self) -> None:
        """Something changed that concerns every open document, such as the settings."""
        self._refresh([document.uri for document in self._documents])

    def changed(self, path: Path | None) -> None:
        """A file was changed, on disk or in the editor: the documents that look at it are judged anew."""
        if path is not None:
            self._refresh(self._depends.users_of(path))

    def _refresh(self, uris: Iterable[str]) -> None:
        for uri in uris:
            self._told.pop(uri, None)
            self.schedule(uri)
            self._generation += 1
            if self.pulled and not self._is_asked_again:
                self._is_asked_again = True
                asyncio.get_running_loop().call_soon(self._have_it_ask)

    def _have_it_ask(self) -> None:
        self._is_asked_again = False
        self._ask_again()

    def clear(self, uri: str) -> None:
        """Take back what was published for a document that is closed."""
        self._told.pop(uri, None)
        self._depends.forget(uri)
        if not self.pulled:
            self._publish(types.PublishDiagnosticsParams(uri=uri, diagnostics=[]))

    async def report(
        self, uri: str, previous: str | None
    ) -> types.RelatedFullDocumentDiagnosticReport | types.RelatedUnchangedDocumentDiagnosticReport:
        """The findings of a document for a client that asks. Arguments: the number of the answer that it has."""
        document = self._documents.get(uri)
        if document is None:
            return types.RelatedFullDocumentDiagnosticReport(items=[])
        number = f"{document.version}.{self._generation}"
        if number == previous:
            return types.RelatedUnchangedDocumentDiagnosticReport(result_id=number)
        large = is_large(document)
        findings = await asyncio.to_thread(self.findings, document) if large else self.findings(document)
        self._told[uri] = document, findings
        self._analysed(document)
        items = diagnostics_of(document, findings, self._encoding())
        return types.RelatedFullDocumentDiagnosticReport(items=items, result_id=number)

    def latest(self, document: Document) -> tuple[Finding, ...]:
        """The findings that were published for this very version, else those as they are now."""
        told = self._told.get(document.uri)
        return told[1] if told is not None and told[0] is document else self.findings(document)

    def findings(self, document: Document) -> tuple[Finding, ...]:
        """The findings of a document as they are now."""
        workspace = self._documents.workspace(document.uri)
        found = diagnose(document, workspace, self._severities())
        if self._documents.get(document.uri) is document:
            self._depends.note(document.uri, workspace.asked)
        return found

    def _begin(self, uri: str) -> None:
        self._due.discard(uri)
        document = self._documents.get(uri)
        if document is None:
            return
        if not is_large(document):
            self._tell(document, self.findings(document))
        elif uri not in self._threads:
            task = self._threads[uri] = asyncio.get_running_loop().create_task(self._on_thread(document))
            task.add_done_callback(lambda _: self._threads.pop(uri, None))

    async def _on_thread(self, document: Document) -> None:
        findings = await asyncio.to_thread(self.findings, document)
        newest = self._documents.get(document.uri)
        if newest is document:
            self._tell(document, findings)
        elif newest is not None:
            asyncio.get_running_loop().call_soon(self.schedule, document.uri)

    def _tell(self, document: Document, findings: tuple[Finding, ...]) -> None:
        self._told[document.uri] = document, findings
        diagnostics = diagnostics_of(document, findings, self._encoding())
        self._publish(
            types.PublishDiagnosticsParams(uri=document.uri, version=document.version, diagnostics=diagnostics)
        )
        self._analysed(document)


def is_large(document: Document) -> bool:
    """Whether work on the document would keep other requests waiting."""
    return len(document.text) > LARGE_DOCUMENT
