"""Rules on the classes that a workflow names: installed, and of the right kind for their place."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from dw_lsp.analysis.findings import Finding, Fix, Rule
from dw_lsp.analysis.rules.context import Context, finding
from dw_lsp.catalog.catalog import Resolution
from dw_lsp.catalog.environment import pip_install
from dw_lsp.text.edits import Edit
from dw_lsp.text.syntax_tree import Array, Node, Object, String
from dw_lsp.text.writing import quote
from dw_lsp.workflow.type_uses import Role, TypeUse

UNKNOWN_CLASS = Rule(
    "unknown-class",
    "error",
    "A class that the installed library does not have.",
    "Loading would fail. Newer and older versions of a library have other classes.",
    '"component_type": "FluxPipelin"',
    "Correct it to one of the names in the message, or install a version that has it.",
)
NOT_INSTALLED = Rule(
    "not-installed",
    "warning",
    "A class or module of a package that the worker's Python does not have.",
    "The run would end when it is needed.",
    '"config_type": "sdnq.SDNQConfig"',
    "Install the package into the worker's Python, as the message says.",
)
WRONG_CLASS = Rule(
    "wrong-class",
    "error",
    "A class of another kind than its place needs.",
    "A scheduler cannot be called as a pipeline: the run would fail after loading it.",
    '"component_type": "EulerDiscreteScheduler"',
    "Name a class of the kind in the message.",
)
#: What a place takes, in words, and the kinds that certainly do not serve there.
_WANTED: Mapping[Role, tuple[str, frozenset[str]]] = {
    "pipeline": ("a pipeline", frozenset({"model", "scheduler", "quantization", "tokenizer", "processor"})),
    "component": ("a component, such as a model or a tokenizer", frozenset({"pipeline", "quantization"})),
    "scheduler": ("a scheduler", frozenset({"pipeline", "model", "quantization", "tokenizer", "processor"})),
    "quantization": ("a quantization config", frozenset({"pipeline", "model", "scheduler", "tokenizer", "processor"})),
    "number": ("a number type such as torch.bfloat16", frozenset({"pipeline", "model", "scheduler", "quantization"})),
}


def classes(context: Context) -> Iterator[Finding]:
    """Classes that are not there, not installed, or of the wrong kind."""
    if context.workflow is None:
        return
    for use in context.types:
        package = use.name.partition(".")[0] if "." in use.name else "diffusers"
        if package in context.workspace.security.allowed_modules:
            yield from _judged(context, use)


def _judged(context: Context, use: TypeUse) -> Iterator[Finding]:
    resolution = context.workspace.catalog.resolve(use.name)
    if resolution.status == "unknown":
        yield _unknown(context, use, resolution)
    elif resolution.status == "absent":
        yield _absent(use.node, use.name, resolution)
    elif resolution.entry is not None and use.role in _WANTED:
        wanted, unfit = _WANTED[use.role]
        kind = resolution.entry.kind
        if kind in unfit and not (use.role == "pipeline" and _generates(use)):
            name = {"model": "a model", "quantization": "a quantization config"}.get(kind, f"a {kind}")
            yield finding(WRONG_CLASS, use.node.range, f"`{use.name}` is {name}; here belongs {wanted}.")


def _generates(use: TypeUse) -> bool:
    """Whether the object is not called but asked to generate, which models can do."""
    return use.owner.member("generate") is not None


def _unknown(context: Context, use: TypeUse, resolution: Resolution) -> Finding:
    node = use.node
    if use.role == "object" and "." not in use.name and not use.name[:1].isupper():
        # An ordinary argument whose name ends like a type's: its text has to stand in braces.
        escaped = f"{{{use.name}}}"
        message = f"Text under `{use.key}` is taken for a Python type; write `{escaped}` for the plain text."
        fix = Fix(f"Write {escaped}", (Edit(node.range, quote(escaped)),), preferred=True)
        return dataclasses.replace(finding(UNKNOWN_CLASS, node.range, message, fixes=(fix,)), severity="warning")
    package = use.name.partition(".")[0] if "." in use.name else "diffusers"
    installed = context.workspace.catalog.environment.package(package)
    version = f" {installed.version}" if installed is not None and installed.version else ""
    near = "".join(f" Did you mean `{name}`?" for name in resolution.near[:1])
    others = ", ".join(f"`{name}`" for name in resolution.near[1:])
    message = f"{package}{version} has no `{use.name}`.{near}" + (f" Others are {others}." if others else "")
    fixes = tuple(
        Fix(f"Change to {name}", (Edit(node.range, quote(name)),), preferred=index == 0)
        for index, name in enumerate(resolution.near)
    )
    return finding(UNKNOWN_CLASS, node.range, message, fixes=fixes)


def _absent(node: String, name: str, resolution: Resolution) -> Finding:
    modules = " and ".join(f"`{module}`" for module in resolution.modules)
    command = "; ".join(pip_install(module) for module in resolution.modules)
    verb = "is" if len(resolution.modules) == 1 else "are"
    if name.partition(".")[0] in resolution.modules:
        message = f"The package {modules} is not installed in the worker's Python. Run: {command}"
    else:
        message = f"`{name}` needs {modules}, which {verb} not installed in the worker's Python. Run: {command}"
    return finding(NOT_INSTALLED, node.range, message)


def modules(context: Context) -> Iterator[Finding]:
    """Modules that a pipeline imports before it is loaded and that are not installed."""
    for step in context.workflow.steps if context.workflow else ():
        for node in _imported(step.body):
            package = node.value.partition(".")[0]
            allowed = package in context.workspace.security.allowed_modules
            environment = context.workspace.catalog.environment
            if allowed and environment.search_path and not environment.has(package):
                yield _absent(node, node.value, Resolution("absent", modules=(package,)))


def _imported(body: Node | None) -> Iterator[String]:
    configuration = body.get("configuration") if isinstance(body, Object) else None
    listed = configuration.get("pre_load_modules") if isinstance(configuration, Object) else None
    for item in listed.items if isinstance(listed, Array) else ():
        if isinstance(item, String) and item.value and ":" not in item.value:
            yield item
