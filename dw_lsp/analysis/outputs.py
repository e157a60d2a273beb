"""What a step's results are, as far as the workflow alone makes it certain."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dw_lsp.analysis.variable_values import resolved_values
from dw_lsp.planning.input_files import is_video_file
from dw_lsp.text.syntax_tree import Array, Boolean, Node, Object, String
from dw_lsp.workflow.format.command import Command, Output
from dw_lsp.workflow.format.commands import COMMANDS
from dw_lsp.workflow.format.shapes import MediumShape
from dw_lsp.workflow.model import Step, Workflow
from dw_lsp.workflow.references import parse_reference, split_result

#: Pipelines whose call gives images, and those whose call gives frames; names by which each family begins.
_IMAGES = re.compile(
    r"(StableDiffusion|AutoPipelineFor|Flux|ZImage|QwenImage|Sana|PixArt|Kolors|Chroma|HiDream|Lumina|AuraFlow|CogView|"
    r"HunyuanDiT|HunyuanImage|OmniGen|GlmImage|LatentConsistencyModel|Kandinsky(?!5)|Amused)\w*Pipeline\w*"
)
_VIDEOS = re.compile(
    r"(Wan|CogVideoX|LTX|Mochi|HunyuanVideo|AnimateDiff|StableVideoDiffusion|Latte|Allegro|EasyAnimate|SkyReels|I2VGenXL)"
    r"\w*Pipeline\w*"
)
#: Parts of names of which the rest says nothing: embeddings, latents, other media.
_OTHER = re.compile(r"Prior|Video|T2V|I2V|V2V|Upsampl|Audio|Combined")
_INVERSION = ("inverted_latents", "image_latents", "latent_image_ids")
_GENERATION = ("generated_ids",)
#: Whoever follows references further than this goes in a circle.
_MOST_FOLLOWED = 20


@dataclass(frozen=True)
class StepOutput:
    """What a step gives: the kind of its results, and the keys of the object that each is (none: unknown, or none)."""

    kind: Output
    properties: tuple[str, ...] = ()


UNCERTAIN = StepOutput("any")


def step_output(workflow: Workflow, step: Step, depth: int = 0) -> StepOutput:
    """What a step gives; `UNCERTAIN` when in doubt. Arguments: `depth` counts the steps that were followed back."""
    if step.kind == "task":
        return _task(workflow, step, depth)
    if step.kind == "pipeline" and isinstance(step.body, Object):
        return _pipeline(step.body, step.body)
    if step.kind == "pipeline_reference" and isinstance(step.body, Object):
        name = step.body.get("reference_name")
        loaded = step_named(workflow, name.value) if isinstance(name, String) else None
        if loaded is not None and loaded.kind == "pipeline" and isinstance(loaded.body, Object):
            return _pipeline(loaded.body, step.body, referred=True)
    return UNCERTAIN


def step_named(workflow: Workflow, name: str) -> Step | None:
    """The step of that name; `None` if there is none, or more than one."""
    found = [step for step in workflow.steps if step.name is not None and step.name.value == name]
    return found[0] if len(found) == 1 else None


def _task(workflow: Workflow, step: Step, depth: int) -> StepOutput:
    body = step.body
    name = body.get("command") if isinstance(body, Object) else None
    command = COMMANDS.get(name.value) if isinstance(name, String) else None
    if command is None or not isinstance(body, Object) or body.get("inputs") is not None:
        return UNCERTAIN
    if _works_on_frames(workflow, step, command, body.get("arguments"), depth):
        return UNCERTAIN
    return StepOutput(command.gives, command.properties)


def _works_on_frames(workflow: Workflow, step: Step, command: Command, arguments: Node | None, depth: int) -> bool:
    """Whether an image command may be handed something else than an image, of which it then makes something else."""
    taken = [known.name for known in command.arguments if known.shape == MediumShape("image")]
    for name in taken:
        node = arguments.get(name) if isinstance(arguments, Object) else None
        if isinstance(node, Array) or _moves(workflow, node):
            return True
        reference = parse_reference(node.value) if isinstance(node, String) else None
        if reference is None or reference.kind in ("variable", "asset", "output"):
            continue  # Loaded as an image.
        target, asked = split_result(reference.target, workflow.step_names())
        source = step_named(workflow, target)
        if (
            reference.kind != "previous_result"
            or source is None
            or source.index >= step.index
            or depth > _MOST_FOLLOWED
        ):
            return True
        given = step_output(workflow, source, depth + 1)
        if given.kind != "image" or (asked is not None and asked not in given.properties):
            return True
    return False


def _moves(workflow: Workflow, node: Node | None) -> bool:
    """Whether what is named for a picture is a video: it says so itself, or its name ends like one's."""
    for _ in range(_MOST_FOLLOWED):
        reference = parse_reference(node.value) if isinstance(node, String) else None
        if reference is not None and reference.kind == "variable":
            node = resolved_values(workflow).get(reference.name)
        elif isinstance(node, Object) and isinstance(told := node.get("media_type"), String):
            return told.value == "video"
        elif isinstance(node, Object):
            node = node.get("location")
        else:
            return isinstance(node, String) and is_video_file(node.value)
    return False


def _pipeline(loaded: Object, called: Object, *, referred: bool = False) -> StepOutput:
    configuration, arguments = loaded.get("configuration"), called.get("arguments")
    if not isinstance(configuration, Object) or not isinstance(arguments, Object) or called.member("chain"):
        return UNCERTAIN
    if not referred:  # What changes a call is not handed on to those who refer to the pipeline.
        for key, properties in (("inversion", _INVERSION), ("generate", _GENERATION)):
            switch = configuration.get(key)
            if isinstance(switch, Boolean) and switch.value:
                return StepOutput("any", properties)
            if switch is not None and not isinstance(switch, Boolean):
                return UNCERTAIN
    if arguments.member("output_type") or arguments.member("output"):
        return UNCERTAIN
    name = configuration.get("component_type")
    return StepOutput(_kind(name.value) if isinstance(name, String) else "any")


def _kind(class_name: str) -> Output:
    name = class_name.rpartition(".")[2]
    if _VIDEOS.fullmatch(name) and not re.search(r"Prior|Image$|Upsampl|Audio|2Image|ToImage", name):
        return "video"
    return "image" if _IMAGES.fullmatch(name) and not _OTHER.search(name) else "any"
