"""How often the steps of a workflow run and how many results they give, as far as that is known before they run."""

from __future__ import annotations

from collections.abc import Iterable

from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.references import parse_reference, split_result
from dw_lsp.workflow.resolved import ResolvedStep

#: Arguments that say how many results a call gives for each prompt.
BATCHES = ("num_images_per_prompt", "num_videos_per_prompt", "num_waveforms_per_prompt")
_GATHERING = ("gather_images", "gather_videos")
#: Commands whose answer may be a list, and so several results, for reasons that are not in the text.
_ANYTHING = ("select", "get_dict_value")


def makes_nothing(step: ResolvedStep, argument: str) -> bool:
    """Whether a call would make nothing at all if the list under an argument were empty; others may well be."""
    return argument == "prompt" and step.kind in ("pipeline", "pipeline_reference")


class Counts:
    """Iterations and results of steps, which are added in their order; `None` where that is not known.

    Arguments: `handed` are the names of single results that a calling workflow hands in.
    """

    def __init__(self, handed: Iterable[str] = ()) -> None:
        self._results: dict[str, int | None] = dict.fromkeys(handed, 1)
        self._iterations: dict[str, int | None] = {}

    def add(self, step: ResolvedStep, results: int | None = None) -> None:
        """Count a step. Arguments: how many results it gives, if that is known otherwise than from its own text."""
        iterations = self._count(step)
        self._iterations[step.name] = iterations
        if results is None and iterations is not None:
            results = _results_of(step, iterations)
        self._results[step.name] = results

    def iterations(self, step: ResolvedStep) -> int | None:
        """How often it runs."""
        return self._iterations[step.name]

    def results(self, step: ResolvedStep) -> int | None:
        """How many results it gives."""
        return self._results[step.name]

    def _count(self, step: ResolvedStep) -> int | None:
        inputs = step.body.get("inputs")
        if isinstance(inputs, list):
            counts = [self._combinations(item) for item in inputs]
            return None if None in counts else sum(count or 0 for count in counts)
        return self._combinations(step.body.get("arguments") if inputs is None else inputs)

    def _combinations(self, value: Value) -> int | None:
        total = 1
        for target in _results_used(value):
            count = self._results.get(split_result(target, self._results)[0])
            if count is None:
                return None
            total *= count
        return total


def _results_used(value: Value) -> list[str]:
    if isinstance(value, dict):
        return [target for item in value.values() for target in _results_used(item)]
    if isinstance(value, list):
        return [target for item in value for target in _results_used(item)]
    if isinstance(value, str):
        reference = parse_reference(value)
        if reference is not None and reference.kind == "previous_result":
            return [reference.target]
    return []


def _results_of(step: ResolvedStep, iterations: int) -> int | None:
    """The number of artifacts of a step, where its own text decides it."""
    arguments = step.body.get("arguments")
    values = arguments if isinstance(arguments, dict) else {}
    if step.body.get("chain") is not None:
        return iterations
    if step.kind in ("pipeline", "pipeline_reference"):
        prompt = values.get("prompt")
        images = next((values[key] for key in BATCHES if key in values), 1)
        prompts = len(prompt) if isinstance(prompt, list) else 1
        return iterations * prompts * images if isinstance(images, int) else None
    if step.kind != "task" or step.body.get("command") in _ANYTHING:
        return None
    if step.body.get("command") in _GATHERING:
        urls = values.get("urls")
        return len(urls) if isinstance(urls, list) and "glob" not in values else None
    return iterations
