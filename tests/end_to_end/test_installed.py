"""What is installed changes while the server runs: another interpreter, another package; nobody is kept waiting."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from client import Client, client

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(sys.platform == "win32", reason="the interpreters of these tests are shell scripts"),
]
CAPABILITIES: dict[str, Any] = {"workspace": {"configuration": True}}


def interpreter(folder: Path, *classes: str, seconds: int = 0) -> str:
    """A Python that has a diffusers with some pipelines. Arguments: how long it takes to say where its packages are."""
    site = folder / "site-packages"
    site.mkdir(parents=True)
    install(site, "1.0", *classes)
    python = folder / "python"
    python.write_text(f"#!/bin/sh\nsleep {seconds}\necho '{json.dumps(['', str(site)])}'\n", encoding="utf-8")
    python.chmod(0o755)
    return str(python)


def install(site: Path, version: str, *classes: str) -> None:
    """Put a diffusers into a folder of packages, in place of an older one."""
    package = site / "diffusers"
    package.mkdir(exist_ok=True)
    for old in site.glob("*.dist-info"):
        old.rmdir()
    structure = f"_import_structure = {{'pipelines': {list(classes)!r}}}\n"
    (package / "__init__.py").write_text(structure, encoding="utf-8")
    bodies = (f"class {name}(DiffusionPipeline):\n    def __call__(self, prompt=None): ...\n" for name in classes)
    (package / "pipelines.py").write_text("".join(bodies), encoding="utf-8")
    (site / f"diffusers-{version}.dist-info").mkdir()


def flow(pipeline: str) -> str:
    body = {
        "configuration": {"component_type": pipeline},
        "from_pretrained_arguments": {"model_name": "owner/model"},
        "arguments": {"prompt": "x"},
    }
    steps = [{"name": "draw", "pipeline": body, "result": {"content_type": "image/png"}}]
    return json.dumps({"id": "x", "steps": steps})


async def judged(session: Client, uri: str, wanted: bool, seconds: float = 30) -> None:
    """Wait until the class is known, or not."""

    def last() -> bool:
        told = [params for params in session.of("textDocument/publishDiagnostics") if params["uri"] == uri]
        found = [each["code"] for each in told[-1]["diagnostics"]] if told else ["nothing"]
        return "nothing" not in found and ("unknown-class" not in found) == wanted

    await session.until(last, seconds)


def settings(python: str) -> dict[str, Any]:
    return {"worker": {"prewarm": "onRun", "python": python}}


async def test_names_are_judged_by_the_interpreter_of_the_settings_as_they_change(tmp_path: Path) -> None:
    one = interpreter(tmp_path / "one", "OnePipeline", "AnyPipeline")
    two = interpreter(tmp_path / "two", "TwoPipeline", "AnyPipeline")
    uri = (tmp_path / "flow.dw.json").as_uri()
    environment = {"DW_CACHE": str(tmp_path / "cache")}
    async with client(tmp_path, CAPABILITIES, settings(one), environment) as session:
        session.open(uri, flow("TwoPipeline"))
        await judged(session, uri, False)
        session.settings.update(settings(two))
        session.notify("workspace/didChangeConfiguration", {"settings": None})
        await judged(session, uri, True)


async def test_what_is_installed_meanwhile_is_known_without_a_key_stroke(tmp_path: Path) -> None:
    python = interpreter(tmp_path / "one", "OnePipeline")
    uri = (tmp_path / "flow.dw.json").as_uri()
    environment = {"DW_CACHE": str(tmp_path / "cache")}
    async with client(tmp_path, CAPABILITIES, settings(python), environment) as session:
        session.open(uri, flow("NewPipeline"))
        await judged(session, uri, False)
        install(tmp_path / "one" / "site-packages", "1.1", "OnePipeline", "NewPipeline")
        await judged(session, uri, True)


async def test_an_interpreter_that_takes_its_time_keeps_nobody_waiting(tmp_path: Path) -> None:
    python = interpreter(tmp_path / "one", "OnePipeline", seconds=4)
    uri = (tmp_path / "flow.dw.json").as_uri()
    environment = {"DW_CACHE": str(tmp_path / "cache")}
    async with client(tmp_path, CAPABILITIES, settings(python), environment) as session:
        session.open(uri, flow("OnePipeline"))
        await session.diagnostics(uri, 1)
        place = {"textDocument": {"uri": uri}, "position": {"line": 0, "character": 40}}
        for _ in range(5):
            await session.request("textDocument/hover", place, 1)
            await session.request("textDocument/completion", place, 1)
        assert not session.of("window/showMessage"), "it was said to have nothing before it had answered"
        session.replace(uri, flow("TwoPipeline"), 2)
        await judged(session, uri, False)
