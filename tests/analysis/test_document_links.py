"""What can be followed out of a document."""

from __future__ import annotations

from typing import Any

import pytest

from dw_lsp.analysis.document_links import document_links


def links(files: Any, step: str, variables: str = "{}") -> list[tuple[str, str]]:
    """Each link: the text that it lies on, and its target (a file by its name)."""
    document, _ = files.write("flow.dw.json", f'{{"variables": {variables}, "steps": [{{"name": "s", {step}}}]}}')
    return [
        (document.text[link.range.start : link.range.end], link.address or link.path.name)
        for link in document_links(document, files.workspace)
    ]


def pipeline(**loading: str) -> str:
    inside = ", ".join(f'"{key}": "{value}"' for key, value in loading.items())
    return f'"pipeline": {{"from_pretrained_arguments": {{{inside}}}}}'


def test_a_called_workflow_that_is_there(files: Any) -> None:
    files.write("child.json", "{}")
    assert links(files, '"workflow": {"path": "./child.json"}') == [("./child.json", "child.json")]
    assert links(files, '"workflow": {"path": "child"}') == [("child", "child.json")]
    assert links(files, '"workflow": {"path": "./other.json"}') == []


def test_a_called_workflow_as_a_variables_default(files: Any) -> None:
    files.write("child.json", "{}")
    found = links(files, '"workflow": {"path": "variable:flow"}', '{"flow": "child.json"}')
    assert found == [("child.json", "child.json")]


@pytest.mark.parametrize(
    "written", ['{"location": "a b.png"}', '{"size": 1, "location": "./a b.png"}', '{"location": "a\\u0020b.png"}']
)
def test_media_that_are_there(files: Any, written: str) -> None:
    (files.folder / "a b.png").write_bytes(b"")
    (found,) = links(files, f'"task": {{"command": "x", "arguments": {{"image": {written}}}}}')
    assert found[1] == "a b.png"
    assert found[0] in written


def test_media_that_are_not_there(files: Any) -> None:
    assert links(files, '"task": {"arguments": {"image": {"location": "a.png"}}}') == []


def test_a_model_of_the_hub_leads_to_its_card(files: Any) -> None:
    card = ("owner/some-model.v1", "https://huggingface.co/owner/some-model.v1")
    assert links(files, pipeline(model_name="owner/some-model.v1")) == [card]
    assert links(files, pipeline(model_name="variable:m"), '{"m": "owner/some-model.v1"}') == [card]
    assert links(files, '"pipeline": {"loras": [{"model_name": "owner/some-model.v1"}]}') == [card]


@pytest.mark.parametrize("name", ["./owner/model", "gpt2", "a/b/c", "", "variable:none", "owner/mo del"])
def test_what_is_no_model_of_the_hub(files: Any, name: str) -> None:
    assert links(files, pipeline(model_name=name)) == []


def test_a_model_in_a_folder_leads_to_what_describes_it(files: Any) -> None:
    files.write("owner/model/config.json", "{}")
    assert links(files, pipeline(model_name="owner/model")) == [("owner/model", "config.json")]


def test_addresses(files: Any) -> None:
    address = "https://example.com/a.png?x=1"
    assert links(files, f'"task": {{"arguments": {{"image": {{"location": "{address}"}}}}}}') == [(address, address)]
    assert links(files, '"task": {"arguments": {"prompt": "see https://example.com for more"}}') == []


def test_links_of_a_broken_document(files: Any) -> None:
    assert links(files, pipeline(model_name="owner/model") + ', "result": {"save": , "x": "un') == [
        ("owner/model", "https://huggingface.co/owner/model")
    ]
