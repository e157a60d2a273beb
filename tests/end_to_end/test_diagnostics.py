"""Diagnostics that are told, and those that are asked for; what a change elsewhere does to them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from client import Client, client

pytestmark = [pytest.mark.timeout(120)]
SETTINGS = {"worker": {"prewarm": "onRun"}}
PULLS: dict[str, Any] = {
    "workspace": {
        "configuration": True,
        "diagnostics": {"refreshSupport": True},
        "inlayHint": {"refreshSupport": True},
        "didChangeWatchedFiles": {"dynamicRegistration": True},
    },
    "textDocument": {"diagnostic": {}},
}
WATCHES: dict[str, Any] = {
    "workspace": {"configuration": True, "didChangeWatchedFiles": {"dynamicRegistration": True}},
}
CREATED, CHANGED, DELETED = 1, 2, 3


def child(*variables: str) -> str:
    task = {"command": "gather_inputs", "inputs": [f"variable:{name}" for name in variables]}
    steps = [{"name": "a", "task": task, "result": {"content_type": "application/json"}}]
    return json.dumps({"id": "child", "variables": dict.fromkeys(variables, "x"), "steps": steps})


def caller(argument: str = "size") -> str:
    step = {"name": "call", "workflow": {"path": "./child.dw.json", "arguments": {argument: "y"}}}
    return json.dumps({"id": "caller", "steps": [step]})


def touched(session: Client, path: Path, kind: int) -> None:
    session.notify("workspace/didChangeWatchedFiles", {"changes": [{"uri": path.as_uri(), "type": kind}]})


def codes(diagnostics: list[Any]) -> list[str]:
    return [each["code"] for each in diagnostics]


async def published(session: Client, uri: str, wanted: list[str]) -> None:
    """Wait until the last that was published of a document has these codes."""

    def last() -> bool:
        told = [params for params in session.of("textDocument/publishDiagnostics") if params["uri"] == uri]
        return bool(told) and codes(told[-1]["diagnostics"]) == wanted

    await session.until(last, 20)


async def test_a_file_that_comes_changes_or_goes_concerns_its_callers(tmp_path: Path) -> None:
    async with client(tmp_path, WATCHES, SETTINGS) as session:
        await session.until(lambda: [each for each in session.requests if each[0] == "client/registerCapability"])
        registered = [each for _, params in session.requests if params for each in params.get("registrations", ())]
        assert [each["method"] for each in registered] == ["workspace/didChangeWatchedFiles"]
        file, uri = tmp_path / "child.dw.json", (tmp_path / "caller.dw.json").as_uri()
        session.open(uri, caller())
        await published(session, uri, ["unknown-file"])
        file.write_text(child("size"), encoding="utf-8")
        touched(session, file, CREATED)
        await published(session, uri, [])
        file.write_text(child("width"), encoding="utf-8")
        touched(session, file, CHANGED)
        await published(session, uri, ["unknown-argument"])
        file.unlink()
        touched(session, file, DELETED)
        await published(session, uri, ["unknown-file"])


async def test_an_edit_of_an_open_workflow_concerns_its_open_callers_alone(tmp_path: Path) -> None:
    async with client(tmp_path, WATCHES, SETTINGS) as session:
        file, uri = tmp_path / "child.dw.json", (tmp_path / "caller.dw.json").as_uri()
        file.write_text(child("size"), encoding="utf-8")
        other = (tmp_path / "other.dw.json").as_uri()
        session.open(other, child("size"))
        session.open(uri, caller())
        await session.diagnostics(uri, 1)
        session.open(file.as_uri(), child("size"))
        await session.diagnostics(file.as_uri(), 1)
        await session.command("dw.status")
        await asyncio.sleep(0.3)  # What the settings' arrival has judged anew is published by now.
        before = len([each for each in session.of("textDocument/publishDiagnostics") if each["uri"] == other])
        session.replace(file.as_uri(), child("width"), 2)
        await published(session, uri, ["unknown-argument"])
        assert len([each for each in session.of("textDocument/publishDiagnostics") if each["uri"] == other]) == before
        session.close(file.as_uri())
        await published(session, uri, [])


async def test_a_folder_that_comes_or_goes_is_known_by_its_own_name(tmp_path: Path) -> None:
    step = {"name": "call", "workflow": {"path": "./parts/child.dw.json", "arguments": {"size": "y"}}}
    async with client(tmp_path, WATCHES, SETTINGS) as session:
        uri, folder = (tmp_path / "caller.dw.json").as_uri(), tmp_path / "parts"
        session.open(uri, json.dumps({"id": "caller", "steps": [step]}))
        await published(session, uri, ["unknown-file"])
        folder.mkdir()
        (folder / "child.dw.json").write_text(child("size"), encoding="utf-8")
        touched(session, folder, CREATED)
        await published(session, uri, [])
        folder.rename(tmp_path / "elsewhere")
        touched(session, folder, DELETED)
        await published(session, uri, ["unknown-file"])


async def test_who_tells_of_no_files_is_served_on_saving(tmp_path: Path) -> None:
    async with client(tmp_path, {}, SETTINGS) as session:
        file, uri = tmp_path / "child.dw.json", (tmp_path / "caller.dw.json").as_uri()
        session.open(uri, caller())
        await published(session, uri, ["unknown-file"])
        file.write_text(child("size"), encoding="utf-8")
        session.notify("textDocument/didSave", {"textDocument": {"uri": uri}})
        await published(session, uri, [])


async def test_a_model_that_is_put_in_its_place_is_seen(tmp_path: Path) -> None:
    body = {
        "configuration": {"component_type": "FluxPipeline"},
        "from_pretrained_arguments": {"model_name": "./model"},
        "arguments": {"prompt": "x"},
    }
    step = {"name": "draw", "pipeline": body, "result": {"content_type": "image/png"}}
    async with client(tmp_path, WATCHES, SETTINGS) as session:
        uri = (tmp_path / "flow.dw.json").as_uri()
        session.open(uri, json.dumps({"id": "x", "steps": [step]}))
        await published(session, uri, ["unknown-model"])
        index = tmp_path / "model" / "model_index.json"
        index.parent.mkdir()
        index.write_text("{}", encoding="utf-8")
        touched(session, index, CREATED)
        await published(session, uri, [])


async def asked(session: Client, uri: str, previous: str | None = None) -> Any:
    params = {"textDocument": {"uri": uri}, **({"previousResultId": previous} if previous else {})}
    return await session.request("textDocument/diagnostic", params)


async def test_a_client_that_asks_is_not_told(tmp_path: Path) -> None:
    async with client(tmp_path, PULLS, SETTINGS) as session:
        assert session.capabilities["diagnosticProvider"]["interFileDependencies"] is True
        uri = (tmp_path / "caller.dw.json").as_uri()
        session.open(uri, caller())
        first = await asked(session, uri)
        assert (first["kind"], codes(first["items"])) == ("full", ["unknown-file"])
        session.replace(uri, child("size"), 2)
        second = await asked(session, uri, first["resultId"])
        assert (second["kind"], second["items"]) == ("full", [])
        assert (await asked(session, uri, second["resultId"]))["kind"] == "unchanged"
        session.close(uri)
        assert (await asked(session, uri))["items"] == []
        session.open(uri, child("width"), 2)
        assert (await asked(session, uri, second["resultId"]))["kind"] == "full", "another text under the same number"
        assert session.of("textDocument/publishDiagnostics") == []


async def test_a_client_that_asks_is_told_when_to_ask_again(tmp_path: Path) -> None:
    async with client(tmp_path, PULLS, SETTINGS) as session:
        file, uri = tmp_path / "child.dw.json", (tmp_path / "caller.dw.json").as_uri()
        session.open(uri, caller())
        await session.command("dw.status")
        first = await asked(session, uri)
        assert (await asked(session, uri, first["resultId"]))["kind"] == "unchanged"
        before = len(session.requests)
        file.write_text(child("size"), encoding="utf-8")
        touched(session, file, CREATED)
        await session.until(lambda: "workspace/diagnostic/refresh" in [name for name, _ in session.requests[before:]])
        again = await asked(session, uri, first["resultId"])
        assert (again["kind"], again["items"]) == ("full", [])
        assert "workspace/inlayHint/refresh" in [name for name, _ in session.requests]


async def test_an_answer_is_the_same_while_another_document_is_edited(tmp_path: Path) -> None:
    async with client(tmp_path, PULLS, SETTINGS) as session:
        one, other = ((tmp_path / name).as_uri() for name in ("one.dw.json", "other.dw.json"))
        session.open(one, caller())
        session.open(other, child("size"))
        await session.command("dw.status")
        first = await asked(session, one)
        session.replace(other, child("width"), 2)
        await asked(session, other)
        assert (await asked(session, one, first["resultId"]))["kind"] == "unchanged"


async def in_workspace(session: Client, known: dict[str, str], seconds: float = 20) -> dict[str, Any]:
    """The workspace's reports by file name. Arguments: the answers that the client has; they are brought up to date."""
    params = {"previousResultIds": [{"uri": uri, "value": value} for uri, value in known.items()]}
    answer = await session.request("workspace/diagnostic", params, seconds)
    for report in answer["items"]:
        if report.get("resultId"):
            known[report["uri"]] = report["resultId"]
        else:
            known.pop(report["uri"], None)
    return {report["uri"].rpartition("/")[2]: report for report in answer["items"]}


def told(reports: dict[str, Any]) -> dict[str, Any]:
    return {name: codes(each["items"]) for name, each in sorted(reports.items()) if each["kind"] == "full"}


async def test_files_that_are_not_open_are_told_of_too(tmp_path: Path) -> None:
    file, flow = tmp_path / "child.dw.json", tmp_path / "caller.json"
    file.write_text(child("size"), encoding="utf-8")
    flow.write_text(caller("width"), encoding="utf-8")
    (tmp_path / "package.json").write_text('{"name": "no workflow", "steps": []}', encoding="utf-8")
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "x.dw.json").write_text("{", encoding="utf-8")
    known: dict[str, str] = {}
    async with client(tmp_path, PULLS, SETTINGS) as session:
        assert session.capabilities["diagnosticProvider"]["workspaceDiagnostics"] is True
        await session.command("dw.status")
        assert told(await in_workspace(session, known)) == {"caller.json": ["unknown-argument"], "child.dw.json": []}
        waiting = asyncio.ensure_future(in_workspace(session, known))
        await asyncio.sleep(1.0)
        assert not waiting.done(), "there is nothing new to be told"
        file.write_text(child("width"), encoding="utf-8")
        touched(session, file, CHANGED)
        assert told(await waiting) == {"caller.json": [], "child.dw.json": []}
        waiting = asyncio.ensure_future(in_workspace(session, known))
        session.open(file.as_uri(), child("length"), 7)
        reports = await waiting
        assert told(reports) == {"caller.json": ["unknown-argument"], "child.dw.json": []}
        assert reports["child.dw.json"]["version"] == 7
        flow.unlink()
        touched(session, flow, DELETED)
        assert told(await in_workspace(session, known)) == {"caller.json": []}
        assert known.keys() == {file.as_uri()}
        left = asyncio.ensure_future(in_workspace(session, known))
        await asyncio.sleep(0.5)
        assert await session.leave() == 0
        await asyncio.gather(left, return_exceptions=True)


async def test_who_cannot_be_told_to_ask_again_is_told_himself(tmp_path: Path) -> None:
    async with client(tmp_path, {"textDocument": {"diagnostic": {}}}, SETTINGS) as session:
        assert "diagnosticProvider" not in session.capabilities
        uri = (tmp_path / "caller.dw.json").as_uri()
        session.open(uri, caller())
        await published(session, uri, ["unknown-file"])
