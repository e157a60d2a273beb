"""Completion in a real session: with what Neovim can do (UTF-8), VS Code (UTF-16), and a client that can do little."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from client import ALL_CAPABILITIES, ROOT, Client, client

from dw_lsp.analysis.completion.skeletons import plain
from dw_lsp.text.document import Document
from dw_lsp.text.parser import parse
from dw_lsp.text.positions import Encoding, Position

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

FLOW = """{
  "id": "flow 🎨",
  "variables": { "🐈": "a cat", "prompt": "🐈🐈 a cat" },
  "steps": [
    { "name": "🖌 draw", "pipeline": {
      "configuration": { "component_type": "StableDiffusionPipeline" },
      "from_pretrained_arguments": { "model_name": "./models/shapes", "torch_dtype": "torch.float32" },
      "arguments": { /* 🐈 */ "prompt": "variable:prompt" } } },
    { "name": "🖼 last", HERE }
  ]
}
"""
NEOVIM: dict[str, Any] = {
    "general": {"positionEncodings": ["utf-8", "utf-16", "utf-32"]},
    "workspace": {"configuration": True},
    "textDocument": {
        "completion": {
            "contextSupport": True,
            "completionItem": {
                "snippetSupport": True,
                "deprecatedSupport": True,
                "documentationFormat": ["markdown", "plaintext"],
                "resolveSupport": {"properties": ["additionalTextEdits", "command"]},
            },
        }
    },
}
VS_CODE: dict[str, Any] = {
    **ALL_CAPABILITIES,
    "general": {"positionEncodings": ["utf-16"]},
    "textDocument": {
        "completion": {
            "contextSupport": True,
            "completionItem": {
                "snippetSupport": True,
                "commitCharactersSupport": True,
                "documentationFormat": ["markdown", "plaintext"],
                "deprecatedSupport": True,
                "tagSupport": {"valueSet": [1]},
                "insertReplaceSupport": True,
                "resolveSupport": {"properties": ["documentation", "detail", "additionalTextEdits"]},
                "insertTextModeSupport": {"valueSet": [1, 2]},
                "labelDetailsSupport": True,
            },
            "completionList": {"itemDefaults": ["commitCharacters", "editRange", "insertTextFormat", "insertTextMode"]},
        }
    },
}
SIMPLE: dict[str, Any] = {"workspace": {"configuration": True}}
CLIENTS: dict[str, tuple[dict[str, Any], Encoding]] = {
    "neovim": (NEOVIM, "utf-8"),
    "vscode": (VS_CODE, "utf-16"),
    "simple": (SIMPLE, "utf-16"),
}


class Session:
    """A client that types into one document."""

    def __init__(self, editor: Client, uri: str, name: str):
        self.editor, self.uri, self.name, self.encoding = editor, uri, name, CLIENTS[name][1]
        self._version = 1

    def type(self, marked: str) -> tuple[Document, dict[str, int]]:
        """Replace the document; gives it, and where its | is as the client counts."""
        before, bar, behind = marked.partition("|")
        assert bar
        self._version += 1
        self.editor.replace(self.uri, before + behind, self._version)
        document = Document(self.uri, before + behind)
        place = document.lines.position(len(before), self.encoding)
        return document, {"line": place.line, "character": place.character}

    async def complete(self, marked: str, trigger: str | None = None) -> tuple[Document, dict[str, Any]]:
        """Type, and ask. Gives the document and the answer."""
        document, position = self.type(marked)
        context = {"triggerKind": 1} if trigger is None else {"triggerKind": 2, "triggerCharacter": trigger}
        params = {"textDocument": {"uri": self.uri}, "position": position, "context": context}
        return document, await self.editor.request("textDocument/completion", params)

    async def item(self, marked: str, label: str) -> tuple[Document, dict[str, Any]]:
        """One proposal."""
        document, answer = await self.complete(marked)
        found = [item for item in answer["items"] if item["label"] == label]
        assert len(found) == 1, [item["label"] for item in answer["items"]]
        return document, found[0]

    def accept(self, document: Document, item: dict[str, Any]) -> str:
        """The text after the client has accepted an item."""
        edit, text = item["textEdit"], document.text
        new = edit["newText"]
        if item.get("insertTextFormat") == 2:
            line = document.lines.line_text(edit["range"]["start"]["line"])
            new = plain(new).replace("\n", "\n" + line[: len(line) - len(line.lstrip())])
        edits = [(edit["range"], new)]
        edits += [(other["range"], other["newText"]) for other in item.get("additionalTextEdits", ())]
        for place, written in sorted(edits, key=lambda pair: -self._offset(document, pair[0]["start"])):
            text = (
                text[: self._offset(document, place["start"])] + written + text[self._offset(document, place["end"]) :]
            )
        return text

    def _offset(self, document: Document, position: dict[str, int]) -> int:
        return document.lines.offset(Position(position["line"], position["character"]), self.encoding)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=list(CLIENTS))
async def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Session]:
    """A session of each kind of client."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    shutil.copytree(
        ROOT / "workflows", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".checkpoints", "*.py")
    )
    uri = (folder / "flow.dw.json").as_uri()
    async with client(folder, CLIENTS[request.param][0], {"worker": {"prewarm": "onRun"}}) as editor:
        editor.open(uri, FLOW)
        yield Session(editor, uri, request.param)


async def test_what_the_server_says_of_itself(session: Session) -> None:
    provider = session.editor.capabilities["completionProvider"]
    assert provider["resolveProvider"] is True and '"' in provider["triggerCharacters"]


@pytest.mark.parametrize(
    ("typed", "label", "expected"),
    [
        ("|", "task", '"task": { "command": "", "arguments": {} }'),
        ('"task": { "command": "|" }', "canny_cv", '"task": { "command": "canny_cv" }'),
        ('"task": { "command": "can|', "canny_cv", '"task": { "command": "canny_cv"'),
        (
            '"task": { "command": "canny_cv", "arguments": { "image": "|" } }',
            "previous_result:🖌 draw",
            '"image": "previous_result:🖌 draw" }',
        ),
        ('"seed": 1 |', "release_models", '"seed": 1, "release_models": true'),
        ('"pipeline_reference": { "reference_name": | }', "🖌 draw", '"reference_name": "🖌 draw" }'),
    ],
)
async def test_items_go_where_they_belong(session: Session, typed: str, label: str, expected: str) -> None:
    document, item = await session.item(FLOW.replace("HERE", typed), label)
    before = len(document.parsed.problems)
    text = session.accept(document, item)
    assert expected in text and len(parse(text).problems) <= before


async def test_emoji_before_the_cursor_are_counted(session: Session) -> None:
    marked = FLOW.replace('/* 🐈 */ "prompt": "variable:prompt"', '/* 🐈🐈 */ "prompt": "variable:🐈|"').replace(
        ", HERE", ""
    )
    document, item = await session.item(marked, "variable:prompt")
    assert '/* 🐈🐈 */ "prompt": "variable:prompt" }' in session.accept(document, item)


async def test_snippets_are_for_clients_that_understand_them(session: Session) -> None:
    marked = FLOW.replace("HERE", "|")
    document, item = await session.item(marked, "result")
    if session.name == "simple":
        assert "insertTextFormat" not in item and "$" not in item["textEdit"]["newText"]
    else:
        assert item["insertTextFormat"] == 2 and "${1|image/png," in item["textEdit"]["newText"]
    assert '"result": { "content_type": "image/png" }' in session.accept(document, item)


async def test_a_step_is_indented_for_every_client(session: Session) -> None:
    marked = FLOW.replace('    { "name": "🖼 last", HERE }', "    |")
    document, item = await session.item(marked, "task step")
    assert (item.get("insertTextMode") == 2) is (session.name == "vscode")
    assert '\n    {\n      "name": "step",\n      "task": {' in session.accept(document, item)


async def test_deprecated_keys_are_marked_as_the_client_understands(session: Session) -> None:
    marked = FLOW.replace("HERE", '"result": { "content_type": "audio/wav", | }')
    _, item = await session.item(marked, "samplerate")
    marks = {"vscode": {"tags": [1]}, "neovim": {"deprecated": True}, "simple": {}}
    assert {key: item[key] for key in ("tags", "deprecated") if key in item} == marks[session.name]


async def test_documentation_comes_when_an_item_is_looked_at(session: Session) -> None:
    marked = FLOW.replace(", HERE", "").replace('"prompt": "variable:prompt"', '"prompt": "variable:prompt", |')
    _, item = await session.item(marked, "guidance_scale")
    assert "documentation" not in item and item["detail"].startswith("float")
    resolved = await session.editor.request("completionItem/resolve", item)
    told = resolved["documentation"]
    text = told if session.name == "simple" else told["value"]
    assert "guidance" in text.lower() and {**resolved, "documentation": None} == {**item, "documentation": None}
    assert session.name == "simple" or told["kind"] == "markdown"


async def test_a_class_is_documented(session: Session) -> None:
    marked = FLOW.replace(", HERE", "").replace('"StableDiffusionPipeline"', '"StableDiffusionPip|"')
    _, answer = await session.complete(marked)
    assert answer["isIncomplete"] is True and len(answer["items"]) <= 300
    item = next(item for item in answer["items"] if item["label"] == "StableDiffusionPipeline")
    resolved = await session.editor.request("completionItem/resolve", item)
    assert "text-to-image" in str(resolved["documentation"])


async def test_an_item_of_long_ago_is_given_back_as_it_is(session: Session) -> None:
    item = {"label": "x", "data": [10_000, 3]}
    assert await session.editor.request("completionItem/resolve", item) == item
    for data in (None, "x", [1], {"a": 1}, [-1, -1]):
        answer = await session.editor.request("completionItem/resolve", {"label": "x", "data": data})
        assert answer["label"] == "x" and "documentation" not in answer


async def test_paths_start_at_the_folder_of_the_file(session: Session) -> None:
    marked = FLOW.replace(", HERE", "").replace('"./models/shapes"', '"|"')
    document, item = await session.item(marked, "./models/shapes")
    assert '"model_name": "./models/shapes"' in session.accept(document, item)


@pytest.mark.parametrize("trigger", [" ", ","])
async def test_prose_is_not_interrupted(session: Session, trigger: str) -> None:
    marked = FLOW.replace(", HERE", "").replace('"variable:prompt"', f'"a cat{trigger}|"')
    _, answer = await session.complete(marked, trigger)
    assert answer["items"] == []


async def test_other_documents_get_nothing(session: Session) -> None:
    session.editor.open("file:///elsewhere/data.json", '{ "a": 1 }')
    params = {"textDocument": {"uri": "file:///elsewhere/data.json"}, "position": {"line": 0, "character": 2}}
    assert (await session.editor.request("textDocument/completion", params))["items"] == []
    params["textDocument"]["uri"] = "file:///never-opened.dw.json"
    assert await session.editor.request("textDocument/completion", params) is None
