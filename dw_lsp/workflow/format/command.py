"""The vocabulary in which the task commands are written down: a command, its arguments, what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.format.shapes import Dialect, MediumShape, NumberShape, Property, Shape, TextShape, key

#: What a command's results are; `any` when it depends on more than the command.
Output: TypeAlias = Literal["image", "video", "audio", "text", "data", "any"]
#: What becomes of keywords that are not listed: an error, nothing, or they go on to a model or detector.
Others: TypeAlias = Literal["refused", "ignored", "passed on"]
Kind: TypeAlias = Literal["command", "image processor", "video processor"]


@dataclass(frozen=True)
class Command:
    """A task command: its arguments, and what comes of it.

    `properties` are the keys of the object that it gives, as far as they are certain; `device` and `seed` say whether
    it takes these two besides its arguments.
    """

    name: str
    meaning: str
    arguments: tuple[Property, ...]
    gives: Output = "any"
    properties: tuple[str, ...] = ()
    dialect: Dialect = "AB"
    kind: Kind = "command"
    others: Others = "refused"
    device: bool = False
    seed: bool = False

    def argument(self, name: str) -> Property | None:
        """The argument of that name."""
        return next((argument for argument in self.arguments if argument.name == name), None)

    def accepts(self, name: str) -> bool:
        """Whether an argument of that name does no harm. The newer dialect lets `device` pass for every command."""
        return name == "device" or (name == "seed" and self.seed) or self.argument(name) is not None


def needed(name: str, shape: Shape, meaning: str, dialect: Dialect = "AB") -> Property:
    """An argument that must be given."""
    return key(name, shape, meaning, required=True, dialect=dialect)


def optional(name: str, shape: Shape, meaning: str, default: Value = None, dialect: Dialect = "AB") -> Property:
    """An argument that may be left out."""
    return key(name, shape, meaning, default=default, dialect=dialect)


IMAGE, VIDEO, AUDIO, MEDIUM = MediumShape("image"), MediumShape("video"), MediumShape("audio"), MediumShape("medium")
ABOVE_ZERO, FROM_ZERO = NumberShape(above=0), NumberShape(least=0)
COUNT, COUNT_FROM_ZERO = NumberShape(whole=True, least=1), NumberShape(whole=True, least=0)
SHARE, SHIFT = NumberShape(least=0, most=1), NumberShape(least=-1, most=1)
FULL_SCALE = NumberShape(most=0)


def one_of(*choices: str) -> TextShape:
    """One of these texts."""
    return TextShape(choices)


FRAMES_PER_SECOND = optional("fps", ABOVE_ZERO, "Frames per second; the video's own if not given.")
SAMPLE_RATE = optional("sample_rate", ABOVE_ZERO, "Samples per second of a sound that does not say it itself.")
