"""Every command answers as the contract has it, with real values; and text is placed right in every encoding."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from client import ALL_CAPABILITIES, Client, RequestError, client

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

REQUEST_FAILED = -32803
MEMORY_FIELDS = {
    "device", "deviceName", "allocatedBytes", "reservedBytes", "freeBytes", "totalBytes", "peakBytes", "processBytes",
    "hostFreeBytes", "runCount", "components", "growthBytes", "warnings",
}  # fmt: skip


async def test_without_a_worker_questions_are_answered_with_what_to_do(workspace: Path) -> None:
    async with client(workspace, settings={"worker": {"prewarm": "onRun"}}) as session:
        path = workspace / "workflows" / "shapes.dw.json"
        session.open(path.as_uri(), path.read_text(encoding="utf-8"))
        assert await session.diagnostics(path.as_uri(), 1) == []
        assert await session.command("dw.status") == {"state": "stopped"}
        for name in ("dw.ping", "dw.memory", "dw.clear"):
            with pytest.raises(RequestError) as caught:
                await session.command(name)
            assert caught.value.code == REQUEST_FAILED and "worker" in caught.value.message
        assert (await session.command("dw.shutdown"))["state"] == "stopped"
        assert session.of("dw/workerState") == [], (
            "opening a workflow started a worker, though dw.worker.prewarm is onRun"
        )


async def test_the_plan_tells_what_a_run_would_do(editor: Client, workspace: Path) -> None:
    path = workspace / "workflows" / "shapes-batch.dw.json"
    plan = await editor.command("dw.plan", {"uri": path.as_uri()})
    assert [(step["name"], step["kind"], step["iterations"]) for step in plan["steps"]] == [
        ("prompts", "task", 4),
        ("draw", "pipeline", 4),
    ]
    assert {part["where"] for part in plan["components"]} == {"disk"}
    assert plan["estimate"]["deviceBytes"] > 10_000_000 and plan["estimate"]["downloadBytes"] == 0
    assert len(plan["writes"]) == 4 and all(str(workspace / "outputs") in name for name in plan["writes"])


async def test_the_plan_counts_a_called_workflow_and_tells_its_mistakes_at_the_call(
    editor: Client, workspace: Path
) -> None:
    called = workspace / "workflows" / "called.dw.json"
    called.write_text((workspace / "workflows" / "shapes.dw.json").read_text(encoding="utf-8"), encoding="utf-8")
    caller = workspace / "workflows" / "caller.dw.json"
    step = '{ "name": "call", "workflow": { "path": "called.dw.json", "arguments": { "seed": 3 } } }'
    caller.write_text(f'{{ "id": "caller", "steps": [\n{step}\n] }}', encoding="utf-8")
    plan = await editor.command("dw.plan", {"uri": caller.as_uri(), "seed": 8})
    assert plan["seed"] == 8 and plan["estimate"]["deviceBytes"] > 10_000_000
    ((call, (draw,)),) = [(each, each.pop("steps")) for each in plan["steps"]]
    assert call["kind"] == "workflow" and (draw["name"], draw["seed"]) == ("draw", 3)
    assert [Path(name).name for name in plan["writes"]] == ["call.shapes-draw.0-0.0.png"]
    called.write_text(called.read_text().replace('"draw"', '"draw", "nmae": 1', 1), encoding="utf-8")
    with pytest.raises(RequestError, match=r"line 2: called\.dw\.json line \d+: .*nmae"):
        await editor.command("dw.plan", {"uri": caller.as_uri()})
    called.unlink()
    caller.unlink()


async def test_after_a_run_the_plan_finds_the_components_in_memory(editor: Client, workspace: Path) -> None:
    path = workspace / "workflows" / "shapes.dw.json"
    finished = await editor.run(path.as_uri())
    assert finished["outcome"] == "succeeded"
    plan = await editor.command("dw.plan", {"uri": path.as_uri()})
    assert {part["where"] for part in plan["components"]} == {"device"}
    assert {part["key"] for part in plan["components"]} == {part["key"] for part in finished["loaded"]}
    assert plan["estimate"]["diskBytes"] == 0 and [step["outcome"] for step in plan["steps"]] == ["reuse"]
    written = Path(finished["results"][0]["path"])
    planned = Path(plan["writes"][0])
    assert planned.name == written.name and planned.parent.parent == written.parent.parent


async def test_ping_and_status_speak_of_the_living_worker(editor: Client) -> None:
    ping = await editor.command("dw.ping")
    status = await editor.command("dw.status")
    assert ping["pid"] == status["pid"] and ping["runCount"] >= 1 and ping["uptime"] > 0
    os.kill(ping["pid"], 0)
    assert status["state"] == "idle" and status["device"] == "cpu" and status["versions"]["diffusers"]


async def test_memory_is_reported_evicted_and_cleared(editor: Client, workspace: Path) -> None:
    memory = await editor.command("dw.memory")
    assert set(memory) >= MEMORY_FIELDS
    unet = next(part for part in memory["components"] if part["name"] == "unet")
    evicted = await editor.command("dw.evict", {"component": unet["key"]})
    assert "unet" not in {part["name"] for part in evicted["components"]}
    with pytest.raises(RequestError, match="no component"):
        await editor.command("dw.evict", {"component": unet["key"]})
    path = workspace / "workflows" / "shapes.dw.json"
    again = await editor.run(path.as_uri(), seed=11)
    assert [part["name"] for part in again["loaded"]] == ["unet"]
    cleared = await editor.command("dw.clear")
    assert cleared["components"] == [] and cleared["allocatedBytes"] in (0, None)
    # Back to where it began, in this process or in a fresh one.
    assert cleared["processBytes"] <= 1.05 * cleared["baselineBytes"]
    assert (await editor.command("dw.ping"))["pid"] == (await editor.command("dw.status"))["pid"]
    assert len((await editor.run(path.as_uri(), seed=12))["loaded"]) == 4


async def test_restart_gives_another_worker_and_shutdown_none(editor: Client, workspace: Path) -> None:
    before = (await editor.command("dw.ping"))["pid"]
    restarted = await editor.command("dw.restart")
    assert restarted["state"] == "idle" and restarted["pid"] != before
    stopped = await editor.command("dw.shutdown")
    assert stopped["state"] == "stopped" and "pid" not in stopped and stopped["exit"]["code"] == 0
    with pytest.raises(RequestError, match="worker"):
        await editor.command("dw.ping")
    path = workspace / "workflows" / "shapes.dw.json"
    assert (await editor.run(path.as_uri()))["outcome"] == "succeeded"


async def test_results_go_where_the_command_says(editor: Client, workspace: Path, tmp_path: Path) -> None:
    path = workspace / "workflows" / "shapes.dw.json"
    finished = await editor.run(path.as_uri(), outputDir=str(tmp_path))
    assert Path(finished["results"][0]["path"]).is_relative_to(tmp_path)


async def test_a_command_behind_a_change_of_settings_goes_by_the_new_ones(workspace: Path) -> None:
    path = workspace / "workflows" / "shapes.dw.json"
    settings: dict[str, Any] = {"worker": {"prewarm": "onRun"}, "outputDirectory": "before"}
    async with client(workspace, settings=settings) as session:
        await session.command("dw.plan", {"uri": path.as_uri()})
        session.settings = {**settings, "outputDirectory": "after"}
        session.notify("workspace/didChangeConfiguration", {"settings": None})
        planned = await session.command("dw.plan", {"uri": path.as_uri()})
        assert all(Path(file).is_relative_to(workspace / "after") for file in planned["writes"])


async def test_a_text_runs_in_place_of_the_document(editor: Client, workspace: Path) -> None:
    path = workspace / "workflows" / "shapes.dw.json"
    now = json.loads(path.read_text(encoding="utf-8"))
    earlier = json.dumps({**now, "variables": {**now["variables"], "seed": 4711, "steps": 3}})
    finished = await editor.run(path.as_uri(), text=earlier)
    assert (finished["outcome"], finished["seed"]) == ("succeeded", 4711)
    with pytest.raises(RequestError, match="line 1"):
        await editor.command("dw.run", {"uri": path.as_uri(), "text": '{ "steps": [ { "task": 1 } ] }'})


TASK = '"task": { "command": "gather_inputs", "inputs": ["previous_result:ä😀"] }'
TEXT = '{ "id": "é😀\u2028x", "steps": [ { "name": "a", ' + TASK + " } ] }"


@pytest.mark.parametrize(
    ("encodings", "chosen", "unit"),
    [
        (["utf-8", "utf-16"], "utf-8", lambda text: len(text.encode())),
        (["utf-16"], "utf-16", lambda text: len(text.encode("utf-16-le")) // 2),
        (["utf-32"], "utf-32", len),
        (None, "utf-16", lambda text: len(text.encode("utf-16-le")) // 2),
    ],
)
async def test_positions_count_as_the_client_does(tmp_path: Path, encodings: Any, chosen: str, unit: Any) -> None:
    capabilities = {**ALL_CAPABILITIES, "general": {"positionEncodings": encodings} if encodings else {}}
    async with client(tmp_path, capabilities, settings={"worker": {"prewarm": "onRun"}}) as session:
        assert session.capabilities["positionEncoding"] == chosen
        uri = (tmp_path / "flow.dw.json").as_uri()
        session.open(uri, "// Zeile\r\n" + TEXT)
        (diagnostic,) = await session.diagnostics(uri, 1)
        wrong = '"previous_result:ä😀"'
        start = unit(TEXT[: TEXT.index(wrong)])
        assert diagnostic["code"] == "unknown-step"
        assert diagnostic["range"] == {
            "start": {"line": 1, "character": start},
            "end": {"line": 1, "character": start + unit(wrong)},
        }
        place = {"line": 1, "character": start + unit('"previous_result:')}
        end = {"line": 1, "character": place["character"] + unit("ä😀")}
        change = {"range": {"start": place, "end": end}, "text": "b"}
        session.notify(
            "textDocument/didChange", {"textDocument": {"uri": uri, "version": 2}, "contentChanges": [change]}
        )
        (changed,) = await session.diagnostics(uri, 2)
        assert "`b`" in changed["message"]
        assert changed["range"]["end"]["character"] == start + len('"previous_result:b"')


async def test_only_the_newest_of_a_burst_of_changes_is_published(tmp_path: Path) -> None:
    async with client(tmp_path, settings={"worker": {"prewarm": "onRun"}}) as session:
        uri = (tmp_path / "flow.dw.json").as_uri()
        session.open(uri, TEXT)
        for version in range(2, 60):
            session.replace(uri, TEXT.replace('"a"', f'"a{version}"'), version)
        await session.diagnostics(uri, 59)
        versions = [entry["version"] for entry in session.of("textDocument/publishDiagnostics")]
        assert versions == sorted(versions) and versions[-1] == 59 and len(versions) < 30
        session.close(uri)
        await session.heard("textDocument/publishDiagnostics", lambda entry: entry.get("version") is None)


async def test_a_document_that_is_no_workflow_is_left_alone(tmp_path: Path) -> None:
    async with client(tmp_path) as session:
        uri = (tmp_path / "package.json").as_uri()
        session.open(uri, '{ "name": "x", "scripts": { } ')
        assert await session.diagnostics(uri, 1) == []
        assert await session.request("textDocument/codeLens", {"textDocument": {"uri": uri}}) == []
        assert session.of("dw/workerState") == []


async def test_settings_change_severities_and_wrong_ones_are_told_once(tmp_path: Path) -> None:
    settings = {"diagnostics": {"severity": {"unknown-step": "off"}}, "run": {"timeoutSeconds": -3}}
    async with client(tmp_path, settings=settings) as session:
        message = await session.heard("window/showMessage")
        assert "dw.run.timeoutSeconds" in message["message"]
        uri = (tmp_path / "flow.dw.json").as_uri()
        session.open(uri, TEXT)
        assert await session.diagnostics(uri, 1) == []
        session.settings = {}
        session.notify("workspace/didChangeConfiguration", {"settings": None})
        await session.until(
            lambda: any(entry["diagnostics"] for entry in session.of("textDocument/publishDiagnostics"))
        )
        assert len(session.of("window/showMessage")) == 1


async def test_a_client_that_can_nearly_nothing_is_served_too(workspace: Path) -> None:
    async with client(workspace, {}, initializationOptions={"dw": {"worker": {"prewarm": "onRun"}}}) as session:
        path = workspace / "workflows" / "shapes.dw.json"
        session.open(path.as_uri(), path.read_text(encoding="utf-8"))
        assert await session.diagnostics(path.as_uri(), 1) == []
        assert session.requests == [] and session.of("dw/workerState") == []


async def test_exit_without_shutdown_is_a_failure(tmp_path: Path) -> None:
    async with client(tmp_path) as session:
        session.notify("exit", None)
        assert await session.process.wait() == 1


TEXT_STEP = '{ "name": "say", "task": { "command": "gather_inputs", "inputs": INPUTS }, "result": RESULT }'


def saying(inputs: str, variables: str = "{}") -> str:
    step = TEXT_STEP.replace("INPUTS", inputs).replace("RESULT", '{ "content_type": "text/plain" }')
    return f'{{ "id": "say", "variables": {variables}, "steps": [ {step} ] }}'


async def test_a_workflow_is_run_again_when_it_is_saved(tmp_path: Path) -> None:
    async with client(tmp_path, settings={"worker": {"prewarm": "onRun"}, "run": {"onSave": True}}) as session:
        uri = (tmp_path / "say.dw.json").as_uri()
        saved = {"textDocument": {"uri": uri}}
        session.open(uri, saying('["previous_result:nobody"]'))
        await session.diagnostics(uri, 1)
        session.notify("textDocument/didSave", saved)
        session.replace(uri, saying('["variable:word"]', '{ "word": { "type": "string", "default": 5 } }'), 2)
        session.notify("textDocument/didSave", saved)
        session.replace(uri, saying('["hello"]'), 3)
        await session.diagnostics(uri, 3)
        session.notify("textDocument/didSave", saved)
        finished = await session.heard("dw/runFinished", lambda run: run["outcome"] == "succeeded")
        assert Path(finished["results"][0]["path"]).read_text(encoding="utf-8") == "hello"
        assert finished["uri"] == uri and finished["runId"] == session.of("dw/runStarted")[-1]["runId"]
        first = next(entry["value"] for entry in session.of("$/progress") if entry["value"]["kind"] == "begin")
        assert first["message"] == "starting worker"


async def test_results_go_into_the_folder_that_was_added(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second / "deep"):
        folder.mkdir(parents=True)
    async with client(first, settings={"worker": {"prewarm": "onRun"}, "outputDirectory": "made"}) as session:
        uri = (second / "deep" / "say.dw.json").as_uri()
        session.open(uri, saying('["hello"]'))

        async def folder_written_to() -> Path:
            (path,) = (await session.command("dw.plan", {"uri": uri}))["writes"]
            return Path(path)

        assert (await folder_written_to()).is_relative_to(second / "deep" / "made")
        added = [{"uri": second.as_uri(), "name": "second"}]
        session.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": added, "removed": []}})
        assert (await folder_written_to()).is_relative_to(second / "made")
        session.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [], "removed": added}})
        assert (await folder_written_to()).is_relative_to(second / "deep" / "made")


async def test_the_worker_is_started_when_a_workflow_is_opened(workspace: Path) -> None:
    async with client(workspace) as session:
        path = workspace / "workflows" / "shapes.dw.json"
        session.open(path.as_uri(), path.read_text(encoding="utf-8"))
        await session.heard("dw/workerState", lambda state: state["state"] == "starting")
        await session.heard("dw/workerState", lambda state: state["state"] == "idle")
        await session.command("dw.shutdown")
        session.replace(path.as_uri(), path.read_text(encoding="utf-8") + " ", 2)
        await session.diagnostics(path.as_uri(), 2)
        assert (await session.command("dw.status"))["state"] == "stopped", "typing started a worker that was shut down"


async def test_a_small_catalogue_is_told_once(tmp_path: Path) -> None:
    settings = {"worker": {"prewarm": "onRun", "command": ["ssh", "box", "dw-lsp", "worker"]}}
    async with client(tmp_path, settings=settings) as session:
        for number in (1, 2):
            uri = (tmp_path / f"flow{number}.dw.json").as_uri()
            session.open(uri, saying('["hello"]'))
            await session.diagnostics(uri, 1)
        await session.heard("window/showMessage")
        await session.command("dw.status")
        (told,) = [params["message"] for params in session.of("window/showMessage")]
        assert "a small list of diffusers" in told and "another machine" in told
