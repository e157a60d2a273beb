"""Findings as text, JSON, SARIF and GitHub annotations: what each reader needs stands where it looks for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import dw_lsp
from dw_lsp.analysis.findings import Rule
from dw_lsp.analysis.rules import RULES
from dw_lsp.cli.reports import (
    Place,
    Report,
    Reported,
    github_report,
    json_report,
    sarif_report,
    text_report,
)

#: What services that read SARIF 2.1.0 insist on, in the parts of it that are written here.
REGION = {
    "type": "object",
    "required": ["startLine", "startColumn", "endLine", "endColumn"],
    "properties": {
        name: {"type": "integer", "minimum": 1} for name in ("startLine", "startColumn", "endLine", "endColumn")
    },
    "additionalProperties": False,
}
ARTIFACT = {
    "type": "object",
    "required": ["uri"],
    "properties": {
        "uri": {"type": "string", "format": "uri-reference", "pattern": r"^[^ \\]+$"},
        "uriBaseId": {"type": "string"},
    },
    "additionalProperties": False,
}
MESSAGE = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
MULTIFORMAT = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1}, "markdown": {"type": "string", "minLength": 1}},
    "additionalProperties": False,
}
RULE = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string"},
        "shortDescription": MULTIFORMAT,
        "fullDescription": MULTIFORMAT,
        "help": MULTIFORMAT,
        "helpUri": {"type": "string", "format": "uri", "pattern": "^(https?|file)://"},
        "defaultConfiguration": {
            "type": "object",
            "properties": {"level": {"enum": ["none", "note", "warning", "error"]}},
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}
FOLDER = {"type": "object", "properties": {"uri": {"type": "string", "pattern": "/$"}}}
LOCATION = {
    "type": "object",
    "required": ["physicalLocation"],
    "properties": {
        "physicalLocation": {
            "type": "object",
            "required": ["artifactLocation", "region"],
            "properties": {"artifactLocation": ARTIFACT, "region": REGION},
            "additionalProperties": False,
        },
        "id": {"type": "integer", "minimum": 0},
        "message": MESSAGE,
    },
    "additionalProperties": False,
}
SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "properties": {
                                    "name": {"type": "string"},
                                    "semanticVersion": {"type": "string"},
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": RULE,
                                    },
                                },
                                "additionalProperties": False,
                            }
                        },
                    },
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "originalUriBaseIds": {
                        "type": "object",
                        "additionalProperties": FOLDER,
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message", "ruleId", "locations"],
                            "properties": {
                                "ruleId": {"type": "string"},
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": MESSAGE,
                                "locations": {"type": "array", "minItems": 1, "items": LOCATION},
                                "relatedLocations": {"type": "array", "minItems": 1, "items": LOCATION},
                            },
                            "additionalProperties": False,
                        },
                    },
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(
    severity: Any = "error", message: str = "It is wrong.", path: str = "a b.dw.json", **changes: Any
) -> Reported:
    values = {"place": Place(Path(path), 3, 5, 3, 9), "code": "step-order", "severity": severity, "message": message}
    return Reported(**{**values, **changes})


def report(*findings: Reported, files: int = 2, unread: int = 0, rules: Sequence[Rule] = ()) -> Report:
    return Report(findings, files, unread, rules, {rule.code: f"https://x/rules#{rule.code}" for rule in rules})


def test_text_has_a_line_for_each_finding_and_one_for_each_place_it_speaks_of(here) -> None:
    one = found(related=((Place(Path("a b.dw.json"), 1, 2, 1, 3), "declared here"),))
    assert text_report(report(one)).splitlines() == [
        "a b.dw.json:3:5: error: It is wrong. [step-order]",
        "  a b.dw.json:1:2: declared here",
        "1 error in 1 of 2 files.",
    ]


def test_text_counts_each_severity(here) -> None:
    told = text_report(report(found(), found(), found("hint"), found("information", path="b.json"), found("warning")))
    assert told.splitlines()[-1] == "2 errors, 1 warning, 1 note, 1 hint in 2 of 2 files."


@pytest.mark.parametrize(
    ("files", "unread", "told"),
    [
        (1, 0, "1 file checked, nothing found."),
        (3, 0, "3 files checked, nothing found."),
        (0, 1, "0 files checked, nothing found. 1 path could not be read."),
    ],
)
def test_text_says_that_nothing_was_found(files, unread, told) -> None:
    assert text_report(report(files=files, unread=unread)) == told


def test_paths_outside_the_current_folder_are_whole(here) -> None:
    outside = here.parent / "elsewhere" / "a.json"
    assert text_report(report(found(path=str(outside)))).startswith(f"{outside}:3:5: ")
    assert text_report(report(found(path=str(here / "in" / "a.json")))).startswith(str(Path("in", "a.json")))


def test_json_holds_all_of_a_finding(here) -> None:
    one = found("hint", related=((Place(Path("b.json"), 1, 2, 1, 3), "declared here"),), tags=("unnecessary",))
    written = json.loads(json_report(report(one, unread=1)))
    assert written == {
        "files": 2,
        "unread": 1,
        "summary": {"error": 0, "warning": 0, "information": 0, "hint": 1},
        "findings": [
            {
                "path": "a b.dw.json",
                "line": 3,
                "column": 5,
                "endLine": 3,
                "endColumn": 9,
                "code": "step-order",
                "severity": "hint",
                "message": "It is wrong.",
                "related": [
                    {"path": "b.json", "line": 1, "column": 2, "endLine": 1, "endColumn": 3, "message": "declared here"}
                ],
                "tags": ["unnecessary"],
            }
        ],
    }


def rule(code: str, summary: str = "It is wrong.") -> Rule:
    return Rule(code, "hint", summary, "Because.", '{ "x": 1 }', "Do it.")


def sarif(*findings: Reported, rules: Sequence[Rule] = ()) -> Any:
    """The SARIF log, which must have the required shape."""
    written = json.loads(sarif_report(report(*findings, rules=rules)))
    jsonschema.Draft202012Validator(SARIF).validate(written)
    return written["runs"][0]


def test_the_shape_that_sarif_is_held_to_is_itself_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SARIF)


def test_sarif_of_nothing_is_a_whole_log(here) -> None:
    run = sarif()
    assert run["results"] == []
    assert run["tool"]["driver"]["semanticVersion"] == dw_lsp.__version__


@pytest.mark.parametrize(
    ("severity", "level"), [("error", "error"), ("warning", "warning"), ("information", "note"), ("hint", "note")]
)
def test_sarif_has_a_level_for_each_severity(severity, level, here) -> None:
    assert sarif(found(severity))["results"][0]["level"] == level


def test_sarif_names_files_relative_to_the_folder_it_was_made_in(here) -> None:
    run = sarif(found(path="in/ä b.json"))
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"] == {
        "uri": "in/%C3%A4%20b.json",
        "uriBaseId": "SRCROOT",
    }
    assert run["originalUriBaseIds"]["SRCROOT"]["uri"] == here.as_uri() + "/"


def test_sarif_names_files_elsewhere_by_their_whole_uri(here) -> None:
    outside = here.parent / "a b.json"
    place = sarif(found(path=str(outside)))["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": outside.as_uri()}


def test_sarif_columns_are_the_ones_of_the_report(here) -> None:
    run = sarif(found())
    region = run["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 3, "startColumn": 5, "endLine": 3, "endColumn": 9}
    assert run["columnKind"] == "unicodeCodePoints"


def test_sarif_results_point_at_their_rules(here) -> None:
    run = sarif(found(), found(code="syntax"), rules=[rule("syntax"), rule("unused-variable")])
    rules = run["tool"]["driver"]["rules"]
    assert [rules[result["ruleIndex"]]["id"] for result in run["results"]] == ["step-order", "syntax"]


def test_sarif_says_of_each_rule_what_it_is_and_where_to_read_on(here) -> None:
    (told,) = sarif(rules=[rule("unused-variable", "Nobody reads it.")])["tool"]["driver"]["rules"]
    assert told["id"] == "unused-variable" and told["shortDescription"] == {"text": "Nobody reads it."}
    assert told["helpUri"] == "https://x/rules#unused-variable"
    assert told["defaultConfiguration"] == {"level": "note"}
    assert "Do it." in told["help"]["text"] and "```jsonc" in told["help"]["markdown"]


def test_sarif_of_all_our_rules_has_the_required_shape(here) -> None:
    rules = sarif(rules=RULES)["tool"]["driver"]["rules"]
    assert [each["id"] for each in rules] == sorted(each.code for each in RULES)


def test_sarif_tells_related_places(here) -> None:
    run = sarif(found(related=((Place(Path("b.json"), 1, 2, 1, 3), "declared here"),)))
    (related,) = run["results"][0]["relatedLocations"]
    assert related["message"]["text"] == "declared here"
    assert related["physicalLocation"]["artifactLocation"]["uri"] == "b.json"


@pytest.mark.parametrize(
    ("severity", "level"), [("error", "error"), ("warning", "warning"), ("information", "notice"), ("hint", "notice")]
)
def test_github_has_a_command_for_each_severity(severity, level, here) -> None:
    line = github_report(report(found(severity))).splitlines()[0]
    assert line == (f"::{level} file=a b.dw.json,line=3,endLine=3,title=dw step-order,col=5,endColumn=9::It is wrong.")


def test_github_messages_stay_on_one_line(here) -> None:
    line = github_report(report(found(message="100%\r\nwrong"))).splitlines()[0]
    assert line.endswith("::100%25%0D%0Awrong")


def test_github_properties_cannot_end_early(here) -> None:
    line = github_report(report(found(path="a,b:c.json"))).splitlines()[0]
    assert "file=a%2Cb%3Ac.json,line=3" in line


def test_github_has_no_columns_for_more_than_one_line(here) -> None:
    line = github_report(report(found(place=Place(Path("a.json"), 3, 5, 4, 2)))).splitlines()[0]
    assert "line=3,endLine=4" in line
    assert "col" not in line
