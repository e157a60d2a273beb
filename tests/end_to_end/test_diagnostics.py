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
    "workspace": {"configuration": True, "diagnostics": {"refreshSupport": True}},
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
        session.close(uri)
        assert (await asked(session, uri))["items"] == []
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


async def test_who_cannot_be_told_to_ask_again_is_told_himself(tmp_path: Path) -> None:
    async with client(tmp_path, {"textDocument": {"diagnostic": {}}}, SETTINGS) as session:
        assert "diagnosticProvider" not in session.capabilities
        uri = (tmp_path / "caller.dw.json").as_uri()
        session.open(uri, caller())
        await published(session, uri, ["unknown-file"])
