"""References as values: variables, results of earlier steps and what can be asked of them, fields of entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dw_lsp.analysis.completion.arguments import ARGUMENTS_NAME
from dw_lsp.analysis.completion.expected import Expected
from dw_lsp.analysis.completion.items import Candidate
from dw_lsp.analysis.completion.scene import Scene
from dw_lsp.analysis.outputs import step_output
from dw_lsp.analysis.rules.values import fits
from dw_lsp.text.syntax_tree import Array, Node, Object, String
from dw_lsp.workflow.format.shapes import AnyShape, MediumShape, TextShape
from dw_lsp.workflow.model import Step
from dw_lsp.workflow.reader import PROSE
from dw_lsp.workflow.resolved import STEP_KINDS

_LONGEST = 60
#: What can be asked of results of which nothing certain is known.
_OF_PIPELINES = ("images", "frames", "audios", "image_embeds", "latents")
_OF_IMAGES = ("width", "height", "size", "mode")


def references(scene: Scene, wanted: Expected) -> Iterator[Candidate]:
    """The references that may stand for a value."""
    path = scene.path
    if wanted.key in PROSE and wanted.owner is not None and len(path) <= 3:
        return
    if path[:1] == ("variables",) and len(path) <= 2:
        return
    yield from _variables(scene, wanted)
    if len(path) > 3 and path[0] == "steps" and path[2] in STEP_KINDS and _takes_results(wanted):
        yield from _results(scene, wanted)
        yield from _entries(scene)
    if wanted.key == "frame_snap":
        constraints = scene.workflow.root.get("variable_constraints")
        for member in constraints.members if isinstance(constraints, Object) else ():
            yield Candidate(f"constraint:{member.key.value}", "variable", f"constraint:{member.key.value}")


def _takes_results(wanted: Expected) -> bool:
    """Whether a result could stand there: among arguments, not in what the format itself reads."""
    listed = wanted.within is not None and wanted.within.property(wanted.key) is not None
    given = wanted.within is not None and wanted.within.name == ARGUMENTS_NAME
    return given or not listed or isinstance(wanted.shape, (AnyShape, MediumShape))


def _variables(scene: Scene, wanted: Expected) -> Iterator[Candidate]:
    for name, variable in scene.variables.items():
        node = variable.member.value
        fitting = any(fits(node, option) for option in wanted.options()) and not _is_other_number(node, wanted)
        rank = 1 if name == wanted.key and fitting else 4 if fitting else 8
        text = f"variable:{name}"
        yield Candidate(text, "variable", text, shown(scene, node), rank=rank, short=name)


def _is_other_number(node: Node, wanted: Expected) -> bool:
    """Whether a text stands for one of a few choices, or an object for a text: possible, and rarely meant."""
    choices = [option for option in wanted.options() if isinstance(option, TextShape) and option.choices]
    return bool(choices) and isinstance(node, String) and node.value not in choices[0].choices


def shown(scene: Scene, node: Node) -> str:
    """A value as it is written, shortened to one line."""
    text = scene.spot.document.text[node.range.start : min(node.range.end, node.range.start + 4 * _LONGEST)]
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _results(scene: Scene, wanted: Expected) -> Iterator[Candidate]:
    typed = scene.spot.typed
    for step in reversed(scene.earlier):
        assert step.name is not None
        target = f"previous_result:{step.name.value}"
        output = step_output(scene.workflow, step)
        medium = any(isinstance(option, MediumShape) for option in wanted.options())
        rank = 2 if medium and output.kind in ("image", "video", "audio") and not output.properties else 5
        yield Candidate(target, "step", target, _said_of(step), rank=rank, short=step.name.value)
        if output.properties or typed.startswith(f"{target}."):
            for name in properties_of(scene, step):
                yield Candidate(f"{target}.{name}", "step", f"{target}.{name}", _said_of(step), rank=rank + 1)


def properties_of(scene: Scene, step: Step) -> tuple[str, ...]:
    """What can be asked of a step's results."""
    output = step_output(scene.workflow, step)
    if output.properties:
        return output.properties
    if output.kind == "image":
        return _OF_IMAGES
    return _OF_PIPELINES if step.kind in ("pipeline", "pipeline_reference") else ()


def _said_of(step: Step) -> str:
    return "" if step.kind is None else f"results of a {step.kind} step"


def step_names(scene: Scene, steps: Iterable[Step], *, with_properties: bool = False) -> Iterator[Candidate]:
    """Bare names of steps, the nearest first. Arguments: whether their results' properties are asked for, too."""
    for rank, step in enumerate(reversed(list(steps))):
        assert step.name is not None
        name = step.name.value
        yield Candidate(name, "step", name, f"{step.kind or 'unfinished'} step", rank=0 if rank == 0 else 1)
        if with_properties and (
            scene.spot.typed.startswith(f"{name}.") or step_output(scene.workflow, step).properties
        ):
            for asked in properties_of(scene, step):
                yield Candidate(f"{name}.{asked}", "step", f"{name}.{asked}", rank=2)


def _entries(scene: Scene) -> Iterator[Candidate]:
    """Fields of the entries for each of which the step is repeated."""
    entries = None if scene.step is None else scene.step.node.get("for_each")
    if entries is None:
        return
    yield Candidate("item:", "variable", "item:", "the entry", rank=3)
    fields: dict[str, None] = {}
    for entry in entries.items if isinstance(entries, Array) else ():
        fields.update(dict.fromkeys(member.key.value for member in entry.members) if isinstance(entry, Object) else {})
    for name in fields:
        yield Candidate(f"item:{name}", "variable", f"item:{name}", "a field of the entry", rank=2)
