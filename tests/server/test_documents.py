"""Open documents before files, and the folders around them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dw_lsp.server.documents import LARGEST_FILE, Documents, UnreadableDocument
from dw_lsp.text.document import Change, Document, path_of
from dw_lsp.text.positions import Position
from dw_lsp.workflow.recognition import is_workflow


def test_an_open_document_goes_before_its_file(tmp_path: Path) -> None:
    file = tmp_path / "ä b.json"
    file.write_text("on disk", encoding="utf-8")
    documents = Documents()
    assert documents.load(file.as_uri()).text == "on disk"
    documents.open(Document(file.as_uri(), "typed"))
    assert documents.load(file.as_uri()).text == "typed"
    assert documents.workspace(file.as_uri()).read(file) == "typed"
    documents.close(file.as_uri())
    assert documents.load(file.as_uri()).text == "on disk"


def test_another_spelling_of_a_uri_names_the_same_document(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    documents = Documents()
    documents.open(Document(file.as_uri().replace("a.json", "%61.json"), "typed"))
    assert documents.load(file.as_uri()).text == "typed"


def test_a_link_leads_to_the_open_document(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    file, linked = tmp_path / "real" / "a.json", tmp_path / "link" / "a.json"
    file.write_text("on disk", encoding="utf-8")
    documents = Documents()
    documents.open(Document(linked.as_uri(), "typed"))
    assert documents.load(file.as_uri()).text == "typed"
    documents.open(Document(file.as_uri(), "typed here"))
    assert documents.load(file.as_uri()).text == "typed here" and documents.load(linked.as_uri()).text == "typed"
    documents.close(file.as_uri())
    assert documents.load(file.as_uri()).text == "typed"
    documents.close(linked.as_uri())
    assert documents.load(file.as_uri()).text == "on disk"


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("file:///flows/a%20%C3%A4%23%3F.json", "a ä#?.json"),
        ("file:///flows/a;b=c&d.json", "a;b=c&d.json"),
        ("file:///flows/%F0%9F%98%80.json", "😀.json"),
        ("file:///c%3A/flows/a.json", "a.json"),
        ("file:///C:/flows/a.json", "a.json"),
    ],
)
def test_every_spelling_of_a_uri_names_its_file(uri: str, name: str) -> None:
    path = path_of(uri)
    assert path is not None and path.name == name
    documents = Documents()
    documents.open(Document(uri, "typed"))
    assert documents.at(path) is not None


def test_what_no_system_takes_names_no_open_document() -> None:
    documents = Documents()
    documents.open(Document("file:///flows/a%00b.json", "typed"))
    assert path_of("file:///flows/a%00b.json") is None and documents.at(Path("/flows/a\0b.json")) is None
    assert documents.load("file:///flows/a%00b.json").text == "typed"


@pytest.mark.parametrize("uri", ["untitled:1", "file:///nowhere/at/all.json"])
def test_what_cannot_be_read_is_told(uri: str) -> None:
    with pytest.raises(UnreadableDocument):
        Documents().load(uri)


def test_a_file_that_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "large.dw.json"
    with file.open("wb") as sparse:
        sparse.truncate(LARGEST_FILE + 1)
    with pytest.raises(UnreadableDocument, match="32 MB; a workflow has at most 32 MB"):
        Documents().load(file.as_uri())


def test_the_folder_that_holds_the_file_comes_first(tmp_path: Path) -> None:
    documents = Documents()
    inner, outer, other = tmp_path / "a" / "b", tmp_path / "a", tmp_path / "c"
    documents.folders = (other, outer, inner)
    uri = (inner / "deep" / "x.json").as_uri()
    assert documents.roots(uri) == (inner, outer, inner / "deep", other)
    assert documents.roots("untitled:1") == (other, outer, inner)


def test_a_uri_of_another_scheme_names_no_file() -> None:
    assert path_of("untitled:1") is None


def test_a_change_of_a_document_that_is_not_open_is_passed_over() -> None:
    assert Documents().change("file:///x", [], "utf-16", 2) is None


FLOW = '{"id": "x", "steps": [{"name": "a", "task": {"command": "x"}}]}'


def test_a_workflow_stays_one_while_what_says_so_is_misspelt(tmp_path: Path) -> None:
    uri = (tmp_path / "a.json").as_uri()
    documents = Documents()
    documents.open(Document(uri, FLOW, 1, "json"))
    at = Position(0, FLOW.index("task") + 2)
    changed = documents.change(uri, [Change(at, at, "x")], "utf-16", 2)
    assert changed is not None and is_workflow(changed.root, changed.uri, changed.language_id)
    changed = documents.change(uri, [Change(None, None, '{"a": 1}')], "utf-16", 3)
    changed = documents.change(uri, [Change(None, None, '{"a": 2}')], "utf-16", 4)
    assert changed is not None and changed.text == '{"a": 2}'


def test_other_documents_do_not_become_workflows(tmp_path: Path) -> None:
    uri = (tmp_path / "a.json").as_uri()
    documents = Documents()
    documents.open(Document(uri, '{"steps": [1]}', 1, "json"))
    changed = documents.change(uri, [Change(None, None, '{"steps": [2]}')], "utf-16", 2)
    assert changed is not None and not is_workflow(changed.root, changed.uri, changed.language_id)
