"""Classes and number types in words: what they are, where they come from, what they take."""

from __future__ import annotations

from dw_lsp.analysis.workspace import Workspace
from dw_lsp.catalog.classes import ClassEntry
from dw_lsp.catalog.environment import pip_install
from dw_lsp.catalog.signatures import Signature
from dw_lsp.planning.weight_bytes import dtype_bytes

_MOST_PARAMETERS = 14
#: What is shown of each kind: the call of what is called, else the constructor.
_METHODS = {"pipeline": "__call__"}


def type_text(name: str, workspace: Workspace) -> str | None:
    """What a type's name stands for; `None` when nobody can tell."""
    resolution = workspace.catalog.resolve(name)
    if resolution.entry is not None:
        return class_text(resolution.entry, workspace)
    if resolution.status == "absent":
        modules = " and ".join(f"`{module}`" for module in resolution.modules)
        return f"Needs {modules}, not installed in the worker's Python: `{pip_install(resolution.modules[0])}`"
    size = dtype_bytes(name)
    if resolution.status == "value" and size is not None:
        return f"**`{name}`** — {8 * size} bits, {size} bytes for each weight"
    return None


def class_text(entry: ClassEntry, workspace: Workspace) -> str:
    """A class: its signature, the first paragraph of its documentation, its module and version."""
    catalog = workspace.catalog
    signature = catalog.signature(entry, _METHODS.get(entry.kind, "__init__"))
    source = catalog.source(entry)
    package = catalog.environment.package(entry.package)
    version = f" {package.version}" if package is not None and package.version else ""
    kind = {"other": "class", "quantization": "quantization config"}.get(entry.kind, entry.kind)
    parts = [
        f"```python\n{entry.name}({_parameters(signature)})\n```",
        source.summary if source is not None else "",
        f"*{kind} of {entry.package}{version}, `{entry.module}`*",
    ]
    return "\n\n".join(part for part in parts if part)


def _parameters(signature: Signature | None) -> str:
    if signature is None:
        return "…"
    shown = [
        each.name + (f"={each.default}" if each.default not in (None, "...") else "")
        for each in signature.parameters
        if not each.documented
    ] or [each.name for each in signature.parameters]
    rest = ["…"] if len(shown) > _MOST_PARAMETERS or signature.open else []
    return ", ".join([*shown[:_MOST_PARAMETERS], *rest])
