"""Findings to the client: for the newest version of a document, once for a burst of changes, never for an older one."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lsprotocol import types

from dw_lsp.analysis.called_findings import called_findings
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
LONG_DOCUMENT, BEHIND_REQUESTS = 20_000, 0.001
#: Seconds in which changes from outside are gathered before a client is told to ask again.
GATHERED = 0.1


@dataclass(frozen=True)
class Judged:
    """The findings of one version of a document. `number` names them, and is never given again."""

    document: Document
    findings: tuple[Finding, ...]
    number: int


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
        self._depends = Dependencies()
        self.pulled = False
        self._due: set[str] = set()
        self._judged: dict[str, Judged] = {}
        self._numbers = itertools.count(1)
        self._outside: Counter[str] = Counter()
        self._threads: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, asyncio.Task[None]] = {}

    # ------------------------------------------------------------ what changes

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
        self.renew(document.uri for document in self._documents)

    def changed(self, path: Path | None, *, as_folder: bool = False) -> None:
        """A file was changed, on disk or in the editor: the documents that look at it are judged anew.

        Arguments: `as_folder`: it may be a folder, which came or went with all that is in it.
        """
        if path is None:
            return
        users = self._depends.users_of(path)
        if as_folder:
            users |= self._depends.users_below(path)
        own = self._documents.at(path)
        self.renew(users if own is None else users - {own.uri})

    def renew(self, uris: Iterable[str]) -> None:
        """What these documents are judged by has changed, but not they themselves."""
        for uri in tuple(uris):
            self._outside[uri] += 1
            self._judged.pop(uri, None)
            self.schedule(uri)
            if self.pulled and not self._is_asked_again:
                self._is_asked_again = True
                asyncio.get_running_loop().call_later(GATHERED, self._have_it_ask)

    def renew_found(self, code: str) -> None:
        """What one rule looks at has changed: the documents in which it found something are judged anew."""
        self.renew(
            uri for uri, judged in self._judged.items() if any(finding.code == code for finding in judged.findings)
        )

    def _have_it_ask(self) -> None:
        self._is_asked_again = False
        self._ask_again()

    def clear(self, uri: str) -> None:
        """Take back what was published for a document that is closed."""
        self._judged.pop(uri, None)
        self._outside.pop(uri, None)
        self._depends.forget(uri)
        if not self.pulled:
            self._publish(types.PublishDiagnosticsParams(uri=uri, diagnostics=[]))

    # ------------------------------------------------------------ what is found

    async def report(
        self, uri: str, previous: str | None
    ) -> types.RelatedFullDocumentDiagnosticReport | types.RelatedUnchangedDocumentDiagnosticReport:
        """The findings of a document for a client that asks. Arguments: the number of the answer that it has."""
        judged = await self.newest(uri)
        if judged is None:
            return types.RelatedFullDocumentDiagnosticReport(items=[])
        self._analysed(judged.document)
        number = str(judged.number)
        if number == previous:
            return types.RelatedUnchangedDocumentDiagnosticReport(result_id=number)
        items = diagnostics_of(judged.document, judged.findings, self._encoding())
        return types.RelatedFullDocumentDiagnosticReport(items=items, result_id=number)

    async def newest(self, uri: str) -> Judged | None:
        """What is found in the newest version of a document; `None` once it is closed."""
        while (document := self._documents.get(uri)) is not None:
            judged = self._judged.get(uri)
            if judged is not None and judged.document is document:
                return judged
            if not is_large(document):
                return self._judge(document)
            if uri not in self._threads:
                task = self._threads[uri] = asyncio.get_running_loop().create_task(self._judge_on_thread(document))
                task.add_done_callback(lambda _: self._threads.pop(uri, None))
            # Whoever asks no longer must not end what others wait for.
            await asyncio.shield(self._threads[uri])
        return None

    def latest(self, document: Document) -> tuple[Finding, ...]:
        """The findings that were given for this very version, else those as they are now."""
        judged = self._judged.get(document.uri)
        return judged.findings if judged is not None and judged.document is document else self.findings(document)

    def findings(self, document: Document) -> tuple[Finding, ...]:
        """The findings of a document as they are now."""
        return self._look(document)[0]

    def called_findings(self, document: Document) -> tuple[Finding, ...]:
        """The errors in the workflows that a document calls, at the calls."""
        workspace = self._documents.workspace(document.uri)
        return tuple(called_findings(document, workspace, self._severities()))

    def _look(self, document: Document) -> tuple[tuple[Finding, ...], set[str]]:
        """What is found, and which paths that hangs on. May be called on a thread."""
        workspace = self._documents.workspace(document.uri)
        return diagnose(document, workspace, self._severities()), workspace.asked

    def _judge(self, document: Document) -> Judged:
        return self._keep(document, *self._look(document))

    async def _judge_on_thread(self, document: Document) -> None:
        outside = self._outside[document.uri]
        found = await asyncio.to_thread(self._look, document)
        if self._documents.get(document.uri) is document and self._outside[document.uri] == outside:
            self._keep(document, *found)

    def _keep(self, document: Document, findings: tuple[Finding, ...], asked: set[str]) -> Judged:
        self._depends.note(document.uri, asked)
        judged = self._judged[document.uri] = Judged(document, findings, next(self._numbers))
        return judged

    # ------------------------------------------------------------ for clients that are told

    def _begin(self, uri: str) -> None:
        self._due.discard(uri)
        document = self._documents.get(uri)
        if document is None:
            return
        if not is_large(document):
            # Letting go of the version before takes as long as judging a part of this one: not before the client knows.
            before = self._judged.get(uri)
            self._tell(self._judge(document))
            del before
        elif uri not in self._waiting:
            task = self._waiting[uri] = asyncio.get_running_loop().create_task(self._tell_later(uri))
            task.add_done_callback(lambda _: self._waiting.pop(uri, None))

    async def _tell_later(self, uri: str) -> None:
        if (judged := await self.newest(uri)) is not None:
            self._tell(judged)

    def _tell(self, judged: Judged) -> None:
        document = judged.document
        diagnostics = diagnostics_of(document, judged.findings, self._encoding())
        self._publish(
            types.PublishDiagnosticsParams(uri=document.uri, version=document.version, diagnostics=diagnostics)
        )
        self._analysed(document)


def is_large(document: Document) -> bool:
    """Whether work on the document would keep other requests waiting."""
    return len(document.text) > LARGE_DOCUMENT
