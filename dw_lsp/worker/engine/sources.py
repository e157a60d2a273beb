"""Models that are not there as folders: downloaded from the hub first, or taken out of a single file.

A downloaded model is a folder in the cache and is treated as one from then on. What comes out of a single file is kept
by component like everything else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any

import diffusers
import torch

from dw_lsp.catalog.models import file_identity
from dw_lsp.planning.loras import USUAL_NAME
from dw_lsp.planning.requirements import SCHEDULER_NAMES, required_pipeline
from dw_lsp.planning.task_models import required_of
from dw_lsp.protocol import Component
from dw_lsp.text.syntax_tree import Range, Value
from dw_lsp.worker.engine.components import Resident, settle_garbage
from dw_lsp.worker.engine.failures import describe
from dw_lsp.worker.engine.interruptible import LoadingWatch, watched_downloads
from dw_lsp.worker.engine.loading import config_of_file
from dw_lsp.worker.engine.modular import check_modular, check_output, is_modular
from dw_lsp.worker.engine.modular_downloads import fetch_index, fetch_parts
from dw_lsp.worker.engine.out_of_memory import is_out_of_memory
from dw_lsp.worker.engine.pipelines import Loaded, constructor_names, exactly, is_automatic, pipeline_class
from dw_lsp.worker.engine.prepare import PreparedPipeline
from dw_lsp.worker.engine.progress import StepReporter
from dw_lsp.worker.engine.room import Room
from dw_lsp.worker.engine.run_context import RunContext
from dw_lsp.worker.engine.source_checks import check_sources
from dw_lsp.workflow.identity import component_key
from dw_lsp.workflow.resolved import InvalidInput

logger = logging.getLogger(__name__)

_WEIGHTS = ("*.json", "*.txt", "*.model", "*.jinja", "*.safetensors")
_PICKLES = ("*.bin",)
#: Keywords that say which files of a repository are meant.
_WHICH = ("variant", "revision")


def obtain(prepared: PreparedPipeline, context: RunContext, reporter: StepReporter) -> PreparedPipeline:
    """The step once all its models are on this machine.

    Raises `InvalidInput` when a model is neither here nor can be downloaded.
    """
    step, required = prepared.step, prepared.required
    missing = {part.name for part in required.parts if part.where_from == "download"}
    absent = [lora for lora in required.loras if lora.file is None]
    adapter = required.ip_adapter if required.ip_adapter is not None and required.ip_adapter.file is None else None
    if not missing and not absent and adapter is None:
        return prepared
    if required.model_name is not None and (required.model is None or missing - required.explicit.keys()):
        reporter.phase("downloading", required.model_name)
        place = step.place("pipeline", "from_pretrained_arguments", "model_name")
        with _told(required.model_name, place, step.name), _watched(reporter):
            if is_modular(prepared.chosen):
                _download_modular(prepared, required.model_name, context)
            else:
                _download_pipeline(prepared.chosen, required.model_name, required.loading, context)
    for name in missing & required.explicit.keys():
        keywords = required.explicit[name].get("from_pretrained_arguments")
        loading: Mapping[str, Value] = keywords if isinstance(keywords, dict) else {}
        source = str(loading.get("model_name"))
        reporter.phase("downloading", source)
        place = step.place(step.kind, name, "from_pretrained_arguments", "model_name")
        with _told(source, place, step.name), _watched(reporter):
            _download_component(source, loading, context)
    for lora in absent:
        reporter.phase("downloading", lora.source)
        place = step.place("pipeline", "loras", lora.index, "model_name")
        with _told(lora.source, place, step.name), _watched(reporter):
            entries = step.body.get("loras")
            _download_weights(entries[lora.index] if isinstance(entries, list) else None)
    for file in adapter.files if adapter is not None else ():
        if adapter is None or file.file is not None:
            continue
        reporter.phase("downloading", file.source)
        place = step.place("pipeline", "ip_adapter", "model_name")
        entry: Value = {
            "model_name": file.source,
            "weight_name": file.weight_name,
            "subfolder": file.subfolder,
            "revision": adapter.revision,
        }
        with _told(file.source, place, step.name), _watched(reporter):
            _download_weights(entry, encoder="image_encoder")
    renewed, chosen = required_of(step, prepared.folder), None
    if step.kind != "task":
        chosen = pipeline_class(renewed, context.types)
        renewed = exactly(renewed, chosen, step, prepared.folder)
    still = [part.name for part in renewed.parts if part.where_from == "download"]
    still += [lora.source for lora in renewed.loras if lora.file is None]
    if still:
        raise InvalidInput(
            f"the files of {', '.join(still)} were downloaded, but are no model that can be read",
            step.place("pipeline", "from_pretrained_arguments"),
            step.name,
        )
    return dataclasses.replace(prepared, required=renewed, chosen=chosen)


def _download_modular(prepared: PreparedPipeline, name: str, context: RunContext) -> None:
    """Fetch a modular model's index, look at what it asks for, and fetch the parts that are missing."""
    step, folder, required = prepared.step, prepared.folder, prepared.required
    if required.model is None:
        revision = required.loading.get("revision")
        fetch_index(name, revision if isinstance(revision, str) else None, context.options.trust_remote_code)
        required = required_pipeline(step, folder)
        chosen = pipeline_class(required, context.types)
        required = exactly(required, chosen, step, folder)
        check_sources(step, required, folder, context)
        check_modular(step, chosen, required)
        check_output(step, chosen)
    if required.model is not None:
        missing = {part.name for part in required.parts if part.where_from == "download"}
        missing |= {part.name for part in required.model.parts if part.name in SCHEDULER_NAMES and not part.whole}
        fetch_parts(required.model, missing, required.loading, context.options.allow_pickle)


def _download_pipeline(chosen: Any, name: str, loading: Mapping[str, Value], context: RunContext) -> None:
    home = diffusers.DiffusionPipeline if is_automatic(chosen) else chosen
    keywords: dict[str, Any] = {key: loading[key] for key in _WHICH if loading.get(key) is not None}
    keywords.update({key: None for key, value in loading.items() if value is None})
    if not context.options.allow_pickle:
        keywords["use_safetensors"] = True
    home.download(name, **keywords)


def _download_component(name: str, loading: Mapping[str, Value], context: RunContext) -> None:
    import huggingface_hub

    patterns = _WEIGHTS + (_PICKLES if context.options.allow_pickle else ())
    subfolder = loading.get("subfolder")
    within = f"{subfolder}/" if isinstance(subfolder, str) and subfolder else ""
    revision = loading.get("revision")
    huggingface_hub.snapshot_download(
        name,
        revision=revision if isinstance(revision, str) else None,
        allow_patterns=[within + pattern for pattern in patterns],
    )


def _watched(reporter: StepReporter) -> contextlib.AbstractContextManager[None]:
    """Downloads that tell their bytes and can be stopped."""
    return watched_downloads(reporter.cancellation.check, lambda done, total: reporter.unit_done(done, total, "byte"))


def _download_weights(entry: Value, encoder: str | None = None) -> None:
    """Fetch the file of an adapter. Arguments: `encoder` is a folder beside it that is wanted as well."""
    import huggingface_hub

    asked: Mapping[str, Value] = entry if isinstance(entry, dict) else {}
    source = str(asked.get("model_name"))
    name, subfolder, revision = (
        value if isinstance(value := asked.get(key), str) else None for key in ("weight_name", "subfolder", "revision")
    )
    huggingface_hub.hf_hub_download(source, name or USUAL_NAME, subfolder=subfolder, revision=revision)
    if encoder is not None:
        within = f"{subfolder}/{encoder}" if subfolder else encoder
        patterns = [f"{within}/{pattern}" for pattern in _WEIGHTS]
        huggingface_hub.snapshot_download(source, revision=revision, allow_patterns=patterns)


@contextlib.contextmanager
def _told(name: str, place: Range, step: str) -> Iterator[None]:
    """Errors of a download, told as: this model is not here, and why it could not be fetched."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = describe(error).splitlines()[0]
        raise InvalidInput(
            f"the model {name!r} is neither a folder beside the workflow nor in the model cache, and it could not be "
            f"downloaded: {reason}",
            place,
            step,
            f"Check the name and the network, fetch it with `hf download {name}`, or name a local folder.",
        ) from error


# ---------------------------------------------------------------- single files


def from_single_file(
    prepared: PreparedPipeline, context: RunContext, reporter: StepReporter
) -> tuple[Any, Loaded] | None:
    """A pipeline out of one file, with its components kept; `None` when the step has no such source.

    A second call with the same file and keywords takes what is in memory.
    """
    required, step = prepared.required, prepared.step
    if required.single_file is None:
        return None
    place = step.place("pipeline", "from_pretrained_arguments", "from_single_file")
    file = context.allowed.resolve(required.single_file, prepared.folder, "the model's file")
    source = file_identity(file) + str(prepared.chosen.__name__)
    note = component_key("single file", prepared.chosen.__name__, source, required.loading)
    known = context.resources.single_files.get(note)
    residents = {name: context.resources.components.get(key) for name, key in (known or {}).items()}
    started = time.monotonic()
    context.resources.components.begin_turn()
    if known is not None and all(residents.values()):
        live = {name: resident.live for name, resident in residents.items() if resident is not None}
        records = tuple(resident.record for resident in residents.values() if resident is not None)
        return _renewed(prepared.chosen, live), Loaded(live, known, (), records, 0.0)
    reporter.phase("loading", f"{prepared.chosen.__name__}: {file.name}")
    Room(context.budgets, context.resources.meter.free).make(context.resources.components, required.parts, ())
    try:
        with LoadingWatch(reporter.goes_on):
            made = prepared.chosen.from_single_file(str(file), **_keywords(required.loading, prepared, context))
    except (OSError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        raise InvalidInput(f"{file.name} cannot be loaded: {describe(error)}", place, step.name) from error
    seconds = time.monotonic() - started
    added: dict[str, Resident] = {}
    for name, component in made.components.items():
        if component is not None:
            key = component_key(name, type(component).__name__, source, required.loading)
            added[name] = context.resources.components.add(key, name, component, seconds)
    settle_garbage()
    keys = {name: resident.record.key for name, resident in added.items()}
    context.resources.single_files[note] = keys
    loaded: tuple[Component, ...] = tuple(resident.record for resident in added.values())
    return made, Loaded({name: each.live for name, each in added.items()}, keys, loaded, (), seconds)


def _keywords(loading: Mapping[str, Value], prepared: PreparedPipeline, context: RunContext) -> dict[str, Any]:
    keywords: dict[str, Any] = dict(loading)
    dtype = loading.get("torch_dtype")
    if isinstance(dtype, str):
        keywords["torch_dtype"] = context.types.dtype(dtype)
    elif context.resources.device.type == "cpu":
        keywords.setdefault("torch_dtype", torch.float32)
    keywords.update(config_of_file(loading, prepared.folder, context.allowed))
    return keywords


def _renewed(chosen: Any, live: Mapping[str, Any]) -> Any:
    """The pipeline again, from kept components. Its scheduler serves as a pattern only: each call makes its own."""
    modules, _ = constructor_names(chosen)
    return chosen(**{name: live.get(name) for name in modules})
