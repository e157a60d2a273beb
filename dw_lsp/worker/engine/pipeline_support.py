"""What a pipeline may ask for: each key is carried out, or refused with a sentence before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping

from dw_lsp.planning.ip_adapters import adapter_names
from dw_lsp.planning.modular import MODULAR_SETTINGS, is_modular, load_components, offload_in
from dw_lsp.planning.placing import OWN_SETTINGS
from dw_lsp.protocol import RunOptions
from dw_lsp.text.syntax_tree import Value
from dw_lsp.worker.engine.caches import TYPES
from dw_lsp.worker.engine.compiling import OPTIONS
from dw_lsp.worker.engine.model_settings import MODEL_SETTINGS
from dw_lsp.worker.engine.modular_support import check_modular_settings
from dw_lsp.worker.engine.refusals import PathPart, not_yet, object_at, only, refuse, unknown
from dw_lsp.workflow.format.pipeline import COMPONENT_NAMES
from dw_lsp.workflow.resolved import ResolvedStep

CONFIGURATION = frozenset(
    {
        "component_type",
        "offload",
        "exclude_from_cpu_offload",
        "device",
        "no_generator",
        "enable_attention_slicing",
        "disable_attention_slicing",
        "attention_backend",
        "cache",
        "components",
        "pre_load_modules",
        "group_offload",
        *MODEL_SETTINGS,
        "shared_components",
        "reused_components",
        "sdnq_optimize",
        "prompt_weighting",
    }
)
#: Members of a pipeline that are carried out, besides components.
PIPELINE = frozenset(
    {
        "configuration",
        "from_pretrained_arguments",
        "arguments",
        "chain",
        "scheduler",
        "audio_scheduler",
        "ip_adapter",
        "loras",
        "seed",
        "shared_components",
        "reused_components",
    }
)
COMPONENT = frozenset({"configuration", "from_pretrained_arguments", "quantization_config"})
COMPONENT_CONFIGURATION = frozenset({"component_type", *OWN_SETTINGS})
#: Settings of single components.
SINGLE = frozenset(
    {
        "device",
        "group_offload",
        "residency",
        "enable_tiling",
        "attention_backend",
        "truncate_layers",
        "remove_modules",
        "compile",
    }
)
SCHEDULER = frozenset({"configuration", "from_config_args"})
SCHEDULER_CONFIGURATION = frozenset({"scheduler_type", "shift"})
#: Keywords of `from_pretrained` that this engine does not pass on, and why.
LOADING = {
    "device_map": "placing a model's parts is this engine's own work",
    "max_memory": "placing a model's parts is this engine's own work",
    "offload_folder": "placing a model's parts is this engine's own work",
    "offload_state_dict": "placing a model's parts is this engine's own work",
    "quantization_config": "it belongs beside the `from_pretrained_arguments` of the component that it quantizes",
    "cache_dir": "set HF_HOME instead",
    "force_download": "delete the model from the cache instead",
    "proxies": "set HTTPS_PROXY instead",
    "token": "log in with `hf auth login` instead; a token does not belong into a file",
    "workflow": "only modular pipelines have workflows to choose from",
    "task": "pipelines of transformers are not run yet",
    "provider": "ONNX pipelines are not run yet",
}
#: Values of `device_map` that say no more than where a model belongs, which the step's device says too.
ONE_DEVICE = ("cuda", "cuda:0", "mps", "cpu", "auto")
#: The same for LoRAs.
LORA_LOADING = {
    **{key: LOADING[key] for key in ("cache_dir", "force_download", "proxies", "token")},
    "hotswap": "changing a LoRA loads that LoRA alone anyway",
}
_RUNS_CODE = ("trust_remote_code", "custom_pipeline", "custom_revision")


def check_pipeline(step: ResolvedStep, options: RunOptions) -> None:
    body = step.body
    configuration = object_at(step, body.get("configuration"), ("pipeline", "configuration"))
    if not isinstance(configuration.get("component_type"), str):
        path = ("pipeline", "configuration", "component_type")
        raise refuse(step, path, "a pipeline needs `component_type`, the name of its class")
    modular = is_modular(str(configuration["component_type"]))
    if modular:
        check_modular_settings(step, configuration)
    known = CONFIGURATION | MODULAR_SETTINGS if modular else CONFIGURATION
    only(step, configuration, known, ("pipeline", "configuration"))
    _check_modules(step, configuration, options)
    for name, keys in MODEL_SETTINGS.items():
        path = ("pipeline", "configuration", name)
        only(step, object_at(step, configuration.get(name), path), keys, path)
    _check_groups(step, configuration)
    if configuration.get("offload") not in (None, "model", "sequential"):
        raise refuse(step, ("pipeline", "configuration", "offload"), "`offload` is either model or sequential")
    _check_attention(step, configuration.get("attention_backend"), options)
    _check_single(step, configuration.get("components"), options)
    cache = object_at(step, configuration.get("cache"), ("pipeline", "configuration", "cache"))
    if cache and cache.get("type") not in TYPES:
        path = ("pipeline", "configuration", "cache")
        raise refuse(step, path, f"a cache is of one of the types {', '.join(TYPES)}, not {cache.get('type')!r}")
    for key, value in body.items():
        if key not in PIPELINE and value is not None:  # One that is null is not there.
            _check_member(step, key, value, options)
    _check_source(step, configuration, modular, options)
    for name in ("scheduler", "audio_scheduler"):
        _check_scheduler(step, name, body.get(name))
    _check_loras(step, body.get("loras"))
    _check_ip_adapter(step, body.get("ip_adapter"))


def _check_source(step: ResolvedStep, configuration: Mapping[str, Value], modular: bool, options: RunOptions) -> None:
    path = ("pipeline", "from_pretrained_arguments")
    keywords = object_at(step, step.body.get("from_pretrained_arguments"), path)
    if modular:
        workflow = keywords.get("workflow")
        if workflow is not None and not isinstance(workflow, str):
            raise refuse(step, (*path, "workflow"), "`workflow` should be a name")
        if not isinstance(keywords.get("model_name"), str):
            raise refuse(step, path, "a modular pipeline needs a `model_name`, its folder or repository")
        keywords = {key: value for key, value in keywords.items() if key != "workflow"}
        loading = {key: value for key, value in load_components(configuration).items() if key != "quantization_config"}
        _check_loading(step, loading, ("pipeline", "configuration", "load_components"), options)
    _check_loading(step, dict(keywords), path, options)


def _check_groups(step: ResolvedStep, configuration: Mapping[str, Value]) -> None:
    path = ("pipeline", "configuration", "group_offload")
    offload = offload_in(configuration)
    _check_group(step, configuration.get("group_offload"), path, offload)
    own = object_at(step, configuration.get("components"), (*path[:-1], "components"))
    for name, wanted in own.items():
        if isinstance(wanted, dict):
            _check_group(step, wanted.get("group_offload"), (*path[:-1], "components", name, "group_offload"), offload)
    for name, part in step.body.items():
        settings = part.get("configuration") if isinstance(part, dict) else None
        if isinstance(settings, dict) and "from_pretrained_arguments" in part:  # type: ignore[operator]
            _check_group(step, settings.get("group_offload"), ("pipeline", name, *path[1:]), offload)
    names = configuration.get("sdnq_optimize")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise refuse(step, (*path[:-1], "sdnq_optimize"), "`sdnq_optimize` should be a list of component names")


def _check_group(step: ResolvedStep, value: Value, path: tuple[PathPart, ...], offload: str | None) -> None:
    groups = object_at(step, value, path)
    if groups and offload:
        raise refuse(step, path, "`group_offload` and `offload` rule each other out")
    if groups.get("offload_type", "block_level") == "block_level" and groups and not groups.get("num_blocks_per_group"):
        hint = 'Say how many, or use "offload_type": "leaf_level".'
        raise refuse(step, path, "groups of blocks need `num_blocks_per_group`, how many come at once", hint)


def _check_modules(step: ResolvedStep, configuration: Mapping[str, Value], options: RunOptions) -> None:
    path = ("pipeline", "configuration", "pre_load_modules")
    modules = configuration.get("pre_load_modules") or []
    if not isinstance(modules, list) or not all(isinstance(module, str) for module in modules):
        raise refuse(step, path, "`pre_load_modules` should be a list of module names")
    for module in modules:
        if str(module).partition(".")[0] not in options.allowed_modules:
            raise refuse(
                step,
                path,
                f"the module {module!r} is not allowed to be imported",
                f"Allowed are {', '.join(options.allowed_modules)}; see dw.security.allowedModules.",
            )


def _check_single(step: ResolvedStep, value: Value, options: RunOptions) -> None:
    """Settings of single components are ones that are carried out, of the right kind."""
    path = ("pipeline", "configuration", "components")
    for name, more in object_at(step, value, path).items():
        wanted = object_at(step, more, (*path, name))
        only(step, wanted, SINGLE, (*path, name))
        _check_attention(step, wanted.get("attention_backend"), options, (*path, name, "attention_backend"))
        if wanted.get("residency") not in (None, "resident", "on_demand"):
            raise refuse(step, (*path, name, "residency"), "`residency` is either resident or on_demand")
        if wanted.get("group_offload") and wanted.get("residency") == "on_demand":
            raise refuse(step, (*path, name), "`group_offload` and `residency: on_demand` rule each other out")
        for key in ("group_offload", "truncate_layers"):
            object_at(step, wanted.get(key), (*path, name, key))
        _check_compile(step, wanted.get("compile"), (*path, name, "compile"))


def _check_compile(step: ResolvedStep, value: Value, path: tuple[PathPart, ...]) -> None:
    options = object_at(step, value, path)
    only(step, options, frozenset(OPTIONS), path)
    for key, kind in OPTIONS.items():
        if not isinstance(options.get(key), (kind, type(None))):
            wanted = "a text" if kind is str else "true or false"
            raise refuse(step, (*path, key), f"`{key}` should be {wanted}")


def _check_attention(
    step: ResolvedStep,
    backend: Value,
    options: RunOptions,
    path: tuple[PathPart, ...] = ("pipeline", "configuration", "attention_backend"),
) -> None:
    if backend is not None and not isinstance(backend, str):
        raise refuse(step, path, "`attention_backend` should be a name, such as native or flash")
    if isinstance(backend, str) and "hub" in backend.lower() and not options.trust_remote_code:
        hint = "Use a backend that is installed, or set dw.security.trustRemoteCode."
        raise refuse(step, path, f"the attention backend {backend!r} would run code from the hub", hint)


def _check_member(step: ResolvedStep, name: str, value: Value, options: RunOptions) -> None:
    """What is no key of a pipeline is a component that it defines itself."""
    path = ("pipeline", name)
    if name == "remote_text_encoder":
        raise not_yet(step, path, f"`{name}` of a pipeline")
    if isinstance(value, dict) and "from_pretrained_arguments" in value:
        _check_component(step, name, value, options)
    elif isinstance(value, dict):
        raise refuse(step, path, f"the component `{name}` needs `from_pretrained_arguments`, which say where it is")
    elif name in COMPONENT_NAMES:
        raise refuse(step, path, f"the component `{name}` should be an object")
    else:
        raise unknown(step, path, PIPELINE | set(COMPONENT_NAMES))


def _check_component(step: ResolvedStep, name: str, value: Mapping[str, Value], options: RunOptions) -> None:
    path = ("pipeline", name)
    only(step, value, COMPONENT, path)
    configuration = object_at(step, value.get("configuration"), (*path, "configuration"))
    only(step, configuration, COMPONENT_CONFIGURATION, (*path, "configuration"))
    if not isinstance(configuration.get("component_type"), str):
        raise refuse(step, (*path, "configuration"), f"the component `{name}` needs `component_type`, its class")
    source = (*path, "from_pretrained_arguments")
    _check_loading(step, value.get("from_pretrained_arguments"), source, options)
    loading = object_at(step, value.get("from_pretrained_arguments"), source)
    if not isinstance(loading.get("model_name"), str) and not isinstance(loading.get("from_single_file"), str):
        raise refuse(step, source, f"the component `{name}` needs a `model_name` or `from_single_file`")


def _check_loading(step: ResolvedStep, value: Value, path: tuple[PathPart, ...], options: RunOptions) -> None:
    keywords = object_at(step, value, path)
    for key in keywords:
        if key == "device_map" and keywords[key] in ONE_DEVICE:
            continue
        if key in LOADING:
            raise refuse(step, (*path, key), f"`{key}` is not taken by this engine: {LOADING[key]}")
        if key in _RUNS_CODE and keywords[key] and not (key == "trust_remote_code" and options.trust_remote_code):
            raise refuse(
                step,
                (*path, key),
                f"`{key}` would run code that comes with a model",
                "Use a model and a pipeline that need none"
                + (", or set dw.security.trustRemoteCode." if key == "trust_remote_code" else "."),
            )
    if keywords.get("use_safetensors") is False and not options.allow_pickle:
        raise refuse(
            step,
            (*path, "use_safetensors"),
            "weights other than safetensors could run any code when they are loaded",
            "Remove `use_safetensors`, or set dw.security.allowPickle if you trust the model.",
        )
    if isinstance(keywords.get("model_name"), str) and isinstance(keywords.get("from_single_file"), str):
        raise refuse(step, (*path, "from_single_file"), "`model_name` and `from_single_file` rule each other out")


def _check_scheduler(step: ResolvedStep, name: str, value: Value) -> None:
    path = ("pipeline", name)
    definition = object_at(step, value, path)
    only(step, definition, SCHEDULER, path)
    configuration = object_at(step, definition.get("configuration"), (*path, "configuration"))
    only(step, configuration, SCHEDULER_CONFIGURATION, (*path, "configuration"))
    object_at(step, definition.get("from_config_args"), (*path, "from_config_args"))
    if definition and not configuration:
        raise refuse(step, path, f"`{name}` needs a `configuration` with `scheduler_type` or `shift`")


def _check_loras(step: ResolvedStep, value: Value) -> None:
    path = ("pipeline", "loras")
    if value is not None and not isinstance(value, list):
        raise refuse(step, path, "`loras` should be a list of objects, each with a `model_name`")
    for index, entry in enumerate(value or []):
        if not isinstance(entry, dict):
            raise refuse(step, (*path, index), 'a LoRA should be an object, such as {"model_name": ...}')
        if not isinstance(entry.get("model_name"), str) and ("model_name" not in entry or entry["model_name"]):
            raise refuse(step, (*path, index), "a LoRA needs a `model_name`, its folder, file or repository")
        for key in entry:
            if key in LORA_LOADING:
                raise refuse(step, (*path, index, key), f"`{key}` is not taken by this engine: {LORA_LOADING[key]}")


def _check_ip_adapter(step: ResolvedStep, value: Value) -> None:
    path = ("pipeline", "ip_adapter")
    entry = object_at(step, value, path)
    names = adapter_names(entry)
    if entry and not isinstance(entry.get("model_name"), (str, list)):
        raise refuse(step, path, "an image-prompt adapter needs a `model_name`, its folder, file or repository")
    if entry and names is None:
        message = "`model_name`, `weight_name` and `subfolder` should be texts, or lists of texts of one length"
        raise refuse(step, path, message, "A text counts for all adapters.")
    given = entry.get("scale")
    scales = given if isinstance(given, list) else [given]
    for scale in scales:
        if isinstance(scale, (str, bool)):
            raise refuse(step, (*path, "scale"), f"`scale` should be a number, not {scale!r}")
    if names and len(scales) not in (1, len(names)):
        raise refuse(step, (*path, "scale"), f"there are {len(names)} adapters, but {len(scales)} scales")
    known = frozenset({"model_name", "weight_name", "subfolder", "revision", "scale", "image_encoder_folder"})
    only(step, entry, known, path)
