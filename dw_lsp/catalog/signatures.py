"""The signature of a function as its source has it: names, annotations, defaults, documentation. Imports nothing."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from dw_lsp.catalog.docstrings import Described, described_arguments, summary_of

_NEXT = re.compile(rb"^[^\s#)\]}]", re.MULTILINE)


@dataclass(frozen=True)
class Parameter:
    """One argument. `annotation` and `default` are source text; `default` is `None` for one that must be given.

    `documented`: known from the documentation alone, as a keyword that is passed on.
    """

    name: str
    annotation: str | None = None
    default: str | None = None
    text: str = ""
    documented: bool = False

    @property
    def required(self) -> bool:
        """Whether a call must give it."""
        return self.default is None and not self.documented


@dataclass(frozen=True)
class Signature:
    """What a call takes; `open`: any other keyword, too."""

    parameters: tuple[Parameter, ...]
    open: bool = False

    @functools.cached_property
    def _by_name(self) -> dict[str, Parameter]:
        return {parameter.name: parameter for parameter in self.parameters}

    def parameter(self, name: str) -> Parameter | None:
        """The argument of that name."""
        return self._by_name.get(name)


@dataclass(frozen=True)
class ClassSource:
    """What the source of one class says: its documentation, methods, and fields (of a dataclass).

    `passes_on`: methods that hand their further keywords to the same method of a base; `constants`: texts that the
    class sets, `lists`: lists of texts; `described`: the arguments of which its documentation speaks.
    """

    summary: str
    methods: dict[str, Signature]
    passes_on: frozenset[str] = frozenset()
    fields: Signature | None = None
    line: int = 0
    constants: Mapping[str, str] = field(default_factory=dict)
    described: tuple[Described, ...] = ()
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_class(module: bytes, name: str) -> ClassSource | None:
    """What a module's text says of a class; `None` when it is not there or no Python that this Python reads."""
    head = re.search(rb"^class[ \t]+" + name.encode() + rb"\b", module, re.MULTILINE)
    if head is None:
        return None
    # Only the class itself is parsed: a module of thousands of lines would take as long as the rest together.
    body = module.index(b":", _end_of_head(module, head.end()))
    following = _NEXT.search(module, module.find(b"\n", body) + 1)
    text = module[head.start() : following.start() if following else len(module)]
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    node = tree.body[0] if tree.body else None
    if not isinstance(node, ast.ClassDef):
        return None
    decorators = module[max(0, module.rfind(b"\n\n", 0, head.start())) : head.start()]
    return _class_source(node, b"dataclass" in decorators, module.count(b"\n", 0, head.start()) + 1)


def _end_of_head(module: bytes, start: int) -> int:
    """Where the bases of a class end."""
    depth = 0
    for index in range(start, min(len(module), start + 4000)):
        character = module[index : index + 1]
        depth += (character == b"(") - (character == b")")
        if depth == 0 and character in (b")", b":"):
            return index
    return start


def _class_source(node: ast.ClassDef, is_dataclass: bool, line: int) -> ClassSource:
    documentation = ast.get_docstring(node) or ""
    methods: dict[str, Signature] = {}
    passing: set[str] = set()
    for statement in node.body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            extra = documentation if statement.name == "__init__" else ""
            methods[statement.name] = signature_of(statement, extra)
            if methods[statement.name].open and _passes_on(statement):
                passing.add(statement.name)
    fields = _fields(node, documentation) if is_dataclass and "__init__" not in methods else None
    described = described_arguments(documentation)
    return ClassSource(
        summary_of(documentation), methods, frozenset(passing), fields, line, dict(_constants(node)), described,
        dict(_lists(node)),
    )  # fmt: skip


def _constants(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            value = statement.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield statement.targets[0].id, value.value


def _lists(node: ast.ClassDef) -> Iterator[tuple[str, tuple[str, ...]]]:
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            items = statement.value.elts if isinstance(statement.value, (ast.List, ast.Tuple)) else None
            texts = [item.value for item in items or () if isinstance(item, ast.Constant)]
            if items is not None and len(texts) == len(items):
                yield statement.targets[0].id, tuple(map(str, texts))


def signature_of(node: ast.FunctionDef | ast.AsyncFunctionDef, class_documentation: str = "") -> Signature:
    """The signature of a function without its `self`. Arguments: the documentation of its class, if it has its own."""
    documentation = (ast.get_docstring(node) or "") + "\n\n" + class_documentation
    described = {entry.name: entry for entry in described_arguments(documentation)}
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    pairs = [*zip(positional, defaults, strict=True), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    static = any(
        isinstance(decorator, ast.Name) and decorator.id == "staticmethod" for decorator in node.decorator_list
    )
    if positional and not static:
        pairs = pairs[1:]
    found = []
    for argument, default in pairs:
        entry = described.get(argument.arg)
        annotation = ast.unparse(argument.annotation) if argument.annotation else (entry.type if entry else None)
        written = None if default is None else ast.unparse(default)
        found.append(Parameter(argument.arg, annotation or None, written, entry.text if entry else ""))
    if arguments.kwarg is None:
        return Signature(tuple(found))
    known = {parameter.name for parameter in found} | {arguments.kwarg.arg, "kwargs", "args", "self"}
    taken = [name for name in _taken_from(node, arguments.kwarg.arg) if name not in described]
    others = [
        documented(entry)
        for name, entry in {**described, **{name: Described(name, "", "") for name in taken}}.items()
        if name not in known
    ]
    return Signature((*found, *others), open=True)


def documented(entry: Described) -> Parameter:
    """An argument of which the documentation alone speaks."""
    return Parameter(entry.name, entry.type or None, None, entry.text, documented=True)


def _taken_from(node: ast.FunctionDef | ast.AsyncFunctionDef, words: str) -> Iterator[str]:
    """Names that a function takes out of its further keywords: `kwargs.pop("name", ...)`."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and isinstance(function := inner.func, ast.Attribute) and inner.args:
            first = inner.args[0]
            taken = (
                function.attr in ("pop", "get") and isinstance(function.value, ast.Name) and function.value.id == words
            )
            if taken and isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def _passes_on(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a method hands `**kwargs` to the same method of a base."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and isinstance(function := inner.func, ast.Attribute):
            base = function.value
            of_super = isinstance(base, ast.Call) and isinstance(base.func, ast.Name) and base.func.id == "super"
            if of_super and function.attr == node.name and any(word.arg is None for word in inner.keywords):
                return True
    return False


def _fields(node: ast.ClassDef, documentation: str) -> Signature:
    described = {entry.name: entry for entry in described_arguments(documentation)}
    found = []
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            annotation = ast.unparse(statement.annotation)
            if not annotation.startswith(("ClassVar", "typing.ClassVar")):
                name = statement.target.id
                default = None if statement.value is None else ast.unparse(statement.value)
                text = described[name].text if name in described else ""
                found.append(Parameter(name, annotation, default, text))
    return Signature(tuple(found))


def united(own: Signature, base: Signature) -> Signature:
    """The signature of a method that hands its further keywords to a base's. Arguments: both."""
    known = {parameter.name for parameter in own.parameters if not parameter.documented}
    mine = tuple(
        parameter for parameter in own.parameters if not parameter.documented or base.parameter(parameter.name) is None
    )
    theirs = tuple(parameter for parameter in base.parameters if parameter.name not in known)
    optional = tuple(replace(parameter, default=parameter.default or "...") for parameter in theirs)
    return Signature((*mine, *optional), base.open)
