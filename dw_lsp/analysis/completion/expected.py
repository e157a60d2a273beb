"""What may stand at a path of a workflow: the way from its top down, along the tables and what is installed."""

from __future__ import annotations

from dataclasses import dataclass

from dw_lsp.analysis.completion.arguments import arguments_shape, object_arguments
from dw_lsp.analysis.completion.scene import Scene
from dw_lsp.text.cursor import Path
from dw_lsp.text.syntax_tree import Node, Object, at_path
from dw_lsp.workflow.format.shapes import (
    ANY,
    AnyOf,
    AnyShape,
    ListShape,
    MapShape,
    MediumShape,
    ObjectShape,
    Property,
    Shape,
)
from dw_lsp.workflow.format.workflow import WORKFLOW


@dataclass(frozen=True)
class Expected:
    """What may stand somewhere.

    `key` is the key under which it stands, that of its list for an item; `outer` the key of the object around; `owner`
    and `within` are that object and its shape; `known` is the key's entry in the tables.
    """

    shape: Shape
    key: str = ""
    outer: str = ""
    owner: Object | None = None
    within: ObjectShape | None = None
    known: Property | None = None
    is_item: bool = False

    def options(self) -> tuple[Shape, ...]:
        """The shapes that it may have."""
        return _options(self.shape)

    @property
    def object_shape(self) -> ObjectShape | None:
        """The shape that it has as an object."""
        return next((option for option in self.options() if isinstance(option, ObjectShape)), None)


def _options(shape: Shape) -> tuple[Shape, ...]:
    if isinstance(shape, AnyOf):
        return tuple(inner for option in shape.options for inner in _options(option))
    return (shape,)


def expected_at(scene: Scene, path: Path) -> Expected:
    """What may stand at a path."""
    current, node = Expected(WORKFLOW), scene.workflow.root
    following: Node | None = node
    for part in path:
        current = _inside(scene, current, following, part)
        following = None if following is None else at_path(following, (part,))
    return current


def _inside(scene: Scene, outer: Expected, node: Node | None, part: str | int) -> Expected:
    if isinstance(part, int):
        items = next((option.item for option in outer.options() if isinstance(option, ListShape)), ANY)
        if items is ANY and any(isinstance(option, MediumShape) for option in outer.options()):
            items = next(option for option in outer.options() if isinstance(option, MediumShape))
        return Expected(items, outer.key, outer.outer, outer.owner, outer.within, None, True)
    owner = node if isinstance(node, Object) else None
    shape = outer.object_shape
    if shape is not None:
        known = shape.property(part)
        dynamic = arguments_shape(scene, shape, part, node)
        value = dynamic or (known.shape if known is not None else shape.others or ANY)
        return Expected(value, part, outer.key, owner, shape, known)
    value = next((option.value for option in outer.options() if isinstance(option, MapShape)), ANY)
    if part == "from_arguments" and owner is not None and isinstance(value, AnyShape):
        value = object_arguments(scene, owner) or ANY
    return Expected(value, part, outer.key, owner)
