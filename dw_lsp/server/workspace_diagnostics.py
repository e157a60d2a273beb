"""Findings in all workflow files of the open folders, for a client that asks for them; open documents go before files.

A question to which there is nothing new is answered when there is: clients ask again after each answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from lsprotocol import types

from dw_lsp.analysis.diagnose import diagnose
from dw_lsp.analysis.workflow_files import workflow_at, workflows_below
from dw_lsp.server.convert import diagnostics_of
from dw_lsp.server.dependencies import Dependencies, normal
from dw_lsp.server.diagnostics import Diagnostics
from dw_lsp.server.documents import Documents
from dw_lsp.text.document import Document, path_of
from dw_lsp.text.positions import Encoding

#: Files beyond which no more are told of.
MOST_FILES = 500
#: Seconds without a change before files are looked at; seconds after which they are if nobody tells of changes.
QUIET, UNWATCHED = 0.3, 10.0
#: Changed files beyond which the folders are searched anew.
MOST_CHANGES = 20

Report: TypeAlias = types.WorkspaceFullDocumentDiagnosticReport | types.WorkspaceUnchangedDocumentDiagnosticReport


@dataclass(frozen=True)
class _Found:
    """What is found in a file. `number` names it, and is never given again."""

    number: str
    items: list[types.Diagnostic]


class WorkspaceDiagnostics:
    """Answers what is found in the open folders.

    Arguments: the documents and their findings; the severities of the settings; the client's encoding; whether the
    client tells of changed files.
    """

    def __init__(
        self,
        documents: Documents,
        diagnostics: Diagnostics,
        severities: Callable[[], Mapping[str, str]],
        encoding: Callable[[], Encoding],
        watched: Callable[[], bool],
    ):
        self._documents, self._diagnostics = documents, diagnostics
        self._severities, self._encoding, self._watched = severities, encoding, watched
        self._files: dict[Path, int] = {}  # The workflow files, and what tells their text from an earlier one.
        self._found: dict[Path, _Found] = {}
        self._depends = Dependencies()
        self._numbers = itertools.count(1)
        self._searched, self._changes = False, set[Path]()
        self._times = 0  # How often everything has changed.
        self._is_asked = self._is_closed = False
        self._something_new = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._withdrawn: set[tuple[str, str]] = set()

    # ------------------------------------------------------------ what changes

    def changed(self, path: Path | None, *, as_folder: bool = False) -> None:
        """A file was changed, on disk or in the editor.

        Arguments: `as_folder`: it may be a folder, which came or went with all that is in it.
        """
        if self._is_asked and path is not None:
            self._changes.add(path)
            below = self._depends.users_below(path) if as_folder else set()
            for uri in self._depends.users_of(path) | below:
                self._forget(path_of(uri))
            self._something_new.set()

    def changed_all(self) -> None:
        """Something changed that concerns every file: the folders, the settings, what is installed."""
        self._found.clear()
        self._searched, self._times = False, self._times + 1
        self._something_new.set()

    def close(self) -> None:
        """Answer what waits: there will be nothing new."""
        self._is_closed = True
        self._something_new.set()

    def _forget(self, path: Path | None) -> None:
        if path is not None:
            self._found.pop(path, None)

    # ------------------------------------------------------------ what is told

    async def report(self, previous: Sequence[types.PreviousResultId]) -> types.WorkspaceDiagnosticReport:
        """What is found, once some of it is new. Arguments: the answers that the client has."""
        known = {_key(each.uri): each for each in previous}
        is_first, self._is_asked = not self._is_asked, True
        while True:
            await asyncio.sleep(0 if self._is_closed else QUIET)
            self._something_new.clear()
            async with self._one_at_a_time:
                await self._look_for_files()
                reports = [*await self._reports(known), *self._withdraw(known)]
            news = any(isinstance(each, types.WorkspaceFullDocumentDiagnosticReport) for each in reports)
            if news or is_first or self._is_closed:
                return types.WorkspaceDiagnosticReport(items=reports)
            await self._wait()

    async def _wait(self) -> None:
        if self._watched():
            await self._something_new.wait()
            return
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._something_new.wait(), UNWATCHED)
        self._searched = False

    async def _reports(self, known: Mapping[str, types.PreviousResultId]) -> list[Report]:
        reports: list[Report] = []
        for path in tuple(self._files):
            document = self._documents.at(path)
            uri = path.as_uri() if document is None else document.uri
            found = await (self._in_file(path) if document is None else self._in_editor(document))
            if found is None:
                continue
            version = None if document is None else document.version
            before = known.get(_key(uri))
            if before is not None and before.value == found.number:
                unchanged = types.WorkspaceUnchangedDocumentDiagnosticReport(
                    uri=uri, version=version, result_id=found.number
                )
                reports.append(unchanged)
            else:
                full = types.WorkspaceFullDocumentDiagnosticReport(
                    uri=uri, version=version, result_id=found.number, items=found.items
                )
                reports.append(full)
        return reports

    def _withdraw(self, known: Mapping[str, types.PreviousResultId]) -> list[Report]:
        """Of files that are gone there is nothing to be told any more; that is told once."""
        here = {str(path) for path in self._files}
        gone = [
            each for key, each in known.items() if key not in here and (each.uri, each.value) not in self._withdrawn
        ]
        self._withdrawn.update((each.uri, each.value) for each in gone)
        return [types.WorkspaceFullDocumentDiagnosticReport(uri=each.uri, items=[]) for each in gone]

    async def _in_editor(self, document: Document) -> _Found | None:
        judged = await self._diagnostics.newest(document.uri)
        if judged is None:
            return None
        return _Found(str(judged.number), diagnostics_of(judged.document, judged.findings, self._encoding()))

    async def _in_file(self, path: Path) -> _Found | None:
        if path not in self._found:
            began, times = time.monotonic(), self._times
            found, asked = await asyncio.to_thread(self._judge, path)
            if found is None or times != self._times or any(normal(each) in asked for each in self._changes):
                return found  # It may be out of date already, so it is not kept.
            self._found[path] = found
            self._depends.note(path.as_uri(), asked)
            await asyncio.sleep(time.monotonic() - began)  # Half of the time is left to those who type.
            return found
        return self._found[path]

    def _judge(self, path: Path) -> tuple[_Found | None, set[str]]:
        document = workflow_at(path, self._documents.folders)
        if document is None:
            return None, set()
        workspace = self._documents.workspace(document.uri)
        findings = diagnose(document, workspace, self._severities())
        # A file that is opened has other numbers: which text it was told of with this one would not be certain.
        number = f"file.{next(self._numbers)}"
        return _Found(number, diagnostics_of(document, findings, self._encoding())), workspace.asked

    # ------------------------------------------------------------ which files

    async def _look_for_files(self) -> None:
        """Take the workflow files as they are now."""
        changes, self._changes = self._changes, set()
        folders = self._documents.folders
        if self._searched and len(changes) <= MOST_CHANGES and not any(map(self._is_folder, changes)):
            for path in changes:
                self._take(path, await asyncio.to_thread(workflow_at, path, folders))
            return
        self._searched = True
        found = (await asyncio.to_thread(workflows_below, folders))[:MOST_FILES]
        here = {place: document for document in found if (place := path_of(document.uri)) is not None}
        for file in [*self._files.keys() - here.keys(), *here]:
            self._take(file, here.get(file))

    def _is_folder(self, path: Path) -> bool:
        """Whether it is a folder, or was one with workflows in it."""
        inside = str(path) + os.sep
        return path.is_dir() or any(str(file).startswith(inside) for file in self._files)

    def _take(self, path: Path, document: Document | None) -> None:
        """A file as it is now: another text than before, or no workflow any more."""
        text = None if document is None else hash(document.text)
        if text == self._files.get(path):
            return
        self._forget(path)
        if text is None:
            del self._files[path]
            self._depends.forget(path.as_uri())
        elif path in self._files or len(self._files) < MOST_FILES:
            self._files[path] = text


def _key(uri: str) -> str:
    """One name for all spellings of a URI."""
    path = path_of(uri)
    return uri if path is None else str(path)
