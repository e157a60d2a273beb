"""`dw-lsp check`: the editor's diagnostics for files and folders, for terminals, CI and pre-commit."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from dw_lsp.analysis.called_findings import called_findings
from dw_lsp.analysis.diagnose import LARGEST_DOCUMENT, diagnose
from dw_lsp.analysis.findings import SEVERITIES, Finding, Related
from dw_lsp.analysis.rules import RULES
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.cli.inputs import UnusableInput, read_document, read_settings, tell, workspace_folder
from dw_lsp.cli.reports import REPORTS, Place, Report, Reported
from dw_lsp.server.documentation import address_of
from dw_lsp.settings import Settings
from dw_lsp.text.document import Document, path_of
from dw_lsp.text.syntax_tree import Range
from dw_lsp.workflow.recognition import is_workflow

#: Files that may be workflows, and folders that are never searched for them.
SUFFIXES = (".json", ".jsonc")
SKIPPED_FOLDERS = frozenset({"node_modules"})


def check(options: argparse.Namespace) -> int:
    """Check the paths and print the report. Returns the exit code: 0 clean, 1 findings, 2 something was not checked."""
    checking = _Checking(read_settings())
    for text in options.paths:
        checking.path(Path(text))
    if not checking.files and not checking.unread:
        tell(f"no workflow in {', '.join(options.paths)}")
    pages = {rule.code: page for rule in RULES if (page := address_of(rule.code)) is not None}
    print(REPORTS[options.format](Report(checking.found, checking.files, checking.unread, RULES, pages)))
    if checking.unread:
        return 2
    threshold = SEVERITIES.index(options.severity)
    return int(any(SEVERITIES.index(one.severity) <= threshold for one in checking.found))


class _Checking:
    """What has been found so far, in how many files, and how many paths could not be read."""

    def __init__(self, settings: Settings):
        self.found: list[Reported] = []
        self.files = 0
        self.unread = 0
        self._settings = settings
        self._seen: set[Path] = set()

    def path(self, path: Path) -> None:
        """Check a file, or the workflows in a folder in the order of their names."""
        if not path.is_dir():
            self._file(path, named=True)
            return
        for folder, folders, names in os.walk(path, onerror=self._unsearchable):
            folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in SKIPPED_FOLDERS)
            for name in sorted(names):
                if name.endswith(SUFFIXES) and not name.startswith("."):
                    self._file(Path(folder, name), named=False)

    def _file(self, path: Path, *, named: bool) -> None:
        resolved = path.resolve()
        if resolved in self._seen:
            return
        self._seen.add(resolved)
        try:
            document = read_document(path)
        except UnusableInput as problem:
            self._refuse(str(problem))
            return
        if _is_workflow(path, document):
            self.files += 1
            self.found += check_document(document, path, self._settings)
        elif named:
            tell(f"{path} is no workflow (no `steps` with a pipeline, task or workflow); it was not checked")

    def _unsearchable(self, error: OSError) -> None:
        self._refuse(f"{error.filename} cannot be searched: {error.strerror}")

    def _refuse(self, message: str) -> None:
        tell(message)
        self.unread += 1


def _is_workflow(path: Path, document: Document) -> bool:
    """Whether to check a document. Most JSON of a project is data, and a large file takes long to read as a tree."""
    if is_workflow(None, path.name):
        return True
    if "steps" not in document.text:
        return False
    return len(document.text) > LARGEST_DOCUMENT or is_workflow(document.root, path.name, document.language_id)


def check_document(document: Document, path: Path, settings: Settings) -> list[Reported]:
    """The findings of one document, with the places that people and programs look them up by."""
    workspace = DiskWorkspace([workspace_folder(path)], settings)
    return [_reported(found, document, path) for found in diagnose(document, workspace, settings.diagnostics.severity)]


def check_called(document: Document, path: Path, settings: Settings) -> list[Reported]:
    """The errors in the workflows that a document calls, at the calls."""
    workspace = DiskWorkspace([workspace_folder(path)], settings)
    found = called_findings(document, workspace, settings.diagnostics.severity)
    return [_reported(each, document, path) for each in found]


def _reported(finding: Finding, document: Document, path: Path) -> Reported:
    related = tuple((_place_of_related(other, document, path), other.message) for other in finding.related)
    place = place_of(finding.range, document, path)
    return Reported(place, finding.code, finding.severity, finding.message, related, tuple(finding.tags))


def _place_of_related(other: Related, document: Document, path: Path) -> Place:
    """The place that explains a finding, which may lie in another file."""
    elsewhere = path_of(other.document.uri) if other.document is not None else None
    if other.document is None or elsewhere is None:
        return place_of(other.range, document, path)
    return place_of(other.range, other.document, elsewhere)


def place_of(range: Range, document: Document, path: Path) -> Place:
    """A stretch of a document as people count it."""
    start = document.lines.position(range.start, "utf-32")
    end = document.lines.position(range.end, "utf-32")
    return Place(path, start.line + 1, start.character + 1, end.line + 1, end.character + 1)
