"""Values that stand for more than they say: objects that become media or things of a class, and references."""

from __future__ import annotations

from collections.abc import Mapping

from dw_lsp.workflow.format.shapes import ARGUMENTS, TEXT, ObjectShape, Property, TextShape, key, nullable
from dw_lsp.workflow.references import ReferenceKind

MEDIUM_OBJECT = ObjectShape(
    "medium",
    "A picture, a video or a sound that is loaded when the workflow runs.",
    (
        key("location", TEXT, "Path or address of the medium.", required=True),
        key("media_type", TextShape(("image", "video")), "What kind of medium it is."),
    ),
    closed=False,
)
TYPED_OBJECT = ObjectShape(
    "object of a class",
    "A thing of a class, made when the workflow runs.",
    (
        key("from_file", nullable(TEXT), "File from which it is made."),
        key("from_previous_result", nullable(TEXT), "Step from whose result it is made."),
        key("from_arguments", nullable(ARGUMENTS), "Arguments with which it is made."),
    ),
    closed=False,
)
#: What each kind of reference stands for, where nothing more can be told of the one at hand.
REFERENCE_MEANINGS: Mapping[ReferenceKind, str] = {
    "variable": "The value of a variable.",
    "previous_result": "The results of an earlier step; the step runs once for each.",
    "constant": "A value that a Python module declares; a bare name is one of diffusers.",
    "builtin": "A workflow that comes with the engine.",
    "prompt": "The text of a file in the library of prompts.",
    "asset": "A file in the library of assets.",
    "output": "A file that an earlier run has written.",
    "item": "A field of the entry for which the step runs just now.",
    "gather": "All results of a group of steps, as one list.",
    "constraint": "The numbers that the constraint of a variable allows.",
}


def class_key(name: str) -> Property:
    """The key that names the class of an object. Arguments: the key's name, which ends in `_type`."""
    return key(name, TEXT, "Class of the object that is made here.", required=True)
