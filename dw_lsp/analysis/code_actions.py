"""What may be done to a document at a place: mend findings, mend all that is certain, take values apart from uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dw_lsp.analysis.findings import Finding, Fix
from dw_lsp.text.document import Document
from dw_lsp.text.edits import Edit, apply_edits, combined
from dw_lsp.text.syntax_tree import Range

ActionKind: TypeAlias = Literal["quickfix", "source.fixAll.dw", "refactor.extract", "refactor.inline"]
#: Rounds of mending after which a document is taken as it is: one fix may uncover the next mistake.
MOST_ROUNDS = 10


@dataclass(frozen=True)
class Action:
    """One thing that may be done; `findings` are those that it mends, `preferred` the likeliest of several."""

    title: str
    kind: ActionKind
    edits: tuple[Edit, ...]
    preferred: bool = False
    findings: tuple[Finding, ...] = ()


def wanted(kind: ActionKind, only: Sequence[str] | None) -> bool:
    """Whether a kind is among those asked for: itself, or one of which it is a part; all are, if none is named."""
    return not only or any(kind == asked or not asked or kind.startswith(asked + ".") for asked in only)


def quick_fixes(findings: Sequence[Finding], place: Range) -> Iterator[Action]:
    """The fixes of the findings that a stretch touches; what mends several findings comes once."""
    mended: dict[Fix, list[Finding]] = {}
    for finding in findings:
        if finding.range.start <= place.end and finding.range.end >= place.start:
            for fix in finding.fixes:
                mended.setdefault(fix, []).append(finding)
    for fix, found in mended.items():
        yield Action(fix.title, "quickfix", fix.edits, fix.preferred, tuple(found))


def fix_all(document: Document, diagnose: Callable[[Document], Sequence[Finding]]) -> Action | None:
    """All fixes that are certain, and those that become so by them; `None` if there are none."""
    rounds: list[list[Edit]] = []
    findings: list[Finding] = []
    now = document
    for _ in range(MOST_ROUNDS):
        found = [finding for finding in diagnose(now) if any(fix.safe for fix in finding.fixes)]
        edits = _without_overlap(fix for finding in found for fix in finding.fixes if fix.safe)
        if not edits:
            break
        if not rounds:
            findings = found
        rounds.append(edits)
        now = Document(document.uri, apply_edits(now.text, edits), document.version, document.language_id)
    if not rounds:
        return None
    done = combined(len(document.text), rounds)
    return Action("Fix all that is certain", "source.fixAll.dw", done, findings=tuple(findings))


def _without_overlap(fixes: Iterator[Fix]) -> list[Edit]:
    """The edits of as many fixes as do not touch one another."""
    taken: list[Edit] = []
    for fix in fixes:
        if not any(_touch(edit, other) for edit in fix.edits for other in taken):
            taken += fix.edits
    return taken


def _touch(edit: Edit, other: Edit) -> bool:
    return edit.range.start <= other.range.end and other.range.start <= edit.range.end
