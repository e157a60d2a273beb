"""Findings as diagnostics: positions in the client's encoding, places in other files."""

from __future__ import annotations

import pytest

from dw_lsp.analysis.diagnose import diagnose
from dw_lsp.analysis.findings import Finding, Related
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.server.convert import diagnostics_of
from dw_lsp.text.document import Document
from dw_lsp.text.positions import Encoding
from dw_lsp.text.syntax_tree import Range


@pytest.mark.parametrize(("encoding", "wide"), [("utf-8", 4), ("utf-16", 2), ("utf-32", 1)])
def test_a_place_behind_an_emoji_counts_in_the_clients_encoding(encoding: Encoding, wide: int) -> None:
    text = '{ "id": "🌊", "steps": [{ "name": "a", "task": { "command": "qr_cod", "arguments": { } } }] }'
    document = Document("file:///a.dw.json", text)
    (told,) = diagnostics_of(document, diagnose(document, DiskWorkspace([]), {}), encoding)
    start = text.index('"qr_cod"') - 1 + wide
    assert (told.code, told.range.start.character, told.range.end.character) == ("unknown-task", start, start + 8)


def test_a_place_in_another_file_is_given_with_that_file_and_its_lines() -> None:
    document, other = Document("file:///a.dw.json", "{ }"), Document("file:///b.dw.json", "\n\n  x")
    related = Related(Range(4, 5), "here", other)
    (told,) = diagnostics_of(document, [Finding("syntax", "error", Range(0, 1), "Oh.", (related,))], "utf-16")
    assert told.related_information is not None
    place = told.related_information[0].location
    assert (place.uri, place.range.start.line, place.range.start.character) == ("file:///b.dw.json", 2, 2)
