"""The manual for authors of clients shows each command and notification with the fields that it has."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from dw_lsp.planning.plan import Plan
from dw_lsp.protocol import MemoryReport
from dw_lsp.server.arguments import COMMANDS
from dw_lsp.supervisor.events import (
    EVENTS,
    Log,
    Preview,
    RunFinished,
    RunProgress,
    RunStarted,
    StepFinished,
    camel_case,
)
from dw_lsp.supervisor.events import WorkerState as State
from dw_lsp.supervisor.runs import Submitted

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "editors.md").read_text(encoding="utf-8")
SHAPES: dict[str, type] = {
    "dw.run": Submitted,
    "dw.plan": Plan,
    "dw.memory": MemoryReport,
    "dw.status": State,
    **{event.method: event for event in (RunStarted, RunProgress, Preview, StepFinished, RunFinished, State, Log)},
}


def section(name: str) -> str:
    """The text under the heading of a command or a notification."""
    found = re.search(rf"^### `{re.escape(name)}`\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/editors.md has no section on {name}"
    return found[1]


def example(name: str) -> Any:
    found = re.search(r"```json\n(.*?)```", section(name), re.DOTALL)
    assert found is not None, f"{name} has no example"
    return json.loads(found[1])


def test_every_command_is_told_of() -> None:
    for name in COMMANDS:
        assert f"`{name}`" in PAGE


def test_every_notification_has_its_section() -> None:
    for event in EVENTS:
        assert section(event.method)


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_an_example_has_the_fields_of_what_is_sent(name: str) -> None:
    fields = {camel_case(field.name): field for field in dataclasses.fields(SHAPES[name])}
    shown = example(name)
    assert set(shown) <= set(fields)
    needed = {
        name for name, field in fields.items() if field.default is dataclasses.MISSING and not _has_factory(field)
    }
    assert needed <= set(shown)


def _has_factory(field: Any) -> bool:
    return field.default_factory is not dataclasses.MISSING


def test_the_example_of_a_component_has_its_key_and_size() -> None:
    (component,) = example("dw.memory")["components"]
    assert set(component) == {"key", "name", "class", "bytes", "device", "seconds"}
