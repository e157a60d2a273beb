"""Modular pipelines: which class and blocks a model's index names, what they take and give, and putting one together.

A class of our own is made for each model and workflow: its `shape` holds what diffusers tells only of an object. Code
that comes with a model is not run unless the user has allowed that.
"""

from __future__ import annotations

import copy
import functools
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch

from dw_lsp.catalog.models import MODEL_INDEX, file_identity, read_json
from dw_lsp.catalog.modular_models import BLOCKS_INDEX, MODULAR_INDEX, block_files
from dw_lsp.planning.requirements import SCHEDULER_NAMES, RequiredPipeline
from dw_lsp.worker.engine.failures import describe
from dw_lsp.worker.engine.loading import Loader
from dw_lsp.worker.engine.schedulers import scheduler_from
from dw_lsp.worker.engine.trusted_types import TrustedTypes
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

#: What a call gives if its step does not say which of its results it wants: the first of these that it has.
USUAL_OUTPUTS = ("images", "videos", "frames", "audios", "image", "video", "audio", "text")
#: Those of them that are a batch.
_BATCHES = frozenset({"images", "videos", "frames", "audios", "audio"})
# It says of each guider, at each call, that guiders are an experiment.
logging.getLogger("diffusers.guiders.guider_utils").setLevel(logging.ERROR)


class UnknownWorkflow(InvalidInput):
    """A step chooses a workflow that a pipeline's blocks do not have."""


@dataclass(frozen=True)
class Shape:
    """What a modular pipeline is made of, takes and gives.

    `blocks` is a pattern, copied for each pipeline; `settings` is what the model's index says besides its parts: those
    are loaded by us, and what it names as their classes is not imported by anybody else.
    """

    blocks: Any
    components: frozenset[str]
    inputs: tuple[str, ...]
    outputs: frozenset[str]
    results: tuple[str, ...]
    configs: frozenset[str]
    path: Path
    settings: Mapping[str, Any]

    @property
    def usual_output(self) -> str | None:
        """The result that is meant where a step does not name one."""
        return next((name for name in USUAL_OUTPUTS if name in self.results), None)


def is_modular(chosen: Any) -> bool:
    """Whether a pipeline class is a modular one."""
    return isinstance(chosen, type) and issubclass(chosen, diffusers.ModularPipeline)


def shape_of(chosen: Any) -> Shape | None:
    """The shape of a modular class; `None` for one whose model has not been looked at, and for any other class."""
    shape = getattr(chosen, "shape", None)
    return shape if isinstance(shape, Shape) else None


def modular_class(chosen: Any, required: RequiredPipeline, types: TrustedTypes) -> Any:
    """The modular class that a step means, with the shape that its model gives it.

    Arguments: `chosen` is the class that the step names. Raises `InvalidInput` where the model has no such pipeline,
    or brings code of its own that is not allowed.
    """
    model = required.model
    if model is None:
        return chosen
    workflow = required.loading.get("workflow")
    usual = model.path / MODEL_INDEX
    files = [*block_files(model.path), *([usual] if usual.is_file() else [])]
    state = "".join(map(file_identity, files))
    asked = workflow if isinstance(workflow, str) else None
    return _cached(chosen, model.path, asked, types.trust_remote_code, types.allowed, state)


@functools.lru_cache(maxsize=32)
def _cached(chosen: Any, path: Path, workflow: str | None, trusted: bool, allowed: tuple[str, ...], state: str) -> Any:
    types = TrustedTypes(allowed, trusted)
    index = read_json(path / MODULAR_INDEX)
    usual = None if index is not None else read_json(path / MODEL_INDEX)
    own = _own_blocks(path, types)
    named = _class_of(chosen, index, usual, types)
    blocks = own if own is not None else _blocks_of(named, index)
    if workflow is not None:
        blocks = _of_workflow(blocks, workflow, named)
    _silence(blocks)
    specs = list(blocks.expected_components)
    names = frozenset(spec.name for spec in specs)
    inputs = [name for each in blocks.inputs for name in (each.name, each.kwargs_type) if name]
    shape = Shape(
        blocks,
        names,
        tuple(dict.fromkeys(inputs)),
        frozenset((*blocks.intermediate_output_names, *blocks.output_names, *inputs)),
        tuple(dict.fromkeys((*blocks.output_names, *blocks.intermediate_output_names))),
        frozenset(config.name for config in blocks.expected_configs),
        path,
        {key: value for key, value in (index or usual or {}).items() if key not in names and not key.startswith("_")},
    )
    members = {"shape": shape, "__module__": named.__module__, "__doc__": named.__doc__}
    return type(named.__name__, (_OnDevice, named), members)


class _OnDevice:
    """Where a pipeline computes is decided by its step, not by where its first component happens to rest."""

    step_device: torch.device | None = None

    @property
    def _execution_device(self) -> Any:
        return self.step_device or super()._execution_device  # type: ignore[misc]


def _own_blocks(path: Path, types: TrustedTypes) -> Any:
    """The blocks that come as code with a model; `None` where it has none."""
    told = read_json(path / BLOCKS_INDEX)
    if told is None or not told.get("auto_map"):
        return None
    if not types.trust_remote_code:
        raise InvalidInput(
            "this modular pipeline is made of blocks that come as code with the model, which is not allowed to run",
            hint="Read the code first; to run it, set dw.security.trustRemoteCode.",
        )
    try:
        return diffusers.ModularPipelineBlocks.from_pretrained(str(path), trust_remote_code=True)
    except (OSError, ValueError, ImportError, AttributeError) as error:
        raise InvalidInput(f"the blocks of this modular pipeline cannot be loaded: {describe(error)}") from error


def _class_of(
    chosen: Any, index: Mapping[str, Any] | None, usual: Mapping[str, Any] | None, types: TrustedTypes
) -> Any:
    """The class itself, or, where the step leaves the choice to the model, the one for that model."""
    if chosen is not diffusers.ModularPipeline:
        return chosen
    if index is not None:
        found = types.pipeline(str(index.get("_class_name") or "ModularPipeline"))
    elif usual is not None:
        found = _for_usual(str(usual.get("_class_name")), usual, types)
    else:
        return chosen
    if not is_modular(found):
        raise InvalidInput(f"{found.__name__}, which the model's index names, is no modular pipeline")
    return found


def _for_usual(name: str, usual: Mapping[str, Any], types: TrustedTypes) -> Any:
    """The modular class for a model in the usual layout, as diffusers chooses it by the family of its pipeline."""
    from diffusers.modular_pipelines.modular_pipeline import MODULAR_PIPELINE_MAPPING
    from diffusers.pipelines.auto_pipeline import _get_model

    family = _get_model(types.pipeline(name).__name__)
    choose = MODULAR_PIPELINE_MAPPING.get(family)
    if choose is None:
        raise InvalidInput(
            f"diffusers {diffusers.__version__} has no modular pipeline for models of {name}",
            hint=f"Use {name} itself.",
        )
    return types.pipeline(choose(dict(usual)))


def _blocks_of(named: Any, index: Mapping[str, Any] | None) -> Any:
    """The blocks that the model's index names, or those that are the class's usual ones."""
    for name in ((index or {}).get("_blocks_class_name"), named.default_blocks_name):
        found: Any = getattr(diffusers, name, None) if isinstance(name, str) and not name.startswith("_") else None
        is_blocks = isinstance(found, type) and issubclass(found, diffusers.ModularPipelineBlocks)
        if is_blocks and getattr(found, "block_classes", None):
            return found()
    raise InvalidInput(
        f"nothing says of which blocks {named.__name__} is made for this model",
        hint="Name the modular pipeline class of the model's family, such as FluxModularPipeline.",
    )


def _of_workflow(blocks: Any, workflow: str, named: Any) -> Any:
    known = list(getattr(blocks, "_workflow_map", None) or ())
    if workflow not in known:
        has = f"it has {', '.join(known)}" if known else "it has none to choose from"
        raise UnknownWorkflow(f"{named.__name__} has no workflow {workflow!r}; {has}")
    return blocks.get_workflow(workflow)


def inner_blocks(blocks: Any) -> Iterator[Any]:
    """All blocks of a pipeline, whatever they lie in."""
    yield blocks
    for inner in getattr(blocks, "sub_blocks", {}).values():
        yield from inner_blocks(inner)


def _silence(blocks: Any) -> None:
    """Let no block draw its progress bar: what it counts is told in another way."""
    for block in inner_blocks(blocks):
        if callable(getattr(block, "set_progress_bar_config", None)):
            block.set_progress_bar_config(disable=True)


# ---------------------------------------------------------------- putting together


def assemble_modular(
    chosen: Any, required: RequiredPipeline, live: Mapping[str, Any], loader: Loader, step: ResolvedStep
) -> Any:
    """A new modular pipeline object around live components, with schedulers and guiders of its own.

    Raises `InvalidInput` where a component is given that it does not know.
    """
    shape = shape_of(chosen)
    if shape is None:
        raise RuntimeError("a modular pipeline is put together before its model is there")
    made = chosen(
        blocks=copy.deepcopy(shape.blocks),
        pretrained_model_name_or_path=str(shape.path),
        modular_config_dict=shape.settings,
    )
    configs = _configs(step)
    if configs:
        made.register_to_config(**configs)
    given = {name: _fresh(value) for name, value in live.items()}
    for part in required.model.parts if required.model is not None else ():
        if part.name in SCHEDULER_NAMES & shape.components:
            given[part.name] = scheduler_from(part.library, part.class_name, part.folder, loader)
    for name, value in given.items():
        # Its own way would write down from where to load it again, which is known from the step.
        setattr(made, name, value)
    return made


def _configs(step: ResolvedStep) -> dict[str, Any]:
    configuration = step.body.get("configuration")
    found = configuration.get("configs") if isinstance(configuration, dict) else None
    return dict(found) if isinstance(found, dict) else {}


def _fresh(value: Any) -> Any:
    """A guider of its own for each pipeline, since it counts the steps of a call."""
    if isinstance(value, diffusers.guiders.BaseGuidance):
        return type(value).from_config(value.config)
    return value


def by_name(wanted: Any, output: Any) -> Any:
    """What a modular pipeline has given with the name of what it is, where that says how to take it."""
    return {wanted: output} if isinstance(wanted, str) and wanted in _BATCHES else output


# ---------------------------------------------------------------- checks


def check_modular(step: ResolvedStep, chosen: Any, required: RequiredPipeline) -> None:
    """Raise `InvalidInput` where a step gives a modular pipeline what it does not have: parts, settings."""
    shape = shape_of(chosen)
    if shape is None:
        return
    if step.body.get("ip_adapter"):
        message = "image-prompt adapters of modular pipelines are not carried out by this engine yet"
        raise InvalidInput(message, step.place("pipeline", "ip_adapter"), step.name, "Use the pipeline class itself.")
    known = sorted(shape.components)
    for name in required.explicit:
        if name not in shape.components:
            message = f"{chosen.__name__} has no component {name!r}"
            raise InvalidInput(message, step.place("pipeline", name), step.name, f"It has {', '.join(known)}.")
    for key, names in (("names", _names(step)), ("quantization_config", tuple(required.quantization))):
        place = step.place("pipeline", "configuration", "load_components", key)
        for name in names:
            if name not in shape.components:
                message = f"{chosen.__name__} has no component {name!r}"
                raise InvalidInput(message, place, step.name, f"It has {', '.join(known)}.")
    for name in _configs(step):
        if name not in shape.configs:
            place = step.place("pipeline", "configuration", "configs", name)
            hint = f"It has {', '.join(sorted(shape.configs)) or 'none'}."
            raise InvalidInput(f"{chosen.__name__} has no setting {name!r}", place, step.name, hint)


def _names(step: ResolvedStep) -> tuple[str, ...]:
    configuration = step.body.get("configuration")
    wanted = configuration.get("load_components") if isinstance(configuration, dict) else None
    names = wanted.get("names") if isinstance(wanted, dict) else None
    return (names,) if isinstance(names, str) else tuple(map(str, names)) if isinstance(names, list) else ()


def check_output(step: ResolvedStep, chosen: Any) -> None:
    """Raise `InvalidInput` where a step wants a result of a modular pipeline that it does not give, or names none."""
    shape, arguments = shape_of(chosen), step.body.get("arguments")
    if shape is None or not isinstance(arguments, dict):
        return
    place = step.place(step.kind, "arguments", "output")
    gives = f"It gives {', '.join(shape.results)}."
    wanted = arguments.get("output")
    if wanted is None:
        if shape.usual_output is None:
            place = step.place(step.kind, "arguments")
            raise InvalidInput(f"{chosen.__name__} has to be told by `output` what to give", place, step.name, gives)
        return
    names = wanted if isinstance(wanted, list) else [wanted]
    for name in names:
        if not isinstance(name, str) or name not in shape.outputs:
            raise InvalidInput(f"{chosen.__name__} gives no {name!r}", place, step.name, gives)
