"""The workflow around a place: its step, its variables, what it calls. Each is found out once, when it is asked for."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dw_lsp.analysis.calls import loaded_pipeline, pipeline_class, step_signature
from dw_lsp.analysis.completion.spot import Spot
from dw_lsp.analysis.names import workflow_of
from dw_lsp.analysis.rules.context import Context
from dw_lsp.analysis.rules.files import may_be_read
from dw_lsp.analysis.workflow_calls import called_document, calls_of
from dw_lsp.analysis.workspace import Workspace
from dw_lsp.catalog.classes import ClassEntry
from dw_lsp.catalog.models import find_folder
from dw_lsp.catalog.signatures import Signature
from dw_lsp.text.cursor import Path as TreePath
from dw_lsp.text.document import Document, folder_of
from dw_lsp.text.syntax_tree import Array, Node, Object, String, at_path
from dw_lsp.workflow.model import Step, Variable, Workflow
from dw_lsp.workflow.reader import read
from dw_lsp.workflow.references import parse_reference


@dataclass(frozen=True)
class Scene:
    """A spot in a workflow, and the workspace around it."""

    spot: Spot
    workspace: Workspace
    workflow: Workflow

    @property
    def path(self) -> TreePath:
        """The path of the value at the spot; of a new member, that of its object."""
        place = self.spot.place
        return (*place.path, place.index or 0) if place.spot == "items" else place.path

    @functools.cached_property
    def folder(self) -> Path | None:
        """The folder in which relative paths start."""
        return folder_of(self.spot.document.uri)

    @functools.cached_property
    def step(self) -> Step | None:
        """The step around the spot."""
        path = self.spot.place.path
        number = path[1] if len(path) > 1 and path[0] == "steps" else None
        return next((step for step in self.workflow.steps if step.index == number), None)

    @property
    def earlier(self) -> tuple[Step, ...]:
        """The steps before the one around the spot that have a name."""
        path = self.spot.place.path
        if path[:1] != ("steps",):
            return ()
        number = path[1] if len(path) > 1 else self.spot.place.index
        limit = number if isinstance(number, int) else 0
        return tuple(step for step in self.workflow.steps if step.index < limit and step.name is not None)

    @functools.cached_property
    def variables(self) -> Mapping[str, Variable]:
        """The declared variables by name."""
        return {variable.name: variable for variable in self.workflow.variables if variable.name}

    def node(self, path: TreePath) -> Node | None:
        """The value at a path of the document."""
        return at_path(self.workflow.root, path)

    # ------------------------------------------------------------ what the step calls

    @functools.cached_property
    def pipeline(self) -> Object | None:
        """The pipeline that the step calls."""
        return None if self.step is None else loaded_pipeline(self.workflow, self.step)

    @functools.cached_property
    def pipeline_class(self) -> ClassEntry | None:
        """Its class, if that can be told."""
        if self.pipeline is None:
            return None
        return pipeline_class(self.workflow, self.pipeline, self.workspace, self.folder)[0]

    @functools.cached_property
    def call(self) -> Signature | None:
        """What the step's call takes."""
        return None if self.step is None else step_signature(self.workflow, self.step, self.workspace, self.folder)

    @functools.cached_property
    def constructor(self) -> Signature | None:
        """What the pipeline is put together from."""
        entry = self.pipeline_class
        return None if entry is None else self.workspace.catalog.signature(entry, "__init__")

    def constructor_of(self, name: Node | None) -> Signature | None:
        """What the class of that name is made with."""
        if not isinstance(name, String) or parse_reference(name.value) is not None:
            return None
        entry = self.workspace.catalog.resolve(name.value).entry
        return None if entry is None else self.workspace.catalog.signature(entry, "__init__")

    # ------------------------------------------------------------ files and models

    def called_workflow(self) -> Workflow | None:
        """The workflow that the step calls."""
        number = None if self.step is None else self.step.index
        calls = calls_of(self.spot.document, self.workspace)
        call = next((call for call in calls if call.step.index == number), None)
        if call is None or not may_be_read(call.path, self._context):
            return None
        called = called_document(call, self.workspace)
        return None if called is None else read(called.root)

    def may_read(self, path: Path) -> bool:
        """Whether a workflow may read there, so that it makes sense to propose it."""
        return may_be_read(path, self._context)

    @functools.cached_property
    def _context(self) -> Context:
        return Context(self.spot.document, self.workflow, self.workspace)

    def model_folder(self, owner: Object, *, inner: bool = False) -> Path | None:
        """The folder of the model that an object names, if it is on this machine.

        Arguments: with `inner`, the subfolder that it names.
        """
        name = self.text(owner.get("model_name"))
        if not name:
            return None
        found = find_folder(name, self.folder, self.text(owner.get("revision")), self.workspace.hub_cache)
        subfolder = self.text(owner.get("subfolder")) if inner else None
        path = found if found is None or not subfolder else found / subfolder
        if path is None or not self.may_read(path):
            return None
        return path

    def text(self, node: Node | None) -> str | None:
        """The text of a value; of a reference to a variable, that of its default."""
        if isinstance(node, Array) and node.items:
            node = node.items[0]
        if not isinstance(node, String):
            return None
        reference = parse_reference(node.value)
        if reference is None:
            return node.value
        variable = self.variables.get(reference.name) if reference.kind == "variable" else None
        default = None if variable is None else variable.member.value
        return default.value if isinstance(default, String) else None

    def component_names(self) -> Sequence[str]:
        """The names of the pipeline's components, as far as its class tells them."""
        if self.constructor is None:
            return ()
        return [
            parameter.name
            for parameter in self.constructor.parameters
            if parameter.annotation not in ("bool", "int", "float", "str") and parameter.name != "scheduler"
        ]


@functools.lru_cache(maxsize=8)
def model_of(document: Document) -> Workflow | None:
    """The model of a document that is a workflow, or is about to become one: it has an id and a list of steps."""
    known = workflow_of(document)
    root = document.root
    if known is not None or not isinstance(root, Object):
        return known
    begun = root.member("id") is not None and isinstance(root.get("steps"), Array)
    return read(root) if begun else None
