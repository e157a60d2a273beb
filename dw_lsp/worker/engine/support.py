"""What the format has and this engine does not do yet: an error that names the key, before anything is loaded.

A key is never ignored: it is carried out, or refused here with a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dw_lsp.planning.output_names import extension_of
from dw_lsp.planning.requirements import NOT_COMPONENTS
from dw_lsp.protocol import RunOptions
from dw_lsp.text.syntax_tree import Value
from dw_lsp.worker.engine.arguments import is_video_key
from dw_lsp.worker.tasks.registry import TASKS, installation_hint, missing_packages
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

PathPart = str | int

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
        "pre_load_modules",
        "vae",
        "shared_components",
        "reused_components",
    }
)
#: Members of a pipeline that are carried out, besides components.
PIPELINE = frozenset(
    {
        "configuration",
        "from_pretrained_arguments",
        "arguments",
        "scheduler",
        "audio_scheduler",
        "seed",
        "shared_components",
        "reused_components",
    }
)
VAE = frozenset({"enable_slicing", "enable_tiling"})
COMPONENT = frozenset({"configuration", "from_pretrained_arguments"})
COMPONENT_CONFIGURATION = frozenset({"component_type"})
SCHEDULER = frozenset({"configuration", "from_config_args"})
SCHEDULER_CONFIGURATION = frozenset({"scheduler_type", "shift"})
RESULT = frozenset({"content_type", "save", "file_base_name", "fps", "embed_metadata", "subfolder", "role"})
#: Keywords of `from_pretrained` that this engine does not pass on, and why.
LOADING = {
    "device_map": "placing a model's parts is this engine's own work",
    "max_memory": "placing a model's parts is this engine's own work",
    "offload_folder": "placing a model's parts is this engine's own work",
    "offload_state_dict": "placing a model's parts is this engine's own work",
    "quantization_config": "quantization is not done yet",
    "cache_dir": "set HF_HOME instead",
    "force_download": "delete the model from the cache instead",
    "proxies": "set HTTPS_PROXY instead",
    "token": "log in with `hf auth login` instead; a token does not belong into a file",
    "workflow": "modular pipelines are not run yet",
    "task": "pipelines of transformers are not run yet",
    "provider": "ONNX pipelines are not run yet",
}
_RUNS_CODE = ("trust_remote_code", "custom_pipeline", "custom_revision")
#: Beginnings of texts that mean something which this engine cannot look up.
_REFERENCES = ("prompt:", "asset:", "output:", "item:", "gather:", "constraint:")
_SOURCES = ("from_file", "from_previous_result", "from_arguments")
_SUBFOLDER = re.compile(r"[\w.-]+(/[\w.-]+)*")
_WRITTEN = ("image/png", "image/jpeg", "image/jpg", "image/webp", "image/gif", "image/bmp", "image/tiff")


def check_step(step: ResolvedStep, options: RunOptions) -> None:
    """Raise `InvalidInput`, with the key's place, for the first thing in a step that cannot be carried out."""
    if step.kind == "pipeline":
        _check_pipeline(step, options)
    elif step.kind == "pipeline_reference":
        _only(step, step.body, frozenset({"reference_name", "arguments"}), ("pipeline_reference",))
    elif step.kind == "task":
        _check_task(step)
    else:
        _only(step, step.body, frozenset({"path", "arguments"}), ("workflow",))
    arguments = step.body.get("arguments")
    _check_values(step, arguments, (step.kind, "arguments"))
    _check_values(step, step.body.get("inputs"), (step.kind, "inputs"))
    if step.result is not None:
        _check_result(step, step.result)


def refuse(step: ResolvedStep, path: tuple[PathPart, ...], message: str, hint: str | None = None) -> InvalidInput:
    """The error for something at a path inside a step."""
    return InvalidInput(message, step.place(*path), step.name, hint)


def _not_yet(step: ResolvedStep, path: tuple[PathPart, ...], what: str) -> InvalidInput:
    return refuse(step, path, f"{what} is not carried out by this engine yet")


def _only(step: ResolvedStep, value: Mapping[str, Value], known: frozenset[str], path: tuple[PathPart, ...]) -> None:
    for key in value:
        if key not in known:
            raise _not_yet(step, (*path, key), f"`{key}` in `{path[-1]}`")


def _object(step: ResolvedStep, value: Value, path: tuple[PathPart, ...]) -> Mapping[str, Value]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refuse(step, path, f"`{path[-1]}` should be an object")
    return value


# ---------------------------------------------------------------- pipelines


def _check_pipeline(step: ResolvedStep, options: RunOptions) -> None:
    body = step.body
    configuration = _object(step, body.get("configuration"), ("pipeline", "configuration"))
    if not isinstance(configuration.get("component_type"), str):
        path = ("pipeline", "configuration", "component_type")
        raise refuse(step, path, "a pipeline needs `component_type`, the name of its class")
    _only(step, configuration, CONFIGURATION, ("pipeline", "configuration"))
    _check_modules(step, configuration, options)
    vae = _object(step, configuration.get("vae"), ("pipeline", "configuration", "vae"))
    _only(step, vae, VAE, ("pipeline", "configuration", "vae"))
    if configuration.get("offload") not in (None, "model", "sequential"):
        raise refuse(step, ("pipeline", "configuration", "offload"), "`offload` is either model or sequential")
    _check_attention(step, configuration.get("attention_backend"), options)
    for key, value in body.items():
        if key in PIPELINE:
            continue
        if key in NOT_COMPONENTS or not isinstance(value, dict) or "from_pretrained_arguments" not in value:
            raise _not_yet(step, ("pipeline", key), f"`{key}` of a pipeline")
        _check_component(step, key, value, options)
    _check_loading(step, body.get("from_pretrained_arguments"), ("pipeline", "from_pretrained_arguments"), options)
    for name in ("scheduler", "audio_scheduler"):
        _check_scheduler(step, name, body.get(name))


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


def _check_attention(step: ResolvedStep, backend: Value, options: RunOptions) -> None:
    path = ("pipeline", "configuration", "attention_backend")
    if backend is not None and not isinstance(backend, str):
        raise refuse(step, path, "`attention_backend` should be a name, such as native or flash")
    if isinstance(backend, str) and "hub" in backend.lower() and not options.trust_remote_code:
        hint = "Use a backend that is installed, or set dw.security.trustRemoteCode."
        raise refuse(step, path, f"the attention backend {backend!r} would run code from the hub", hint)


def _check_component(step: ResolvedStep, name: str, value: Mapping[str, Value], options: RunOptions) -> None:
    path = ("pipeline", name)
    _only(step, value, COMPONENT, path)
    configuration = _object(step, value.get("configuration"), (*path, "configuration"))
    _only(step, configuration, COMPONENT_CONFIGURATION, (*path, "configuration"))
    if not isinstance(configuration.get("component_type"), str):
        raise refuse(step, (*path, "configuration"), f"the component `{name}` needs `component_type`, its class")
    source = (*path, "from_pretrained_arguments")
    _check_loading(step, value.get("from_pretrained_arguments"), source, options)
    loading = _object(step, value.get("from_pretrained_arguments"), source)
    if not isinstance(loading.get("model_name"), str) and not isinstance(loading.get("from_single_file"), str):
        raise refuse(step, source, f"the component `{name}` needs a `model_name` or `from_single_file`")


def _check_loading(step: ResolvedStep, value: Value, path: tuple[PathPart, ...], options: RunOptions) -> None:
    keywords = _object(step, value, path)
    for key in keywords:
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
    definition = _object(step, value, path)
    _only(step, definition, SCHEDULER, path)
    configuration = _object(step, definition.get("configuration"), (*path, "configuration"))
    _only(step, configuration, SCHEDULER_CONFIGURATION, (*path, "configuration"))
    _object(step, definition.get("from_config_args"), (*path, "from_config_args"))
    if definition and not configuration:
        raise refuse(step, path, f"`{name}` needs a `configuration` with `scheduler_type` or `shift`")


# ---------------------------------------------------------------- tasks, values, results


def _check_task(step: ResolvedStep) -> None:
    _only(step, step.body, frozenset({"command", "arguments", "inputs"}), ("task",))
    command = step.body.get("command")
    if not isinstance(command, str):
        raise refuse(step, ("task", "command"), "a task needs a `command`")
    if command not in TASKS:
        raise refuse(
            step, ("task", "command"), f"the task {command!r} is not carried out by this engine (yet)",
            f"It carries out {', '.join(sorted(TASKS))}.",
        )  # fmt: skip
    missing = missing_packages(command)
    if missing:
        message = f"the task {command!r} needs the package {' and '.join(missing.values())}, which is not installed"
        raise refuse(step, ("task", "command"), message, installation_hint(missing))


def _check_values(step: ResolvedStep, value: Value, path: tuple[PathPart, ...]) -> None:
    for place, key, found in walk_values(value, path):
        if isinstance(found, str) and found.startswith(_REFERENCES) and _is_reference(found):
            kind = found.partition(":")[0]
            raise refuse(step, place, f"`{kind}:` is not looked up by this engine yet ({found!r})")
        if isinstance(found, dict) and any(source in found for source in _SOURCES):
            source = next(source for source in _SOURCES if source in found)
            raise _not_yet(step, (*place, source), f"`{source}`")
        is_video = isinstance(found, dict) and found.get("media_type") == "video"
        if is_video or (is_video_key(key) and found is not None and not _is_pending(found)):
            raise _not_yet(step, place, f"reading a video (`{key}`)")


def _is_reference(text: str) -> bool:
    """Whether the whole text is one reference: a sentence that happens to begin with "prompt:" is not."""
    return not any(letter.isspace() for letter in text)


def _is_pending(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("previous_result:")


def walk_values(value: Value, path: tuple[PathPart, ...]) -> Iterator[tuple[tuple[PathPart, ...], str, Value]]:
    """Every value inside a value: its path, the key that it stands under (of a list's item: the list's), itself."""
    pending: list[tuple[tuple[PathPart, ...], str, Value]] = [(path, str(path[-1]), value)]
    while pending:
        place, key, found = pending.pop()
        yield place, key, found
        if isinstance(found, dict):
            pending.extend(((*place, name), name, item) for name, item in reversed(found.items()))
        elif isinstance(found, list):
            pending.extend(((*place, index), key, found[index]) for index in reversed(range(len(found))))


def _check_result(step: ResolvedStep, result: Mapping[str, Value]) -> None:
    _only(step, result, RESULT, ("result",))
    content_type = result.get("content_type")
    if not isinstance(content_type, str):
        raise refuse(step, ("result",), "a result needs a `content_type`, such as image/png")
    kind = content_type.partition(";")[0].strip().lower()
    writable = kind in _WRITTEN or kind.endswith("json") or kind.startswith("text/")
    if extension_of(content_type) is None:
        raise refuse(step, ("result", "content_type"), f"{content_type!r} is no content type that results can have")
    if not writable or kind in ("text/html", "text/xml"):
        raise _not_yet(step, ("result", "content_type"), f"writing {content_type}")
    subfolder = result.get("subfolder")
    if subfolder is not None and not (
        isinstance(subfolder, str) and _SUBFOLDER.fullmatch(subfolder) and ".." not in subfolder.split("/")
    ):
        raise refuse(step, ("result", "subfolder"), "a `subfolder` has letters, digits, `_`, `.`, `-` and `/` only")
    fps = result.get("fps")
    if fps is not None and (isinstance(fps, bool) or not isinstance(fps, (int, float)) or fps <= 0):
        raise refuse(step, ("result", "fps"), "`fps` should be a number above 0")
    for key in ("save", "embed_metadata"):
        if not isinstance(result.get(key, True), bool):
            raise refuse(step, ("result", key), f"`{key}` is true or false")
