"""Rename: what the text is afterwards, and what is refused; the bar in each text is the cursor."""

from __future__ import annotations

from typing import Any

import pytest

from dw_lsp.analysis.rename import Refusal, prepare_rename, rename
from dw_lsp.text.document import Document
from dw_lsp.text.edits import apply_edits


def renamed(files: Any, marked: str, name: str) -> str:
    """The text after a rename."""
    document, offset = files.write("flow.dw.json", marked)
    result = rename(document, offset, name, files.workspace)
    assert not isinstance(result, Refusal), result
    (changed,) = result
    return apply_edits(document.text, changed.edits)


def refused(files: Any, marked: str, name: str) -> str:
    """Why a rename is refused."""
    document, offset = files.write("flow.dw.json", marked)
    result = rename(document, offset, name, files.workspace)
    assert isinstance(result, Refusal)
    return result.message


VARIABLE = (
    '{"variables": {"size": 1, "sizes": 2}, "cost_drivers": ["size", "sizes"],'
    ' "variable_constraints": {"size": {"modulus": 4, "remainder": 1}}, "vram_estimate": {"voxel_variables": ["size"]},'
    ' "cost": [{"per_entry": {"variable": "size"}}],'
    ' "steps": [{"name": "size", "pipeline": {"chain": {"frame_snap": "constraint:size"},'
    ' "arguments": {"size": "variable:si|ze", "n": "variable:sizes", "prompt": "the size, variable:size"}}}]}'
)


def test_a_variable_everywhere_it_is_named_and_nowhere_else(files: Any) -> None:
    assert renamed(files, VARIABLE, "width") == (
        '{"variables": {"width": 1, "sizes": 2}, "cost_drivers": ["width", "sizes"],'
        ' "variable_constraints": {"width": {"modulus": 4, "remainder": 1}},'
        ' "vram_estimate": {"voxel_variables": ["width"]},'
        ' "cost": [{"per_entry": {"variable": "width"}}],'
        ' "steps": [{"name": "size", "pipeline": {"chain": {"frame_snap": "constraint:width"},'
        ' "arguments": {"size": "variable:width", "n": "variable:sizes", "prompt": "the size, variable:size"}}}]}'
    )


STEP = (
    '{"variables": {"a": 1}, "steps": [{"name": "a|", "pipeline": {}},'
    ' {"name": "b", "pipeline_reference": {"reference_name": "a", "arguments": {"x": "variable:a"}}},'
    ' {"name": "c", "task": {"command": "x", "pipeline_reference": "a", "arguments": {'
    '"p": "previous_result:a.mask", "q": "gather:a", "r": "previous_result:a@left.mask", "s": "previous_result:ab",'
    ' "t": {"x_type": "T", "from_previous_result": "a.frames"}}}}]}'
)


def test_a_step_everywhere_it_is_named_and_nowhere_else(files: Any) -> None:
    assert renamed(files, STEP, "first one") == (
        '{"variables": {"a": 1}, "steps": [{"name": "first one", "pipeline": {}},'
        ' {"name": "b", "pipeline_reference": {"reference_name": "first one", "arguments": {"x": "variable:a"}}},'
        ' {"name": "c", "task": {"command": "x", "pipeline_reference": "first one", "arguments": {'
        '"p": "previous_result:first one.mask", "q": "gather:first one", "r": "previous_result:first one@left.mask",'
        ' "s": "previous_result:ab",'
        ' "t": {"x_type": "T", "from_previous_result": "first one.frames"}}}}]}'
    )


def two(first: str, reference: str, *more: str) -> str:
    names = "".join(f', {{"name": "{name}", "task": {{}}}}' for name in more)
    last = f'{{"name": "z", "task": {{"inputs": ["{reference}"]}}}}'
    return f'{{"steps": [{{"name": "{first}", "task": {{}}}}{names}, {last}]}}'


@pytest.mark.parametrize(
    ("marked", "name", "after"),
    [
        (two("a.b", "previous_result:a|.b.mask"), "c", two("c", "previous_result:c.mask")),
        (two("a", "previous_result:|a.mask"), "c.d", two("c.d", "previous_result:c.d.mask")),
        (two("a", "previous_result:|a"), 'say \\"x"', two('say \\\\\\"x\\"', 'previous_result:say \\\\\\"x\\"')),
        (two("\\u0061", "previous_result:|a"), "c", two("c", "previous_result:c")),
        (two("🖌 a", "previous_result:|🖌 a.mask"), "🐈", two("🐈", "previous_result:🐈.mask")),
    ],
)
def test_names_with_dots_quotes_and_escapes(files: Any, marked: str, name: str, after: str) -> None:
    assert renamed(files, marked, name) == after


def test_in_a_document_that_is_broken_elsewhere(files: Any) -> None:
    marked = '{"variables": {"a": 1, "b": }, "steps": [{"name": "s", "task": {"inputs": ["variable:|a", "variable:'
    assert renamed(files, marked, "c") == marked.replace("|", "").replace('"a"', '"c"').replace(":a", ":c")


CHILD = (
    '{"id": "child", "variables": {"prompt": "x"}, "steps": [{"name": "s", "task": {"inputs": ["variable:prompt"]}}]}'
)
CALLER = '{"steps": [{"name": "w", "workflow": {"path": "./child.json", "arguments": %s}}]}'


@pytest.mark.parametrize("here", ["child.json", "caller.json"])
def test_a_variable_of_a_called_workflow_is_renamed_on_both_sides(files: Any, here: str) -> None:
    texts = {"child.json": CHILD, "caller.json": CALLER % '{"prompt": 1, "other": 2}'}
    opened = {name: files.write(name, text)[0] for name, text in texts.items()}
    offset = texts[here].index("prompt")
    result = rename(opened[here], offset, "words", files.workspace)
    assert not isinstance(result, Refusal)
    after = {change.document.uri: apply_edits(change.document.text, change.edits) for change in result}
    assert after == {opened[name].uri: text.replace("prompt", "words") for name, text in texts.items()}


def test_an_argument_that_a_caller_has_already_is_told(files: Any) -> None:
    files.write("caller.json", CALLER % '{"prompt": 1, "words": 2}')
    document, _ = files.write("child.json", CHILD)
    result = rename(document, CHILD.index("prompt"), "words", files.workspace)
    assert isinstance(result, Refusal)
    assert "caller.json" in result.message


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("name", ["", "a b", "1a", "a.b", "variable:a", "ä", "a" * 101])
def test_invalid_names_of_variables(files: Any, name: str) -> None:
    assert "no name for a variable" in refused(files, VARIABLE, name)


@pytest.mark.parametrize(("name", "reason"), [("", "empty"), (" a", "blank"), ("a\n", "line ends"), ("x@y", "@")])
def test_invalid_names_of_steps(files: Any, name: str, reason: str) -> None:
    assert reason in refused(files, STEP, name)


def test_names_that_are_taken(files: Any) -> None:
    assert refused(files, VARIABLE, "sizes") == "There is a variable `sizes` already."
    assert refused(files, STEP, "c") == "There is a step `c` already."


def test_a_name_that_would_catch_another_steps_property(files: Any) -> None:
    marked = two("a|", "previous_result:x.mask", "x")
    assert "would mean the step `x.mask`" in refused(files, marked, "x.mask")


def test_a_name_under_which_a_property_would_become_a_part_of_another_name(files: Any) -> None:
    marked = two("a|", "previous_result:a.mask", "x.mask")
    assert "would mean the step `x.mask`" in refused(files, marked, "x")


def test_where_nothing_has_a_name(files: Any) -> None:
    assert "Nothing here" in refused(files, '{"variables": {"a": |1}, "steps": []}', "b")


def test_the_same_name_changes_nothing(files: Any) -> None:
    document, offset = files.write("flow.dw.json", STEP)
    assert rename(document, offset, "a", files.workspace) == ()


# ---------------------------------------------------------------- prepare


@pytest.mark.parametrize(
    ("marked", "name"),
    [
        (VARIABLE, "size"),
        (STEP, "a"),
        (two("a", "previous_result:a|.mask"), "a"),
        (two("a", "previous_result:a.ma|sk"), None),
        (two("a", "previous|_result:a"), None),
        (two("", "").replace('"name": ""', '"name": "|"', 1), None),
    ],
)
def test_what_a_rename_would_change(files: Any, marked: str, name: str | None) -> None:
    document, offset = files.write("flow.dw.json", marked)
    found = prepare_rename(document, offset, files.workspace)
    assert (found and found.name) == name


def test_the_range_is_that_of_the_written_name(files: Any) -> None:
    document, offset = files.write("flow.dw.json", two("a", "previous_result:|\\u0061.mask"))
    found = prepare_rename(document, offset, files.workspace)
    assert found is not None
    assert isinstance(document, Document)
    assert document.text[found.range.start : found.range.end] == "\\u0061"
