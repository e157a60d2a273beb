"""The outline of a workflow, and the search over all files."""

from __future__ import annotations

import os
from typing import Any

import pytest

from dw_lsp.analysis.symbols import Symbol, document_symbols, is_subsequence, workspace_symbols
from dw_lsp.text.document import Document

TEXT = """{
  "id": "flow",
  "variables": { "prompt": "a cat", "size": [1,
     2] },
  "steps": [
    { "name": "paint", "pipeline": {
      "configuration": { "component_type": "FluxPipeline" },
      "transformer": { "configuration": { "component_type": "FluxTransformer2DModel" } },
      "scheduler": { "configuration": { "scheduler_type": "EulerDiscreteScheduler" } },
      "loras": [ { "model_name": "owner/style", "weight_name": "a.safetensors" }, { } ],
      "arguments": { "configuration": { } } } },
    { "name": "again", "pipeline_reference": { "reference_name": "paint" } },
    { "task": { "command": "canny_cv" } },
    { "name": "", "workflow": { "path": "./child.json" } },
    { "name": "half", "pipeline": 3, "task": {} },
    { "name": "none" }
  ]
}"""


def outline(text: str) -> tuple[Symbol, ...]:
    return document_symbols(Document("file:///flow.dw.json", text))


def test_variables_with_their_values() -> None:
    variables, _ = outline(TEXT)
    assert variables.name == "variables"
    assert [(child.name, child.detail) for child in variables.children] == [("prompt", '"a cat"'), ("size", "[1, 2]")]


def test_steps_with_what_they_do() -> None:
    _, steps = outline(TEXT)
    assert [(child.name, child.detail) for child in steps.children] == [
        ("paint", "FluxPipeline"),
        ("again", "pipeline of paint"),
        ("step 3", "task canny_cv"),
        ("step 4", "workflow ./child.json"),
        ("half", "pipeline, task"),
        ("none", ""),
    ]


def test_components_of_a_step() -> None:
    _, steps = outline(TEXT)
    components = steps.children[0].children
    assert [(child.name, child.detail) for child in components] == [
        ("transformer", "FluxTransformer2DModel"),
        ("scheduler", "EulerDiscreteScheduler"),
        ("loras", "2"),
    ]
    assert [(child.name, child.detail) for child in components[2].children] == [
        ("owner/style", "a.safetensors"),
        ("lora", ""),
    ]


def within(symbol: Symbol) -> None:
    assert symbol.name.strip()
    assert symbol.range.start <= symbol.selection.start <= symbol.selection.end <= symbol.range.end
    for child in symbol.children:
        assert symbol.range.start <= child.range.start <= child.range.end <= symbol.range.end
        within(child)


def test_what_editors_demand_holds_in_every_prefix() -> None:
    for length in range(len(TEXT)):
        for symbol in outline(TEXT[:length]):
            within(symbol)


def test_other_documents_have_no_outline() -> None:
    assert document_symbols(Document("file:///package.json", '{"steps": [1], "variables": {"a": 1}}')) == ()


# ---------------------------------------------------------------- all files


def found(files: Any, query: str) -> list[tuple[str, str, str]]:
    return [
        (result.symbol.name, result.container, result.document.uri.rpartition("/")[2])
        for result in workspace_symbols(query, files.workspace)
    ]


def test_symbols_of_all_files(files: Any) -> None:
    files.write("a.dw.json", '{"id": "first", "variables": {"prompt": 1}, "steps": [{"name": "paint", "task": {}}]}')
    files.write("deep/b.json", '{"steps": [{"name": "print", "task": {}}]}')
    assert found(files, "pnt") == [("paint", "first", "a.dw.json"), ("print", "b.json", "b.json")]
    assert found(files, "FIRST") == [("first", "a.dw.json", "a.dw.json")]
    assert len(found(files, "")) == 4


@pytest.mark.parametrize("name", [".hidden/a.dw.json", "node_modules/x/a.dw.json", ".a.dw.json", "package.json"])
def test_what_is_passed_over(files: Any, name: str) -> None:
    text = '{"name": "paint"}' if name == "package.json" else '{"steps": [{"name": "paint", "task": {}}]}'
    files.write(name, text)
    assert found(files, "paint") == []


def test_large_files_are_passed_over(files: Any) -> None:
    files.write("a.dw.json", '{"steps": [{"name": "paint", "task": {}}], "x": "' + "y" * 1_000_000 + '"}')
    assert found(files, "paint") == []


def test_a_file_that_is_not_utf8_is_passed_over(files: Any) -> None:
    (files.folder / "a.dw.json").write_bytes(b'{"steps": [{"name": "paint \xff", "task": {}}]}')
    assert found(files, "paint") == []


def test_a_changed_file_is_read_again(files: Any) -> None:
    files.write("a.dw.json", '{"steps": [{"name": "paint", "task": {}}]}')
    assert found(files, "paint")
    files.write("a.dw.json", '{"steps": [{"name": "print", "task": {}}]}')
    os.utime(files.folder / "a.dw.json", (1, 1))  # Both were written within one tick of a coarse clock.
    assert [name for name, _, _ in found(files, "")] == ["print"]


@pytest.mark.parametrize(("letters", "is_there"), [("", True), ("pt", True), ("tp", False), ("paintt", False)])
def test_letters_in_their_order(letters: str, is_there: bool) -> None:
    assert is_subsequence(letters, "paint") is is_there
