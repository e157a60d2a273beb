"""From a cursor to what is to be shown there. The most telling thing wins: a class before the key of its place."""

from __future__ import annotations

from dataclasses import dataclass

from dw_lsp.analysis.completion.expected import Expected, expected_at
from dw_lsp.analysis.completion.scene import Scene
from dw_lsp.analysis.completion.spot import Spot
from dw_lsp.analysis.hover.arguments import argument_text
from dw_lsp.analysis.hover.classes import type_text
from dw_lsp.analysis.hover.files import path_text
from dw_lsp.analysis.hover.named import result_text, step_text, variable_text
from dw_lsp.analysis.hover.properties import command_text, content_type_text, object_text, property_text
from dw_lsp.analysis.last_run import LastRun
from dw_lsp.analysis.names import workflow_of
from dw_lsp.analysis.rules.context import Context, narrow
from dw_lsp.analysis.workspace import Workspace
from dw_lsp.text.cursor import Path, Place, locate
from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Range, String
from dw_lsp.workflow.format.commands import COMMANDS
from dw_lsp.workflow.format.shapes import MapShape
from dw_lsp.workflow.format.special_values import REFERENCE_MEANINGS
from dw_lsp.workflow.reader import PROSE, STEP_NAME_KEYS
from dw_lsp.workflow.references import Reference, parse_reference
from dw_lsp.workflow.type_uses import is_type_name, names_type


@dataclass(frozen=True)
class Hover:
    """What is shown, in Markdown, and the text that it speaks of."""

    range: Range
    text: str


def hover(
    document: Document, offset: int, workspace: Workspace, last: LastRun | None = None, rich: bool = True
) -> Hover | None:
    """What is to be said of the word under a cursor; `None` when nothing is.

    Arguments: `last` is the document's last run; with `rich`, pictures are shown.
    """
    place = locate(document, offset)
    workflow = workflow_of(document)
    if workflow is None or place.in_comment or place.spot not in ("key", "value"):
        return None
    spot = Spot("value", document, place, Range(offset, offset))
    subject = _Subject(document, place, Scene(spot, workspace, workflow), last, rich)
    text = subject.of_key() if place.on_key else subject.of_value()
    node = place.string if place.string is not None else place.node
    return Hover(narrow(node), text) if text and node is not None else None


@dataclass(frozen=True)
class _Subject:
    """The place under the cursor, and what is around it."""

    document: Document
    place: Place
    scene: Scene
    last: LastRun | None
    rich: bool

    def of_key(self) -> str | None:
        """What is to be said of a key."""
        path = self.place.path
        if len(path) == 2 and path[0] in ("variables", "variable_constraints"):
            return variable_text(self.document, self.scene.workflow, str(path[1]))
        expected = expected_at(self.scene, path)
        return self._property(path, expected) or object_text(expected) or self._of_map(path)

    def _of_map(self, path: Path) -> str | None:
        """What is to be said of an author's own key: what the keys of the object around are for."""
        around = expected_at(self.scene, path[:-1])
        is_map = any(isinstance(option, MapShape) for option in around.options())
        return property_text(around.known) if is_map and around.known is not None and path[:1] == ("steps",) else None

    def of_value(self) -> str | None:
        """What is to be said of a value: of what it names, else of its key."""
        path, node = self.place.path, self.place.node
        expected = expected_at(self.scene, path)
        told = self._text(node, expected) if isinstance(node, String) else None
        while told is None and path and isinstance(path[-1], int):
            path = path[:-1]  # An item is what its list is for.
            expected = expected_at(self.scene, path)
        told = told or self._property(path, expected)
        if told is None and path[:1] == ("variables",) and len(path) > 1:
            told = variable_text(self.document, self.scene.workflow, str(path[1]))
        return told

    def _text(self, node: String, expected: Expected) -> str | None:
        reference = parse_reference(node.value)
        if reference is not None:
            return self._reference(reference, expected)
        path, key = self.place.path, expected.key
        if key in STEP_NAME_KEYS:
            return self._results(node.value)
        if len(path) == 3 and path[0] == "steps" and path[2] == "name" and self.scene.step is not None:
            return step_text(self.document, self.scene.workflow, self.scene.step, self.last, self.rich)
        if key == "command" and node.value in COMMANDS:
            return command_text(COMMANDS[node.value])
        if key == "content_type":
            return content_type_text(node.value)
        if names_type(key) and path[:1] == ("steps",) and is_type_name(node.value):
            return type_text(node.value, self.scene.workspace)
        return self._path(node)

    def _reference(self, reference: Reference, expected: Expected) -> str | None:
        """What a reference stands for; for one of which nothing is known, what its kind does."""
        told = None
        if reference.kind in ("variable", "constraint"):
            told = variable_text(self.document, self.scene.workflow, reference.name)
        elif reference.kind in ("previous_result", "gather"):
            told = self._results(reference.target)
        if told is None and expected.key not in PROSE:
            told = f"**`{reference.kind}:`** {REFERENCE_MEANINGS[reference.kind]}"
        return told

    def _results(self, target: str) -> str | None:
        return result_text(self.document, self.scene.workflow, target, self.last, self.rich)

    def _path(self, node: String) -> str | None:
        context = Context(self.document, self.scene.workflow, self.scene.workspace)
        use = next((use for use in context.paths if use.node.range == node.range), None)
        return None if use is None else path_text(use, self.document, context)

    def _property(self, path: Path, expected: Expected) -> str | None:
        if expected.known is not None and expected.known.name == expected.key:
            return property_text(expected.known)
        return argument_text(self.scene, path, expected) if path else None
