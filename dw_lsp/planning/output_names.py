"""The names of result files: which extension a content type has, and what a step's results are called."""

from __future__ import annotations

import re

#: Extension of each content type that results are written as.
EXTENSIONS = {
    "image/jpeg": ".jpg",
    "image/jpg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/bmp": ".bmp",
    "image/tiff": ".tiff",
    "video/mp4": ".mp4",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/aiff": ".aiff",
    "audio/flac": ".flac",
    "audio/x-flac": ".flac",
    "audio/mpeg": ".mp3",
    "audio/mp3": ".mp3",
    "audio/ogg": ".ogg",
    "audio/vorbis": ".ogg",
    "audio/opus": ".ogg",
    "application/json": ".json",
    "text/plain": ".txt",
    "text/markdown": ".md",
    "text/csv": ".csv",
}
_UNSAFE = re.compile(r"[^\w.@-]+")


def extension_of(content_type: str) -> str | None:
    """The extension for a content type (parameters such as `; charset=utf-8` do not count), or `None` if unknown."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in EXTENSIONS:
        return EXTENSIONS[kind]
    if kind.endswith("json"):
        return ".json"
    return ".txt" if kind.startswith("text/") else None


def safe_name(text: str) -> str:
    """The text as a part of a file name: no separators, no leading dots, never empty, at most 100 characters."""
    name = _UNSAFE.sub("_", text).strip(".")[:100]
    return name or "_"


def result_stem(
    workflow: str,
    step: str,
    step_index: int,
    result_index: int,
    artifact_index: int | None,
    base_name: str | None = None,
) -> str:
    """The name of a result's file without extension: `{id}-{step}.{step index}-{result index}.{artifact index}`.

    A `file_base_name` replaces the part in front of the first dot; JSON results have no artifact index (`None`).
    """
    front = safe_name(base_name) if base_name else f"{safe_name(workflow)}-{safe_name(step)}"
    artifact = "" if artifact_index is None else f".{artifact_index}"
    return f"{front}.{step_index}-{result_index}{artifact}"
