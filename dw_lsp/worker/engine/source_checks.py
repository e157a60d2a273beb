"""Where a pipeline's models, components and adapters come from: places that may be read, kinds that may be loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dw_lsp.planning.modular import is_modular
from dw_lsp.planning.requirements import RequiredPipeline
from dw_lsp.planning.single_files import hub_file
from dw_lsp.text.syntax_tree import Value
from dw_lsp.worker.engine.loading import check_single_file
from dw_lsp.worker.engine.modular_support import dtype_path
from dw_lsp.worker.engine.refusals import refuse
from dw_lsp.worker.engine.run_context import RunContext
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep


def check_sources(step: ResolvedStep, required: RequiredPipeline, folder: Path | None, context: RunContext) -> None:
    """Raise `InvalidInput` unless all that would be read lies where it may, and is of a kind that may be loaded.

    Arguments: `folder` is that of the workflow file.
    """
    _check_model(step, required, folder, context)
    for lora in required.loras:
        _check_weights(step, lora.file, ("pipeline", "loras", lora.index), context)
    if required.ip_adapter is not None:
        for each in required.ip_adapter.files:
            _check_weights(step, each.file, ("pipeline", "ip_adapter"), context)
    for name, definition in required.explicit.items():
        _check_component(step, name, definition, required, folder, context)
    _check_quantized(step, required, context)
    _check_dtype(step, required.loading.get("torch_dtype"), context)


def _check_model(step: ResolvedStep, required: RequiredPipeline, folder: Path | None, context: RunContext) -> None:
    """The model's folder or file may be read; of a modular one, the folders of its parts too."""
    path = ("pipeline", "from_pretrained_arguments")
    try:
        if required.model is not None:
            context.allowed.resolve(str(required.model.path), None, "the model")
        if required.single_file is not None:
            _check_file(required.single_file, required.parts[0].folder, folder, context)
        if is_modular(required.class_name) and required.model is not None:
            for part in required.model.parts:
                context.allowed.resolve(str(part.folder), None, f"the model's {part.name}")
    except InvalidInput as error:
        key = "model_name" if required.single_file is None else "from_single_file"
        raise refuse(step, (*path, key), error.message, error.hint) from error


def _check_file(source: str, file: Path | None, folder: Path | None, context: RunContext) -> None:
    """A file that a model or a component is loaded from is here or on the hub, may be read, and holds only numbers."""
    if (asked := hub_file(source)) is not None:
        check_single_file(Path(asked.path), context.options.allow_pickle)
    if file is not None:
        context.allowed.resolve(str(file), None, "the file")
        # By its own name: in the hub's cache it is a link to a file without an ending.
        check_single_file(file, context.options.allow_pickle)
    elif asked is None and "://" in source:
        raise InvalidInput(
            f"there is no file {source!r} that this engine can read",
            hint="Files are fetched from https://huggingface.co/OWNER/NAME/blob/main/FILE only; download it yourself.",
        )
    elif asked is None:
        place = context.allowed.resolve(source, folder, "the file")
        raise InvalidInput(f"there is no file {source!r}", hint=f"It was looked for at {place}.")


def _check_weights(step: ResolvedStep, file: Path | None, path: tuple[str | int, ...], context: RunContext) -> None:
    """An adapter's file may be read, and holds nothing but numbers."""
    if file is None:
        return
    try:
        context.allowed.resolve(str(file), None, "the adapter")
        check_single_file(file, context.options.allow_pickle)
    except InvalidInput as error:
        raise refuse(step, path, error.message, error.hint) from error


def _check_component(
    step: ResolvedStep,
    name: str,
    definition: Mapping[str, Value],
    required: RequiredPipeline,
    folder: Path | None,
    context: RunContext,
) -> None:
    """A component that the workflow defines itself is of a class that may be loaded, from files that may be read."""
    configuration, part = definition.get("configuration"), required.part(name)
    try:
        kind = context.types.component(
            str(configuration.get("component_type")) if isinstance(configuration, dict) else ""
        )
        if part is not None and part.folder is not None:
            context.allowed.resolve(str(part.folder), None, f"the component {name}")
    except InvalidInput as error:
        raise refuse(step, ("pipeline", name), error.message, error.hint) from error
    _check_loading(step, name, definition, None if part is None else part.folder, folder, context)
    try:
        context.loader.quantization(kind, definition.get("quantization_config"))
    except InvalidInput as error:
        raise refuse(step, ("pipeline", name, "quantization_config"), error.message, error.hint) from error


def _check_loading(
    step: ResolvedStep,
    name: str,
    definition: Mapping[str, Value],
    file: Path | None,
    folder: Path | None,
    context: RunContext,
) -> None:
    """What a component is loaded from is there or can be fetched, and its precision is one."""
    loading, path = definition.get("from_pretrained_arguments"), ("pipeline", name, "from_pretrained_arguments")
    for key, value in (loading if isinstance(loading, dict) else {}).items():
        try:
            if key == "from_single_file" and isinstance(value, str):
                _check_file(value, file, folder, context)
            if key in ("dtype", "torch_dtype") and isinstance(value, str) and value != "auto":
                context.types.dtype(value)
        except InvalidInput as error:
            raise refuse(step, (*path, key), error.message, error.hint) from error


def _check_quantized(step: ResolvedStep, required: RequiredPipeline, context: RunContext) -> None:
    """What a modular pipeline quantizes as it loads can be quantized in that way."""
    for name, definition in required.quantization.items():
        part = required.part(name)
        if part is None or part.where_from == "download":
            continue
        try:
            context.loader.quantization(context.loader.class_of(part.library, part.class_name), definition)
        except InvalidInput as error:
            path = ("pipeline", "configuration", "load_components", "quantization_config", name)
            raise refuse(step, path, error.message, error.hint) from error


def _check_dtype(step: ResolvedStep, dtype: Value, context: RunContext) -> None:
    configuration = step.body.get("configuration")
    path = dtype_path(configuration if isinstance(configuration, dict) else {})
    if (newly := (*path[:-1], "dtype")) in step.places:
        path = newly
    for name, value in (dtype if isinstance(dtype, dict) else {"": dtype}).items():
        if isinstance(value, str) and value != "auto":
            try:
                context.types.dtype(value)
            except InvalidInput as error:
                raise refuse(step, (*path, name) if name else path, error.message, error.hint) from error
