"""Which commands there are, and the check of a command's arguments against its function's own signature."""

from __future__ import annotations

import difflib
import functools
import importlib.util
import inspect
import sys
import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union

from PIL import Image

from dw_lsp.worker.tasks import border, depth, gather, grid, language, qr_code, resize, segment, sound, text, video
from dw_lsp.worker.tasks.constraints import MediaReader, Task
from dw_lsp.worker.tasks.frames import PICTURE, on_each_frame, works_on_frames
from dw_lsp.worker.tasks.models import Models
from dw_lsp.workflow.format.commands import COMMANDS

TASKS: Mapping[str, Task] = {
    "add_border_and_mask": Task(border.add_border_and_mask),
    "add_border_and_mask_with_size": Task(border.add_border_and_mask_with_size),
    "add_watermark": Task(border.add_watermark),
    "compose_text": Task(text.compose_text),
    "concat_videos": Task(video.concat_videos, together=video.check_concat_videos),
    "crossfade_audio": Task(sound.crossfade_audio),
    "crop_square": Task(resize.crop_square),
    "depth": Task(depth.depth),
    "depth_estimator": Task(depth.depth_estimator),
    "depth_estimator_tensor": Task(depth.depth_estimator_tensor),
    "extract_sections": Task(text.extract_sections),
    "format_chat_message": Task(text.format_chat_message),
    "gather_images": Task(gather.gather_images, together=gather.check_gather_images),
    "gather_videos": Task(video.gather_videos, {"av": "av"}, gather.check_gather_videos),
    "gather_inputs": Task(gather.gather_inputs),
    "get_dict_value": Task(gather.get_dict_value),
    "get_first_frame": Task(video.get_first_frame),
    "get_frame": Task(video.get_frame),
    "get_image_size": Task(resize.get_image_size),
    "get_last_frame": Task(video.get_last_frame),
    "image_to_text": Task(language.image_to_text),
    "ingredients_grid": Task(grid.ingredients_grid),
    "loop_frames": Task(video.loop_frames),
    "pair_audio": Task(sound.pair_audio),
    "qr_code": Task(qr_code.qr_code, {"segno": "segno"}),
    "recenter_crop": Task(resize.recenter_crop),
    "resize_bucket": Task(resize.resize_bucket),
    "resize_center_crop": Task(resize.resize_center_crop),
    "resize_resample": Task(resize.resize_resample),
    "resize_rescale": Task(resize.resize_rescale),
    "segment": Task(segment.segment),
    "select": Task(gather.select, together=gather.check_select),
    "slice_audio": Task(sound.slice_audio, together=sound.check_slice_audio),
    "strip_exif": Task(resize.strip_exif),
    "text_generation": Task(language.text_generation),
    "trim_video": Task(video.trim_video),
    "video_frames": Task(video.video_frames),
    "zoe_depth": Task(depth.zoe_depth),
}


@dataclass(frozen=True)
class ArgumentProblem:
    """What is wrong with a task's arguments. `name` is the argument at fault, `None` for one that is absent."""

    name: str | None
    message: str


@dataclass(frozen=True)
class Parameter:
    """One argument of a command: its type as written, and whether it must be given."""

    name: str
    annotation: Any
    required: bool


@functools.cache
def parameters(command: str) -> tuple[Mapping[str, Parameter], bool]:
    """A command's arguments by name, and whether it takes any others too."""
    function = TASKS[command].function
    hints = typing.get_type_hints(function, include_extras=True)
    found: dict[str, Parameter] = {}
    anything = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            anything = True
        elif hints[parameter.name] not in (MediaReader, Models):
            required = parameter.default is inspect.Parameter.empty
            found[parameter.name] = Parameter(parameter.name, hints[parameter.name], required)
    return found, anything


def missing_packages(command: str) -> dict[str, str]:
    """Packages that a command needs and this Python does not have: import name -> distribution."""
    packages = TASKS[command].packages or {}
    return {name: package for name, package in packages.items() if importlib.util.find_spec(name) is None}


def check_arguments(
    command: str, arguments: Mapping[str, Any], pending: Collection[str] = ()
) -> ArgumentProblem | None:
    """The first problem of a command's arguments, or `None`.

    Arguments: `pending` are names whose values are not known yet (they refer to results, or are files to be read) and
    are not looked at.
    """
    known, _ = parameters(command)
    for name in arguments:
        if name not in known and not _let_pass(command, name):
            close = difflib.get_close_matches(name, known, 1)
            advice = f"; did you mean {close[0]!r}?" if close else f"; it takes {', '.join(known)}"
            return ArgumentProblem(name, f"the task {command!r} has no argument {name!r}{advice}")
    for parameter in known.values():
        if parameter.required and parameter.name not in arguments:
            return ArgumentProblem(None, f"the task {command!r} needs the argument {parameter.name!r}")
    for name, value in arguments.items():
        if name in known and name not in pending:
            problem = _misfit(known[name].annotation, value)
            if problem:
                return ArgumentProblem(name, f"the argument {name!r} of the task {command!r} {problem}")
    together = TASKS[command].together
    message = together(arguments) if together is not None else None
    return None if message is None else ArgumentProblem(None, message)


def run_task(command: str, arguments: Mapping[str, Any], media: MediaReader, models: Models | None = None) -> Any:
    """Carry out a command.

    Arguments: `arguments` are live values (images are loaded), `media` is handed to the commands that read files,
    `models` to those that compute with some.
    Raises `ValueError`, with a sentence for people, when a value does not fit.
    """
    picture = arguments.get(PICTURE)
    if works_on_frames(command, picture):
        return on_each_frame(picture, lambda frame: run_task(command, {**arguments, PICTURE: frame}, media, models))
    problem = check_arguments(command, arguments)
    if problem is not None:
        raise ValueError(problem.message)
    function = TASKS[command].function
    hints = typing.get_type_hints(function)
    known = {MediaReader: media, Models: models}
    handed = {name: known[annotation] for name, annotation in hints.items() if annotation in known}
    unused = unused_arguments(command, arguments)
    return function(**handed, **{name: value for name, value in arguments.items() if name not in unused})


def unused_arguments(command: str, arguments: Collection[str]) -> list[str]:
    """The arguments that a command lets pass and has no use for, such as `device` of one without a model."""
    known, anything = parameters(command)
    return [] if anything else [name for name in arguments if name not in known]


def _let_pass(command: str, name: str) -> bool:
    described = COMMANDS[command]
    return parameters(command)[1] or described.others == "ignored" or described.accepts(name)


def _misfit(annotation: Any, value: Any) -> str | None:
    """Why a value does not fit a parameter's annotation, as the end of a sentence; `None` when it fits."""
    origin = typing.get_origin(annotation)
    if annotation is Any:
        return None
    if origin is Annotated:
        kind, *constraints = typing.get_args(annotation)
        found = _misfit(kind, value)
        return found or next((text for each in constraints if (text := each.problem(value))), None)
    if origin in (Union, types.UnionType):
        problems = {option: _misfit(option, value) for option in typing.get_args(annotation)}
        told = [problem for option, problem in problems.items() if problem and option is not type(None)]
        return None if None in problems.values() else " or ".join(told)
    if origin is Literal:
        options = typing.get_args(annotation)
        return None if value in options else f"must be one of {', '.join(map(repr, options))}, not {value!r}"
    if origin is list:
        return _misfit_list(typing.get_args(annotation)[0], value)
    return _misfit_plain(origin or annotation, value)


def _misfit_list(item: Any, value: Any) -> str | None:
    if not isinstance(value, (list, tuple)):
        return f"must be a list, not {_kind(value)}"
    for index, part in enumerate(value):
        problem = _misfit(item, part)
        if problem:
            return f"has an item ({index}) that {problem}"
    return None


#: How each plain type is called, and the Python types that may stand for it.
_PLAIN: Mapping[Any, tuple[str, tuple[type, ...]]] = {
    str: ("a text", (str,)),
    int: ("a whole number", (int,)),
    float: ("a number", (int, float)),
    bool: ("true or false", (bool,)),
    dict: ("an object", (dict,)),
    type(None): ("absent", (type(None),)),
    Image.Image: ("an image", (Image.Image,)),
}


def _misfit_plain(kind: Any, value: Any) -> str | None:
    name, accepted = _PLAIN.get(kind, (getattr(kind, "__name__", str(kind)), (kind,)))
    fits = isinstance(value, accepted) and (kind is bool or not isinstance(value, bool))
    return None if fits else f"must be {name}, not {_kind(value)}"


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    for name, accepted in _PLAIN.values():
        if isinstance(value, accepted):
            return f"{name} ({value!r})" if isinstance(value, (str, int, float)) and len(str(value)) < 60 else name
    return f"a {type(value).__name__}"


def installation_hint(packages: Mapping[str, str]) -> str:
    """The command that installs missing packages into this Python."""
    return f"{sys.executable} -m pip install {' '.join(packages.values())}"
