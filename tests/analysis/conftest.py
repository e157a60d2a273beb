"""Fixtures of the analysis: documents in which a comment's carets say what must be found, and where."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from dw_lsp.analysis.diagnose import diagnose
from dw_lsp.analysis.findings import Finding
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.text.document import Document

_CARETS = re.compile(r"^\s*//\s*?(?P<indent>\s*)(?P<carets>\^+)\s+(?P<code>[a-z-]+)\s*$")


@dataclass(frozen=True)
class Expected:
    """A finding that a comment asks for: line and columns from 0."""

    line: int
    start: int
    end: int
    code: str


#: Rules that speak of what is installed here, or that every short example would break.
ELSEWHERE = (
    "unknown-class",
    "not-installed",
    "wrong-class",
    "unknown-model",
    "model-not-cached",
    "ineffective-step",
)


def findings_in(text: str, uri: str = "file:///flow.dw.jsonc", elsewhere: str = "off") -> tuple[Finding, ...]:
    """All findings of a text. Arguments: `elsewhere` is the severity of the rules that are left out."""
    return diagnose(Document(uri, text), DiskWorkspace([]), dict.fromkeys(ELSEWHERE, elsewhere))


def expected_in(text: str) -> list[Expected]:
    """What the caret comments ask for: each speaks of the last line above it that is no such comment."""
    expected, subject = [], 0
    for number, line in enumerate(text.split("\n")):
        match = _CARETS.match(line)
        if match is None:
            subject = number
        else:
            expected.append(Expected(subject, match.start("carets"), match.end("carets"), match["code"]))
    return expected


def found_in(text: str, findings: Sequence[Finding]) -> list[Expected]:
    """Findings in the form of expectations."""
    lines = Document("", text).lines
    places = []
    for result in findings:
        start, end = lines.position(result.range.start, "utf-32"), lines.position(result.range.end, "utf-32")
        places.append(Expected(start.line, start.character, end.character, result.code))
    return places


@pytest.fixture
def check() -> Callable[[str], tuple[Finding, ...]]:
    """Compare all findings of a text with its caret comments; gives the findings."""

    def run(text: str) -> tuple[Finding, ...]:
        findings = findings_in(text)
        key = lambda place: (place.line, place.start, place.code)  # noqa: E731 (a sort key)
        assert sorted(found_in(text, findings), key=key) == sorted(expected_in(text), key=key)
        return findings

    return run


def task(name: str, text: str = '"x"') -> str:
    """A step that needs nothing else, as JSON."""
    return f'{{ "name": "{name}", "task": {{ "command": "gather_inputs", "inputs": [{text}] }} }}'


class Files:
    """Workflow files in a folder, in which a | is the cursor."""

    def __init__(self, folder: Path):
        self.folder, self.workspace = folder, DiskWorkspace([folder])

    def write(self, name: str, marked: str) -> tuple[Document, int]:
        """Write a file. Gives its document and the cursor, which is 0 without a |."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before, _, behind = marked.partition("|")
        path.write_text(before + behind, encoding="utf-8")
        return Document(path.as_uri(), before + behind), len(before) if behind else 0


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """An empty folder for workflow files."""
    return Files(tmp_path)
