"""Keys that an object may still get, what is needed first."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from dw_lsp.analysis.completion.arguments import Argument, names_in
from dw_lsp.analysis.completion.expected import Expected, expected_at
from dw_lsp.analysis.completion.items import Candidate
from dw_lsp.analysis.completion.scene import Scene
from dw_lsp.analysis.completion.skeletons import Blank, Tree
from dw_lsp.analysis.completion.trees import tree_of
from dw_lsp.analysis.rules.values import wanted
from dw_lsp.text.syntax_tree import Object
from dw_lsp.workflow.format.component import COMPONENT
from dw_lsp.workflow.format.pipeline import COMPONENT_NAMES, CONFIGURATION, PIPELINE
from dw_lsp.workflow.format.shapes import AnyShape, MapShape, MediumShape, ObjectShape, Property
from dw_lsp.workflow.format.special_values import MEDIUM_OBJECT, TYPED_OBJECT
from dw_lsp.workflow.format.step import STEP
from dw_lsp.workflow.resolved import STEP_KINDS

_NEEDED, _KIND, _USUAL, _OTHER, _OLD = 0, 1, 2, 4, 9
#: How an object that becomes an argument says where it comes from.
_SOURCES = {known.name: known.meaning for known in TYPED_OBJECT.properties}
_OF_MEDIUM = {known.name: known.meaning for known in MEDIUM_OBJECT.properties}


def key_candidates(scene: Scene) -> Iterator[Candidate]:
    """The keys that may be written at the spot."""
    place = scene.spot.place
    container = place.container
    if not isinstance(container, Object):
        return
    here = expected_at(scene, place.container_path)
    own = scene.spot.member
    present = {member.key.value for member in container.members if member is not own}
    shape = here.object_shape
    if shape is not None:
        yield from _of_shape(scene, shape, container, present)
    elif any(isinstance(option, MapShape) for option in here.options()) and place.container_path[-1:]:
        inner = next(option.value for option in here.options() if isinstance(option, MapShape))
        for known in names_in(scene, place.container_path, here.key):
            if known.name not in present:
                tree: Tree = Blank(known.default) if here.key == "variables" else _tree_inside(inner)
                yield Candidate(known.name, "key", tree, documentation=known.meaning, rank=_USUAL)
    if shape is None and place.container_path[:1] in (("steps",), ("variables",)):
        yield from _of_argument_object(here, container, present)


def _tree_inside(shape: object) -> Tree:
    return Blank({}) if isinstance(shape, (ObjectShape, MapShape)) else Blank("")


def _of_shape(scene: Scene, shape: ObjectShape, container: Object, present: Collection[str]) -> Iterator[Candidate]:
    hidden = set(present) | _ruled_out(shape, present)
    for known in _properties(scene, shape):
        if known.name not in hidden:
            tree = tree_of(scene, known, shape, container)
            yield Candidate(
                known.name,
                "argument" if isinstance(known, Argument) else "key",
                tree,
                _detail(known),
                _documentation(known),
                _rank(known, shape, present),
                deprecated=known.deprecated is not None,
            )


def _properties(scene: Scene, shape: ObjectShape) -> list[Property]:
    """The keys of a shape; of a pipeline, the components that its class has."""
    if shape is not PIPELINE or scene.constructor is None:
        return list(shape.properties)
    names = scene.component_names()
    listed = [known for known in shape.properties if known.name not in COMPONENT_NAMES or known.name in names]
    more = [
        Property(name, COMPONENT, f"The pipeline's {name}, loaded by itself.")
        for name in names
        if shape.property(name) is None
    ]
    return [*listed, *more]


def _ruled_out(shape: ObjectShape, present: Collection[str]) -> set[str]:
    """Keys of which others that are there are the alternative."""
    groups = [*shape.exclusive, *shape.one_of, *([STEP_KINDS] if shape is STEP else [])]
    return {name for group in groups if any(other in present for other in group) for name in group}


def _rank(known: Property, shape: ObjectShape, present: Collection[str]) -> int:
    if known.deprecated is not None:
        return _OLD
    if known.required:
        return _NEEDED
    if (shape is STEP and known.name in STEP_KINDS) or any(known.name in group for group in shape.one_of):
        return _KIND
    if isinstance(known, Argument):
        return known.rank
    if shape is PIPELINE and known.shape is COMPONENT:
        return _OTHER + 1
    return _USUAL if known.dialect == "AB" or shape is CONFIGURATION else _OTHER


def _detail(known: Property) -> str:
    if isinstance(known, Argument) and known.signature:
        return known.signature
    kind = known.shape
    words = kind.name if isinstance(kind, ObjectShape) else "" if isinstance(kind, AnyShape) else wanted(kind)
    default = "" if known.default is None else f"default {_shown(known.default)}"
    need = "required" if known.required else ""
    return ", ".join(part for part in (words, need, default) if part)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value).replace("'", '"')
    return text if len(text) <= 40 else text[:40] + "…"


def _documentation(known: Property) -> str:
    parts = [known.meaning]
    if known.deprecated is not None:
        parts.append(f"Deprecated: use {known.deprecated}.")
    if known.dialect != "AB":
        parts.append(f"Only {'older' if known.dialect == 'A' else 'newer'} engines know it.")
    return "\n\n".join(part for part in parts if part)


def _of_argument_object(here: Expected, container: Object, present: Collection[str]) -> Iterator[Candidate]:
    """Keys of an object that becomes an argument: a medium, or an object of a type."""
    types = [name for name in present if name.endswith("_type") and name != "media_type"]
    medium = any(isinstance(option, MediumShape) for option in here.options())
    if not present or medium or "location" in present:
        if "location" not in present and not types and not set(_SOURCES) & set(present):
            yield Candidate("location", "key", Blank(""), "text", _OF_MEDIUM["location"], rank=_USUAL)
        if "media_type" not in present and not medium and not types:
            tree = Blank("image", ("image", "video"))
            yield Candidate("media_type", "key", tree, "text", _OF_MEDIUM["media_type"], rank=_OTHER)
    if types and not set(_SOURCES) & set(present):
        for name, meaning in _SOURCES.items():
            tree = Blank({}) if name == "from_arguments" else Blank("")
            yield Candidate(name, "key", tree, documentation=meaning, rank=_USUAL)
    elif not present and here.key and not medium:
        name = f"{here.key.removesuffix('s') if here.is_item else here.key}_type"
        yield Candidate(name, "key", Blank(""), "class", "Class of the object.", rank=_OTHER)
