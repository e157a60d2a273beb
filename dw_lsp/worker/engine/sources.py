"""Models that are not on this machine: downloaded from the hub first.

A downloaded model is a folder or a file in the cache and is treated as one from then on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import diffusers

from dw_lsp.planning.loras import USUAL_NAME
from dw_lsp.planning.requirements import SCHEDULER_NAMES, RequiredPipeline, required_pipeline
from dw_lsp.planning.single_files import hub_file
from dw_lsp.planning.task_models import required_of
from dw_lsp.text.syntax_tree import Range, Value
from dw_lsp.worker.engine.failures import describe
from dw_lsp.worker.engine.interruptible import watched_downloads
from dw_lsp.worker.engine.modular import check_modular, check_output, is_modular
from dw_lsp.worker.engine.modular_downloads import fetch_folder, fetch_index, fetch_parts
from dw_lsp.worker.engine.pipelines import exactly, is_automatic, pipeline_class
from dw_lsp.worker.engine.prepare import PreparedPipeline
from dw_lsp.worker.engine.progress import StepReporter
from dw_lsp.worker.engine.run_context import RunContext
from dw_lsp.worker.engine.source_checks import check_sources
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

logger = logging.getLogger(__name__)

_ENCODER_FILES = ("*.json", "*.safetensors")
#: Keywords that say which files of a repository are meant.
_WHICH = ("variant", "revision")


def obtain(prepared: PreparedPipeline, context: RunContext, reporter: StepReporter) -> PreparedPipeline:
    """The step once all its models are on this machine.

    Raises `InvalidInput` when a model is neither here nor can be downloaded.
    """
    step, required = prepared.step, prepared.required
    missing = {part.name for part in required.parts if part.where_from == "download"}
    if not missing and all(each is None or each.file is not None for each in (*required.loras, required.ip_adapter)):
        return prepared
    if required.model_name is not None and (required.model is None or missing - required.explicit.keys()):
        reporter.phase("downloading", required.model_name)
        place = step.place("pipeline", "from_pretrained_arguments", "model_name")
        with _told(required.model_name, place, step.name), _watched(reporter):
            if is_modular(prepared.chosen):
                _download_modular(prepared, required.model_name, context)
            else:
                _download_pipeline(prepared, required.model_name, context)
    if required.single_file is not None and required.parts[0].where_from == "download":
        _obtain_component(step, (step.kind,), {"from_single_file": required.single_file}, context, reporter)
    for name in missing & required.explicit.keys():
        keywords = required.explicit[name].get("from_pretrained_arguments")
        _obtain_component(step, (step.kind, name), keywords if isinstance(keywords, dict) else {}, context, reporter)
    _obtain_adapters(step, required, reporter)
    renewed, chosen = required_of(step, prepared.folder, required.device), None
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


def _obtain_adapters(step: ResolvedStep, required: RequiredPipeline, reporter: StepReporter) -> None:
    """Fetch the LoRAs and the image-prompt adapters that are not on this machine."""
    adapter = required.ip_adapter
    for lora in required.loras:
        if lora.file is not None:
            continue
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


def _download_modular(prepared: PreparedPipeline, name: str, context: RunContext) -> None:
    """Fetch a modular model's index, look at what it asks for, and fetch the parts that are missing."""
    step, folder, required = prepared.step, prepared.folder, prepared.required
    if required.model is None:
        revision = required.loading.get("revision")
        fetch_index(name, revision if isinstance(revision, str) else None, context.options.trust_remote_code)
        required = required_pipeline(step, folder, device=required.device)
        chosen = pipeline_class(required, context.types)
        required = exactly(required, chosen, step, folder)
        check_sources(step, required, folder, context)
        check_modular(step, chosen, required)
        check_output(step, chosen)
    if required.model is not None:
        missing = {part.name for part in required.parts if part.where_from == "download"}
        missing |= {part.name for part in required.model.parts if part.name in SCHEDULER_NAMES and not part.whole}
        fetch_parts(required.model, missing, required.loading, context.options.allow_pickle)


def _download_pipeline(prepared: PreparedPipeline, name: str, context: RunContext) -> None:
    """Fetch a model, without the components that the step leaves out or defines itself."""
    loading, explicit = prepared.required.loading, prepared.required.explicit
    home = diffusers.DiffusionPipeline if is_automatic(prepared.chosen) else prepared.chosen
    keywords: dict[str, Any] = {key: loading[key] for key in _WHICH if loading.get(key) is not None}
    keywords.update({key: None for key in (*(key for key in loading if loading[key] is None), *explicit)})
    if not context.options.allow_pickle:
        keywords["use_safetensors"] = True
    home.download(name, **keywords)


def _obtain_component(
    step: ResolvedStep,
    path: tuple[str, ...],
    loading: Mapping[str, Value],
    context: RunContext,
    reporter: StepReporter,
) -> None:
    """Fetch a component that is loaded from a repository, or what is loaded from one file of the hub.

    Arguments: `path` is where it stands in the step, `loading` are the keywords there.
    """
    import huggingface_hub

    key = "model_name" if isinstance(loading.get("model_name"), str) else "from_single_file"
    source, asked = str(loading.get(key)), hub_file(str(loading.get(key)))
    subfolder, revision, variant = (_text(loading.get(each)) for each in ("subfolder", "revision", "variant"))
    reporter.phase("downloading", source)
    place = step.place(*path, "from_pretrained_arguments", key)
    with _told(source, place, step.name), _watched(reporter):
        if key == "from_single_file" and asked is not None:
            huggingface_hub.hf_hub_download(asked.repository, asked.path, revision=asked.revision)
        else:
            fetch_folder(source, subfolder, revision, variant, context.options.allow_pickle)


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
        patterns = [f"{within}/{pattern}" for pattern in _ENCODER_FILES]
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


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) else None
