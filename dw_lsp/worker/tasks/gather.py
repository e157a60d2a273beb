"""Commands that bring things together: images from files and addresses, values that later steps run over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from PIL import Image

from dw_lsp.worker.tasks.constraints import MediaReader, NotEmpty

Rule = Literal["argmax", "argmin", "first_above", "first_below", "index"]


def gather_images(media: MediaReader, glob: str | None = None, urls: list[str] | None = None) -> list[Image.Image]:
    """Images from files and addresses, each a result of its own: first those of the pattern, sorted by path.

    Args:
        glob: a pattern such as "photos/*.png", relative to the workflow file's folder.
        urls: http(s) addresses or paths.
    """
    locations = [str(path) for path in media.find(glob)] if glob is not None else []
    if glob is not None and not locations:
        raise ValueError(f"the pattern {glob!r} finds no file")
    return [media.image(location) for location in [*locations, *(urls or [])]]


def check_gather_images(arguments: Mapping[str, Any]) -> str | None:
    """What is wrong with the arguments of `gather_images` together."""
    return _check_sources("gather_images", arguments)


def check_gather_videos(arguments: Mapping[str, Any]) -> str | None:
    """What is wrong with the arguments of `gather_videos` together."""
    return _check_sources("gather_videos", arguments)


def _check_sources(command: str, arguments: Mapping[str, Any]) -> str | None:
    if arguments.get("glob") is None and not arguments.get("urls"):
        return f"{command} needs a 'glob' pattern or 'urls' that are not empty"
    return None


def gather_inputs(**inputs: Any) -> dict[str, Any]:
    """Hand the arguments on unchanged, as one object. (With `inputs`, a list, each item is a result of its own.)"""
    return inputs


def get_dict_value(dict: dict[str, Any], key: str) -> Any:
    """One member of an object.

    Args:
        dict: the object.
        key: the member's name.
    """
    if key not in dict:
        raise ValueError(f"the object has no member {key!r}; it has {', '.join(map(repr, dict)) or 'none'}")
    return dict[key]


def select(
    candidates: Annotated[list[Any], NotEmpty()],
    scores: list[float],
    rule: Rule,
    threshold: float | None = None,
    index: int | None = None,
) -> Any:
    """Choose one of several candidates by its score.

    Args:
        candidates: what to choose from.
        scores: a number for each candidate.
        rule: "argmax", "argmin", "first_above" or "first_below" (a threshold), or "index".
        threshold: the bound for "first_above" and "first_below".
        index: which one, for "index"; negative numbers count from the end.
    """
    if len(scores) != len(candidates):
        raise ValueError(f"there are {len(candidates)} candidates but {len(scores)} scores")
    if rule == "index" and index is not None:
        return candidates[_index(index, len(candidates))]
    if rule in ("argmax", "argmin"):
        best = max(scores) if rule == "argmax" else min(scores)
        return candidates[scores.index(best)]
    bound = threshold or 0.0
    for candidate, score in zip(candidates, scores, strict=True):
        if (score > bound) if rule == "first_above" else (score < bound):
            return candidate
    raise ValueError(f"no score is {'above' if rule == 'first_above' else 'below'} {bound}")


def check_select(arguments: Mapping[str, Any]) -> str | None:
    """What is wrong with the arguments of `select` together."""
    rule = arguments.get("rule")
    needed = {"index": "index", "first_above": "threshold", "first_below": "threshold"}.get(str(rule))
    return f"the rule {rule!r} needs {needed!r}" if needed is not None and arguments.get(needed) is None else None


def _index(index: int, count: int) -> int:
    if not -count <= index < count:
        raise ValueError(f"there is no candidate {index}: there are {count}")
    return index
