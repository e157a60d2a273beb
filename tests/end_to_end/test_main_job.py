"""The main job: open a workflow, run it, see progress, memory and a picture that shows what the prompt says."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from client import Client
from PIL import Image

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

COLOURS = {"red": (220, 40, 40), "blue": (40, 80, 220), "yellow": (250, 220, 60), "green": (35, 160, 70)}
RED_ON_BLUE = "a red circle on a blue background"


def shapes(workspace: Path) -> tuple[str, str]:
    path = workspace / "workflows" / "shapes.dw.json"
    return path.as_uri(), path.read_text(encoding="utf-8")


def colour_at(image: Image.Image, x: int, y: int) -> str:
    pixel = image.convert("RGB").getpixel((x, y))
    assert isinstance(pixel, tuple)
    return min(COLOURS, key=lambda name: sum((a - b) ** 2 for a, b in zip(COLOURS[name], pixel, strict=True)))


def assert_shows(path: str, middle: str, corners: str) -> None:
    with Image.open(path) as image:
        assert image.size == (64, 64)
        assert colour_at(image, 32, 32) == middle
        assert {colour_at(image, x, y) for x in (2, 61) for y in (2, 61)} == {corners}


def pixels(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


async def test_a_sound_workflow_has_no_diagnostics_and_a_lens_for_each_step(editor: Client, workspace: Path) -> None:
    uri, text = shapes(workspace)
    editor.open(uri, text)
    assert await editor.diagnostics(uri, 1) == []
    lenses = await editor.request("textDocument/codeLens", {"textDocument": {"uri": uri}})
    assert [lens["command"]["title"] for lens in lenses] == ["Run Workflow", "Run to here"]
    assert lenses[1]["command"] == {
        "title": "Run to here",
        "command": "dw.run",
        "arguments": [{"uri": uri, "step": "draw"}],
    }
    line = text.split("\n")[lenses[1]["range"]["start"]["line"]]
    assert line.strip() == '"name": "draw",'


async def test_the_picture_shows_what_the_prompt_says(editor: Client, workspace: Path) -> None:
    uri, _ = shapes(workspace)
    finished = await editor.run(uri, arguments={"prompt": RED_ON_BLUE})
    run_id = finished["runId"]
    assert finished["outcome"] == "succeeded", finished
    (result,) = finished["results"]
    assert_shows(result["path"], "red", "blue")
    assert Path(result["path"]).is_relative_to(workspace / "outputs")
    assert (result["width"], result["height"], result["contentType"], result["seed"]) == (64, 64, "image/png", 7)
    assert result["bytes"] == os.path.getsize(result["path"])
    assert [ended["runId"] for ended in editor.of("dw/runFinished")] == [run_id]
    started = await editor.heard("dw/runStarted")
    assert started["arguments"]["prompt"] == RED_ON_BLUE and started["steps"] == ["draw"]


async def test_every_field_of_the_end_of_a_run_is_filled(editor: Client) -> None:
    (finished,) = editor.of("dw/runFinished")
    assert finished["seconds"] > 0 and finished["runCount"] == 1 and finished["seed"] == 7
    (step,) = finished["steps"]
    assert step["outcome"] == "ran" and step["seconds"] > step["loadSeconds"] > 0 and step["peakBytes"] > 1_000_000
    assert {part["name"] for part in finished["loaded"]} == {"text_encoder", "tokenizer", "unet", "vae"}
    assert finished["reused"] == []
    for part in finished["loaded"]:
        assert set(part) == {"key", "name", "class", "bytes", "device", "seconds"}
    unet = next(part for part in finished["loaded"] if part["name"] == "unet")
    assert unet["class"] == "UNet2DConditionModel" and unet["bytes"] == 9_964_688 and unet["device"] == "cpu"
    memory = finished["memory"]
    assert memory["device"] == "cpu" and memory["deviceName"]
    for field in ("allocatedBytes", "totalBytes", "freeBytes", "processBytes", "hostFreeBytes"):
        assert memory[field] > 1_000_000, field
    assert memory["runCount"] == 1 and memory["warnings"] == [] and len(memory["components"]) == 4


async def test_progress_previews_and_memory_came_on_the_way(editor: Client) -> None:
    progress = editor.of("dw/runProgress")
    phases = list(dict.fromkeys(entry["phase"] for entry in progress))
    assert phases == ["loading", "encoding", "denoising", "decoding", "saving"]
    counted = [entry for entry in progress if entry["phase"] == "denoising" and "current" in entry]
    assert counted[-1]["current"] == counted[-1]["total"] == 20
    assert all(entry["secondsPerUnit"] > 0 and entry["eta"] >= 0 for entry in counted)
    assert [entry["current"] for entry in counted] == sorted(entry["current"] for entry in counted)
    preview = editor.of("dw/preview")[-1]
    image = Image.open(io.BytesIO(base64.b64decode(preview["data"])))
    assert image.size == (preview["width"], preview["height"]) and image.format == "JPEG"
    assert colour_at(image, image.width // 2, image.height // 2) == "red"
    assert len(editor.of("dw/memory")) >= 1
    assert editor.of("dw/stepFinished")[0]["results"]
    states = [state["state"] for state in editor.of("dw/workerState")]
    assert states[0] == "starting" and "busy" in states
    idle = await editor.heard("dw/workerState", lambda state: state["state"] == "idle")
    assert idle["pid"] and idle["versions"]["torch"] and idle["device"] == "cpu" and idle["python"]


async def test_the_work_done_progress_never_goes_back_and_ends(editor: Client) -> None:
    values = [entry["value"] for entry in editor.of("$/progress")]
    assert values[0]["kind"] == "begin" and values[0]["title"] == "shapes" and values[0]["cancellable"]
    assert values[-1] == {"kind": "end", "message": "succeeded"}
    percentages = [value["percentage"] for value in values[:-1]]
    assert percentages == sorted(percentages) and percentages[-1] == 99
    messages = [value.get("message") for value in values]
    assert "loading StableDiffusionPipeline: text_encoder" in messages
    assert "draw: step 20/20" in messages and "decoding" in messages and "saving" in messages


async def test_a_new_prompt_typed_but_not_saved_loads_nothing(editor: Client, workspace: Path) -> None:
    uri, text = shapes(workspace)
    typed = text.replace("a yellow star on a blue background", "a yellow square on a red background")
    assert typed != text
    editor.replace(uri, typed, 2)
    finished = await editor.run(uri)
    assert finished["outcome"] == "succeeded"
    assert finished["loaded"] == []
    assert {part["name"] for part in finished["reused"]} == {"text_encoder", "tokenizer", "unet", "vae"}
    assert_shows(finished["results"][0]["path"], "yellow", "red")
    assert "yellow star" in (workspace / "workflows" / "shapes.dw.json").read_text(encoding="utf-8")


async def test_the_same_seed_and_prompt_give_the_same_bytes(editor: Client, workspace: Path) -> None:
    uri, _ = shapes(workspace)
    first, second = [await editor.run(uri, arguments={"prompt": RED_ON_BLUE}) for _ in range(2)]
    paths = [run["results"][0]["path"] for run in (first, second)]
    assert paths[0] != paths[1]
    assert pixels(paths[0]) == pixels(paths[1])
    other = await editor.run(uri, arguments={"prompt": RED_ON_BLUE, "seed": 8})
    assert pixels(other["results"][0]["path"]) != pixels(paths[0])


async def test_a_run_can_be_repeated_from_its_manifest(editor: Client, workspace: Path) -> None:
    uri, _ = shapes(workspace)
    run = await editor.run(uri, arguments={"prompt": "a green circle on a red background"})
    path = Path(run["results"][0]["path"])
    manifest = json.loads((path.parent / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["results"][0]["sha256"] == pixels(str(path))
    with Image.open(path) as image:
        embedded = json.loads(image.info["dw-lsp"])
    assert embedded["seed"] == manifest["seed"] == 7
    again_uri = (workspace / "workflows" / "again.dw.json").as_uri()
    editor.open(again_uri, manifest["text"])
    again = await editor.run(again_uri, arguments=manifest["arguments"], seed=manifest["seed"])
    assert again["loaded"] == [] and pixels(again["results"][0]["path"]) == pixels(str(path))


@pytest.mark.parametrize(("name", "pictures"), [("shapes-variations", 3), ("shapes-batch", 4)])
async def test_the_other_examples_run_on_the_same_components(
    editor: Client, workspace: Path, name: str, pictures: int
) -> None:
    path = workspace / "workflows" / f"{name}.dw.json"
    editor.open(path.as_uri(), path.read_text(encoding="utf-8"))
    assert await editor.diagnostics(path.as_uri(), 1) == []
    finished = await editor.run(path.as_uri())
    assert finished["outcome"] == "succeeded", finished.get("error")
    assert finished["loaded"] == [] and len(finished["results"]) == pictures
    assert all(Path(result["path"]).is_file() for result in finished["results"])


async def test_each_iteration_can_be_drawn_alone(editor: Client, workspace: Path) -> None:
    batch = (workspace / "workflows" / "shapes-batch.dw.json").as_uri()
    finished = await editor.run(batch)
    third = finished["results"][2]
    uri, text = shapes(workspace)
    editor.replace(uri, text.replace(', \n        "embed_metadata": true', ""), 3)
    prompt = "a purple triangle on an orange background"
    alone = await editor.run(uri, arguments={"prompt": prompt, "seed": third["seed"]})
    with Image.open(third["path"]) as one, Image.open(alone["results"][0]["path"]) as other:
        assert one.tobytes() == other.tobytes()


async def test_run_to_here_stops_there(editor: Client, workspace: Path) -> None:
    path = workspace / "workflows" / "shapes-variations.dw.json"
    finished = await editor.run(path.as_uri(), step="draft")
    # An earlier test has drawn the same draft, which is remembered.
    assert [(step["name"], step["outcome"]) for step in finished["steps"]] == [("draft", "reused")]
    assert len(finished["results"]) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_the_server_has_not_loaded_torch(editor: Client) -> None:
    maps = Path(f"/proc/{editor.process.pid}/maps").read_text()
    assert "libtorch" not in maps and "numpy" not in maps
    pid = (await editor.command("dw.ping"))["pid"]
    assert "libtorch" in Path(f"/proc/{pid}/maps").read_text(), "the worker has, or this test could not fail"


def named(methods: list[Any]) -> set[str]:
    return {method for method, _ in methods}


async def test_every_notification_of_the_contract_was_heard(editor: Client) -> None:
    assert named(editor.notifications) >= {
        "dw/runStarted",
        "dw/runProgress",
        "dw/preview",
        "dw/stepFinished",
        "dw/runFinished",
        "dw/memory",
        "dw/workerState",
        "dw/log",
    }
