"""Definitions, references and highlights; the bar in each text is the cursor."""

from __future__ import annotations

import time
from typing import Any

import pytest

from dw_lsp.analysis.navigation import definitions, highlights, references
from dw_lsp.text.document import Document

CHILD = '{"id": "child", "variables": {"prompt": "x"}, "steps": [{"name": "a", "task": {"command": "%s"}}]}'


def steps(*items: str, head: str = "") -> str:
    return f'{{"id": "f", {head} "steps": [{", ".join(items)}]}}'


def task(name: str, value: str) -> str:
    return f'{{"name": "{name}", "task": {{"command": "gather_inputs", "inputs": [{value}]}}}}'


def shown(document: Document, start: int, end: int) -> str:
    """A range with a little of what stands before it."""
    return document.text[max(start - 3, 0) : start] + "<" + document.text[start:end] + ">"


@pytest.mark.parametrize(
    ("marked", "found"),
    [
        (steps(task("a", '"variable:si|ze"'), head='"variables": {"size": 1},'), [' {"<size>']),
        (steps(task("a", '"vari|able:size"'), head='"variables": {"size": 1},'), [' {"<size>']),
        (steps(task("a", '"variable:si|ze\n'), head='"variables": {"size": 1},'), [' {"<size>']),
        (steps(task("a", "1"), head='"variables": {"si|ze": 1},'), [' {"<size>']),
        (steps(task("a", "1"), head='"variables": {"size": 1}, "cost_drivers": ["si|ze"],'), [' {"<size>']),
        (steps(task("a", "1"), head='"variables": {"size": 1}, "variable_constraints": {"si|ze": {}},'), [' {"<size>']),
        (
            steps(task("a", "1"), head='"variables": {"n": 1}, "vram_estimate": {"voxel_variables": ["|n"]},'),
            [' {"<n>'],
        ),
        (steps(task("a", '{"chain": {"frame_snap": "constraint:|n"}}'), head='"variables": {"n": 1},'), [' {"<n>']),
        (steps(task("a", '"variable:no|ne"'), head='"variables": {"size": 1},'), []),
        (steps(task("a", "1"), task("b", '"previous_result:|a"')), [': "<a>']),
        (steps(task("a.b", "1"), task("c", '"previous_result:a.b.ma|sk"')), [': "<a.b>']),
        (steps(task("a", "1"), task("c", '"gather:|a"')), [': "<a>']),
        (steps(task("a", "1"), task("c", '"previous_result:|a@left.mask"')), [': "<a>']),
        (steps(task("a", "1"), task("c", '{"x_type": "T", "from_previous_result": "|a.mask"}')), [': "<a>']),
        (steps(task("a", "1"), '{"name": "b", "pipeline_reference": {"reference_name": "|a"}}'), [': "<a>']),
        (steps(task("a", "1"), '{"name": "b", "task": {"command": "x", "pipeline_reference": "|a"}}'), [': "<a>']),
        (steps(task("a", '"con|stant:torch.float16"')), []),
        (steps(task("a", '"plain| text"')), []),
        ('{"steps": [{"name": "a"}, {"name": , "task": {"inputs": ["previous_result:|a', [': "<a>']),
    ],
)
def test_the_declaration_of_a_name(files: Any, marked: str, found: list[str]) -> None:
    document, offset = files.write("flow.dw.json", marked)
    places = definitions(document, offset, files.workspace)
    assert [shown(document, place.range.start, place.range.end) for place in places] == found


def test_a_declaration_is_known_as_a_whole(files: Any) -> None:
    text = steps(task("a", '"variable:|size"'), head='"variables": {"size": [1, 2]},')
    document, offset = files.write("flow.dw.json", text)
    (place,) = definitions(document, offset, files.workspace)
    assert document.text[place.whole.start : place.whole.end] == '"size": [1, 2]'


def call(path: str, arguments: str = "{}") -> str:
    return f'{{"name": "w", "workflow": {{"path": {path}, "arguments": {arguments}}}}}'


@pytest.mark.parametrize(
    ("marked", "head"),
    [
        ('"./chi|ld.json"', ""),
        ('"chi|ld"', ""),
        ('"variable:flow"', '"variables": {"flow": "./ch|ild.json"},'),
    ],
)
def test_a_path_leads_to_the_workflow(files: Any, marked: str, head: str) -> None:
    files.write("child.json", CHILD)
    document, offset = files.write("flow.json", steps(call(marked), head=head))
    (place,) = definitions(document, offset, files.workspace)
    assert place.path == files.folder / "child.json"
    assert place.range.start == 0


@pytest.mark.parametrize("path", ['"./no|ne.json"', '"builtin:te|st.json"', '"|"'])
def test_a_path_with_nothing_there_leads_nowhere(files: Any, path: str) -> None:
    document, offset = files.write("flow.json", steps(call(path)))
    assert definitions(document, offset, files.workspace) == ()


@pytest.mark.parametrize("path", ['"./child.json"', '"variable:flow"'])
def test_an_argument_of_a_call_leads_to_the_variable_in_the_other_file(files: Any, path: str) -> None:
    child, _ = files.write("child.json", CHILD)
    text = steps(call(path, '{"pro|mpt": 1}'), head='"variables": {"flow": "child.json"},')
    document, offset = files.write("flow.json", text)
    (place,) = definitions(document, offset, files.workspace)
    assert place.document is not None and place.document.uri == child.uri
    assert child.text[place.range.start : place.range.end] == "prompt"


def test_a_medium_leads_to_its_file(files: Any) -> None:
    (files.folder / "house.png").write_bytes(b"")
    document, offset = files.write("flow.json", steps(task("a", '{"location": "hou|se.png"}')))
    (place,) = definitions(document, offset, files.workspace)
    assert place.path == files.folder / "house.png"


def test_a_model_folder_leads_to_what_describes_it(files: Any) -> None:
    (files.folder / "model").mkdir()
    (files.folder / "model" / "model_index.json").write_text("{}")
    text = steps('{"name": "a", "pipeline": {"from_pretrained_arguments": {"model_name": "./mo|del"}}}')
    document, offset = files.write("flow.json", text)
    (place,) = definitions(document, offset, files.workspace)
    assert place.path == files.folder / "model" / "model_index.json"


# ---------------------------------------------------------------- references


def test_references_of_a_variable_with_and_without_its_declaration(files: Any) -> None:
    text = steps(task("a", '"variable:size", "variable:siz|e"'), head='"variables": {"size": 1, "sizes": 2},')
    document, offset = files.write("flow.json", text)
    with_it = references(document, offset, files.workspace, declarations=True)
    without = references(document, offset, files.workspace, declarations=False)
    assert [document.text[place.range.start : place.range.end] for place in with_it] == ["size"] * 3
    assert [place.declares for place in with_it] == [True, False, False]
    assert without == with_it[1:]


def test_references_reach_into_callers_in_folders_below(files: Any) -> None:
    child, offset = files.write("child.json", CHILD.replace("prompt", "pro|mpt"))
    files.write("deep/er/caller.json", steps(call('"../../child.json"', '{"prompt": 1, "other": 2}')))
    files.write("unrelated.json", steps(call('"./other.json"', '{"prompt": 1}')))
    found = references(child, offset, files.workspace, declarations=False)
    assert [place.document.uri.rpartition("/")[2] for place in found] == ["caller.json"]


def test_references_from_a_caller_reach_into_the_called_file(files: Any) -> None:
    files.write("child.json", CHILD)
    document, offset = files.write("caller.json", steps(call('"./child.json"', '{"prom|pt": 1}')))
    found = references(document, offset, files.workspace, declarations=True)
    assert [(place.document.uri.rpartition("/")[2], place.declares) for place in found] == [
        ("child.json", True),
        ("caller.json", False),
    ]


def test_references_of_a_path_are_all_calls_of_the_file(files: Any) -> None:
    files.write("child.json", CHILD)
    files.write("one.json", steps(call('"child.json"')))
    document, offset = files.write("two.json", steps(call('"./chi|ld.json"')))
    found = references(document, offset, files.workspace, declarations=True)
    assert sorted(place.document.uri.rpartition("/")[2] for place in found) == ["one.json", "two.json"]


# ---------------------------------------------------------------- highlights


def test_highlights_stay_in_the_document(files: Any) -> None:
    text = steps(task("a", "1"), task("b", '"previous_result:|a", "previous_result:a.mask", "previous_result:ab"'))
    document, offset = files.write("flow.json", text)
    found = highlights(document, offset, files.workspace)
    assert [place.declares for place in found] == [True, False, False]


def test_an_argument_is_highlighted_in_all_calls_of_the_same_file(files: Any) -> None:
    files.write("child.json", CHILD)
    text = steps(call('"child.json"', '{"pro|mpt": 1}'), call('"./child.json"', '{"prompt": 2}'))
    document, offset = files.write("flow.json", text)
    assert len(highlights(document, offset, files.workspace)) == 2


def test_nothing_is_found_in_other_json(files: Any) -> None:
    document, offset = files.write("package.json", '{"name": "variable:|x", "variables": {"x": 1}}')
    assert definitions(document, offset, files.workspace) == ()
    assert highlights(document, offset, files.workspace) == ()


def test_no_cursor_in_no_prefix_is_too_much(files: Any) -> None:
    files.write("child.json", CHILD)
    text = steps(call('"./child.json"', '{"prompt": "variable:x"}'), head='"variables": {"x": {"location": "a.png"}},')
    for end in range(0, len(text), 3):
        document = Document((files.folder / "flow.dw.json").as_uri(), text[:end])
        for offset in range(0, end, 5):
            definitions(document, offset, files.workspace)
            highlights(document, offset, files.workspace)


def test_a_definition_in_a_long_document_takes_less_than_five_milliseconds(files: Any) -> None:
    variables = ", ".join(f'"v{number}": {number}' for number in range(300))
    text = steps(
        *(task(f"s{number}", f'"variable:v{number}", "previous_result:s{number // 2}"') for number in range(300)),
        head=f'"variables": {{{variables}}},',
    )
    document, _ = files.write("flow.json", text)
    offset = text.index("variable:v150")
    definitions(document, offset, files.workspace)  # Reads the document, which an edit does once.
    began = time.perf_counter()
    for _ in range(10):
        definitions(document, offset, files.workspace)
    assert (time.perf_counter() - began) / 10 < 0.005
