"""Findings as text, JSON, SARIF 2.1.0 or GitHub annotations. Lines and columns count from 1, columns in code points.

Knows what is to be told, not where it comes from: `check` brings the findings with their places already found.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dw_lsp
from dw_lsp.analysis.findings import SEVERITIES, Rule, Severity

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_SARIF_LEVELS: Mapping[Severity, str] = {
    "error": "error",
    "warning": "warning",
    "information": "note",
    "hint": "note",
}
_GITHUB_LEVELS: Mapping[Severity, str] = {
    "error": "error",
    "warning": "warning",
    "information": "notice",
    "hint": "notice",
}


@dataclass(frozen=True)
class Place:
    """A stretch of a file: lines and columns from 1, the end column is the one behind the last character."""

    path: Path
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True)
class Reported:
    """One finding in one file, and the other places that it speaks of."""

    place: Place
    code: str
    severity: Severity
    message: str
    related: tuple[tuple[Place, str], ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """All findings, in the order of files and lines.

    `files` counts what was checked, `unread` what could not be read; `rules` are all that there are, `pages` where the
    documentation of each can be read.
    """

    findings: Sequence[Reported]
    files: int
    unread: int
    rules: Sequence[Rule] = ()
    pages: Mapping[str, str] = field(default_factory=dict)


def text_report(report: Report) -> str:
    """One line for each finding, as compilers write it, and a last one that counts them."""
    lines = []
    for found in report.findings:
        lines.append(finding_line(found))
        lines += [f"  {_where(place)}: {message}" for place, message in found.related]
    return "\n".join([*lines, _counted(report)])


def finding_line(found: Reported) -> str:
    """A finding on one line: place, severity, message, rule."""
    return f"{_where(found.place)}: {found.severity}: {found.message} [{found.code}]"


def json_report(report: Report) -> str:
    """One object: `findings`, the number of `files`, and how many findings of each severity there are."""
    counts = Counter(found.severity for found in report.findings)
    findings = [
        {
            **_place_to_json(found.place),
            "code": found.code,
            "severity": found.severity,
            "message": found.message,
            "related": [{**_place_to_json(place), "message": message} for place, message in found.related],
            "tags": list(found.tags),
        }
        for found in report.findings
    ]
    summary = {severity: counts[severity] for severity in SEVERITIES}
    written = {"files": report.files, "unread": report.unread, "summary": summary, "findings": findings}
    return json.dumps(written, indent=2, ensure_ascii=False)


def sarif_report(report: Report) -> str:
    """A SARIF 2.1.0 log with one run, as code scanning services read it."""
    known = {rule.code: rule for rule in report.rules}
    codes = sorted({*known, *(found.code for found in report.findings)})
    rules = [_sarif_rule(code, known.get(code), report.pages.get(code)) for code in codes]
    run = {
        "tool": {"driver": {"name": "dw-lsp", "semanticVersion": dw_lsp.__version__, "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"SRCROOT": {"uri": Path.cwd().as_uri() + "/"}},
        "results": [_sarif_result(found, codes.index(found.code)) for found in report.findings],
    }
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def github_report(report: Report) -> str:
    """A workflow command for each finding, which GitHub Actions shows at the line."""
    lines = []
    for found in report.findings:
        place = found.place
        properties = {
            "file": _shown(place.path).as_posix(),
            "line": place.line,
            "endLine": place.end_line,
            "title": f"dw {found.code}",
        }
        if place.line == place.end_line:
            properties |= {"col": place.column, "endColumn": place.end_column}
        written = ",".join(f"{name}={_github_property(str(value))}" for name, value in properties.items())
        lines.append(f"::{_GITHUB_LEVELS[found.severity]} {written}::{_github_message(found.message)}")
    return "\n".join([*lines, _counted(report)])


REPORTS: Mapping[str, Callable[[Report], str]] = {
    "text": text_report,
    "json": json_report,
    "sarif": sarif_report,
    "github": github_report,
}


# ---------------------------------------------------------------- places


def _shown(path: Path) -> Path:
    """The path as a person here would write it: below the current folder, else absolute."""
    absolute, current = path.absolute(), Path.cwd()
    return absolute.relative_to(current) if absolute.is_relative_to(current) else absolute


def _where(place: Place) -> str:
    return f"{_shown(place.path)}:{place.line}:{place.column}"


def _place_to_json(place: Place) -> dict[str, Any]:
    return {
        "path": str(_shown(place.path)),
        "line": place.line,
        "column": place.column,
        "endLine": place.end_line,
        "endColumn": place.end_column,
    }


def _counted(report: Report) -> str:
    counts = Counter(found.severity for found in report.findings)
    told = [_many(counts[severity], _NOUNS[severity]) for severity in SEVERITIES if counts[severity]]
    files = _many(report.files, "file")
    concerned = len({found.place.path for found in report.findings})
    unread = f" {_many(report.unread, 'path')} could not be read." if report.unread else ""
    return (f"{', '.join(told)} in {concerned} of {files}." if told else f"{files} checked, nothing found.") + unread


_NOUNS: Mapping[Severity, str] = {
    "error": "error",
    "warning": "warning",
    "information": "note",
    "hint": "hint",
}


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


# ---------------------------------------------------------------- SARIF


def _sarif_rule(code: str, rule: Rule | None, page: str | None) -> dict[str, Any]:
    described: dict[str, Any] = {"id": code}
    if rule is not None:
        described |= {
            "shortDescription": {"text": rule.summary},
            "fullDescription": {"text": rule.why},
            "help": {
                "text": f"{rule.why}\n\nMend: {rule.mend}\n\nExample:\n{rule.example}",
                "markdown": f"{rule.why}\n\n```jsonc\n{rule.example}\n```\n\nMend: {rule.mend}",
            },
            "defaultConfiguration": {"level": _SARIF_LEVELS[rule.severity]},
        }
    if page is not None:
        described["helpUri"] = page
    return described


def _sarif_result(found: Reported, rule_index: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": found.code,
        "ruleIndex": rule_index,
        "level": _SARIF_LEVELS[found.severity],
        "message": {"text": found.message},
        "locations": [_sarif_location(found.place)],
    }
    if found.related:
        result["relatedLocations"] = [
            {**_sarif_location(place), "id": number, "message": {"text": message}}
            for number, (place, message) in enumerate(found.related)
        ]
    return result


def _sarif_location(place: Place) -> dict[str, Any]:
    shown = _shown(place.path)
    if shown.is_absolute():
        artifact = {"uri": shown.as_uri()}
    else:
        artifact = {"uri": quote(shown.as_posix()), "uriBaseId": "SRCROOT"}
    region = {
        "startLine": place.line,
        "startColumn": place.column,
        "endLine": place.end_line,
        "endColumn": place.end_column,
    }
    return {"physicalLocation": {"artifactLocation": artifact, "region": region}}


# ---------------------------------------------------------------- GitHub


def _github_message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _github_property(text: str) -> str:
    return _github_message(text).replace(":", "%3A").replace(",", "%2C")
