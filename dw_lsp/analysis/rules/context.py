"""What every rule is given: the document, its model, the workspace."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dw_lsp.analysis.findings import Finding, Fix, Related, Rule, Tag
from dw_lsp.analysis.workspace import Workspace
from dw_lsp.catalog.models import find_folder
from dw_lsp.text.document import Document, folder_of, path_of
from dw_lsp.text.syntax_tree import Array, Member, Node, Object, Range
from dw_lsp.workflow.model import Workflow
from dw_lsp.workflow.path_uses import PathUse, path_uses
from dw_lsp.workflow.type_uses import TypeUse, type_uses


@dataclass(frozen=True)
class Context:
    """A document under analysis; `workflow` is `None` when its top level is no object."""

    document: Document
    workflow: Workflow | None
    workspace: Workspace

    @functools.cached_property
    def path(self) -> Path | None:
        """The document's file; `None` for one that is no file."""
        return path_of(self.document.uri)

    @functools.cached_property
    def paths(self) -> tuple[PathUse, ...]:
        """Every path and model that the workflow names."""
        return () if self.workflow is None else path_uses(self.workflow)

    @functools.cached_property
    def _folders(self) -> dict[tuple[str, str | None], Path | None]:
        return {}

    def model_folder(self, name: str, revision: str | None = None) -> Path | None:
        """The folder of a model that is on this machine; each is looked for once."""
        key = (name, revision)
        if key not in self._folders:
            self._folders[key] = find_folder(name, self.folder, revision, self.workspace.hub_cache)
        return self._folders[key]

    @functools.cached_property
    def types(self) -> tuple[TypeUse, ...]:
        """Every type that its steps name."""
        return () if self.workflow is None else type_uses(self.workflow)

    @property
    def members(self) -> Mapping[str, Sequence[tuple[Object, Member]]]:
        """Every member inside of the steps, with its object, by key."""
        return {} if self.workflow is None else self.workflow.members

    @functools.cached_property
    def folder(self) -> Path | None:
        """The folder in which relative paths of the document start; `None` for one that is no file."""
        return folder_of(self.document.uri)


def finding(
    rule: Rule,
    place: Range,
    message: str,
    related: tuple[Related, ...] = (),
    tags: tuple[Tag, ...] = (),
    fixes: tuple[Fix, ...] = (),
) -> Finding:
    """A finding of a rule, with its severity."""
    return Finding(rule.code, rule.severity, place, message, related, tags, fixes)


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name that was most likely meant, if one is near enough."""
    lowered = {candidate.lower(): candidate for candidate in known}
    if name.lower() in lowered:
        return lowered[name.lower()]
    near = difflib.get_close_matches(name, known, 1, 0.7)
    return near[0] if near else None


def meant(name: str, known: Collection[str]) -> str:
    """The end of a message: what was most likely meant."""
    return asked(nearest(name, known))


def asked(near: str | None) -> str:
    """The end of a message: whether the near name was meant, if there is one."""
    return f" Did you mean `{near}`?" if near else ""


def narrow(node: Node) -> Range:
    """The range of a value for a finding: of an object or a list only the opening bracket."""
    if isinstance(node, (Object, Array)):
        return Range(node.range.start, node.range.start + 1)
    return node.range
