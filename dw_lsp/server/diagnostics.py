"""Findings to the client: for the newest version of a document, once for a burst of changes, never for an older one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from lsprotocol import types

from dw_lsp.analysis.diagnose import diagnose
from dw_lsp.analysis.findings import Finding
from dw_lsp.server.convert import diagnostics_of
from dw_lsp.server.documents import Documents
from dw_lsp.text.document import Document
from dw_lsp.text.positions import Encoding

#: Characters above which a document is analysed on a thread, so that the next key stroke is not kept waiting.
LARGE_DOCUMENT = 150_000


class Diagnostics:
    """Publishes the findings of open documents.

    Arguments: the documents; the severities of the settings; the client's encoding; what sends to the client;
    `analysed` is called with each document whose findings were published.
    """

    def __init__(
        self,
        documents: Documents,
        severities: Callable[[], Mapping[str, str]],
        encoding: Callable[[], Encoding],
        publish: Callable[[types.PublishDiagnosticsParams], None],
        analysed: Callable[[Document], None],
    ):
        self._documents, self._severities = documents, severities
        self._encoding, self._publish, self._analysed = encoding, publish, analysed
        self._due: set[str] = set()
        self._told: dict[str, tuple[Document, tuple[Finding, ...]]] = {}
        self._threads: dict[str, asyncio.Task[None]] = {}

    def schedule(self, uri: str) -> None:
        """Publish once all changes that have come in are applied."""
        if uri not in self._due:
            self._due.add(uri)
            asyncio.get_running_loop().call_soon(self._begin, uri)

    def schedule_all(self) -> None:
        """Publish for every open document, as after a change of the settings."""
        for document in self._documents:
            self.schedule(document.uri)

    def clear(self, uri: str) -> None:
        """Take back what was published for a document that is closed."""
        self._told.pop(uri, None)
        self._publish(types.PublishDiagnosticsParams(uri=uri, diagnostics=[]))

    def latest(self, document: Document) -> tuple[Finding, ...]:
        """The findings that were published for this very version, else those as they are now."""
        told = self._told.get(document.uri)
        return told[1] if told is not None and told[0] is document else self.findings(document)

    def findings(self, document: Document) -> tuple[Finding, ...]:
        """The findings of a document as they are now."""
        return diagnose(document, self._documents.workspace(document.uri), self._severities())

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
