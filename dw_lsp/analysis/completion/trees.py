"""What is written behind a key, or for a whole step, when nothing stands there yet: the needed parts, and blanks."""

from __future__ import annotations

from dw_lsp.analysis.completion.arguments import Argument, arguments_shape
from dw_lsp.analysis.completion.scene import Scene
from dw_lsp.analysis.completion.skeletons import Blank, Tree
from dw_lsp.analysis.outputs import step_output
from dw_lsp.analysis.rules.fixes.placeholders import USUAL_ARGUMENTS
from dw_lsp.analysis.rules.values import fits
from dw_lsp.text.document import path_of
from dw_lsp.text.syntax_tree import Node
from dw_lsp.workflow.format.command import Output
from dw_lsp.workflow.format.component import COMPONENT, FROM_PRETRAINED, SCHEDULER
from dw_lsp.workflow.format.pipeline import CHAIN, PIPELINE
from dw_lsp.workflow.format.result import CONTENT_TYPES
from dw_lsp.workflow.format.shapes import (
    AnyOf,
    FlagShape,
    ListShape,
    MapShape,
    NumberShape,
    ObjectShape,
    Property,
    Shape,
    TextShape,
)
from dw_lsp.workflow.format.step import STEP
from dw_lsp.workflow.resolved import STEP_KINDS, StepKind
from dw_lsp.workflow.type_uses import names_type

DTYPES = ("torch.bfloat16", "torch.float16", "torch.float32")
#: Keys that are nearly always wanted in an object that does not need them.
_USUAL = {
    FROM_PRETRAINED.name: ("model_name", "torch_dtype"),
    COMPONENT.name: ("configuration", "from_pretrained_arguments"),
    "scheduler configuration": ("scheduler_type",),
    CHAIN.name: ("segments",),
    SCHEDULER.name: ("configuration",),
    "workflow": ("path",),
}
#: Number types that keys are given first.
_FIRST_DTYPE = {"storage_dtype": "torch.float8_e4m3fn"}
#: Plain text that is usual under keys whose text would otherwise be taken for a type.
PLAIN_TEXTS = {
    "output_type": ("{pil}", "{np}", "{pt}", "{latent}"),
    "bnb_4bit_quant_type": ("{nf4}", "{fp4}"),
    "quant_type": ("{int8wo}", "{int4wo}", "{float8wo}"),
    "weights_dtype": ("{int8}", "{uint4}", "{int4}", "{float8_e4m3fn}"),
}
#: For each kind of result, the front of the content types that can hold it.
_HOLD: dict[Output, tuple[str, ...]] = {
    "image": ("image/",),
    "video": ("video/", "image/gif"),
    "audio": ("audio/",),
    "text": ("text/", "application/"),
    "data": ("application/", "text/"),
}


def tree_of(scene: Scene, wanted: Property, within: ObjectShape | None, node: Node | None = None) -> Tree:
    """What is written behind a key. Arguments: the shape of its object, and that object if it is there."""
    special = _special(scene, wanted.name, within)
    if special is not None:
        return special
    if isinstance(wanted, Argument):
        return _argument(scene, wanted)
    arguments = None if within is None else arguments_shape(scene, within, wanted.name, node)
    if arguments is not None:
        return _needed(scene, arguments)
    if names_type(wanted.name) and isinstance(wanted.shape, (TextShape, AnyOf)):
        first = _FIRST_DTYPE.get(wanted.name, DTYPES[0])
        return Blank(first, DTYPES) if wanted.name.endswith("dtype") else Blank("")
    if isinstance(wanted.shape, FlagShape):
        return Blank(not wanted.default)
    if wanted.default is not None:
        return _blank(wanted.shape, wanted.default)
    return shape_tree(scene, wanted.shape)


def _special(scene: Scene, name: str, within: ObjectShape | None) -> Tree:
    """What only the rest of the workflow tells."""
    if name == "id" and within is not None and within.name == "workflow file":
        path = path_of(scene.spot.document.uri)
        return Blank("workflow" if path is None else path.name.partition(".")[0] or "workflow")
    if name == "name" and within is STEP:
        return Blank(free_name(scene))
    if name == "content_type":
        fitting = content_types(scene)
        return Blank(fitting[0], tuple(fitting))
    if name == "reference_name":
        loaded = [step.name.value for step in scene.earlier if step.kind == "pipeline" and step.name is not None]
        return Blank(loaded[-1], tuple(loaded)) if loaded else Blank("")
    return None


def _argument(scene: Scene, wanted: Argument) -> Tree:
    """An argument: the variable of its name if there is one, else its default, else what it usually is."""
    variable = scene.variables.get(wanted.name)
    if variable is not None and fits(variable.member.value, wanted.shape):
        return Blank(f"variable:{wanted.name}")
    if wanted.name in PLAIN_TEXTS:
        return Blank(PLAIN_TEXTS[wanted.name][0], PLAIN_TEXTS[wanted.name])
    if names_type(wanted.name):
        return Blank(DTYPES[0], DTYPES) if wanted.name.endswith("dtype") else Blank("")
    value = USUAL_ARGUMENTS.get(wanted.name) if wanted.default is None else wanted.default
    if value is not None:
        return _blank(wanted.shape, value)
    return shape_tree(scene, wanted.shape)


def _blank(shape: Shape, value: object) -> Tree:
    choices = shape.choices or shape.suggestions if isinstance(shape, TextShape) else ()
    return Blank(value, choices) if isinstance(value, (bool, int, float, str)) else Blank("")


def shape_tree(scene: Scene, shape: Shape) -> Tree:
    """A value of a shape."""
    if isinstance(shape, AnyOf):
        return shape_tree(scene, shape.options[0])
    if isinstance(shape, TextShape):
        choices = shape.choices or shape.suggestions
        return Blank(choices[0] if choices else "", choices)
    if isinstance(shape, NumberShape):
        return Blank(_number(shape))
    if isinstance(shape, FlagShape):
        return Blank(True)
    if isinstance(shape, ListShape):
        return _list(scene, shape)
    if isinstance(shape, MapShape):
        return Blank({})
    return _needed(scene, shape) if isinstance(shape, ObjectShape) else Blank("")


def _list(scene: Scene, shape: ListShape) -> Tree:
    if shape.item is STEP:
        return [step_tree(scene, "pipeline")]
    if isinstance(shape.item, ObjectShape) or shape.at_least:
        return [shape_tree(scene, shape.item)]
    return Blank([])


def _number(shape: NumberShape) -> int | float:
    if shape.choices:
        return shape.choices[0]
    if shape.least is not None:
        return int(shape.least) if shape.least == int(shape.least) else shape.least
    if shape.above is not None:
        return int(shape.above) + 1
    return 0 if shape.whole or shape.most is not None else 1.0


def _needed(scene: Scene, shape: ObjectShape) -> Tree:
    """An object with the keys that it needs, or those that nearly always stand there."""
    usual = _USUAL.get(shape.name, ())
    groups = [group[0] for group in shape.one_of]
    wanted = [each for each in shape.properties if each.required or each.name in usual or each.name in groups]
    written = {each.name: tree_of(scene, each, shape) for each in wanted}
    if shape is PIPELINE and scene.call is None:
        written["arguments"] = {"prompt": _argument(scene, Argument("prompt", TextShape(), ""))}
    return written or Blank({})


# ---------------------------------------------------------------- steps


def free_name(scene: Scene, front: str = "step") -> str:
    """A name that no step has."""
    names = set(scene.workflow.step_names())
    return next(name for number in range(1, len(names) + 2) if (name := _numbered(front, number)) not in names)


def _numbered(front: str, number: int) -> str:
    return front if number == 1 else f"{front}_{number}"


def step_tree(scene: Scene, kind: StepKind) -> Tree:
    """A whole step of a kind."""
    wanted = STEP.property(kind)
    assert wanted is not None and isinstance(wanted.shape, ObjectShape)
    tree: dict[str, Tree] = {"name": Blank(free_name(scene)), kind: _needed(scene, wanted.shape)}
    if kind != "workflow":
        tree["result"] = {"content_type": Blank(CONTENT_TYPES[0], CONTENT_TYPES)}
    return tree


def step_trees(scene: Scene) -> list[tuple[StepKind, Tree]]:
    """A step of each kind that can be written here."""
    loaded = any(step.kind == "pipeline" for step in scene.earlier)
    return [(kind, step_tree(scene, kind)) for kind in STEP_KINDS if loaded or kind != "pipeline_reference"]


def content_types(scene: Scene) -> list[str]:
    """The content types, those first that can hold what the step gives."""
    output = "any" if scene.step is None else step_output(scene.workflow, scene.step).kind
    fronts = _HOLD.get(output, ())
    return sorted(CONTENT_TYPES, key=lambda kind: [not kind.startswith(front) for front in fronts])
