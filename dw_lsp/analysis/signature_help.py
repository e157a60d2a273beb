"""What a call takes, while its arguments are typed: the signature, and the argument that is at hand."""

from __future__ import annotations

from dataclasses import dataclass

from dw_lsp.analysis.completion.arguments import Argument
from dw_lsp.analysis.completion.expected import Expected, expected_at
from dw_lsp.analysis.completion.scene import Scene
from dw_lsp.analysis.completion.spot import spot_of
from dw_lsp.analysis.names import workflow_of
from dw_lsp.analysis.rules.values import wanted
from dw_lsp.analysis.workspace import Workspace
from dw_lsp.text.cursor import Path
from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Object, String
from dw_lsp.workflow.format.commands import COMMANDS
from dw_lsp.workflow.format.pipeline import PIPELINE
from dw_lsp.workflow.format.shapes import AnyShape, ObjectShape, Property
from dw_lsp.workflow.format.task import PIPELINE_REFERENCE
from dw_lsp.workflow.reader import read

_ARGUMENTS = frozenset({"arguments", "from_config_args", "from_arguments"})


@dataclass(frozen=True)
class ShownParameter:
    """An argument as it is shown: `start` and `end` are its place in the label."""

    start: int
    end: int
    documentation: str


@dataclass(frozen=True)
class ShownSignature:
    """A call as it is shown; `active` is the number of the argument at hand, `None` for one that it does not have."""

    label: str
    parameters: tuple[ShownParameter, ...]
    active: int | None
    documentation: str = ""


def signature_help(document: Document, offset: int, workspace: Workspace) -> ShownSignature | None:
    """The signature of the call whose arguments the cursor is in; `None` elsewhere."""
    spot = spot_of(document, offset)
    workflow = None if spot is None else workflow_of(spot.document) or read(spot.document.root)
    if spot is None or workflow is None:
        return None
    scene = Scene(spot, workspace, workflow)
    around = spot.place.path[:-1] if spot.place.on_key and spot.place.path[-1] in _ARGUMENTS else spot.place.path
    path = _arguments_path(around)
    if path is None:
        return None
    expected = expected_at(scene, path)
    shape = expected.object_shape
    if shape is None or not shape.properties:
        return None
    inside = spot.place.path[len(path) :]
    key = document.text[spot.range.start : spot.range.end].strip("\"'") if spot.asked == "key" else ""
    at_hand = key or (str(inside[0]) if inside else "")
    return _shown(_called(scene, expected), shape, at_hand, _documentation(scene, expected))


def _arguments_path(path: Path) -> Path | None:
    """The path of the innermost arguments around."""
    for end in range(len(path), 0, -1):
        if path[end - 1] in _ARGUMENTS:
            return path[:end]
    return None


def _called(scene: Scene, expected: Expected) -> str:
    """The name of what is called."""
    owner = expected.owner
    if owner is not None:
        configuration = owner.get("configuration")
        named = [owner.get("command"), owner.get("path"), *_types(owner), *_types(configuration)]
        name = next((node.value for node in named if isinstance(node, String)), None)
        if name is not None:
            return name.rpartition(".")[2] if owner.get("path") is None else name
    return scene.pipeline_class.name if scene.pipeline_class is not None else "call"


def _types(node: object) -> list[object]:
    if not isinstance(node, Object):
        return []
    return [member.value for member in node.members if member.key.value.endswith("_type")]


def _documentation(scene: Scene, expected: Expected) -> str:
    """What is called, in a sentence."""
    command = expected.owner.get("command") if expected.owner is not None else None
    if isinstance(command, String) and command.value in COMMANDS:
        return COMMANDS[command.value].meaning
    if expected.within not in (PIPELINE, PIPELINE_REFERENCE) or scene.pipeline_class is None:
        return ""
    source = scene.workspace.catalog.source(scene.pipeline_class)
    return source.summary if source is not None else ""


def _shown(name: str, shape: ObjectShape, at_hand: str, documentation: str) -> ShownSignature:
    label, parameters = f"{name}(", list[ShownParameter]()
    for index, known in enumerate(shape.properties):
        start = len(label) + (2 if index else 0)
        label += (", " if index else "") + _written(known)
        parameters.append(ShownParameter(start, len(label), known.meaning))
    active = _number([known.name for known in shape.properties], at_hand)
    return ShownSignature(label + ")", tuple(parameters), active, documentation)


def _number(names: list[str], at_hand: str) -> int | None:
    """The number of the argument of that name; of one that is half typed, if only one begins like it."""
    if at_hand in names:
        return names.index(at_hand)
    likely = [index for index, name in enumerate(names) if at_hand and name.startswith(at_hand)]
    return likely[0] if len(likely) == 1 else None


def _written(known: Property) -> str:
    if isinstance(known, Argument) and known.signature:
        return f"{known.name}: {known.signature}"
    if isinstance(known.shape, (AnyShape, ObjectShape)):
        return known.name
    default = "" if known.required or known.default is None else f" = {known.default}"
    return f"{known.name}: {wanted(known.shape)}{default}"
