"""Workflows that call others; the bar in each text is the cursor."""

from __future__ import annotations

from typing import Any

import pytest

from dw_lsp.analysis.call_hierarchy import incoming_calls, outgoing_calls, prepare_calls

CHILD = '{"id": "child", "steps": [{"name": "s", "task": {}}]}'
CALLER = '{"id": "top", "steps": [{"name": "w", "workflow": {"path": "./child.json"}}]}'


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        ('"id"', '"i|d"', "top"),
        ('"top"', '"to|p"', "top"),
        ('"steps"', '"st|eps"', "top"),
        ("child.json", "chi|ld.json", "child"),
        ('"w"', '"|w"', "child"),
        ('"workflow"', '"work|flow"', "child"),
        ('"path"', '"pa|th"', None),
    ],
)
def test_which_workflow_a_place_speaks_of(files: Any, before: str, after: str, name: str | None) -> None:
    files.write("child.json", CHILD)
    document, offset = files.write("top.json", CALLER.replace(before, after))
    item = prepare_calls(document, offset, files.workspace)
    assert (item and item.name) == name


def test_a_workflow_without_an_id_has_its_files_name(files: Any) -> None:
    document, offset = files.write("top.dw.json", '{"st|eps": []}')
    item = prepare_calls(document, offset, files.workspace)
    assert item is not None and item.name == "top.dw.json"


def test_who_calls(files: Any) -> None:
    child, _ = files.write("child.json", CHILD)
    twice = '{"name": "w", "workflow": {"path": "child.json"}}'
    files.write("a.json", f'{{"id": "a", "steps": [{twice}, {twice}]}}')
    files.write("deep/b.json", CALLER.replace("./child", "../child"))
    files.write("c.json", CALLER.replace("child", "grandchild"))
    found = incoming_calls(child, files.workspace)
    assert [(edge.item.name, len(edge.places)) for edge in found] == [("a", 2), ("top", 1)]


def test_who_is_called(files: Any) -> None:
    files.write("child.json", CHILD)
    missing = ', {"name": "m", "workflow": {"path": "none.json"}}]}'
    document, _ = files.write("top.json", CALLER.replace("]}", missing))
    (edge,) = outgoing_calls(document, files.workspace)
    assert edge.item.name == "child"
    assert [document.text[place.start : place.end] for place in edge.places] == ['"./child.json"']


def test_a_workflow_that_calls_itself(files: Any) -> None:
    document, _ = files.write("child.json", CALLER)
    assert [edge.item.name for edge in incoming_calls(document, files.workspace)] == ["top"]
    assert [edge.item.name for edge in outgoing_calls(document, files.workspace)] == ["top"]


def test_a_caller_that_writes_the_name_with_escapes(files: Any) -> None:
    child, _ = files.write("child.json", CHILD)
    files.write("top.json", CALLER.replace("child", "\\u0063hild"))
    assert [edge.item.name for edge in incoming_calls(child, files.workspace)] == ["top"]
