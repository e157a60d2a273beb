"""All rules together: order, severities, documents that are left alone or too large."""

from __future__ import annotations

from dw_lsp.analysis.diagnose import LARGEST_DOCUMENT, diagnose
from dw_lsp.analysis.findings import Finding
from dw_lsp.analysis.rules import CHECKS, RULES
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.text.document import Document

BROKEN = '{ "id": "x", "variables": { "v": 1 }, "steps": [{ "name": "a", "task": { "command": 5, "inputs": [1] } }] }'


def findings(text: str, uri: str = "file:///x.dw.json", **severities: str) -> tuple[Finding, ...]:
    changed = {code.replace("_", "-"): severity for code, severity in severities.items()}
    return diagnose(Document(uri, text), DiskWorkspace([]), changed)


def test_findings_stand_in_the_order_of_the_text() -> None:
    assert [found.code for found in findings(BROKEN)] == ["unused-variable", "wrong-type"]


def test_a_severity_can_be_changed_and_a_rule_switched_off() -> None:
    changed = findings(BROKEN, unused_variable="warning", wrong_type="off")
    assert [(found.code, found.severity) for found in changed] == [("unused-variable", "warning")]


def test_a_severity_that_does_not_exist_switches_nothing_on() -> None:
    assert [found.code for found in findings(BROKEN, wrong_type="loud")] == ["unused-variable"]


def test_what_is_no_workflow_has_no_findings() -> None:
    assert findings("{ broken", "file:///package.json") == ()


def test_a_document_that_is_too_large_has_one_finding() -> None:
    large = '{"id": "x", "steps": [' + " " * LARGEST_DOCUMENT + "]}"
    (found,) = findings(large)
    assert found.code == "syntax" and found.range.end == 1
    assert findings(" " * (LARGEST_DOCUMENT + 1), "file:///package.json") == ()


def test_the_rules_are_documented_once_each() -> None:
    codes = [rule.code for rule in RULES]
    assert len(codes) == len(set(codes)) and len(CHECKS) == len(set(CHECKS))
    for rule in RULES:
        assert rule.summary and rule.why and rule.example and rule.mend, rule.code
