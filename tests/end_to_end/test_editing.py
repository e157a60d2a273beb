"""Code actions and formatting over a real server: after their edits the finding is gone and no new one has come."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from client import Client, client

from dw_lsp.text.document import Change, Document
from dw_lsp.text.positions import Encoding, Position

pytestmark = pytest.mark.asyncio(loop_scope="module")
SETTINGS = {"worker": {"prewarm": "onRun"}, "diagnostics": {"severity": {"unused-variable": "hint"}}}
ENCODINGS: tuple[Encoding, ...] = ("utf-8", "utf-16")

SOUND = """{
  "id": "🙂 flow",
  "variables": {
    "prompt": "🙂🙂"
  },
  "steps": [
    { "name": "first", "task": { "command": "gather_inputs", "inputs": ["🙂", "variable:prompt"] } },
    { "name": "second", "task": { "command": "gather_inputs", "inputs": ["🙂", "previous_result:first"] },
      "result": { "content_type": "text/plain", "save": true } }
  ]
}
"""
SECOND = '"task": { "command": "gather_inputs", "inputs": ["🙂", "previous_result:first"] }'
#: A code, what is replaced in the sound text, and by what.
MISTAKES = [
    ("syntax", '"🙂 flow",', '"🙂 flow"'),
    ("syntax", '"🙂 flow"', "'🙂 flow'"),
    ("duplicate-key", '"id"', '"id": "old", "id"'),
    ("unknown-property", '"content_type": "text/plain", "save"', '"content_type": "text/plain", "svae"'),
    ("unknown-property", '["🙂", "previous_result:first"] },', '["🙂", "previous_result:first"] }, "fps": 8,'),
    ("missing-property", '"content_type": "text/plain", ', ""),
    ("unknown-variable", '["🙂", "variable:prompt"]', '["🙂", "variable:promt", "variable:prompt"]'),
    ("unknown-variable", '["🙂", "variable:prompt"]', '["🙂", "variable:other", "variable:prompt"]'),
    ("unused-variable", '"prompt": "🙂🙂"', '"prompt": "🙂🙂", "unused": 1'),
    ("unknown-step", '"previous_result:first"', '"previous_result:frist"'),
    ("duplicate-step", '"name": "second"', '"name": "first"'),
    ("step-order", '["🙂", "variable:prompt"]', '["🙂", "variable:prompt", "previous_result:later"]'),
    ("exclusive-properties", '"previous_result:first"]', '"previous_result:first"], "arguments": {}'),
    ("step-kind", f'"name": "second", {SECOND}', '"name": "second"'),
    ("wrong-type", '"save": true', '"save": "true"'),
    ("invalid-value", '"save": true', '"save": true, "role": "finel"'),
]  # fmt: skip


class Editor:
    """An open document, changed by the edits that the server answers with."""

    numbers = itertools.count()

    def __init__(self, session: Client, folder: Path, encoding: Encoding, text: str):
        self.session, self.encoding = session, encoding
        self.document = Document((folder / f"flow_{next(self.numbers)}.dw.json").as_uri(), text, 1)
        session.open(self.document.uri, text)

    async def diagnostics(self) -> list[Any]:
        return await self.session.diagnostics(self.document.uri, self.document.version)

    async def actions(self, place: Any, **context: Any) -> list[Any]:
        identifier = {"uri": self.document.uri}
        return list(
            await self.session.request(
                "textDocument/codeAction",
                {"textDocument": identifier, "range": place, "context": {"diagnostics": [], **context}},
            )
        )

    def apply(self, edits: list[Any]) -> str:
        """Apply edits, all of which count in the text before."""

        def position(of: Any) -> Position:
            return Position(of["line"], of["character"])

        changes = [
            Change(position(edit["range"]["start"]), position(edit["range"]["end"]), edit["newText"]) for edit in edits
        ]
        changes.sort(key=lambda change: (change.start, change.end), reverse=True)
        self.document = self.document.apply(changes, self.encoding, self.document.version + 1)
        self.session.replace(self.document.uri, self.document.text, self.document.version)
        return self.document.text

    def carry_out(self, action: Any) -> str:
        (change,) = action["edit"]["documentChanges"]
        assert change["textDocument"] == {"uri": self.document.uri, "version": self.document.version}
        return self.apply(change["edits"])

    def place(self, words: str) -> Any:
        """The range of some words of the text."""
        start = self.document.text.index(words)
        lines = self.document.lines
        ends = [lines.position(offset, self.encoding) for offset in (start, start + len(words))]
        start_end = [{"line": end.line, "character": end.character} for end in ends]
        return {"start": start_end[0], "end": start_end[1]}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENCODINGS)
async def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    """A session with a client that counts in an encoding: a function that opens a document in it."""
    folder = tmp_path_factory.mktemp("editing")
    capabilities = {
        "general": {"positionEncodings": [request.param]},
        "workspace": {"configuration": True, "workspaceEdit": {"documentChanges": True}},
    }
    async with client(folder, capabilities, SETTINGS) as connected:
        yield lambda text: Editor(connected, folder, request.param, text)


def codes(diagnostics: list[Any]) -> list[str]:
    return [diagnostic["code"] for diagnostic in diagnostics]


async def test_the_sound_document_is_sound(session: Any) -> None:
    assert await session(SOUND).diagnostics() == []


@pytest.mark.parametrize(
    ("code", "part", "broken"), MISTAKES, ids=[f"{code}-{n}" for n, (code, *_) in enumerate(MISTAKES)]
)
async def test_a_quick_fix_mends_what_it_is_offered_for(session: Any, code: str, part: str, broken: str) -> None:
    assert part in SOUND
    text = SOUND.replace(part, broken, 1)
    if code == "step-order":
        text = text.replace(
            "true } }\n", 'true } },\n    { "name": "later", "task": { "command": "x", "inputs": [1] } }\n'
        )
    editor = session(text)
    before = await editor.diagnostics()
    wrong = next(diagnostic for diagnostic in before if diagnostic["code"] == code)
    actions = await editor.actions(wrong["range"], only=["quickfix"])
    mine = [action for action in actions if wrong in action["diagnostics"]]
    assert mine and all(action["kind"] == "quickfix" for action in mine)
    action = next((action for action in mine if action.get("isPreferred")), mine[0])
    editor.carry_out(action)
    remaining = codes(before)
    remaining.remove(code)
    new = [found for found in codes(await editor.diagnostics()) if found not in remaining]
    assert new == [], (action["title"], editor.document.text)


async def test_fix_all_mends_what_is_certain(session: Any) -> None:
    editor = session(SOUND.replace('"🙂 flow",', "'🙂 flow'").replace('"save": true', '"save": "True", "save": "true"'))
    place = editor.place("flow")
    assert {action["kind"] for action in await editor.actions(place, only=["source.fixAll"])} == {"source.fixAll.dw"}
    (action,) = await editor.actions(place, only=["source"])
    assert editor.carry_out(action) == SOUND
    assert await editor.diagnostics() == []
    assert await editor.actions(place, only=["source"]) == []


async def test_only_what_is_asked_for_is_offered(session: Any) -> None:
    editor = session(SOUND.replace("flow", "flow's", 1).replace("true }", '"true" }'))
    place = editor.place('"true"')
    kinds = {action["kind"] for action in await editor.actions(place)}
    assert kinds == {"quickfix", "source.fixAll.dw", "refactor.extract"}
    assert {action["kind"] for action in await editor.actions(place, triggerKind=2)} == {"quickfix", "refactor.extract"}
    assert [action["kind"] for action in await editor.actions(place, only=["refactor"])] == ["refactor.extract"]
    assert await editor.actions(place, only=["refactor.rewrite"]) == []


async def test_a_value_is_extracted_and_inlined(session: Any) -> None:
    editor = session(SOUND)
    (action,) = await editor.actions(editor.place("text/plain"), only=["refactor.extract"])
    assert '"content_type": "variable:content_type"' in editor.carry_out(action)
    assert await editor.diagnostics() == []
    (action,) = await editor.actions(editor.place("variable:content_type"), only=["refactor.inline"])
    assert editor.carry_out(action) == SOUND


async def test_a_document_is_laid_out_once(session: Any) -> None:
    editor = session(SOUND)
    params = {"textDocument": {"uri": editor.document.uri}, "options": {"tabSize": 4, "insertSpaces": True}}
    edits = await editor.session.request("textDocument/formatting", params)
    assert '\n        {\n            "name": "first",\n' in editor.apply(edits)
    assert await editor.diagnostics() == []
    assert await editor.session.request("textDocument/formatting", params) == []


async def test_a_part_of_a_document_is_laid_out(session: Any) -> None:
    editor = session(SOUND.replace('    "prompt"', '"prompt"').replace('  "steps"', '"steps"'))
    place = editor.place('"🙂🙂"')
    params = {
        "textDocument": {"uri": editor.document.uri},
        "range": place,
        "options": {"tabSize": 2, "insertSpaces": True},
    }
    text = editor.apply(await editor.session.request("textDocument/rangeFormatting", params))
    assert '\n    "prompt"' in text and '\n"steps"' in text


async def test_what_is_broken_or_no_workflow_is_not_laid_out(session: Any) -> None:
    options = {"tabSize": 2, "insertSpaces": True}
    broken = session(SOUND.replace("]", "", 1))
    params = {"textDocument": {"uri": broken.document.uri}, "options": options}
    assert await broken.session.request("textDocument/formatting", params) == []
    broken.session.open("file:///package.json", '{"a":1}')
    params = {"textDocument": {"uri": "file:///package.json"}, "options": options}
    assert await broken.session.request("textDocument/formatting", params) is None


async def test_a_client_that_knows_no_versions_gets_plain_changes(tmp_path: Path) -> None:
    async with client(tmp_path, {}, None, initializationOptions=SETTINGS) as connected:
        editor = Editor(connected, tmp_path, "utf-16", SOUND.replace("true", '"true"'))
        (action,) = await editor.actions(editor.place('"true"'), only=["quickfix"])
        assert list(action["edit"]) == ["changes"]
        assert editor.apply(action["edit"]["changes"][editor.document.uri]) == SOUND
