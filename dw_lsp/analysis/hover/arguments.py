"""Arguments in words: of calls, of loading, of objects that become media or things of a class."""

from __future__ import annotations

from dw_lsp.analysis.calls import step_call
from dw_lsp.analysis.completion.arguments import argument_of
from dw_lsp.analysis.completion.expected import Expected, expected_at
from dw_lsp.analysis.completion.scene import Scene
from dw_lsp.analysis.hover.classes import type_text
from dw_lsp.analysis.hover.properties import property_text
from dw_lsp.catalog.signatures import Signature
from dw_lsp.text.cursor import Path
from dw_lsp.text.syntax_tree import Object, String
from dw_lsp.workflow.format.component import FROM_PRETRAINED
from dw_lsp.workflow.format.special_values import MEDIUM_OBJECT, TYPED_OBJECT, class_key
from dw_lsp.workflow.type_uses import names_type

_CLASS_KEYS = ("component_type", "config_type", "scheduler_type")
_ARGUMENTS = frozenset({"arguments", "from_config_args", "from_arguments"})


def argument_text(scene: Scene, path: Path, expected: Expected) -> str | None:
    """An argument, for a key that is not in the tables. Arguments: its path, and what may stand there."""
    around = expected_at(scene, path[:-1])
    shape = around.object_shape
    if shape is FROM_PRETRAINED:
        return _of_loader(scene, path)
    known = None if shape is None else shape.property(expected.key)
    if known is not None:
        return property_text(known)
    return _of_object(expected) or _of_call(scene, path) or _of_absent(scene, path)


def _of_loader(scene: Scene, path: Path) -> str | None:
    """A keyword that is handed to the class' `from_pretrained`."""
    named = _class_beside(scene, path)
    entry = None if named is None else scene.workspace.catalog.resolve(named.value).entry
    signature = None if entry is None else scene.workspace.catalog.signature(entry, "from_pretrained")
    return _parameter_text(signature, str(path[-1]))


def _parameter_text(signature: Signature | None, name: str) -> str | None:
    parameter = None if signature is None else signature.parameter(name)
    return None if parameter is None else property_text(argument_of(parameter))


def _of_object(expected: Expected) -> str | None:
    """A key of an object that becomes a medium or a thing of a class."""
    owner, key = expected.owner, expected.key
    if owner is None:
        return None
    known = MEDIUM_OBJECT.property(key)
    if known is not None and owner.member("location") is not None:
        return property_text(known)
    if not any(member.key.value.endswith("_type") for member in owner.members):
        return None
    is_made = any(owner.member(source.name) is not None for source in TYPED_OBJECT.properties)
    known = class_key(key) if is_made and key.endswith("_type") and names_type(key) else TYPED_OBJECT.property(key)
    return None if known is None else property_text(known)


def _of_call(scene: Scene, path: Path) -> str | None:
    """An argument of a pipeline that nobody knows yet, because its class only chooses one."""
    if scene.step is None or path[3:4] != ("arguments",) or len(path) != 5:
        return None
    call = step_call(scene.workflow, scene.step, scene.workspace, scene.folder)
    if call is None or call.entry is not None:
        return None
    told = _parameter_text(call.signature, str(path[-1]))
    return None if told is None else f"{told}\n\nSome pipelines take it; `{call.name}` chooses one when it is loaded."


def _of_absent(scene: Scene, path: Path) -> str | None:
    """An argument of a class that is not installed, of which nothing more can be told."""
    named = _class_beside(scene, path) if len(path) > 1 and path[-2] in _ARGUMENTS else None
    if named is None or scene.workspace.catalog.resolve(named.value).status != "absent":
        return None
    return f"**`{path[-1]}`** — argument of `{named.value}`\n\n{type_text(named.value, scene.workspace)}"


def _class_beside(scene: Scene, path: Path) -> String | None:
    """The class that the object around an object of arguments names."""
    owner = scene.node(path[:-2])
    configuration = owner.get("configuration") if isinstance(owner, Object) else None
    if isinstance(configuration, Object):
        named = [configuration.get(key) for key in _CLASS_KEYS]
    else:
        members = owner.members if isinstance(owner, Object) else ()
        named = [member.value for member in members if member.key.value.endswith("_type")]
    return next((node for node in named if isinstance(node, String)), None)
