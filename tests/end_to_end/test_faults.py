"""What goes wrong, goes wrong clearly: the server lives on, nothing is lost, the next run succeeds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from client import Client, RequestError

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

INVALID_PARAMETERS = -32602


def workflow(*steps: dict[str, Any], **members: Any) -> str:
    return json.dumps({"id": "fault", **members, "steps": list(steps)}, indent=2)


def drawing(model: str = "./models/shapes", **arguments: Any) -> dict[str, Any]:
    return {
        "name": "draw",
        "pipeline": {
            "configuration": {"component_type": "StableDiffusionPipeline"},
            "from_pretrained_arguments": {"model_name": model, "torch_dtype": "torch.float32"},
            "arguments": {"prompt": "a red circle on a blue background", "num_inference_steps": 4, **arguments},
        },
        "result": {"content_type": "image/png"},
    }


def opened(editor: Client, workspace: Path, name: str, text: str, version: int = 1) -> str:
    uri = (workspace / "workflows" / name).as_uri()
    editor.open(uri, text, version)
    return uri


async def denoising(editor: Client, run_id: str) -> None:
    """Wait until a run is in the middle of its work."""

    def fits(entry: Any) -> bool:
        return entry["runId"] == run_id and entry["phase"] == "denoising" and entry.get("current", 0) > 1

    await editor.heard("dw/runProgress", fits)


async def refused(editor: Client, command: str, *arguments: Any) -> str:
    """The message of a command that is refused with "invalid params"."""
    with pytest.raises(RequestError) as caught:
        await editor.command(command, *arguments)
    assert caught.value.code == INVALID_PARAMETERS, caught.value.message
    assert caught.value.data is None, "a traceback is nothing for people"
    return caught.value.message


async def test_a_wrong_step_name_is_marked_in_a_document_that_is_broken_elsewhere(
    editor: Client, workspace: Path
) -> None:
    text = (workspace / "workflows" / "shapes-variations.dw.json").read_text(encoding="utf-8")
    text = text.replace("previous_result:draft", "previous_result:darft", 1)
    text = text.replace('"strength": "variable:strength"', '"strength": "variable:strenght"')
    uri = opened(editor, workspace, "broken.dw.json", text.replace('"seed": 11\n', '"seed": \n'))
    diagnostics = await editor.diagnostics(uri, 1)
    lines = text.split("\n")
    marked = {}
    for entry in diagnostics:
        start, end = entry["range"]["start"], entry["range"]["end"]
        marked[entry["code"]] = lines[start["line"]][start["character"] : end["character"]]
        assert entry["source"] == "dw"
    assert marked["unknown-step"] == '"previous_result:darft"'
    assert marked["unknown-variable"] == '"variable:strenght"'
    assert "syntax" in marked and marked["unused-variable"] == '"strength"'
    message = await refused(editor, "dw.run", {"uri": uri})
    assert "line 9" in message and "syntax" in message


async def test_a_worker_that_is_killed_ends_its_run_and_the_next_succeeds(editor: Client, workspace: Path) -> None:
    uri = opened(editor, workspace, "long.dw.json", workflow(drawing(num_inference_steps=999)))
    accepted = await editor.command("dw.run", {"uri": uri})
    await denoising(editor, accepted["runId"])
    os.kill((await editor.command("dw.status"))["pid"], signal.SIGKILL)
    finished = await editor.finished(accepted["runId"])
    assert finished["outcome"] == "crashed"
    assert "SIGKILL" in finished["error"]["message"] and finished["error"]["step"] == "draw"
    assert finished["steps"][0]["outcome"] == "failed" and finished["memory"]["device"] == "cpu"
    state = await editor.heard("dw/workerState", lambda state: state["state"] == "crashed")
    assert state["exit"]["signal"] == "SIGKILL" and state["exit"]["reason"]
    editor.replace(uri, workflow(drawing()), 2)
    assert (await editor.run(uri))["outcome"] == "succeeded"
    assert len([end for end in editor.of("dw/runFinished") if end["runId"] == accepted["runId"]]) == 1


@pytest.mark.parametrize("way", ["command", "progress"])
async def test_a_run_is_cancelled_and_the_models_stay(editor: Client, workspace: Path, way: str) -> None:
    uri = opened(editor, workspace, f"cancel-{way}.dw.json", workflow(drawing(num_inference_steps=999)))
    accepted = await editor.command("dw.run", {"uri": uri})
    run_id = accepted["runId"]
    await denoising(editor, run_id)
    if way == "command":
        assert await editor.command("dw.cancel", {"runId": run_id}) == {"runId": run_id, "cancelled": True}
    else:
        created = [params for method, params in editor.requests if method == "window/workDoneProgress/create"]
        token = created[-1]["token"]
        editor.notify("window/workDoneProgress/cancel", {"token": token})
    finished = await editor.finished(run_id)
    assert finished["outcome"] == "cancelled" and finished["results"] == []
    editor.replace(uri, workflow(drawing()), 2)
    again = await editor.run(uri)
    assert again["outcome"] == "succeeded" and again["loaded"] == []


async def test_runs_wait_their_turn_and_can_be_cancelled_there(editor: Client, workspace: Path) -> None:
    uri = opened(editor, workspace, "queue.dw.json", workflow(drawing(num_inference_steps=999)))
    accepted = [await editor.command("dw.run", {"uri": uri}) for _ in range(3)]
    assert [run["position"] for run in accepted] == [0, 1, 2]
    ids = [run["runId"] for run in accepted]
    assert (await editor.command("dw.cancel", {"runId": ids[1]}))["cancelled"]
    waiting = await editor.finished(ids[1])
    assert waiting["outcome"] == "cancelled" and waiting["results"] == []
    assert ids[1] not in [started["runId"] for started in editor.of("dw/runStarted")]
    for run_id in (ids[0], ids[2]):
        await editor.heard("dw/runStarted", lambda started, wanted=run_id: started["runId"] == wanted)
        assert (await editor.command("dw.cancel"))["runId"] == run_id
        assert (await editor.finished(run_id))["outcome"] == "cancelled"
    assert await editor.command("dw.cancel", {}) == {"runId": None, "cancelled": False}


async def test_a_missing_model_folder_is_told_at_its_name(editor: Client, workspace: Path) -> None:
    text = workflow(drawing("./models/shapez"))
    uri = opened(editor, workspace, "missing.dw.json", text)
    (found,) = await editor.diagnostics(uri, 1)
    start = found["range"]["start"]
    assert found["code"] == "unknown-model" and found["severity"] == 1
    assert text.split("\n")[start["line"]][start["character"] :].startswith('"./models/shapez"')
    message = await refused(editor, "dw.run", {"uri": uri})
    assert "./models/shapez" in message and f"line {start['line'] + 1}" in message


async def test_an_empty_prompt_list_is_told(editor: Client, workspace: Path) -> None:
    prompts = {"name": "prompts", "task": {"command": "gather_inputs", "inputs": []}}
    uri = opened(editor, workspace, "empty.dw.json", workflow(prompts, drawing(prompt="previous_result:prompts")))
    finished = await editor.run(uri)
    assert finished["outcome"] == "failed"
    assert "inputs" in finished["error"]["message"] or "prompts" in finished["error"]["message"]


async def test_what_the_engine_cannot_do_is_told_before_anything_is_loaded(editor: Client, workspace: Path) -> None:
    step = drawing()
    step["pipeline"]["from_pretrained_arguments"]["provider"] = "CUDAExecutionProvider"
    uri = opened(editor, workspace, "provider.dw.json", workflow(step))
    await editor.command("dw.clear")
    finished = await editor.run(uri)
    assert finished["outcome"] == "failed" and finished["loaded"] == finished["reused"] == []
    assert "provider" in finished["error"]["message"]


@pytest.mark.parametrize(
    ("members", "told"),
    [
        (
            {"from_pretrained_arguments": {"model_name": "./models/shapes", "trust_remote_code": True}},
            "trust_remote_code",
        ),
        ({"from_pretrained_arguments": {"model_name": "./models/shapes", "custom_pipeline": "x"}}, "custom_pipeline"),
        ({"configuration": {"component_type": "subprocess.Popen"}}, "subprocess"),
        ({"from_pretrained_arguments": {"model_name": "../../../elsewhere"}}, "elsewhere"),
    ],
)
async def test_what_a_stranger_may_not_do_is_refused(
    editor: Client, workspace: Path, members: dict[str, Any], told: str
) -> None:
    (workspace.parent / "elsewhere").mkdir(exist_ok=True)
    step = drawing()
    step["pipeline"].update(members)
    uri = opened(editor, workspace, "unsafe.dw.json", workflow(step))
    assert told in await refused(editor, "dw.run", {"uri": uri})


async def test_a_file_that_cannot_be_read_is_named(editor: Client, workspace: Path) -> None:
    missing = (workspace / "workflows" / "nowhere.dw.json").as_uri()
    assert "nowhere.dw.json" in await refused(editor, "dw.run", {"uri": missing})
    binary = workspace / "workflows" / "binary.dw.json"
    binary.write_bytes(b"\xff\xfe\x00{")
    assert "UTF-8" in await refused(editor, "dw.plan", {"uri": binary.as_uri()})
    assert "names no file" in await refused(editor, "dw.run", {"uri": "untitled:Untitled-1"})


async def test_a_document_of_ten_megabytes_is_refused_and_the_server_answers_meanwhile(
    editor: Client, workspace: Path
) -> None:
    text = workflow(drawing(), description="x" * 10_000_000)
    uri = opened(editor, workspace, "large.dw.json", text)
    (diagnostic,) = await editor.diagnostics(uri, 1)
    assert "million characters" in diagnostic["message"] and diagnostic["range"]["end"] == {"line": 0, "character": 1}
    assert "million characters" in await refused(editor, "dw.run", {"uri": uri})
    editor.close(uri)


async def test_ten_thousand_brackets_are_one_mistake(editor: Client, workspace: Path) -> None:
    uri = opened(editor, workspace, "deep.dw.json", '{"id": "deep", "steps": ' + "[" * 10_000 + "]" * 10_000 + "}")
    diagnostics = await editor.diagnostics(uri, 1)
    assert [entry["code"] for entry in diagnostics].count("syntax") == 1
    assert any("ested too deeply" in entry["message"] for entry in diagnostics)
    assert "line 1" in await refused(editor, "dw.run", {"uri": uri})


ALL_COMMANDS = (
    "dw.run", "dw.plan", "dw.cancel", "dw.memory", "dw.clear", "dw.ping", "dw.status", "dw.restart", "dw.shutdown",
    "dw.evict",
)  # fmt: skip


@pytest.mark.parametrize("command", ALL_COMMANDS)
async def test_wrong_arguments_are_refused_with_the_field_at_fault(editor: Client, command: str) -> None:
    assert "unknown field 'surprise'" in await refused(editor, command, {"surprise": 1})
    assert "takes an object, not the number 7" in await refused(editor, command, 7)
    assert "takes one object" in await refused(editor, command, {}, {})


@pytest.mark.parametrize(
    ("command", "argument", "told"),
    [
        ("dw.run", {}, "'uri' is missing"),
        ("dw.run", {"uri": 5}, "'uri' must be text, not the number 5"),
        ("dw.run", {"uri": "file:///x", "arguments": [1]}, "'arguments' must be an object, not a list"),
        ("dw.run", {"uri": "file:///x", "step": 1}, "'step' must be text"),
        ("dw.run", {"uri": "file:///x", "seed": True}, "'seed' must be a whole number, not true"),
        ("dw.run", {"uri": "file:///x", "seed": 1.5}, "'seed' must be a whole number"),
        ("dw.run", {"uri": "file:///x", "outputDir": {}}, "'outputDir' must be text, not an object"),
        ("dw.cancel", {"runId": 1}, "'runId' must be text"),
        ("dw.evict", {"component": []}, "'component' must be text, not a list"),
        ("dw.evict", {}, "'component' is missing"),
    ],
)
async def test_a_field_of_the_wrong_type_is_named(editor: Client, command: str, argument: Any, told: str) -> None:
    assert told in await refused(editor, command, argument)


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ({"arguments": {"promt": "x"}}, "did you mean 'prompt'"),
        ({"arguments": {"steps": "many"}}, "'steps'"),
        ({"step": "drow"}, "'draw'"),
        ({"seed": -1}, "'seed' must be from 0"),
    ],
)
async def test_arguments_that_do_not_suit_the_workflow_are_refused(
    editor: Client, workspace: Path, argument: dict[str, Any], told: str
) -> None:
    uri = (workspace / "workflows" / "shapes.dw.json").as_uri()
    assert told in await refused(editor, "dw.run", {"uri": uri, **argument})


async def test_parameters_that_cannot_be_understood_get_an_answer(editor: Client) -> None:
    with pytest.raises(RequestError) as caught:
        await editor.request("textDocument/codeLens", {"textDocument": {"url": 5}}, seconds=10)
    assert caught.value.code == INVALID_PARAMETERS and "textDocument/codeLens" in caught.value.message


async def test_after_all_that_the_server_is_well(editor: Client, workspace: Path) -> None:
    uri = (workspace / "workflows" / "shapes.dw.json").as_uri()
    assert (await editor.run(uri))["outcome"] == "succeeded"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
async def test_a_dead_editor_takes_server_and_worker_along(workspace: Path) -> None:
    from client import client

    with contextlib.suppress(ConnectionError):
        async with client(workspace) as session:
            uri = (workspace / "workflows" / "shapes.dw.json").as_uri()
            session.open(uri, (workspace / "workflows" / "shapes.dw.json").read_text(encoding="utf-8"))
            pid = (await session.heard("dw/workerState", lambda state: state.get("pid")))["pid"]
            assert session.process.stdin is not None
            session.process.stdin.close()
            assert await asyncio.wait_for(session.process.wait(), 20) == 1
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        await asyncio.sleep(0.1)
    pytest.fail("the worker outlived the server")
