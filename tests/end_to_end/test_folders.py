"""Several open folders, folders that come and go, documents in none of them, and every spelling of a place."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from client import Client, client

pytestmark = [pytest.mark.timeout(120)]
SETTINGS = {"worker": {"prewarm": "onRun"}}
CAPABILITIES: dict[str, Any] = {"workspace": {"configuration": True, "workspaceFolders": True}}
PULLS: dict[str, Any] = {
    "workspace": {**CAPABILITIES["workspace"], "diagnostics": {"refreshSupport": True}},
    "textDocument": {"diagnostic": {}},
}


def child(variable: str) -> str:
    task = {"command": "gather_inputs", "inputs": [f"variable:{variable}"]}
    steps = [{"name": "a", "task": task, "result": {"content_type": "application/json"}}]
    return json.dumps({"id": "child", "variables": {variable: "x"}, "steps": steps})


def caller(argument: str, path: str = "./child.dw.json") -> str:
    step = {"name": "call", "workflow": {"path": path, "arguments": {argument: "y"}}}
    return json.dumps({"id": "caller", "steps": [step]})


def folders(*paths: Path) -> list[dict[str, str]]:
    return [{"uri": path.as_uri(), "name": path.name} for path in paths]


async def published(session: Client, uri: str, wanted: list[str]) -> None:
    """Wait until the last that was published of a document has these codes."""

    def last() -> bool:
        told = [params for params in session.of("textDocument/publishDiagnostics") if params["uri"] == uri]
        return bool(told) and [each["code"] for each in told[-1]["diagnostics"]] == wanted

    await session.until(last, 20)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders with workflows of the same names that differ."""
    made = tmp_path / "one", tmp_path / "two"
    for folder, variable in zip(made, ("size", "width"), strict=True):
        folder.mkdir()
        (folder / "child.dw.json").write_text(child(variable), encoding="utf-8")
    return made


async def test_files_of_the_same_name_are_told_apart(two: tuple[Path, Path]) -> None:
    async with client(two[0], CAPABILITIES, SETTINGS, workspaceFolders=folders(*two)) as session:
        for folder, right in zip(two, (True, False), strict=True):
            uri = (folder / "caller.dw.json").as_uri()
            session.open(uri, caller("size"))
            await published(session, uri, [] if right else ["unknown-argument"])
        session.open((two[1] / "child.dw.json").as_uri(), child("size"))
        await published(session, (two[1] / "caller.dw.json").as_uri(), [])
        place = {"line": 0, "character": caller("size").index("child.dw")}
        for folder in two:
            uri = (folder / "caller.dw.json").as_uri()
            found = await session.request(
                "textDocument/definition", {"textDocument": {"uri": uri}, "position": place}, 10
            )
            assert (folder / "child.dw.json").as_uri() in json.dumps(found)
        symbols = await session.request("workspace/symbol", {"query": "child"}, 10)
        assert {each["location"]["uri"] for each in symbols} == {(each / "child.dw.json").as_uri() for each in two}


async def test_a_folder_that_is_opened_may_be_read_until_it_is_closed(two: tuple[Path, Path]) -> None:
    async with client(two[0], CAPABILITIES, SETTINGS, workspaceFolders=folders(two[0])) as session:
        uri = (two[0] / "caller.dw.json").as_uri()
        session.open(uri, caller("width", "../two/child.dw.json"))
        await published(session, uri, ["unsafe-path"])
        event = {"added": folders(two[1]), "removed": []}
        session.notify("workspace/didChangeWorkspaceFolders", {"event": event})
        await published(session, uri, [])
        event = {"added": [], "removed": folders(two[1])}
        session.notify("workspace/didChangeWorkspaceFolders", {"event": event})
        await published(session, uri, ["unsafe-path"])


async def test_the_files_of_a_folder_are_told_of_until_it_is_closed(two: tuple[Path, Path]) -> None:
    async with client(two[0], PULLS, SETTINGS, workspaceFolders=folders(*two)) as session:
        await session.command("dw.status")
        first = await session.request("workspace/diagnostic", {"previousResultIds": []}, 20)
        known = {each["uri"]: each["resultId"] for each in first["items"]}
        assert known.keys() == {(folder / "child.dw.json").as_uri() for folder in two}
        event = {"added": [], "removed": folders(two[1])}
        session.notify("workspace/didChangeWorkspaceFolders", {"event": event})
        previous = [{"uri": uri, "value": value} for uri, value in known.items()]
        second = await session.request("workspace/diagnostic", {"previousResultIds": previous}, 20)
        gone = [each for each in second["items"] if each["uri"] == (two[1] / "child.dw.json").as_uri()]
        assert [(each["kind"], each["items"], each.get("resultId")) for each in gone] == [("full", [], None)]


async def test_a_document_outside_of_every_folder_looks_beside_itself(two: tuple[Path, Path]) -> None:
    async with client(two[0], CAPABILITIES, SETTINGS, workspaceFolders=folders(two[0])) as session:
        uri = (two[1] / "caller.dw.json").as_uri()
        session.open(uri, caller("size"))
        await published(session, uri, ["unknown-argument"])
        session.replace(uri, caller("width"), 2)
        await published(session, uri, [])


@pytest.mark.parametrize(
    "uri",
    [
        "untitled:Untitled-1",
        "file:///c%3A/flows/a.dw.json",
        "file:///C:/flows/a.dw.json",
        "file://server/share/a.dw.json",
        "file:///nowhere/a%00b.dw.json",
        "file:///nowhere/%FF%FE.dw.json",
        "vscode-vfs://github/owner/repository/a.dw.json",
        "git:/flows/a.dw.json?%7B%7D",
    ],
)
async def test_a_document_that_is_no_file_here_is_served_all_the_same(tmp_path: Path, uri: str) -> None:
    text = caller("size").replace("}}]", '}}, {"name": "call", "task": {"command": "crop_square"}}]')
    async with client(tmp_path, CAPABILITIES, SETTINGS) as session:
        session.open(uri, text, language="dw-workflow")
        codes = [each["code"] for each in await session.diagnostics(uri, 1)]
        assert "duplicate-step" in codes and "syntax" not in codes
        here = {"textDocument": {"uri": uri}}
        at = {**here, "position": {"line": 0, "character": text.index("child")}}
        for method in ("hover", "completion", "definition", "prepareRename", "prepareCallHierarchy", "signatureHelp"):
            await session.request(f"textDocument/{method}", at, 10)
        for method in ("documentLink", "documentSymbol", "codeLens", "semanticTokens/full"):
            await session.request(f"textDocument/{method}", here, 10)
        await session.request("workspace/symbol", {"query": ""}, 10)
        session.notify("textDocument/didSave", here)
        session.close(uri)
        assert (await session.command("dw.status"))["state"] == "stopped"


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
async def test_a_link_and_another_spelling_lead_to_the_same_document(tmp_path: Path) -> None:
    real, link = tmp_path / "real ä", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real, target_is_directory=True)
    (real / "child.dw.json").write_text(child("size"), encoding="utf-8")
    async with client(tmp_path, CAPABILITIES, SETTINGS, workspaceFolders=folders(tmp_path)) as session:
        uri = (link / "caller.dw.json").as_uri()
        session.open(uri, caller("width"))
        await published(session, uri, ["unknown-argument"])
        spelled = (real / "child.dw.json").as_uri().replace("child", "%63hild")
        session.open(spelled, child("width"))
        await published(session, uri, [])
        session.replace(spelled, child("height"), 2)
        await published(session, uri, ["unknown-argument"])
