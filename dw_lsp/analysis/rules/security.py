"""Rules on what a workflow must not do unasked: it may come from anywhere, and running it must not run foreign code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from dw_lsp.analysis.findings import Finding, Fix, Rule
from dw_lsp.analysis.rules.context import Context, finding
from dw_lsp.catalog.models import weight_files
from dw_lsp.text.edits import remove_member
from dw_lsp.text.syntax_tree import Array, Boolean, Missing, Null, String
from dw_lsp.workflow.references import parse_reference

UNSAFE_TYPE = Rule(
    "unsafe-type",
    "error",
    "A type or module outside of the packages that are allowed.",
    "Importing a module runs its code.",
    '"component_type": "my_package.MyPipeline"',
    "Take a class of an allowed package, or add the package to the setting dw.security.allowedModules if you trust it.",
)
UNSAFE_CODE = Rule(
    "unsafe-code",
    "error",
    "Code that comes with a model is to be run.",
    "It runs with all your rights, and changes whenever its author changes it.",
    '"trust_remote_code": true',
    "Remove the key, or set dw.security.trustRemoteCode if you trust the author.",
)
UNSAFE_WEIGHTS = Rule(
    "unsafe-weights",
    "error",
    "Weights in a format that can run code when they are loaded.",
    "Files of Python's pickle are programs; safetensors and GGUF hold numbers alone.",
    '"from_single_file": "./model.ckpt"',
    "Take the safetensors file, or set dw.security.allowPickle if you trust the author.",
)
_CODE_KEYS = ("trust_remote_code", "custom_pipeline", "custom_generate")
_SAFE_WEIGHTS = (".safetensors", ".gguf")
_PICKLES = (".ckpt", ".bin", ".pt", ".pth", ".pkl", ".pickle")


def unsafe_type(context: Context) -> Iterator[Finding]:
    """Types, constants and modules outside of the allowed packages."""
    workflow = context.workflow
    if workflow is None:
        return
    named = [use.node for use in context.types if "." in use.name]
    for node in (*named, *_imported(context)):
        yield from _outside(context, node, node.value)
    for use in workflow.uses:
        if use.reference.kind == "constant" and "." in use.reference.name:
            yield from _outside(context, use.node, use.reference.name)


def _outside(context: Context, node: String, name: str) -> Iterator[Finding]:
    package = name.partition(".")[0]
    if package and package not in context.workspace.security.allowed_modules:
        message = f"`{package}` is not among the packages that a workflow may use (dw.security.allowedModules)."
        yield finding(UNSAFE_TYPE, node.range, message)


def _imported(context: Context) -> Iterator[String]:
    for _, member in context.members.get("pre_load_modules", ()):
        for item in member.value.items if isinstance(member.value, Array) else ():
            if isinstance(item, String) and parse_reference(item.value) is None:
                yield item


def unsafe_code(context: Context) -> Iterator[Finding]:
    """Code of strangers that is to be run."""
    if context.workflow is None or context.workspace.security.trust_remote_code:
        return
    for owner, member in (found for key in _CODE_KEYS for found in context.members.get(key, ())):
        if isinstance(member.value, (Null, Missing)) or (isinstance(member.value, Boolean) and not member.value.value):
            continue
        message = f"`{member.key.value}` runs code that comes with the model (dw.security.trustRemoteCode allows it)."
        edits = remove_member(context.document.text, owner, member)
        yield finding(UNSAFE_CODE, member.key.range, message, fixes=(Fix(f"Remove {member.key.value}", edits),))


def unsafe_weights(context: Context) -> Iterator[Finding]:
    """Weights that may run code when they are loaded."""
    if context.workflow is None or context.workspace.security.allow_pickle:
        return
    for _, member in context.members.get("use_safetensors", ()):
        if isinstance(member.value, Boolean) and not member.value.value:
            message = "Without safetensors, weights are loaded that can run code (dw.security.allowPickle allows it)."
            yield finding(UNSAFE_WEIGHTS, member.value.range, message)
    for node in _weight_names(context):
        if _suffix(node.value) in _PICKLES:
            message = f"`{_suffix(node.value)}` files can run code when they are loaded; take the safetensors file."
            yield finding(UNSAFE_WEIGHTS, node.range, message)
    for use in context.paths:
        folder = context.model_folder(use.text) if use.purpose == "model" else None
        if folder is not None and (pickle := _only_pickles(folder)):
            message = f"{use.text} has no safetensors: {pickle} can run code (dw.security.allowPickle allows it)."
            yield finding(UNSAFE_WEIGHTS, use.node.range, message)


def _weight_names(context: Context) -> Iterator[String]:
    """The files of weights that are named. An IP-Adapter's is not among them: its loader reads tensors alone."""
    adapters = {id(owner) for _, member in context.members.get("ip_adapter", ()) for owner in [member.value]}
    for key in ("from_single_file", "weight_name"):
        for owner, member in context.members.get(key, ()):
            if isinstance(member.value, String) and id(owner) not in adapters:
                yield member.value


def _suffix(text: str) -> str:
    return os.path.splitext(text.partition("?")[0])[1].lower()


def _only_pickles(folder: Path) -> str | None:
    """A file of weights that is the only choice of its folder, or of one of its parts, and a pickle."""
    try:
        folders = [folder, *(entry for entry in folder.iterdir() if entry.is_dir())]
        for place in folders:
            chosen = weight_files(sorted(file for file in place.iterdir() if file.is_file()), None)
            if chosen and chosen[0].suffix in _PICKLES and not any(file.suffix in _SAFE_WEIGHTS for file in chosen):
                return chosen[0].name
    except (OSError, ValueError):
        return None
    return None
