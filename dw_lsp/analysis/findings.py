"""What a rule says: the rule itself, a finding at a place in the text, and how it may be mended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from dw_lsp.text.document import Document
from dw_lsp.text.edits import Edit
from dw_lsp.text.syntax_tree import Range

Severity: TypeAlias = Literal["error", "warning", "information", "hint"]
#: Most serious first.
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "information", "hint")
Tag: TypeAlias = Literal["unnecessary", "deprecated"]


@dataclass(frozen=True)
class Rule:
    """A rule of the analysis: its code, how serious it is, and what the documentation says of it."""

    code: str
    severity: Severity
    summary: str
    why: str
    example: str
    mend: str


@dataclass(frozen=True)
class Related:
    """Another place that explains a finding; `document` is the one in which it lies, when that is another one."""

    range: Range
    message: str
    document: Document | None = None


@dataclass(frozen=True)
class Fix:
    """A way to mend a finding.

    `preferred`: the one that is most likely meant. `safe`: certain enough to be done without a look, by "fix all".
    """

    title: str
    edits: tuple[Edit, ...]
    preferred: bool = False
    safe: bool = False


@dataclass(frozen=True)
class Finding:
    """A mistake: which rule found it, where, and what to do."""

    code: str
    severity: Severity
    range: Range
    message: str
    related: tuple[Related, ...] = ()
    tags: tuple[Tag, ...] = ()
    fixes: tuple[Fix, ...] = ()
