"""The files that a run would write, in the order in which it writes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePath

from dw_lsp.planning.chains import chain_of, segment_name
from dw_lsp.planning.counts import Counts
from dw_lsp.planning.output_names import extension_of, result_stem, safe_name
from dw_lsp.workflow.resolved import ResolvedStep


def result_files(workflow: str, step: ResolvedStep, counts: Counts, prefix: str) -> Iterator[PurePath]:
    """The files that a step's results would be written to, in the run's folder; none where their number is unknown.

    Arguments: the workflow's id; `prefix` stands before each name.
    """
    result = step.result
    if result is None or result.get("save") is False:
        return
    content_type, base_name, subfolder = (result.get(key) for key in ("content_type", "file_base_name", "subfolder"))
    extension = extension_of(content_type) if isinstance(content_type, str) else None
    iterations, results = counts.iterations(step), counts.results(step)
    if extension is None or not iterations or not results:
        return
    base = base_name if isinstance(base_name, str) else None
    folder = PurePath(subfolder) if isinstance(subfolder, str) else PurePath()
    each = max(1, results // iterations)
    for iteration in range(iterations):
        for artifact in range(each):
            # A list that a task returns is several results; what a pipeline returns is one with several artifacts.
            at = (iteration * each + artifact, 0) if step.kind == "task" else (iteration, artifact)
            number = None if extension == ".json" else at[1]
            stem = result_stem(workflow, step.name, step.index, at[0], number, base)
            yield folder / f"{prefix}{stem}{extension}"


def segment_files(workflow: str, step: ResolvedStep, counts: Counts, prefix: str) -> Iterator[PurePath]:
    """The files of a chain's segments that are there when the run is over."""
    chain = chain_of(step) if step.kind in ("pipeline", "pipeline_reference") else None
    if chain is None or not (chain.save and chain.keep) or chain.segments is None:
        return
    stem = f"{prefix}{safe_name(workflow)}-{safe_name(step.name)}"
    for iteration in range(counts.iterations(step) or 0):
        yield from (PurePath(segment_name(stem, iteration, segment)) for segment in range(chain.segments))


def numbered(files: Iterable[PurePath]) -> Iterator[PurePath]:
    """The names under which files are written: a second one of a name gets `-2` before its extension, and so on."""
    taken: set[PurePath] = set()
    last: dict[PurePath, int] = {}
    for wanted in files:
        place, number = wanted, last.get(wanted, 1)
        while place in taken:
            number += 1
            place = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
        taken.add(place)
        last[wanted] = number
        yield place
