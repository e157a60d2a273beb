"""Which components a pipeline step needs, and what identifies each: from the step's definition and the files on disk.

The worker loads by these keys and the plan shows them, so both speak of the same components. Nothing is loaded here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dw_lsp.catalog.models import (
    LocalModel,
    ModelPart,
    Weights,
    elements_of,
    find_model,
    hub_cache,
    looks_local,
    read_json,
    read_part,
)
from dw_lsp.catalog.modular_models import find_modular_model
from dw_lsp.catalog.modular_parts import expected_parts
from dw_lsp.planning.ip_adapters import RequiredIpAdapter, required_ip_adapter
from dw_lsp.planning.loras import RequiredLora, required_loras
from dw_lsp.planning.modular import CHOOSING, chosen_names, is_modular, modular_loading, quantized_parts
from dw_lsp.planning.single_files import file_source, find_single_file
from dw_lsp.planning.weight_bytes import bytes_in_memory, dtype_bytes
from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.identity import component_key, component_loading, loading_identity, short_dtype
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

#: Members of a pipeline that are no components, though they hold objects.
NOT_COMPONENTS = frozenset(
    {
        "configuration",
        "from_pretrained_arguments",
        "arguments",
        "scheduler",
        "audio_scheduler",
        "loras",
        "ip_adapter",
        "chain",
    }
)
_ENCODER = "image_encoder"
SCHEDULER_NAMES = frozenset({"scheduler", "audio_scheduler"})
#: Components whose precision may stand in the pipeline's configuration, under their names.
_PRECISE = ("vae", "unet", "text_encoder")


@dataclass(frozen=True)
class RequiredComponent:
    """A component that a step needs: `name` in the pipeline, the folder it would be loaded from, its size in memory.

    `bytes` is `None` where the files are not here to be measured; `where_from` is "disk" or "download"; `cuts` are
    settings by which parts of it are left out, once it is loaded.
    """

    name: str
    library: str
    class_name: str
    key: str
    identity: str
    bytes: int | None
    disk_bytes: int | None
    folder: Path | None
    where_from: str
    cuts: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class RequiredPipeline:
    """What must be in memory for a step's call. `model` is `None` for a source that is not on this machine.

    `loading` are the keywords for `from_pretrained` besides the name. `explicit` maps the components that the workflow
    itself defines to their definitions; they stand in `parts` too. `loras` are a state of the parts, in their order.
    `quantization` has the definitions for parts that are quantized as they are loaded, by name. Of a `single_file` the
    first part stands for all that is in it. `device` is the kind of the worker's.
    """

    class_name: str
    model_name: str | None
    single_file: str | None
    model: LocalModel | None
    loading: Mapping[str, Value]
    parts: tuple[RequiredComponent, ...]
    explicit: Mapping[str, Mapping[str, Value]]
    loras: tuple[RequiredLora, ...] = ()
    ip_adapter: RequiredIpAdapter | None = None
    quantization: Mapping[str, Value] = field(default_factory=dict)
    device: str = "cpu"

    def part(self, name: str) -> RequiredComponent | None:
        """The component of that name."""
        return next((part for part in self.parts if part.name == name), None)


def lora_parts(required: RequiredPipeline) -> Iterator[RequiredComponent]:
    """The adapters of a step in the form of components, for what is shown of a run."""
    if (ip := required.ip_adapter) is not None:
        where = "disk" if ip.file is not None else "download"
        yield RequiredComponent(ip.name, "diffusers", "IPAdapter", ip.key, ip.key, ip.bytes, ip.bytes, ip.file, where)
    for lora in required.loras:
        where = "disk" if lora.file is not None else "download"
        yield RequiredComponent(lora.name, "peft", "LoRA", lora.key, lora.key, lora.bytes, lora.bytes, lora.file, where)


def explicit_components(body: Mapping[str, Value]) -> Iterator[tuple[str, Mapping[str, Value]]]:
    """The components that a pipeline defines itself: members that hold an object with `from_pretrained_arguments`."""
    for name, value in body.items():
        if name not in NOT_COMPONENTS and isinstance(value, dict) and "from_pretrained_arguments" in value:
            yield name, value


def required_pipeline(
    step: ResolvedStep, folder: Path | None, taken: frozenset[str] | None = None, device: str = "cpu"
) -> RequiredPipeline:
    """The components of a pipeline step, each with its key.

    Arguments: `folder` is that of the workflow file, where relative model names start; `taken` are the names of the
    parts that a modular pipeline takes from its model, for who knows them better than the table; `device` is the kind
    of the worker's, which decides the precision where the step does not.
    Raises `InvalidInput` when a model folder is named that is not there or holds no model.
    """
    body = step.body
    loading, configuration = _object(body.get("from_pretrained_arguments")), _object(body.get("configuration"))
    class_name = _text(configuration.get("component_type")) or ""
    model_name, single_file = _text(loading.get("model_name")), _text(loading.get("from_single_file"))
    keywords = load_keywords(loading)
    modular = is_modular(class_name)
    quantization = quantized_parts(configuration) if modular else {}
    if modular:
        keywords = modular_loading(configuration, keywords)
    keywords = _with_precisions(keywords, configuration)
    explicit = dict(explicit_components(body))
    model = None
    if model_name is not None:
        place = ("pipeline", "from_pretrained_arguments", "model_name")
        model = find_source(step, model_name, keywords, folder, place, modular)
    names = _taken(class_name, model, keywords, configuration, taken) if modular and model else None
    parts = list(_of_model(model, keywords, set(explicit), names, quantization, device))
    parts += [_explicit_part(step, name, definition, folder, device) for name, definition in explicit.items()]
    parts = [_cut(part, _cuts_of(part.name, _object(configuration.get("components")))) for part in parts]
    if single_file is not None:
        parts.insert(0, _whole_file(class_name, single_file, keywords, folder, device))
    elif model is None and model_name:
        parts.insert(0, unseen_part(class_name, model_name, keywords))
    loras = required_loras(step, folder, _loading_of(_denoiser(parts), keywords).get("torch_dtype"))
    adapter = required_ip_adapter(step, folder)
    if adapter is not None and adapter.encoder is not None and not any(part.name == _ENCODER for part in parts):
        encoder = read_part(_ENCODER, "transformers", "CLIPVisionModelWithProjection", adapter.encoder, None)
        parts.append(required_part(encoder, keywords, device))
    return RequiredPipeline(
        class_name,
        model_name,
        single_file,
        model,
        keywords,
        tuple(parts),
        explicit,
        loras,
        adapter,
        quantization,
        device,
    )


def _denoiser(parts: list[RequiredComponent]) -> str:
    return "unet" if any(part.name == "unet" for part in parts) else "transformer"


def load_keywords(loading: Mapping[str, Value]) -> dict[str, Value]:
    """The keywords of `from_pretrained_arguments` besides the source. `dtype` is what `torch_dtype` is called newly."""
    keywords = {key: value for key, value in loading.items() if key not in ("model_name", "from_single_file", "dtype")}
    if loading.get("dtype") is not None:
        keywords["torch_dtype"] = loading["dtype"]
    return keywords


def _with_precisions(keywords: Mapping[str, Value], configuration: Mapping[str, Value]) -> dict[str, Value]:
    """Loading keywords, with the precisions that the configuration has for single components."""
    single = {name: dtype for name in _PRECISE if (dtype := _object(configuration.get(name)).get("torch_dtype"))}
    if not single:
        return dict(keywords)
    given = keywords.get("torch_dtype")
    others = given if isinstance(given, dict) else {"default": given}
    return {**keywords, "torch_dtype": {**others, **single}}


def _taken(
    class_name: str,
    model: LocalModel,
    keywords: Mapping[str, Value],
    configuration: Mapping[str, Value],
    taken: frozenset[str] | None,
) -> frozenset[str] | None:
    """The names of the parts that a modular pipeline takes from its model; `None` for all."""
    simple, workflow = class_name.rpartition(".")[2], _text(keywords.get("workflow"))
    expected = taken or expected_parts(simple, model.path, model.pipeline_class, workflow)
    chosen = chosen_names(configuration)
    return chosen if expected is None else expected if chosen is None else expected & chosen


def _of_model(
    model: LocalModel | None,
    keywords: Mapping[str, Value],
    explicit: set[str],
    names: frozenset[str] | None,
    quantization: Mapping[str, Value],
    device: str,
) -> Iterator[RequiredComponent]:
    """The components that a pipeline takes from its model. Arguments: `names`: these only."""
    without = explicit | {name for name, value in keywords.items() if value is None}
    own = {key: value for key, value in keywords.items() if key not in CHOOSING}
    for part in model.parts if model else ():
        if _wanted(part, without) and (names is None or part.name in names):
            quantized = {"quantization_config": quantization[part.name]} if part.name in quantization else {}
            yield required_part(part, {**own, **quantized}, device)


def _cuts_of(name: str, settings: Mapping[str, Value]) -> dict[str, Value]:
    """What a step leaves out of a component: under its name, and under paths that lead into it."""
    layers: dict[str, Value] = {}
    modules: list[Value] = []
    for path, value in settings.items():
        owner, _, inside = path.partition(".")
        if owner == name:
            prefix, wanted = f"{inside}." if inside else "", _object(value)
            layers.update({prefix + key: count for key, count in _object(wanted.get("truncate_layers")).items()})
            removed = wanted.get("remove_modules")
            modules += [f"{prefix}{each}" for each in (removed if isinstance(removed, list) else ())]
    found: dict[str, Value] = {"truncate_layers": layers, "remove_modules": modules}
    return {key: value for key, value in found.items() if value}


def _cut(part: RequiredComponent, cuts: Mapping[str, Value]) -> RequiredComponent:
    """The component without what its step leaves out of it: not the same one any more."""
    if not cuts:
        return part
    return replace(part, key=component_key(part.name, part.class_name, part.key, dict(cuts)), cuts=cuts)


def _wanted(part: ModelPart, without: set[str]) -> bool:
    return part.name not in without and part.name not in SCHEDULER_NAMES


def find_source(
    step: ResolvedStep,
    name: str,
    keywords: Mapping[str, Value],
    folder: Path | None,
    path: tuple[str, ...],
    modular: bool = False,
) -> LocalModel | None:
    """The model on this machine; `None` for one that would come from the hub."""
    variant, revision = _text(keywords.get("variant")), _text(keywords.get("revision"))
    if modular:
        found = find_modular_model(name, folder, variant=variant, revision=revision)
    else:
        subfolder = _text(keywords.get("subfolder"))
        found = find_model(name, folder, subfolder=subfolder, variant=variant, revision=revision)
    if found is None and (looks_local(name) or (folder is not None and os.path.isdir(folder / name))):
        place = (folder / name) if folder is not None else Path(name)
        problem = "holds no model (no model_index.json or config.json)" if os.path.isdir(place) else "does not exist"
        raise InvalidInput(
            f"the model folder {name!r} {problem}",
            step.place(*path),
            step.name,
            f"It was looked for at {place}. Relative names start at the workflow file's folder.",
        )
    return found


def required_part(part: ModelPart, keywords: Mapping[str, Value], device: str = "cpu") -> RequiredComponent:
    """A component from its folder. Arguments: the keywords of its loading; `device` is the kind of the worker's."""
    loading = _loading_of(part.name, keywords)
    dtype = _dtype(loading.get("torch_dtype"), part, device)
    loading["torch_dtype"] = dtype
    memory = bytes_in_memory(part, dtype, loading.get("quantization_config"))
    key = component_key(part.name, part.class_name, part.identity, component_loading(loading))
    # Only what came from the hub can be fetched again; a folder of the user's own is as it is.
    fetch = not part.whole and part.folder.is_relative_to(hub_cache())
    where = "download" if fetch else "disk"
    return RequiredComponent(
        part.name, part.library, part.class_name, key, part.identity, memory, part.weights.bytes, part.folder, where
    )


def _dtype(wanted: Value, part: ModelPart, device: str) -> str | None:
    """The precision in which a part will be in memory, chosen as its loader does; `None`: as it is stored."""
    if part.library == "transformers" and not part.weights.bytes:
        return None  # Of a tokenizer or a processor; weights are what has a precision.
    if isinstance(wanted, str) and wanted != "auto":
        return short_dtype(wanted)
    if device == "cpu" or part.library == "diffusers":
        return "float32"
    config = read_json(part.folder / "config.json") or {}
    told = config.get("dtype", config.get("torch_dtype"))
    return short_dtype(told) if part.library == "transformers" and isinstance(told, str) else None


def _loading_of(name: str, keywords: Mapping[str, Value]) -> dict[str, Value]:
    """The keywords that concern one component: a dtype may be given for each by name."""
    loading: dict[str, Value] = {key: value for key, value in keywords.items() if value is not None}
    dtype = loading.get("torch_dtype")
    if isinstance(dtype, dict):
        chosen = dtype.get(name, dtype.get("default"))
        loading["torch_dtype"] = chosen
        if chosen is None:
            del loading["torch_dtype"]
    return loading


def _explicit_part(
    step: ResolvedStep, name: str, definition: Mapping[str, Value], folder: Path | None, device: str
) -> RequiredComponent:
    loading = _object(definition.get("from_pretrained_arguments"))
    home, _, class_name = (_text(_object(definition.get("configuration")).get("component_type")) or "").rpartition(".")
    keywords = load_keywords(loading)
    if "quantization_config" in definition:
        keywords["quantization_config"] = definition["quantization_config"]
    source, single_file = _text(loading.get("model_name")), _text(loading.get("from_single_file"))
    if source is None:
        return _single_file(name, class_name, single_file or "", keywords, folder, device)
    path = ("pipeline", name, "from_pretrained_arguments", "model_name")
    model = find_source(step, source, keywords, folder, path)
    if model is None or len(model.parts) != 1:
        return unseen_part(class_name, source, keywords, name)
    library = home.partition(".")[0] or "diffusers"
    return required_part(replace(model.parts[0], name=name, library=library, class_name=class_name), keywords, device)


def _single_file(
    name: str, class_name: str, source: str, keywords: Mapping[str, Value], folder: Path | None, device: str
) -> RequiredComponent:
    """A component that is loaded from one file."""
    file, loading = find_single_file(source, folder), _loading_of(name, keywords)
    if file is None:
        return unseen_part(class_name, source, keywords, name)
    identity, size = file_source(file, keywords, folder), file.stat().st_size
    wanted = loading.get("torch_dtype")
    dtype = short_dtype(wanted) if isinstance(wanted, str) and wanted != "auto" else None
    loading["torch_dtype"] = dtype or ("float32" if device == "cpu" else None)
    memory = Weights(size, elements_of(file)).bytes_as(dtype_bytes(loading["torch_dtype"]))
    key = component_key(name, class_name, identity, component_loading(loading))
    return RequiredComponent(name, "diffusers", class_name, key, identity, memory, size, file, "disk")


def _whole_file(
    class_name: str, source: str, keywords: Mapping[str, Value], folder: Path | None, device: str
) -> RequiredComponent:
    """All that a pipeline takes from one file: the same for each class, so that classes share what is in it."""
    simple = class_name.rpartition(".")[2]
    part = _single_file(simple, "", source, keywords, folder, device)
    # What is no component's own keyword reaches the loaders of all that is in the file.
    key = component_key(simple, "", part.key.partition(":")[2], loading_identity({**keywords, "torch_dtype": None}))
    return replace(part, class_name=simple, key=key)


def unseen_part(
    class_name: str, source: str, keywords: Mapping[str, Value], name: str | None = None
) -> RequiredComponent:
    """A component, or all of a model, whose files are not here: its source's name stands for them."""
    simple = class_name.rpartition(".")[2]
    revision, subfolder, variant = (_text(keywords.get(key)) or "" for key in ("revision", "subfolder", "variant"))
    identity = f"{source}@{revision or 'main'}/{subfolder}/{variant}"
    key = component_key(name or simple, simple, identity, loading_identity(keywords))
    return RequiredComponent(name or simple, "diffusers", simple, key, identity, None, None, None, "download")


def _object(value: Value) -> Mapping[str, Value]:
    return value if isinstance(value, dict) else {}


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) else None
