"""Random edits of real workflows over a real server: what it holds stays what was typed, and every request is answered.

A second server is given each text as a whole: both must find and answer the same. 500 edits in all; 20,000 with
DW_TEST_LONG=1, and others with each DW_TEST_SEED.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from client import Client, RequestError, client
from typist import Typist

from dw_lsp.analysis.diagnose import diagnose
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.text.document import Document
from dw_lsp.text.positions import Encoding

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(os.environ.get("DW_TEST_CORPUS", ROOT.parent / "shared" / "corpus"))
LONG = bool(os.environ.get("DW_TEST_LONG"))
EDITS = 20_000 if LONG else 500
#: Edits until a document is compared, and until it is as it was at first: what is broken all over says little.
BATCH, FRESH = 10, 60
#: A request may take so long, in seconds; one that is slow is sent once more, as others use this machine, too.
SLOWEST = 1.0
REQUEST_FAILED = -32803
FILES = [
    *sorted((ROOT / "workflows").glob("*.dw.json")),
    *sorted((ROOT / "tests" / "data" / "workflows").glob("*.dw.json")),
    *(sorted(CORPUS.rglob("*.json"))[:: 1 if LONG else 12]),
]
CAPABILITIES: dict[str, Any] = {
    "workspace": {"configuration": True, "workspaceEdit": {"documentChanges": True}},
    "textDocument": {
        "documentSymbol": {"hierarchicalDocumentSymbolSupport": True},
        "rename": {"prepareSupport": True},
        "completion": {"completionItem": {"snippetSupport": True, "documentationFormat": ["markdown"]}},
        "inlayHint": {"resolveSupport": {"properties": ["tooltip"]}},
    },
}
SETTINGS = {"worker": {"prewarm": "onRun"}}
Question: TypeAlias = tuple[str, dict[str, Any]]


# ---------------------------------------------------------------- what a client asks


def place_of(typist: Typist) -> dict[str, Any]:
    return {"textDocument": {"uri": typist.uri}, "position": typist.place(typist.any_place())}


def stretch_of(typist: Typist) -> dict[str, Any]:
    start, end = sorted((typist.any_place(), typist.any_place()))
    return {"textDocument": {"uri": typist.uri}, "range": typist.range(start, end)}


def document_of(typist: Typist) -> dict[str, Any]:
    return {"textDocument": {"uri": typist.uri}}


LAYOUT = {"options": {"tabSize": 2, "insertSpaces": True}}
#: What is asked of a server that has a capability.
ASKED: dict[str, Callable[[Typist], list[Question]]] = {
    "completionProvider": lambda at: [("textDocument/completion", place_of(at))],
    "hoverProvider": lambda at: [("textDocument/hover", place_of(at))],
    "signatureHelpProvider": lambda at: [("textDocument/signatureHelp", place_of(at))],
    "definitionProvider": lambda at: [("textDocument/definition", place_of(at))],
    "referencesProvider": lambda at: [
        ("textDocument/references", {**place_of(at), "context": {"includeDeclaration": True}})
    ],
    "documentHighlightProvider": lambda at: [("textDocument/documentHighlight", place_of(at))],
    "documentSymbolProvider": lambda at: [("textDocument/documentSymbol", document_of(at))],
    "workspaceSymbolProvider": lambda at: [("workspace/symbol", {"query": "e"})],
    "codeActionProvider": lambda at: [
        ("textDocument/codeAction", {**stretch_of(at), "context": {"diagnostics": []}}),
    ],
    "codeLensProvider": lambda at: [("textDocument/codeLens", document_of(at))],
    "documentLinkProvider": lambda at: [("textDocument/documentLink", document_of(at))],
    "documentFormattingProvider": lambda at: [("textDocument/formatting", {**document_of(at), **LAYOUT})],
    "documentRangeFormattingProvider": lambda at: [("textDocument/rangeFormatting", {**stretch_of(at), **LAYOUT})],
    "renameProvider": lambda at: [
        ("textDocument/prepareRename", (place := place_of(at))),
        ("textDocument/rename", {**place, "newName": "new 😀 name"}),
    ],
    "foldingRangeProvider": lambda at: [("textDocument/foldingRange", document_of(at))],
    "selectionRangeProvider": lambda at: [
        ("textDocument/selectionRange", {**document_of(at), "positions": [at.place(at.any_place())]})
    ],
    "callHierarchyProvider": lambda at: [("textDocument/prepareCallHierarchy", place_of(at))],
    "semanticTokensProvider": lambda at: [
        ("textDocument/semanticTokens/full", document_of(at)),
        ("textDocument/semanticTokens/range", stretch_of(at)),
    ],
    "inlayHintProvider": lambda at: [("textDocument/inlayHint", stretch_of(at))],
    "diagnosticProvider": lambda at: [],  # Not offered to this client; its findings are compared each time.
}
#: What follows from an answer: one of its items is asked about.
FOLLOWING: dict[str, Callable[[Any], list[Question]]] = {
    "textDocument/completion": lambda item: [("completionItem/resolve", item)],
    "textDocument/documentLink": lambda item: [("documentLink/resolve", item)],
    "textDocument/inlayHint": lambda item: [("inlayHint/resolve", item)],
    "textDocument/prepareCallHierarchy": lambda item: [
        ("callHierarchy/incomingCalls", {"item": item}),
        ("callHierarchy/outgoingCalls", {"item": item}),
    ],
}


def questions_of(session: Client) -> list[str]:
    """The capabilities that can be asked for; every one that the server tells of must be known here."""
    offered = {name for name, value in session.capabilities.items() if name.endswith("Provider") and value}
    assert offered - {"executeCommandProvider"} <= ASKED.keys()
    return sorted(offered & ASKED.keys())


async def answer_of(session: Client, question: Question) -> Any:
    """The answer in time; only a rename may be refused."""
    method, params = question
    for _ in range(2):
        began = time.monotonic()
        try:
            answer = await session.request(method, params)
        except RequestError as error:
            assert (method, error.code) == ("textDocument/rename", REQUEST_FAILED), f"{question}: {error.message}"
            answer = error.message
        if (took := time.monotonic() - began) <= SLOWEST:
            return answer
    raise AssertionError(f"{question} took {took:.1f} s")


def items_in(answer: Any) -> list[Any]:
    return answer.get("items", []) if isinstance(answer, dict) else answer or []


def without_numbers(value: Any) -> Any:
    """An answer without what a server uses to find its items again."""
    if isinstance(value, dict):
        return {key: without_numbers(item) for key, item in value.items() if key != "data"}
    return [without_numbers(item) for item in value] if isinstance(value, list) else value


# ---------------------------------------------------------------- comparing


class Comparison:
    """One document in two servers: typed into one, given to the other as a whole."""

    def __init__(self, typist: Typist, other: Client, encoding: Encoding, source: random.Random):
        self._typist, self._other, self._encoding, self._source = typist, other, encoding, source
        self._offered = questions_of(typist.session)

    async def compare(self) -> None:
        typist, other = self._typist, self._other
        published = await typist.session.diagnostics(typist.uri, typist.version)
        expected = list(self._expected())
        assert [summary(each) for each in published] == expected
        other.open(typist.uri, typist.text, typist.version)
        assert await other.diagnostics(typist.uri, typist.version) == published
        for name in self._source.sample(self._offered, 6):
            for question in ASKED[name](typist):
                await self._ask_both(question)
        other.close(typist.uri)

    def _expected(self) -> Iterator[tuple[Any, ...]]:
        """What a fresh reading of the text finds."""
        typist = self._typist
        document = Document(typist.uri, typist.text, 0, "json")
        for each in diagnose(document, DiskWorkspace([Path(typist.uri.removeprefix("file://")).parent]), {}):
            place = typist.range(each.range.start, each.range.end)
            yield each.code, each.message, place

    async def _ask_both(self, question: Question) -> None:
        method = question[0]
        ours, theirs = [await answer_of(session, question) for session in (self._typist.session, self._other)]
        assert without_numbers(ours) == without_numbers(theirs), question
        if method in FOLLOWING and (items := items_in(ours)):
            number = self._source.randrange(len(items))
            for mine, other in zip(
                FOLLOWING[method](items[number]), FOLLOWING[method](items_in(theirs)[number]), strict=True
            ):
                told = await answer_of(self._typist.session, mine), await answer_of(self._other, other)
                assert without_numbers(told[0]) == without_numbers(told[1]), mine


def summary(diagnostic: Any) -> tuple[Any, ...]:
    return diagnostic["code"], diagnostic["message"], diagnostic["range"]


async def type_and_compare(comparison: Comparison, typist: Typist, source: random.Random, edits: int) -> int:
    done = 0
    while done < edits:
        asked = []
        for _ in range(BATCH):
            typist.edit()
            if source.random() < 0.2:
                name = source.choice(questions_of(typist.session))
                asked += [asyncio.ensure_future(answer_of(typist.session, each)) for each in ASKED[name](typist)]
        await asyncio.gather(*asked)
        await comparison.compare()
        done += BATCH
    return done


@pytest.mark.timeout(3600 if LONG else 300)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
async def test_after_random_edits_everything_is_as_if_it_had_just_been_opened(
    encoding: Encoding, tmp_path: Path
) -> None:
    source = random.Random(f"{encoding} {EDITS} {os.environ.get('DW_TEST_SEED', '')}")
    capabilities = {**CAPABILITIES, "general": {"positionEncodings": [encoding]}}
    (tmp_path / "child.dw.json").write_text((ROOT / "tests/data/workflows/mask.dw.json").read_text(encoding="utf-8"))
    async with client(tmp_path, capabilities, SETTINGS) as typed, client(tmp_path, capabilities, SETTINGS) as whole:
        done, number = 0, 0
        while done < EDITS // 2:
            file = FILES[number % len(FILES)]
            uri = (tmp_path / f"{number}.dw.json").as_uri()
            typist = Typist(typed, encoding, uri, file.read_text(encoding="utf-8"), source)
            wanted = min(FRESH, EDITS // 2 - done)
            done += await type_and_compare(Comparison(typist, whole, encoding, source), typist, source, wanted)
            typed.close(uri)
            typed.notifications.clear()
            whole.notifications.clear()
            number += 1
