"""What a run would need on the device: exact weights, and what computing takes, step by step. Loads nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dw_lsp.planning.activations import Activations, Part, Picture, activations, picture_of
from dw_lsp.planning.measured import Measurements
from dw_lsp.planning.placing import Places, places_of
from dw_lsp.planning.requirements import RequiredPipeline
from dw_lsp.planning.weight_bytes import dtype_bytes
from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.resolved import ResolvedStep


@dataclass(frozen=True)
class Estimate:
    """Bytes: the most that any step needs at once, its weights and its computing; `measured`: corrected by experience.

    What several steps keep is no need: the least valuable leaves when room is wanted.
    """

    need: int
    weights: int
    computing: int
    measured: bool


@dataclass(frozen=True)
class PipelineCall:
    """A step that calls a pipeline, the step that defines that pipeline (often the same), and what it requires."""

    step: ResolvedStep
    definer: ResolvedStep
    required: RequiredPipeline


def pipeline_calls(
    steps: Iterable[ResolvedStep], defined: Mapping[str, tuple[ResolvedStep, RequiredPipeline]]
) -> Iterator[PipelineCall]:
    """The calls of pipelines among steps. Arguments: `defined` has the steps that define one, by name."""
    for step in steps:
        if (found := defined.get(str(step.body.get("reference_name", step.name)))) is not None:
            yield PipelineCall(step, *found)


def estimate(calls: Iterable[PipelineCall], device: str, known: Measurements | None = None) -> Estimate | None:
    """The need of the most demanding call; `None` where there is none, or a model's files are not here."""
    found: dict[tuple[int, Picture, object], Estimate | None] = {}
    for call in calls:
        picture, places = _asked_for(call.step), _places(call.definer, device)
        case = (id(call.required), picture, places)
        if case not in found:
            found[case] = _of_step(call.required, picture, places, device, known)
    if not found or any(each is None for each in found.values()):
        return None
    return max((each for each in found.values() if each is not None), key=lambda each: each.need)


def _asked_for(step: ResolvedStep) -> Picture:
    if "picture" not in step.facts:
        step.facts["picture"] = picture_of(step.body)
    found: Picture = step.facts["picture"]
    return found


def _places(step: ResolvedStep, device: str) -> Places:
    fact = f"places on {device}"
    if fact not in step.facts:
        step.facts[fact] = places_of(step, device)
    found: Places = step.facts[fact]
    return found


def _of_step(
    required: RequiredPipeline, picture: Picture, places: Places, device: str, known: Measurements | None
) -> Estimate | None:
    sizes = [(part.name, part.bytes) for part in required.parts]
    if any(size is None for _, size in sizes):
        return None
    weights = places.on_device((name, size or 0) for name, size in sizes)
    computing = computing_of(required, picture, device, known)
    expected = computing.expected if computing is not None else 0
    return Estimate(weights + expected, weights, expected, computing is not None and computing.measured)


def computing_of(
    required: RequiredPipeline, picture: Picture, device: str, known: Measurements | None
) -> Activations | None:
    """What computing takes in a call of the pipeline."""
    return activations(list(parts_of(required)), picture, device, known)


def parts_of(required: RequiredPipeline) -> Iterable[Part]:
    """The components of a pipeline with the bytes of one element of each."""
    wanted = required.loading.get("torch_dtype")
    for part in required.parts:
        dtype: Value = wanted
        if isinstance(wanted, dict):
            dtype = wanted.get(part.name, wanted.get("default"))
        yield Part(part.name, part.class_name, part.folder, dtype_bytes(dtype) or 4)
