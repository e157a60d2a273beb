"""Navigation in a real session: a client that counts in UTF-8 and knows little, and one in UTF-16 that knows all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from client import ALL_CAPABILITIES, Client, RequestError, client

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

FLOW = """{
  "id": "flow 🎨",
  "variables": { "subject": "🐈 a cat", "photo": { "location": "cat 🐈.png" } }, // 🎨 "variable:subject"
  "steps": [
    { "name": "🖌 draft", "task": { "command": "canny_cv", "arguments": { "image": "variable:photo" } } },
    {
      "name": "call",
      "workflow": { "path": "./child.dw.json", "arguments": { /* 🐈 */ "prompt": "variable:subject" } }
    },
    { "name": "last", "task": { "command": "gather_inputs", "inputs": ["🐈", "previous_result:🖌 draft.mask"] } }
  ]
}
"""
CHILD = """{
  "id": "child",
  "variables": { "prompt": "🌊 the sea" },
  "steps": [
    {
      "name": "paint",
      "pipeline": {
        "configuration": { "component_type": "FluxPipeline" },
        "from_pretrained_arguments": { "model_name": "owner/model", "torch_dtype": "torch.bfloat16" },
        "arguments": { "prompt": "variable:prompt" }
      }
    }
  ]
}
"""
MODEST: dict[str, Any] = {"general": {"positionEncodings": ["utf-8"]}, "workspace": {"configuration": True}}
FULL: dict[str, Any] = {
    **ALL_CAPABILITIES,
    "general": {"positionEncodings": ["utf-16"]},
    "workspace": {**ALL_CAPABILITIES["workspace"], "workspaceEdit": {"documentChanges": True}},
    "textDocument": {
        "definition": {"linkSupport": True},
        "rename": {"prepareSupport": True},
        "documentSymbol": {"hierarchicalDocumentSymbolSupport": True},
    },
}


class Session:
    """A client with a workflow open, and the places in it by their text."""

    def __init__(self, editor: Client, folder: Path, encoding: str):
        self.editor, self.folder, self.encoding = editor, folder, encoding
        self.flow, self.child = (folder / "flow.dw.json").as_uri(), (folder / "child.dw.json").as_uri()

    def position(self, text: str, marked: str, source: str = FLOW) -> dict[str, int]:
        """Where the | of a marked part of a text stands, as the client counts."""
        before, bar, behind = marked.partition("|")
        assert bar
        offset = source.index(before + behind) + len(before)
        return self.at(offset, source)

    def at(self, offset: int, source: str = FLOW) -> dict[str, int]:
        line = source.count("\n", 0, offset)
        start = source.rfind("\n", 0, offset) + 1
        unit = 2 if self.encoding == "utf-16-le" else 1
        return {"line": line, "character": len(source[start:offset].encode(self.encoding)) // unit}

    def range(self, part: str, source: str = FLOW, after: str = "") -> dict[str, Any]:
        """The range of a part of a text, the first behind another part."""
        start = source.index(part, source.index(after))
        return {"start": self.at(start, source), "end": self.at(start + len(part), source)}

    async def ask(self, method: str, marked: str | None = None, uri: str = "", **more: Any) -> Any:
        params: dict[str, Any] = {"textDocument": {"uri": uri or self.flow}, **more}
        if marked is not None:
            params["position"] = self.position(FLOW, marked, CHILD if uri == self.child else FLOW)
        return await self.editor.request(f"textDocument/{method}", params)


def written(folder: Path) -> Path:
    (folder / "flow.dw.json").write_text(FLOW, encoding="utf-8")
    (folder / "child.dw.json").write_text(CHILD, encoding="utf-8")
    (folder / "cat 🐈.png").write_bytes(b"")
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def modest(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Session]:
    """A client that counts bytes and supports next to nothing."""
    folder = written(tmp_path_factory.mktemp("modest"))
    async with client(folder, MODEST, settings={"worker": {"prewarm": "onRun"}}) as editor:
        editor.open((folder / "flow.dw.json").as_uri(), FLOW)
        yield Session(editor, folder, "utf-8")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def full(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Session]:
    """A client that counts in UTF-16 and supports everything."""
    folder = written(tmp_path_factory.mktemp("full"))
    async with client(folder, FULL, settings={"worker": {"prewarm": "onRun"}}) as editor:
        editor.open((folder / "flow.dw.json").as_uri(), FLOW, version=7)
        yield Session(editor, folder, "utf-16-le")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["modest", "full"])
async def session(request: pytest.FixtureRequest, modest: Session, full: Session) -> Session:
    """Each of the two."""
    return {"modest": modest, "full": full}[request.param]


# ---------------------------------------------------------------- capabilities


@pytest.mark.parametrize(
    "name",
    [
        "definitionProvider",
        "referencesProvider",
        "documentHighlightProvider",
        "renameProvider",
        "documentSymbolProvider",
        "workspaceSymbolProvider",
        "foldingRangeProvider",
        "selectionRangeProvider",
        "documentLinkProvider",
        "semanticTokensProvider",
        "callHierarchyProvider",
    ],
)
async def test_the_capability_is_advertised(session: Session, name: str) -> None:
    assert session.editor.capabilities[name]


async def test_the_encoding_is_the_clients(modest: Session, full: Session) -> None:
    assert modest.editor.capabilities["positionEncoding"] == "utf-8"
    assert full.editor.capabilities["positionEncoding"] == "utf-16"


# ---------------------------------------------------------------- definition, references, highlights


async def test_definition_as_location(modest: Session) -> None:
    found = await modest.ask("definition", '"variable:sub|ject" }')
    assert found == [{"uri": modest.flow, "range": modest.range("subject", after='"variables"')}]


async def test_definition_as_link(full: Session) -> None:
    (found,) = await full.ask("definition", '"variable:sub|ject" }')
    assert found["targetSelectionRange"] == full.range("subject", after='"variables"')
    assert found["targetRange"] == full.range('"subject": "🐈 a cat"')
    assert found["originSelectionRange"] == full.range('"variable:subject"', after='"prompt"')


async def test_definition_in_a_file_that_is_not_open(modest: Session) -> None:
    found = await modest.ask("definition", '"pro|mpt"')
    assert found == [{"uri": modest.child, "range": modest.range("prompt", CHILD)}]


async def test_references_include_callers(session: Session) -> None:
    session.editor.open(session.child, CHILD)
    position = session.position(CHILD, '"variable:pro|mpt"', CHILD)
    params = {
        "textDocument": {"uri": session.child},
        "position": position,
        "context": {"includeDeclaration": True},
    }
    found = await session.editor.request("textDocument/references", params)
    session.editor.close(session.child)
    assert {(place["uri"], json.dumps(place["range"])) for place in found} == {
        (session.child, json.dumps(session.range("prompt", CHILD))),
        (session.child, json.dumps(session.range("prompt", CHILD, after='"variable:'))),
        (session.flow, json.dumps(session.range("prompt"))),
    }


async def test_highlights_tell_writing_from_reading(session: Session) -> None:
    found = await session.ask("documentHighlight", '"🖌 dr|aft", "task"')
    assert [(place["kind"], place["range"]) for place in found] == [
        (3, session.range("🖌 draft")),
        (2, session.range("🖌 draft", after="previous_result")),
    ]


async def test_open_text_goes_before_the_file(session: Session) -> None:
    changed = CHILD.replace('"variables"', '"seed": 1,\n  "variables"')
    session.editor.open(session.child, changed)
    found = await session.ask("definition", '"pro|mpt"')
    session.editor.close(session.child)
    (place,) = found
    assert place.get("range", place.get("targetSelectionRange")) == session.range("prompt", changed)


# ---------------------------------------------------------------- rename


async def test_prepare_rename_gives_the_name_alone(session: Session) -> None:
    found = await session.ask("prepareRename", "result:🖌 dr|aft.mask")
    assert found == {"range": session.range("🖌 draft", after="previous_result"), "placeholder": "🖌 draft"}


async def test_nothing_to_rename(session: Session) -> None:
    assert await session.ask("prepareRename", '"steps|"') is None


async def test_rename_as_changes(modest: Session) -> None:
    found = await modest.ask("rename", '"🖌 dr|aft", "task"', newName="sketch")
    assert found == {
        "changes": {
            modest.flow: [
                {"range": modest.range("🖌 draft"), "newText": "sketch"},
                {"range": modest.range("🖌 draft", after="previous_result"), "newText": "sketch"},
            ]
        }
    }


async def test_rename_of_a_called_workflows_variable_is_bound_to_versions(full: Session) -> None:
    found = await full.ask("rename", '"pro|mpt"', newName="words")
    changes = {
        change["textDocument"]["uri"]: (change["textDocument"]["version"], [edit["range"] for edit in change["edits"]])
        for change in found["documentChanges"]
    }
    assert changes == {
        full.flow: (7, [full.range("prompt")]),
        full.child: (None, [full.range("prompt", CHILD), full.range("prompt", CHILD, after='"variable:')]),
    }


@pytest.mark.parametrize(("name", "reason"), [("a b", "no name for a variable"), ("photo", "already")])
async def test_rename_is_refused_with_a_reason(session: Session, name: str, reason: str) -> None:
    with pytest.raises(RequestError, match=reason) as caught:
        await session.ask("rename", '"variable:sub|ject" }', newName=name)
    assert caught.value.code == -32803


# ---------------------------------------------------------------- structure


async def test_outline_as_tree(full: Session) -> None:
    variables, steps = await full.ask("documentSymbol")
    assert [child["name"] for child in variables["children"]] == ["subject", "photo"]
    assert [(child["name"], child["detail"]) for child in steps["children"]] == [
        ("🖌 draft", "task canny_cv"),
        ("call", "workflow ./child.dw.json"),
        ("last", "task gather_inputs"),
    ]
    assert steps["children"][0]["selectionRange"] == full.range('"🖌 draft"')


async def test_outline_as_list(modest: Session) -> None:
    found = await modest.ask("documentSymbol")
    assert [(item["name"], item.get("containerName")) for item in found] == [
        ("variables", None),
        ("subject", "variables"),
        ("photo", "variables"),
        ("steps", None),
        ("🖌 draft", "steps"),
        ("call", "steps"),
        ("last", "steps"),
    ]


async def test_symbols_of_files_that_are_not_open(session: Session) -> None:
    found = await session.editor.request("workspace/symbol", {"query": "pnt"})
    assert [(item["name"], item["location"]["uri"], item["containerName"]) for item in found] == [
        ("paint", session.child, "child")
    ]
    assert found[0]["location"]["range"] == session.range('"paint"', CHILD)


async def test_folding(session: Session) -> None:
    found = await session.ask("foldingRange")
    assert [(fold["startLine"], fold["endLine"]) for fold in found] == [(0, 10), (3, 9), (5, 7)]


async def test_selection_grows(session: Session) -> None:
    positions = [session.position(FLOW, '🐈 a c|at"'), session.position(FLOW, "|{")]
    first, second = await session.ask("selectionRange", positions=positions)
    assert first["range"] == session.range("🐈 a cat")
    assert first["parent"]["range"] == session.range('"🐈 a cat"')
    assert first["parent"]["parent"]["range"] == session.range('"subject": "🐈 a cat"')
    assert second["range"]["start"] == {"line": 0, "character": 0}


async def test_links_and_their_targets(session: Session) -> None:
    found = await session.ask("documentLink")
    assert [link["range"] for link in found] == [session.range("cat 🐈.png"), session.range("./child.dw.json")]
    resolved = await session.editor.request("documentLink/resolve", found[1])
    assert resolved["target"] == session.child


async def test_semantic_tokens_in_units_of_the_client(session: Session) -> None:
    legend = session.editor.capabilities["semanticTokensProvider"]["legend"]
    data = (await session.ask("semanticTokens/full"))["data"]
    found, line, character = [], 0, 0
    for ahead, right, length, kind, modifiers in zip(*[iter(data)] * 5, strict=True):
        line, character = line + ahead, right if ahead else character + right
        where = {
            "start": {"line": line, "character": character},
            "end": {"line": line, "character": character + length},
        }
        found.append((where, legend["tokenTypes"][kind], modifiers))
    assert (session.range("subject", after='"variables"'), "variable", 1) in found
    assert (session.range("🖌 draft", after="previous_result"), "function", 0) in found
    assert (session.range("mask"), "property", 0) in found
    assert (session.range("canny_cv"), "method", 0) in found


async def test_semantic_tokens_of_a_stretch_are_a_part_of_all(session: Session) -> None:
    line = {"start": {"line": 2, "character": 0}, "end": {"line": 3, "character": 0}}
    data = (await session.ask("semanticTokens/range", range=line))["data"]
    assert data[0] == 2
    assert len(data) == 10


# ---------------------------------------------------------------- call hierarchy


async def test_call_hierarchy(session: Session) -> None:
    (item,) = await session.ask("prepareCallHierarchy", '"./chi|ld.dw.json"')
    assert (item["name"], item["uri"]) == ("child", session.child)
    (incoming,) = await session.editor.request("callHierarchy/incomingCalls", {"item": item})
    assert incoming["from"]["name"] == "flow 🎨"
    assert incoming["fromRanges"] == [session.range('"./child.dw.json"')]
    (outgoing,) = await session.editor.request("callHierarchy/outgoingCalls", {"item": incoming["from"]})
    assert outgoing["to"]["uri"] == session.child
    assert outgoing["fromRanges"] == [session.range('"./child.dw.json"')]


# ---------------------------------------------------------------- elsewhere


@pytest.mark.parametrize(
    "method", ["definition", "documentHighlight", "documentSymbol", "foldingRange", "documentLink", "prepareRename"]
)
async def test_other_json_documents_are_left_alone(session: Session, method: str) -> None:
    uri = (session.folder / "package.json").as_uri()
    session.editor.open(uri, '{"name": "x"}')
    params = {"textDocument": {"uri": uri}, "position": {"line": 0, "character": 3}}
    assert await session.editor.request(f"textDocument/{method}", params) is None
    session.editor.close(uri)


async def test_a_broken_document_is_still_navigated(session: Session) -> None:
    broken = FLOW.replace('"steps": [', '"steps": [ { "name": , "task": { "command": "pre').replace(
        '"id": "flow 🎨",', '"id'
    )
    session.editor.replace(session.flow, broken, 8)
    try:
        position = session.position("", '"variable:sub|ject" }', broken)
        found = await session.editor.request(
            "textDocument/definition", {"textDocument": {"uri": session.flow}, "position": position}
        )
        assert len(found) == 1
    finally:
        session.editor.replace(session.flow, FLOW, 7)
