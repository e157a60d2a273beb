"""What a package offers under its own name: the lazy-import table of its `__init__`, read as data."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TABLE = "_import_structure"
_AVAILABLE = re.compile(r"^is_(\w+)_available$")
#: Modules behind the library's names of what it asks for.
_MODULES = {
    "opencv": "cv2", "onnx": "onnxruntime", "nvidia_modelopt": "modelopt", "optimum_quanto": "optimum",
    "sentencepiece": "sentencepiece", "vision": "torchvision",
}  # fmt: skip

#: A condition on what is installed: a module's name, or ["not", x], ["and", x, y, ...], ["or", x, y, ...].
Condition = str | list["Condition"]


@dataclass(frozen=True)
class Export:
    """A name that a package offers: the section of its table, and when it is there (`None`: always)."""

    name: str
    section: str
    condition: Condition | None = None


def read_exports(initializer: Path) -> tuple[Export, ...]:
    """The names in a package's lazy-import table. Raises `OSError` or `SyntaxError` where it cannot be read."""
    tree = ast.parse(initializer.read_bytes())
    found: dict[str, Export] = {}
    for section, name, condition in _entries(tree.body, None):
        found.setdefault(name, Export(name, section, condition))
    return tuple(found.values())


def holds(condition: Condition | None, missing: frozenset[str]) -> bool:
    """Whether a condition holds. Arguments: the modules that are absent."""
    if condition is None:
        return True
    if isinstance(condition, str):
        return condition not in missing
    operator, *operands = condition
    values = [holds(operand, missing) for operand in operands]
    if operator == "not":
        return not values[0]
    return all(values) if operator == "and" else any(values)


def modules_of(condition: Condition | None) -> Iterator[str]:
    """The modules that a condition speaks of."""
    if isinstance(condition, str):
        yield condition
    elif condition is not None:
        for operand in condition[1:]:
            yield from modules_of(operand)


def _entries(body: list[ast.stmt], condition: Condition | None) -> Iterator[tuple[str, str, Condition | None]]:
    for statement in body:
        if isinstance(statement, ast.Try):
            needed = _needed(statement)
            yield from _entries(statement.orelse, condition if needed is None else needed)
        elif isinstance(statement, ast.If):
            continue  # The part for type checkers repeats the table.
        else:
            for section, name in _additions(statement):
                yield section, name, condition


def _needed(statement: ast.Try) -> Condition | None:
    """What has to be there for the `else` of a `try` whose body raises when something is absent."""
    for inner in statement.body:
        if isinstance(inner, ast.If):
            refused = _condition(inner.test)
            return None if refused is None else ["not", refused]
    return None


def _condition(node: ast.expr) -> Condition | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = _condition(node.operand)
        return None if inner is None else ["not", inner]
    if isinstance(node, ast.BoolOp):
        parts = [part for value in node.values if (part := _condition(value)) is not None]
        return ["and" if isinstance(node.op, ast.And) else "or", *parts] if parts else None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and (named := _AVAILABLE.match(node.func.id)):
        return _MODULES.get(named[1], named[1])
    return None


def _additions(statement: ast.stmt) -> Iterator[tuple[str, str]]:
    """Section and name of what one statement puts into the table."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
        if isinstance(target, ast.Name) and target.id == _TABLE and isinstance(statement.value, ast.Dict):
            for section, names in zip(statement.value.keys, statement.value.values, strict=True):
                yield from _named(section, names)
        elif isinstance(target, ast.Subscript) and _is_table(target.value):
            yield from _named(target.slice, statement.value)
    elif isinstance(statement, ast.Expr) and isinstance(call := statement.value, ast.Call):
        place = call.func.value if isinstance(call.func, ast.Attribute) else None
        if isinstance(place, ast.Subscript) and _is_table(place.value) and call.args:
            yield from _named(place.slice, call.args[0])


def _is_table(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == _TABLE


def _named(section: ast.expr | None, names: ast.expr) -> Iterator[tuple[str, str]]:
    if not isinstance(section, ast.Constant) or not isinstance(section.value, str):
        return
    listed = names.elts if isinstance(names, (ast.List, ast.Tuple, ast.Set)) else [names]
    for name in listed:
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            yield section.value, name.value
