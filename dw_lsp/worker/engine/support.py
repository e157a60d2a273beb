"""What the format has and this engine does not do yet: an error that names the key, before anything is loaded.

A key is never ignored: it is carried out, or refused here with a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from dw_lsp.planning.chains import chain_of
from dw_lsp.planning.output_names import extension_of
from dw_lsp.protocol import RunOptions
from dw_lsp.text.syntax_tree import Value
from dw_lsp.worker.engine import sound_files, videos
from dw_lsp.worker.engine.pipeline_support import check_pipeline
from dw_lsp.worker.engine.refusals import PathPart, not_yet, only, refuse
from dw_lsp.worker.tasks.registry import TASKS, installation_hint, missing_packages
from dw_lsp.workflow.resolved import ResolvedStep

#: What a result may say; of sound, what belongs to no other kind of result says nothing there and is let be.
RESULT = frozenset(
    {
        "content_type",
        "save",
        "file_base_name",
        "fps",
        "sample_rate",
        "samplerate",
        "audio_sample_rate",
        "subtype",
        "format",
        "compression_level",
        "bitrate_mode",
        "embed_metadata",
        "subfolder",
        "role",
    }
)
#: Beginnings of texts that mean something which this engine cannot look up.
_REFERENCES = ("prompt:", "asset:", "output:", "item:", "gather:", "constraint:")
_SUBFOLDER = re.compile(r"[\w.-]+(/[\w.-]+)*")
_PIPELINES = ("pipeline", "pipeline_reference")
#: The content type of moving pictures.
VIDEO = "video/mp4"
_WRITTEN = ("image/png", "image/jpeg", "image/jpg", "image/webp", "image/gif", "image/bmp", "image/tiff")


def check_step(step: ResolvedStep, options: RunOptions) -> None:
    """Raise `InvalidInput`, with the key's place, for the first thing in a step that cannot be carried out."""
    if step.kind == "pipeline":
        check_pipeline(step, options)
    elif step.kind == "pipeline_reference":
        only(step, step.body, frozenset({"reference_name", "arguments", "chain"}), ("pipeline_reference",))
    elif step.kind == "task":
        _check_task(step)
    else:
        only(step, step.body, frozenset({"path", "arguments"}), ("workflow",))
    chain = chain_of(step) if step.kind in _PIPELINES else None
    if chain is not None and chain.save:
        _check_videos(step, "saving segments", (step.kind, "chain", "save_segments"))
    arguments = step.body.get("arguments")
    _check_values(step, arguments, (step.kind, "arguments"))
    _check_values(step, step.body.get("inputs"), (step.kind, "inputs"))
    if step.result is not None:
        _check_result(step, step.result)


# ---------------------------------------------------------------- tasks, values, results


def _check_task(step: ResolvedStep) -> None:
    only(step, step.body, frozenset({"command", "arguments", "inputs"}), ("task",))
    command = step.body.get("command")
    if not isinstance(command, str):
        raise refuse(step, ("task", "command"), "a task needs a `command`")
    if command not in TASKS:
        raise refuse(
            step, ("task", "command"), f"the task {command!r} is not carried out by this engine (yet)",
            f"It carries out {', '.join(sorted(TASKS))}.",
        )  # fmt: skip
    missing = missing_packages(command)
    if missing:
        message = f"the task {command!r} needs the package {' and '.join(missing.values())}, which is not installed"
        raise refuse(step, ("task", "command"), message, installation_hint(missing))


def _check_values(step: ResolvedStep, value: Value, path: tuple[PathPart, ...]) -> None:
    for place, _, found in walk_values(value, path):
        if isinstance(found, str) and found.startswith(_REFERENCES) and _is_reference(found):
            kind = found.partition(":")[0]
            raise refuse(step, place, f"`{kind}:` is not looked up by this engine yet ({found!r})")


def _is_reference(text: str) -> bool:
    """Whether the whole text is one reference: a sentence that happens to begin with "prompt:" is not."""
    return not any(letter.isspace() for letter in text)


def walk_values(value: Value, path: tuple[PathPart, ...]) -> Iterator[tuple[tuple[PathPart, ...], str, Value]]:
    """Every value inside a value: its path, the key that it stands under (of a list's item: the list's), itself."""
    pending: list[tuple[tuple[PathPart, ...], str, Value]] = [(path, str(path[-1]), value)]
    while pending:
        place, key, found = pending.pop()
        yield place, key, found
        if isinstance(found, dict):
            pending.extend(((*place, name), name, item) for name, item in reversed(found.items()))
        elif isinstance(found, list):
            pending.extend(((*place, index), key, found[index]) for index in reversed(range(len(found))))


def _check_result(step: ResolvedStep, result: Mapping[str, Value]) -> None:
    only(step, result, RESULT, ("result",))
    content_type = result.get("content_type")
    if not isinstance(content_type, str):
        raise refuse(step, ("result",), "a result needs a `content_type`, such as image/png")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == VIDEO:
        _check_videos(step, f"writing {content_type}", ("result", "content_type"))
    writable = kind in (*_WRITTEN, VIDEO, *sound_files.FORMATS) or kind.endswith("json") or kind.startswith("text/")
    if extension_of(content_type) is None:
        raise refuse(step, ("result", "content_type"), f"{content_type!r} is no content type that results can have")
    if not writable or kind in ("text/html", "text/xml"):
        raise not_yet(step, ("result", "content_type"), f"writing {content_type}")
    if kind in sound_files.FORMATS:
        _check_sound(step, kind, result)
    _check_file(step, result)
    _check_decoded(step, kind, result)


def _check_decoded(step: ResolvedStep, kind: str, result: Mapping[str, Value]) -> None:
    """What is written is not latents: as pictures they would be small and grey, and nothing else holds them."""
    arguments = step.body.get("arguments")
    output = arguments.get("output_type") if isinstance(arguments, dict) else None
    if step.kind in _PIPELINES and output in ("latent", "{latent}") and result.get("save") is not False:
        message = f"the `output_type` of step {step.name!r} is latent, and latents cannot be written as {kind}"
        hint = "With `save: false` they are handed on to later steps only; without `output_type` they are decoded."
        raise refuse(step, ("result", "content_type"), message, hint)


def _check_videos(step: ResolvedStep, doing: str, path: tuple[PathPart, ...]) -> None:
    if not videos.is_available():
        message = f"{doing} needs the package {videos.PACKAGE}, which the worker's Python does not have"
        raise refuse(step, path, message, f"Install it there: pip install {videos.PACKAGE}")


def _check_sound(step: ResolvedStep, kind: str, result: Mapping[str, Value]) -> None:
    for key in ("subtype", "format"):
        if not isinstance(result.get(key, ""), str):
            raise refuse(step, ("result", key), f"`{key}` should be a text")
    problem = sound_files.problem_of(kind, result)
    if problem is not None:
        at_fault, message, hint = problem
        raise refuse(step, ("result", at_fault), message, hint)


def _check_file(step: ResolvedStep, result: Mapping[str, Value]) -> None:
    """Numbers, folders and switches of a result."""
    for key in ("sample_rate", "samplerate", "audio_sample_rate"):
        rate = result.get(key)
        if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int) or rate <= 0):
            raise refuse(step, ("result", key), f"`{key}` should be a whole number above 0")
    subfolder = result.get("subfolder")
    if subfolder is not None and not (
        isinstance(subfolder, str) and _SUBFOLDER.fullmatch(subfolder) and ".." not in subfolder.split("/")
    ):
        raise refuse(step, ("result", "subfolder"), "a `subfolder` has letters, digits, `_`, `.`, `-` and `/` only")
    fps = result.get("fps")
    if fps is not None and (isinstance(fps, bool) or not isinstance(fps, (int, float)) or fps <= 0):
        raise refuse(step, ("result", "fps"), "`fps` should be a number above 0")
    for key in ("save", "embed_metadata"):
        if not isinstance(result.get(key, True), bool):
            raise refuse(step, ("result", key), f"`{key}` is true or false")
