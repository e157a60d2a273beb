"""Rules on the structure: each object has the keys that it needs and no others, each value fits its key.

One walk along the tables of the format. An object is judged as what it says it is (a step with `pipeline` as a pipeline
step), so a message speaks of the key at fault, never of schemas. A reference may stand wherever a value does.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from dw_lsp.analysis.findings import Finding, Related, Rule
from dw_lsp.analysis.rules.context import Context, asked, finding, narrow, nearest
from dw_lsp.analysis.rules.deprecated import deprecated_key
from dw_lsp.analysis.rules.faultless import Faultless
from dw_lsp.analysis.rules.fixes.structure import Level, fix_exclusive, fix_missing, fix_unknown
from dw_lsp.analysis.rules.levels import where_it_belongs
from dw_lsp.analysis.rules.values import fits, value_findings
from dw_lsp.text.syntax_tree import Array, Member, Missing, Node, Null, Object, Range, Unknown
from dw_lsp.workflow.format.shapes import AnyOf, ListShape, MapShape, ObjectShape, Property, Shape
from dw_lsp.workflow.format.step import STEP
from dw_lsp.workflow.format.workflow import WORKFLOW

MISSING_PROPERTY = Rule(
    "missing-property",
    "error",
    "A required key is absent.",
    "The workflow cannot run without it.",
    '{ "name": "draw", "pipeline": { "configuration": { } } }',
    "Add the key that the message names.",
)
UNKNOWN_PROPERTY = Rule(
    "unknown-property",
    "error",
    "A key that the format does not have at this place.",
    "It would have no effect, or the engine would refuse the file.",
    '{ "name": "draw", "pipline": { } }',
    "Correct it to the name in the message, or move it to the level where it belongs.",
)
EXCLUSIVE_PROPERTIES = Rule(
    "exclusive-properties",
    "error",
    "Keys that rule each other out.",
    "Only one of them can have an effect.",
    '"task": { "command": "gather_inputs", "arguments": { }, "inputs": [] }',
    "Keep one of them.",
)

#: Steps as they are written: the format says of each the same, wherever it stands.
FAULTLESS_STEPS = Faultless()


def structure(context: Context) -> Iterator[Finding]:
    """All findings on keys and values, in one walk along the format's tables."""
    root = context.document.root
    if root is None:
        return
    if not isinstance(root, Object):
        yield from value_findings(root, WORKFLOW, "The document")
        return
    as_written = not context.document.parsed.problems
    yield from _object(Level(context.document.text, root, WORKFLOW, as_written=as_written), narrow(root))


def _node(outer: Level, node: Node, shape: Shape, name: str, place: Range) -> Iterator[Finding]:
    """A value under a key (or in a list).

    Arguments: `outer` is the object around it; `place` the range for what the value itself lacks.
    """
    if isinstance(node, (Missing, Unknown)):
        return  # The syntax rule tells of it.
    if isinstance(shape, AnyOf):
        shape = _chosen(node, shape)
    if isinstance(shape, ObjectShape) and isinstance(node, Object):
        if not _is_item(node):
            yield from _object(Level(outer.text, node, shape, outer), place)
    elif isinstance(shape, ListShape) and isinstance(node, Array):
        yield from value_findings(node, shape, name)
        for item in node.items:
            judged = partial(_node, outer, item, shape.item, f"An item of {name}", narrow(item))
            if shape.item is STEP and outer.as_written:
                yield from FAULTLESS_STEPS.judge(outer.text[item.range.start : item.range.end], judged)
            else:
                yield from judged()
    elif isinstance(shape, MapShape) and isinstance(node, Object):
        for member in node.members:
            yield from _node(outer, member.value, shape.value, f"`{member.key.value}`", member.key.range)
    else:
        yield from value_findings(node, shape, name)


def _chosen(node: Node, shape: AnyOf) -> Shape:
    """The option that a value was most likely meant to be: the first whose JSON type fits."""
    return next((option for option in shape.options if fits(node, option)), shape)


def _is_item(node: Object) -> bool:
    """Whether the object stands for a member of a `for_each` entry: `{"item": FIELD, "default": X}`."""
    return node.member("item") is not None and all(member.key.value in ("item", "default") for member in node.members)


def _object(level: Level, place: Range) -> Iterator[Finding]:
    node, shape = level.node, level.shape
    for member in node.members:
        known = shape.property(member.key.value)
        if known is not None:
            yield from _member(level, member, known)
        elif shape.others is not None and _is_component(member.value):
            yield from _node(level, member.value, shape.others, f"`{member.key.value}`", member.key.range)
        elif shape.closed:
            yield from _unknown(level, member)
    yield from _missing(level, place)
    yield from _exclusive(level)


def _is_component(node: Node) -> bool:
    return isinstance(node, Object) and node.member("from_pretrained_arguments") is not None


def _member(level: Level, member: Member, known: Property) -> Iterator[Finding]:
    if known.deprecated is not None:
        yield deprecated_key(member, known, level.shape)
    if isinstance(member.value, Null) and not known.required:
        return  # The same as leaving the key out.
    yield from _node(level, member.value, known.shape, f"`{known.name}`", member.key.range)


def _unknown(level: Level, member: Member) -> Iterator[Finding]:
    name, shape = member.key.value, level.shape
    if not member.key.closed and isinstance(member.value, Missing):
        return  # Half typed: the syntax rule tells of it.
    near = nearest(name, [candidate.name for candidate in shape.properties])
    hint = asked(near) or where_it_belongs(name, shape)
    where = "A workflow file" if shape is WORKFLOW else f"`{shape.name}`"
    message = f"{where} has no key `{name}`.{hint}"
    yield finding(UNKNOWN_PROPERTY, member.key.range, message, fixes=fix_unknown(level, member, near))


def _missing(level: Level, place: Range) -> Iterator[Finding]:
    node, shape = level.node, level.shape
    for needed in shape.properties:
        if needed.required and node.member(needed.name) is None:
            message = f"`{needed.name}` is missing in this {shape.name}: {_lowered(needed.meaning)}"
            yield finding(MISSING_PROPERTY, place, message, fixes=fix_missing(level, needed.name))
    if shape is STEP:
        return
    for group in shape.one_of:
        if not any(node.member(name) for name in group):
            message = f"{_listed(group, 'or')} is missing in this {shape.name}."
            yield finding(MISSING_PROPERTY, place, message, fixes=fix_missing(level, *group))


def _lowered(sentence: str) -> str:
    return sentence if sentence[1:2].isupper() else sentence[:1].lower() + sentence[1:]


def _exclusive(level: Level) -> Iterator[Finding]:
    node, shape = level.node, level.shape
    for group in (*shape.exclusive, *shape.one_of):
        present = [member for name in group if (member := node.member(name)) and not isinstance(member.value, Null)]
        present.sort(key=lambda member: member.range.start)
        for extra in present[1:]:
            first = present[0]
            message = f"{_listed(group, 'and')} rule each other out; keep one of them."
            related = Related(first.key.range, "the other one")
            fixes = fix_exclusive(level, extra, first)
            yield finding(EXCLUSIVE_PROPERTIES, extra.key.range, message, (related,), fixes=fixes)


def _listed(names: tuple[str, ...], word: str) -> str:
    return f" {word} ".join(f"`{name}`" for name in names)
