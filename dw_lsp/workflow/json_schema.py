"""The format's tables as JSON Schema (2020-12), for tools that know nothing of us."""

from __future__ import annotations

from typing import Any, TypeAlias

from dw_lsp.workflow.format.shapes import (
    AnyOf,
    AnyShape,
    FlagShape,
    ListShape,
    MapShape,
    MediumShape,
    NullShape,
    NumberShape,
    ObjectShape,
    Property,
    Shape,
    TextShape,
)
from dw_lsp.workflow.format.step import STEP
from dw_lsp.workflow.format.workflow import WORKFLOW
from dw_lsp.workflow.references import KINDS
from dw_lsp.workflow.resolved import STEP_KINDS

Schema: TypeAlias = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = "reference"


def json_schema() -> Schema:
    """The schema of a workflow file, self-contained."""
    definitions: dict[str, Schema] = {
        _REFERENCE: {
            "description": "Stands for a value: a variable, a result of an earlier step.",
            "type": "string",
            "pattern": f"^({'|'.join(sorted(KINDS))}):",
        }
    }
    root = _object(WORKFLOW, definitions)
    return {"$schema": DIALECT, "title": "Diffusion workflow", **root, "$defs": dict(sorted(definitions.items()))}


def _schema(shape: Shape, definitions: dict[str, Schema]) -> Schema:
    if isinstance(shape, ObjectShape):
        return _reference_to(shape, definitions)
    if isinstance(shape, AnyOf):
        return {"anyOf": [_schema(option, definitions) for option in shape.options]}
    if isinstance(shape, TextShape):
        return _text(shape)
    if isinstance(shape, NumberShape):
        return _or_reference(_number(shape))
    if isinstance(shape, FlagShape):
        return _or_reference({"type": "boolean"})
    if isinstance(shape, ListShape):
        return _or_reference(_list(shape, definitions))
    if isinstance(shape, MapShape):
        return _or_reference({"type": "object", "additionalProperties": _schema(shape.value, definitions)})
    if isinstance(shape, NullShape):
        return {"type": "null"}
    assert isinstance(shape, (AnyShape, MediumShape))
    return {}


def _or_reference(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"$ref": f"#/$defs/{_REFERENCE}"}]}


def _text(shape: TextShape) -> Schema:
    schema: Schema = {"type": "string"}
    if shape.suggestions:
        schema["examples"] = list(shape.suggestions)
    if shape.longest is not None:
        schema["maxLength"] = shape.longest
    if shape.choices:
        return _or_reference({**schema, "enum": list(shape.choices)})
    return schema


def _number(shape: NumberShape) -> Schema:
    limits = {"minimum": shape.least, "maximum": shape.most, "exclusiveMinimum": shape.above}
    kind = "integer" if shape.whole else "number"
    if shape.choices:
        return {"type": kind, "enum": list(shape.choices)}
    return {"type": kind, **{name: limit for name, limit in limits.items() if limit is not None}}


def _list(shape: ListShape, definitions: dict[str, Schema]) -> Schema:
    schema: Schema = {"type": "array", "items": _schema(shape.item, definitions)}
    if shape.at_least:
        schema["minItems"] = shape.at_least
    if shape.at_most is not None:
        schema["maxItems"] = shape.at_most
    if shape.unique:
        schema["uniqueItems"] = True
    return schema


def _reference_to(shape: ObjectShape, definitions: dict[str, Schema]) -> Schema:
    name = shape.name.replace(" ", "-")
    if name not in definitions:
        definitions[name] = {}
        definitions[name] = _object(shape, definitions)
    return _or_reference({"$ref": f"#/$defs/{name}"})


def _object(shape: ObjectShape, definitions: dict[str, Schema]) -> Schema:
    schema: Schema = {
        "type": "object",
        "description": shape.meaning,
        "properties": {known.name: _property(known, definitions) for known in shape.properties},
    }
    if required := [known.name for known in shape.properties if known.required]:
        schema["required"] = required
    if shape.others is not None:
        schema["additionalProperties"] = _schema(shape.others, definitions)
    elif shape.closed:
        schema["additionalProperties"] = False
    if conditions := _conditions(shape):
        schema["allOf"] = conditions
    return schema


def _property(known: Property, definitions: dict[str, Schema]) -> Schema:
    schema = _schema(known.shape, definitions)
    if not known.required and schema:
        schema = {"anyOf": [*(schema["anyOf"] if set(schema) == {"anyOf"} else [schema]), {"type": "null"}]}
    schema = {**schema, "description": known.meaning}
    if known.default is not None:
        schema["default"] = known.default
    if known.deprecated is not None:
        schema["deprecated"] = True
    return schema


def _conditions(shape: ObjectShape) -> list[Schema]:
    conditions: list[Schema] = [
        {"not": {"required": list(pair)}} for group in shape.exclusive for pair in _pairs(group)
    ]
    groups = (*shape.one_of, STEP_KINDS) if shape is STEP else shape.one_of
    return conditions + [{"oneOf": [{"required": [name]} for name in group]} for group in groups]


def _pairs(names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(first, second) for index, first in enumerate(names) for second in names[index + 1 :]]
