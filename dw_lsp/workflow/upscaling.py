"""The task that enlarges an image by diffusion is a pipeline in other words, and is planned and run as one.

So its models lie in memory beside those of pipelines, and its steps are counted, remembered and cancelled like theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

COMMAND = "diffusion_upscale"


@dataclass(frozen=True)
class Upscaler:
    """A way to enlarge: the class of its pipeline, the model where none is named, what a call is given by itself."""

    class_name: str
    model: str
    arguments: Mapping[str, Value]


#: By `mode`: how many times wider and higher the picture becomes.
UPSCALERS: Mapping[str, Upscaler] = {
    "x4": Upscaler(
        "StableDiffusionUpscalePipeline",
        "stabilityai/stable-diffusion-x4-upscaler",
        {"prompt": "", "num_inference_steps": 25, "guidance_scale": 9.0, "noise_level": 20},
    ),
    "x2": Upscaler(
        "StableDiffusionLatentUpscalePipeline",
        "stabilityai/sd-x2-latent-upscaler",
        {"prompt": "", "num_inference_steps": 25, "guidance_scale": 9.0},
    ),
}
#: Arguments of the task that belong elsewhere in a pipeline: where.
_ELSEWHERE: Mapping[str, tuple[str, ...]] = {
    "mode": ("configuration", "component_type"),
    "device": ("configuration", "device"),
    "model_name": ("from_pretrained_arguments", "model_name"),
    "torch_dtype": ("from_pretrained_arguments", "torch_dtype"),
    "variant": ("from_pretrained_arguments", "variant"),
    "revision": ("from_pretrained_arguments", "revision"),
    "seed": ("seed",),
}


def as_pipeline(step: ResolvedStep) -> ResolvedStep:
    """The step itself, or what stands for it if it enlarges by diffusion. Places lead to the task's text.

    Raises `InvalidInput` for a `mode` that there is not, and for a list of `inputs`.
    """
    if step.kind != "task" or step.body.get("command") != COMMAND:
        return step
    arguments = step.body.get("arguments")
    if not isinstance(arguments, dict):
        raise InvalidInput(f"{COMMAND} takes `arguments`, not a list of `inputs`", step.place("task"), step.name)
    mode = arguments.get("mode", "x4")
    if mode not in UPSCALERS:
        message = f"`mode` of {COMMAND} is one of {', '.join(UPSCALERS)}, not {mode!r}"
        raise InvalidInput(message, step.place("task", "arguments", "mode"), step.name)
    upscaler = UPSCALERS[str(mode)]
    sections: dict[str, dict[str, Value]] = {
        "configuration": {"component_type": upscaler.class_name},
        "from_pretrained_arguments": {"model_name": upscaler.model},
        "arguments": dict(upscaler.arguments),
    }
    seed: dict[str, Value] = {}
    places = dict(step.places)
    for name, value in arguments.items():
        target = _ELSEWHERE.get(name, ("arguments", name))
        if name == "noise_level" and name not in upscaler.arguments:
            continue  # The format gives it a meaning for the other mode alone.
        path: tuple[str | int, ...] = ("pipeline", *target)
        places[path] = step.place("task", "arguments", name)
        if len(target) == 1:
            seed[target[0]] = value
        elif name != "mode":
            sections[target[0]][target[1]] = value
    return replace(step, kind="pipeline", body={**sections, **seed}, places=places, facts={})
