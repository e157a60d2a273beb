"""A text in which nothing was found is not judged again; one in which something was found is, each time."""

from __future__ import annotations

import json
from collections.abc import Iterator

from dw_lsp.analysis.diagnose import diagnose
from dw_lsp.analysis.findings import Finding
from dw_lsp.analysis.rules.faultless import MOST, Faultless
from dw_lsp.analysis.rules.structure import FAULTLESS_STEPS
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.text.document import Change, Document
from dw_lsp.text.positions import Position
from dw_lsp.text.syntax_tree import Range

STEP = {"name": "a", "task": {"command": "gather_inputs", "inputs": ["x"]}}


def rule(asked: list[str], *found: Finding) -> Iterator[Finding]:
    asked.append("asked")
    yield from found


def test_a_faultless_text_is_judged_once_and_a_faulty_one_each_time() -> None:
    faultless, asked = Faultless(), list[str]()
    fault = Finding("invalid-value", "error", Range(0, 1), "It is wrong.")
    for _ in range(3):
        assert list(faultless.judge("good", lambda: rule(asked))) == []
    assert len(asked) == 1
    for _ in range(3):
        assert list(faultless.judge("bad", lambda: rule(asked, fault))) == [fault]
    assert len(asked) == 4


def test_what_is_remembered_is_bounded() -> None:
    faultless, asked = Faultless(), list[str]()
    for number in range(MOST + 1):
        list(faultless.judge(str(number), lambda: rule(asked)))
    list(faultless.judge("0", lambda: rule(asked)))
    assert len(asked) == MOST + 2


def test_a_mistake_is_found_at_its_place_after_any_number_of_edits() -> None:
    text = json.dumps({"id": "f", "steps": [STEP, {**STEP, "name": "b"}, {**STEP, "name": "c"}]}, indent=1)
    document, workspace = Document("file:///f.dw.json", text), DiskWorkspace([])
    assert [found.code for found in diagnose(document, workspace, {}) if found.severity == "error"] == []
    wrong = text.replace('"name": "b"', '"nome": "b"')
    line = text.split("\n").index(next(row for row in text.split("\n") if '"b"' in row))
    column = text.split("\n")[line].index("name")
    place, end = Position(line, column), Position(line, column + 4)
    for _ in range(3):
        document = document.apply([Change(place, end, "nome")], "utf-8", document.version + 1)
        assert document.text == wrong
        (found,) = (found for found in diagnose(document, workspace, {}) if found.code == "unknown-property")
        assert document.text[found.range.start : found.range.end] == '"nome"'
        document = document.apply([Change(place, end, "name")], "utf-8", document.version + 1)
        assert not [found for found in diagnose(document, workspace, {}) if found.severity == "error"]


def test_of_a_broken_document_nothing_is_remembered() -> None:
    # What a text is taken for hangs there on what stands around it: a quote that is missing turns keys into values.
    workspace, step = DiskWorkspace([]), json.dumps({**STEP, "name": "remembered?"})
    broken = Document("file:///f.dw.json", f'{{"id": "f" "steps": [{step}]}}')
    assert [found.code for found in diagnose(broken, workspace, {}) if found.severity == "error"] == ["syntax"]
    assert step not in FAULTLESS_STEPS
    diagnose(Document("file:///f.dw.json", f'{{"id": "f", "steps": [{step}]}}'), workspace, {})
    assert step in FAULTLESS_STEPS
