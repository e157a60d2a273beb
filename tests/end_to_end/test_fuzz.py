"""Random edits of real workflows over a real server: what it holds stays what was typed, and every request is answered.

500 edits in all; 20,000 with DW_TEST_LONG=1.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from client import Client, client

from dw_lsp.analysis.diagnose import diagnose
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.text.document import Document
from dw_lsp.text.positions import Encoding, LineIndex

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(os.environ.get("DW_TEST_CORPUS", ROOT.parent / "shared" / "corpus"))
LONG = bool(os.environ.get("DW_TEST_LONG"))
EDITS = 20_000 if LONG else 500
BATCH = 10
SLOWEST = 5.0 if LONG else 10.0
FILES = [
    *sorted((ROOT / "workflows").glob("*.dw.json")),
    *sorted((ROOT / "tests" / "data" / "workflows").glob("*.dw.json")),
    *(sorted(CORPUS.rglob("*.json"))[:: 1 if LONG else 12]),
]
TYPED = [
    *'{}[]:,"\\/x0 \n\t.',
    "\r\n",
    "\r",
    "é",
    "😀",
    "\u2028",
    '"variable:',
    '"previous_result:',
    "//",
    "/*",
    "null",
    '"a": 1,',
]
#: What a client asks at a place, and what for a document.
AT_PLACE = ("completion", "hover", "definition", "documentHighlight", "prepareRename", "signatureHelp",
            "prepareCallHierarchy")  # fmt: skip
OF_DOCUMENT = ("documentSymbol", "foldingRange", "documentLink", "codeLens", "semanticTokens/full")


class Typist:
    """Edits one document, here and over there. Arguments: the session, its way of counting, the source of chance."""

    def __init__(self, session: Client, encoding: Encoding, uri: str, text: str, source: random.Random):
        self.session, self.encoding, self.uri, self.text, self.source = session, encoding, uri, text, source
        self.version = 1
        self._before = text
        session.open(uri, text)

    def place(self, offset: int) -> dict[str, int]:
        found = LineIndex(self.text).position(offset, self.encoding)
        return {"line": found.line, "character": found.character}

    def edit(self) -> None:
        """One change: typed, taken out, doubled, moved, or undone."""
        text, source = self.text, self.source
        start = source.randrange(len(text) + 1)
        end = min(len(text), start + source.choice((0, 0, 0, 1, 1, 3, 40)))
        new = source.choice(("", "", source.choice(TYPED), source.choice(TYPED), text[start:end] * 2))
        if source.random() < 0.1:
            start, end, new = 0, len(text), self._before  # Undone: the same as a client that sends the whole text.
        elif source.random() < 0.1:
            other = source.randrange(len(text) + 1)
            new = text[other : other + 60]
        # Within a CR LF pair no position is certain, so an edit never parts one.
        start, end = self._whole(start), self._whole(end)
        change = {"range": {"start": self.place(start), "end": self.place(end)}, "text": new}
        if len(text) + len(new) > 60_000:
            return
        self._before, self.text = text, text[:start] + new + text[end:]
        self.version += 1
        self.session.notify(
            "textDocument/didChange",
            {"textDocument": {"uri": self.uri, "version": self.version}, "contentChanges": [change]},
        )

    def _whole(self, offset: int) -> int:
        return offset - 1 if self.text[offset - 1 : offset + 1] == "\r\n" else offset

    def requests(self) -> list[Awaitable[Any]]:
        """Some of what a client asks while somebody types."""
        document = {"textDocument": {"uri": self.uri}}
        place = self.place(self._whole(self.source.randrange(len(self.text) + 1)))
        whole = {"start": {"line": 0, "character": 0}, "end": self.place(len(self.text))}
        here = {"start": place, "end": place}
        asked: list[tuple[str, Any]] = [
            *((f"textDocument/{name}", {**document, "position": place}) for name in self.source.sample(AT_PLACE, 3)),
            (f"textDocument/{self.source.choice(OF_DOCUMENT)}", document),
            ("textDocument/references", {**document, "position": place, "context": {"includeDeclaration": True}}),
            ("textDocument/inlayHint", {**document, "range": whole}),
            ("textDocument/selectionRange", {**document, "positions": [place]}),
            ("textDocument/codeAction", {**document, "range": here, "context": {"diagnostics": []}}),
            ("textDocument/formatting", {**document, "options": {"tabSize": 2, "insertSpaces": True}}),
        ]
        return [self.session.request(method, params, SLOWEST) for method, params in self.source.sample(asked, 4)]


async def type_and_compare(typist: Typist, check: Callable[[Typist, list[Any]], None], edits: int) -> None:
    for done in range(edits):
        typist.edit()
        if done % BATCH == BATCH - 1:
            await asyncio.gather(*typist.requests())
            check(typist, await typist.session.diagnostics(typist.uri, typist.version))


def same_findings(typist: Typist, published: list[Any]) -> None:
    """What was published is what a fresh reading of the text finds."""
    document = Document(typist.uri, typist.text, 0, "json")
    found = diagnose(document, DiskWorkspace([Path(typist.uri.removeprefix("file://")).parent]), {})
    expected = []
    for each in found:
        start, end = (document.lines.position(at, typist.encoding) for at in (each.range.start, each.range.end))
        expected.append((each.code, each.message, start.line, start.character, end.line, end.character))
    told = [
        (
            each["code"],
            each["message"],
            *(each["range"][end][part] for end in ("start", "end") for part in ("line", "character")),
        )
        for each in published
    ]
    assert told == expected


@pytest.mark.timeout(3600 if LONG else 300)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
async def test_after_random_edits_server_and_client_agree(encoding: Encoding, tmp_path: Path) -> None:
    source = random.Random(f"{encoding} {EDITS}")
    capabilities = {
        "general": {"positionEncodings": [encoding]},
        "workspace": {"configuration": True},
        "textDocument": {"documentSymbol": {"hierarchicalDocumentSymbolSupport": True}},
    }
    each = EDITS // (2 * len(FILES)) + BATCH
    async with client(tmp_path, capabilities, {"worker": {"prewarm": "onRun"}}) as session:
        for number, file in enumerate(FILES):
            uri = (tmp_path / f"{number}.dw.json").as_uri()
            typist = Typist(session, encoding, uri, file.read_text(encoding="utf-8"), source)
            await type_and_compare(typist, same_findings, each)
            session.close(uri)
