"""Which actions are offered where, and what "fix all" does."""

from __future__ import annotations

import itertools

import pytest

from dw_lsp.analysis.code_actions import Action, fix_all, quick_fixes, wanted
from dw_lsp.analysis.diagnose import diagnose
from dw_lsp.analysis.findings import Finding, Fix
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.text.document import Document
from dw_lsp.text.edits import Edit, apply_edits
from dw_lsp.text.syntax_tree import Range

SLOPPY = """{
  'id': "flow"
  "seed": "7",
  "seed": "8",
  "steps": [
    { "name": "a", "task": { "command": "gather_inputs", "inputs": [] }, "result": {
      "contentType": "text/plain", "save": "True" } }
  ]
}
"""


def findings(document: Document) -> tuple[Finding, ...]:
    return diagnose(document, DiskWorkspace([]), {})


def all_fixed(text: str) -> str:
    action = fix_all(Document("file:///flow.dw.json", text), findings)
    return text if action is None else apply_edits(text, action.edits)


@pytest.mark.parametrize(
    ("only", "kinds"),
    [
        (None, ["quickfix", "source.fixAll.dw", "refactor.extract", "refactor.inline"]),
        ([], ["quickfix", "source.fixAll.dw", "refactor.extract", "refactor.inline"]),
        (["quickfix"], ["quickfix"]),
        (["source"], ["source.fixAll.dw"]),
        (["source.fixAll"], ["source.fixAll.dw"]),
        (["source.fixAll.dw"], ["source.fixAll.dw"]),
        (["source.fixAll.ruff"], []),
        (["refactor", "quickfix"], ["quickfix", "refactor.extract", "refactor.inline"]),
        (["refactor.extract.constant", "quick"], []),
    ],
)
def test_only_kinds_that_are_asked_for_are_wanted(only: list[str] | None, kinds: list[str]) -> None:
    every = ("quickfix", "source.fixAll.dw", "refactor.extract", "refactor.inline")
    assert [kind for kind in every if wanted(kind, only)] == kinds


def finding(start: int, end: int, *fixes: Fix) -> Finding:
    return Finding("syntax", "error", Range(start, end), "", fixes=fixes)


def test_fixes_are_offered_where_the_finding_is_touched() -> None:
    found = [finding(3, 5, Fix("a", ())), finding(8, 9, Fix("b", (), preferred=True))]

    def offered(start: int, end: int) -> list[str]:
        return [action.title for action in quick_fixes(found, Range(start, end))]

    assert offered(5, 5) == offered(3, 3) == offered(0, 4) == ["a"]
    assert offered(6, 7) == []
    assert offered(0, 20) == ["a", "b"]
    (action,) = quick_fixes(found, Range(8, 8))
    assert action == Action("b", "quickfix", (), True, (found[1],))


def test_what_mends_two_findings_is_offered_once() -> None:
    same = Fix("Declare", (Edit(Range(0, 0), "x"),))
    found = [finding(1, 2, same), finding(2, 3, same)]
    (action,) = quick_fixes(found, Range(2, 2))
    assert action.findings == tuple(found)


def test_fix_all_goes_on_until_nothing_certain_is_left() -> None:
    text = all_fixed(SLOPPY)
    assert '"id": "flow",\n  "seed": 8,\n  "steps"' in text
    assert '"content_type": "text/plain", "save": true' in text
    assert findings(Document("file:///flow.dw.json", text)) == ()
    assert all_fixed(text) == text


def test_fix_all_has_no_edits_that_overlap() -> None:
    action = fix_all(Document("file:///flow.dw.json", SLOPPY), findings)
    assert action is not None and len(action.edits) > 3
    places = [edit.range for edit in action.edits]
    assert all(before.end <= after.start for before, after in itertools.pairwise(places))
    assert {found.code for found in action.findings} >= {"syntax", "duplicate-key"}


def test_fix_all_leaves_alone_what_is_not_certain() -> None:
    text = '{ "id": "x", "variables": { "unused": 1 }, "stepz": [] }'
    assert fix_all(Document("file:///flow.dw.json", text), findings) is None
