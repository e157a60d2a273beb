"""Which models a task command computes with: they are components like those of a pipeline, loaded and kept alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dw_lsp.catalog.models import Weights
from dw_lsp.planning.requirements import (
    RequiredComponent,
    RequiredPipeline,
    find_source,
    required_part,
    required_pipeline,
    unseen_part,
)
from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.references import parse_reference
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep


@dataclass(frozen=True)
class TaskModel:
    """One component of a command.

    `name` is what it is called in memory; `default` the repository that it comes from, unless the argument `source`
    names another; `class_name` its class in transformers, `None` for the one that the model's configuration names;
    `has_weights` is false for tokenizers and processors.
    """

    name: str
    default: str
    class_name: str | None = None
    has_weights: bool = True
    source: str | None = None


_LANGUAGE = "Qwen/Qwen2.5-1.5B-Instruct"
_VISION = "HuggingFaceTB/SmolVLM-256M-Instruct"


def _language(default: str, processor: str) -> tuple[TaskModel, ...]:
    return (
        TaskModel("language_model", default, source="model_name"),
        TaskModel("language_processor", default, processor, False, "model_name"),
    )


def _depth(default: str) -> tuple[TaskModel, ...]:
    return (
        TaskModel("depth_model", default),
        TaskModel("depth_processor", default, "AutoImageProcessor", False),
    )


#: The models of each command that has some. With an image, `text_generation` is what `image_to_text` is.
TASK_MODELS: Mapping[str, tuple[TaskModel, ...]] = {
    "depth": _depth("Intel/dpt-hybrid-midas"),
    "depth_estimator": _depth("Intel/dpt-large"),
    "depth_estimator_tensor": _depth("Intel/dpt-large"),
    "image_to_text": _language(_VISION, "AutoProcessor"),
    "segment": (
        TaskModel("detector", "IDEA-Research/grounding-dino-base", source="model_name"),
        TaskModel("detector_processor", "IDEA-Research/grounding-dino-base", "AutoProcessor", False, "model_name"),
        TaskModel("segmenter", "facebook/sam2-hiera-large", "Sam2Model", source="sam_model_name"),
    ),
    "text_generation": _language(_LANGUAGE, "AutoTokenizer"),
    "zoe_depth": _depth("Intel/zoedepth-nyu-kitti"),
}
#: Commands whose answer is drawn: it depends on the seed.
DRAWN = frozenset({"image_to_text", "text_generation"})
#: Arguments of a task that say how its models are loaded.
_LOADING = {"revision": "revision", "torch_dtype": "torch_dtype", "dtype": "torch_dtype"}


def models_of(step: ResolvedStep) -> tuple[TaskModel, ...]:
    """The models that a task step computes with."""
    command, arguments = str(step.body.get("command")), _object(step.body.get("arguments"))
    if command == "text_generation" and arguments.get("image") is not None:
        command = "image_to_text"
    return TASK_MODELS.get(command, ())


def loading_arguments(step: ResolvedStep) -> frozenset[str]:
    """The arguments of a task step that say which models are loaded, and how."""
    models = models_of(step) if step.kind == "task" else ()
    return frozenset({*_LOADING, *(model.source for model in models if model.source)}) if models else frozenset()


def required_task(step: ResolvedStep, folder: Path | None, device: str = "cpu") -> RequiredPipeline | None:
    """What must be in memory for a task, in the form of a pipeline; `None` for a task without models.

    Arguments: `folder` is that of the workflow file, where relative model names start; `device` is the kind of the
    worker's.
    Raises `InvalidInput` when a model is not named by a plain text, or a folder is named that holds none.
    """
    models = models_of(step) if step.kind == "task" else ()
    if not models:
        return None
    arguments = _object(step.body.get("arguments"))
    keywords = {keyword: arguments[name] for name, keyword in _LOADING.items() if isinstance(arguments.get(name), str)}
    parts: list[RequiredComponent] = []
    explicit: dict[str, Mapping[str, Value]] = {}
    for model in models:
        source = _source(step, model, arguments)
        parts.append(_part(step, model, source, keywords, folder, device))
        configuration: dict[str, Value] = (
            {} if model.class_name is None else {"component_type": f"transformers.{model.class_name}"}
        )
        explicit[model.name] = {
            "configuration": configuration,
            "from_pretrained_arguments": {"model_name": source, **keywords},
        }
    command = str(step.body.get("command"))
    return RequiredPipeline(command, None, None, None, keywords, tuple(parts), explicit, device=device)


def required_of(step: ResolvedStep, folder: Path | None, device: str = "cpu") -> RequiredPipeline:
    """What a pipeline step, or a task with models, needs. Raises what the one or the other raises."""
    return required_task(step, folder, device) or required_pipeline(step, folder, device=device)


def _source(step: ResolvedStep, model: TaskModel, arguments: Mapping[str, Value]) -> str:
    given = None if model.source is None else arguments.get(model.source)
    if given is None:
        return model.default
    if not isinstance(given, str) or parse_reference(given) is not None:
        message = f"`{model.source}` of a task has to be the name of a model, known before the run begins"
        raise InvalidInput(message, step.place("task", "arguments", str(model.source)), step.name)
    return given


def _part(
    step: ResolvedStep, model: TaskModel, source: str, keywords: Mapping[str, Value], folder: Path | None, device: str
) -> RequiredComponent:
    found = find_source(step, source, keywords, folder, ("task", "arguments", model.source or "command"))
    if found is None or len(found.parts) != 1:
        return unseen_part(model.class_name or "", source, keywords, model.name)
    part = replace(found.parts[0], name=model.name, class_name=model.class_name or found.parts[0].class_name)
    return required_part(part if model.has_weights else replace(part, weights=Weights(0)), keywords, device)


def _object(value: Value) -> Mapping[str, Value]:
    return value if isinstance(value, dict) else {}
