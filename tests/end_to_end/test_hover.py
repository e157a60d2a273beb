"""Hover, signatures, notes and lenses over a real server: in both ways of counting, and after a real run."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from client import Client, client

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

FLOW = json.dumps(
    {
        "id": "flow",
        "variables": {"😀é": "a cat", "size": 64},
        "steps": [
            {
                "name": "😀 code",
                "task": {"command": "qr_code", "arguments": {"qr_code_contents": "😀", "width": "variable:size"}},
                "result": {"content_type": "image/png"},
            },
            {"name": "call", "workflow": {"path": "./child.dw.json", "arguments": {"end": 3}}},
        ],
    },
    ensure_ascii=False,
)
CHILD = json.dumps({"id": "child", "variables": {"😀": 1, "end": 2}, "steps": []}, ensure_ascii=False)
WIDTHS = {"utf-8": lambda text: len(text.encode()), "utf-16": lambda text: len(text.encode("utf-16-le")) // 2}


def capabilities(encoding: str, rich: bool) -> dict[str, Any]:
    """A client that shows Markdown and asks for details, or one that does neither."""
    formats = ["markdown", "plaintext"] if rich else ["plaintext"]
    signature = {"documentationFormat": formats, "parameterInformation": {"labelOffsetSupport": rich}}
    return {
        "general": {"positionEncodings": [encoding, "utf-16"]},
        "window": {"workDoneProgress": True},
        "workspace": {
            "configuration": True,
            "codeLens": {"refreshSupport": True},
            "inlayHint": {"refreshSupport": True},
        },
        "textDocument": {
            "hover": {"contentFormat": formats},
            "signatureHelp": {"signatureInformation": signature},
            "inlayHint": {"resolveSupport": {"properties": ["tooltip"]}} if rich else {},
        },
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["utf-8", "utf-16"])
async def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """A server without a worker, with a document of one line open."""
    folder = tmp_path_factory.mktemp("hover")
    (folder / "child.dw.json").write_text(CHILD, encoding="utf-8")
    settings = {"worker": {"prewarm": "onRun"}}
    async with client(folder, capabilities(request.param, request.param == "utf-16"), settings) as connected:
        connected.uri, connected.width = (folder / "flow.dw.json").as_uri(), WIDTHS[request.param]  # type: ignore[attr-defined]
        connected.rich = request.param == "utf-16"  # type: ignore[attr-defined]
        connected.open(connected.uri, FLOW)  # type: ignore[attr-defined]
        await connected.diagnostics(connected.uri, 1)  # type: ignore[attr-defined]
        yield connected


def at(session: Client, written: str, inside: int = 2) -> dict[str, Any]:
    character = session.width(FLOW[: FLOW.index(written) + inside])  # type: ignore[attr-defined]
    place = {"line": 0, "character": character}
    return {"textDocument": {"uri": session.uri}, "position": place}  # type: ignore[attr-defined]


async def test_the_word_behind_an_emoji_is_told(session: Client) -> None:
    shown = await session.request("textDocument/hover", at(session, '"variable:size"'))
    assert "64" in shown["contents"]["value"]
    start = shown["range"]["start"]["character"]
    assert start == session.width(FLOW[: FLOW.index('"variable:size"')])  # type: ignore[attr-defined]
    if shown["contents"]["kind"] == "plaintext":
        assert "`" not in shown["contents"]["value"] and "**" not in shown["contents"]["value"]


async def test_nothing_is_told_where_there_is_nothing(session: Client) -> None:
    params = {"textDocument": {"uri": "file:///unknown.dw.json"}, "position": {"line": 0, "character": 0}}
    assert await session.request("textDocument/hover", params) is None
    assert await session.request("textDocument/signatureHelp", params) is None


async def test_the_signature_marks_the_argument_at_hand(session: Client) -> None:
    shown = await session.request("textDocument/signatureHelp", at(session, '"variable:size"'))
    (signature,) = shown["signatures"]
    assert "QR code" in str(signature["documentation"])
    assert active_label(shown).startswith("width:")


def active_label(shown: dict[str, Any]) -> str:
    """The text of the argument at hand: places in a label are counted in UTF-16 in every session."""
    (signature,) = shown["signatures"]
    place = signature["parameters"][shown["activeParameter"]]["label"]
    if isinstance(place, str):
        return place
    return signature["label"].encode("utf-16-le")[2 * place[0] : 2 * place[1]].decode("utf-16-le")


async def test_an_argument_behind_an_emoji_is_marked(session: Client) -> None:
    shown = await session.request("textDocument/signatureHelp", at(session, '"end"'))
    assert active_label(shown).startswith("end:")
    is_place = isinstance(shown["signatures"][0]["parameters"][1]["label"], list)
    assert is_place == session.rich, "places only for clients that know them"  # type: ignore[attr-defined]


async def test_values_are_noted_behind_their_uses(session: Client) -> None:
    whole = {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}}
    hints = await session.request(
        "textDocument/inlayHint",
        {"textDocument": {"uri": session.uri}, "range": whole},  # type: ignore[attr-defined]
    )
    (hint,) = hints
    end = FLOW.index('"variable:size"') + len('"variable:size"')
    assert (hint["label"], hint["position"]["character"]) == ("= 64", session.width(FLOW[:end]))  # type: ignore[attr-defined]
    if session.rich:  # type: ignore[attr-defined]
        resolved = await session.request("inlayHint/resolve", hint)
        assert "**`width`**" in resolved["tooltip"]["value"] and resolved["label"] == "= 64"
        uri, version, offset = hint["data"]
        for data in ([uri, version + 1, offset], [uri, version, -5], ["file:///unknown", 1, 0], {"a": 1}, None):
            answer = await session.request("inlayHint/resolve", {**hint, "data": data})
            assert answer.get("tooltip") is None, "what was changed since is not told of"
    else:
        assert "data" not in hint


async def test_a_run_is_shown_at_its_steps(workspace: Path) -> None:
    path = workspace / "workflows" / "shapes.dw.json"
    text = path.read_text(encoding="utf-8")
    async with client(workspace, capabilities("utf-16", True)) as session:
        session.open(path.as_uri(), text)
        document = {"textDocument": {"uri": path.as_uri()}}
        titles = [lens["command"]["title"] for lens in await session.request("textDocument/codeLens", document)]
        assert titles == ["Run Workflow", "Run to here"]
        finished = await session.run(path.as_uri())
        assert finished["outcome"] == "succeeded"
        await session.until(lambda: {"workspace/codeLens/refresh", "workspace/inlayHint/refresh"} <= refreshed(session))
        whole, step = [lens["command"]["title"] for lens in await session.request("textDocument/codeLens", document)]
        assert whole.startswith("Run Workflow (ran ") and step.startswith("Run to here (")
        name = json.loads(text)["steps"][0]["name"]
        lines = text.split("\n")
        line = next(number for number, each in enumerate(lines) if f'"name": "{name}"' in each)
        place = {"line": line, "character": lines[line].index(name) + 1}
        shown = (await session.request("textDocument/hover", {**document, "position": place}))["contents"]["value"]
        assert Path(finished["results"][0]["path"]).as_uri() in shown and "last run:" in shown
        area = {"start": {"line": 0, "character": 0}, "end": {"line": len(lines), "character": 0}}
        hints = await session.request("textDocument/inlayHint", {**document, "range": area})
        assert any(hint["position"]["line"] == line and " s" in hint["label"] for hint in hints)


def refreshed(session: Client) -> set[str]:
    return {method for method, _ in session.requests}
