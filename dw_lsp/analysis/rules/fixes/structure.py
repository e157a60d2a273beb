"""Fixes of keys: missing ones, those at the wrong level, those that rule each other out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dw_lsp.analysis.findings import Fix
from dw_lsp.analysis.rules.fixes.names import change_to
from dw_lsp.analysis.rules.fixes.placeholders import placeholder
from dw_lsp.analysis.rules.levels import level_of
from dw_lsp.analysis.rules.values import fits
from dw_lsp.text.edits import insert_member, insert_written_member, move_member, remove_member
from dw_lsp.text.syntax_tree import Member, Object
from dw_lsp.workflow.format.shapes import ObjectShape, Property
from dw_lsp.workflow.resolved import STEP_KINDS


class Level(NamedTuple):
    """An object of the document, what the format says of it, and the level around it. Made for every object.

    `as_written`: what its parts are hangs on nothing but their text, which is so in a document without syntax mistakes.
    """

    text: str
    node: Object
    shape: ObjectShape
    outer: Level | None = None
    as_written: bool = False

    def outward(self) -> Iterator[Level]:
        """This level, and those around it."""
        level: Level | None = self
        while level is not None:
            yield level
            level = level.outer


def fix_unknown(level: Level, member: Member, near: str | None) -> tuple[Fix, ...]:
    """Rename the key to the near one, or move the member to the level where it belongs."""
    name = member.key.value
    renamed = change_to(member.key.range, name, near) if near and level.node.member(near) is None else ()
    moved = _moved(level, member)
    return (*renamed, moved) if moved is not None else renamed


def _moved(level: Level, member: Member) -> Fix | None:
    name = member.key.value
    found = level_of(name, level.shape)
    if found is None:
        return None
    place, shape = found
    known = shape.property(name)
    if known is None or not fits(member.value, known.shape):
        return None
    title = f"Move `{name}` to {place}"
    for origin in level.outward():
        target = origin.node if origin.shape is shape else _below(origin, shape)
        if isinstance(target, Object):
            if target.member(name) is not None:
                return None
            return Fix(title, move_member(level.text, level.node, member, target))
        new = next((known for known in origin.shape.properties if known.shape is shape), None)
        if new is not None and _may_be_made(origin, new, shape, name):
            removed = remove_member(level.text, level.node, member)
            return Fix(title, (*removed, *insert_written_member(level.text, origin.node, new.name, member)))
    return None


def _below(level: Level, shape: ObjectShape) -> Object | None:
    """The object of that shape inside a level, the nearest first; none inside of lists."""
    nodes: list[tuple[Object, ObjectShape]] = [(level.node, level.shape)]
    while nodes:
        deeper = []
        for node, known in nodes:
            for key in known.properties:
                value = node.get(key.name)
                if isinstance(value, Object) and key.shape is shape:
                    return value
                if isinstance(value, Object) and isinstance(key.shape, ObjectShape):
                    deeper.append((value, key.shape))
        nodes = deeper
    return None


def _may_be_made(origin: Level, new: Property, shape: ObjectShape, name: str) -> bool:
    """Whether an object may be made that holds nothing but the key."""
    if new.name in STEP_KINDS or shape.one_of or origin.node.member(new.name) is not None:
        return False
    return all(needed.name == name for needed in shape.properties if needed.required)


def fix_missing(level: Level, *names: str) -> tuple[Fix, ...]:
    """Insert one of the keys with a value that holds its place, in the order that the tables have.

    The first is preferred, unless another key may be the one that is missing, misspelt.
    """
    order = [known.name for known in level.shape.properties]
    sure = all(member.key.value in order for member in level.node.members)
    needed = [known for known in level.shape.properties if known.name in names]
    return tuple(_added(level, known, order, sure and known.name == names[0]) for known in needed)


def _added(level: Level, needed: Property, order: list[str], preferred: bool) -> Fix:
    at = order.index(needed.name)
    keys = [member.key.value for member in level.node.members]
    before = next((key for key in keys if key in order and order.index(key) > at), None)
    edits = insert_member(level.text, level.node, needed.name, placeholder(needed, level.shape), before)
    return Fix(f"Add `{needed.name}`", edits, preferred)


def fix_duplicate_key(text: str, node: Object, earlier: Member, later: Member) -> tuple[Fix, ...]:
    """Remove the earlier of two members, which has no effect; or the later."""
    name = later.key.value
    return (
        Fix(f"Remove the earlier `{name}`, which has no effect", remove_member(text, node, earlier), True, True),
        Fix(f"Remove this `{name}`", remove_member(text, node, later)),
    )


def fix_exclusive(level: Level, one: Member, other: Member) -> tuple[Fix, ...]:
    """Remove one of two."""
    return tuple(
        Fix(f"Remove `{member.key.value}`", remove_member(level.text, level.node, member)) for member in (one, other)
    )
