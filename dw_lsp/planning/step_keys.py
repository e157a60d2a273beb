"""The key under which an iteration of a step is remembered: all that decides its results, and nothing else.

In the key: what is called, the components' keys, the inputs' content, the seed, the surroundings (versions, kind of
device). Not in it: names, comments, spelling, the order of keys, and what is done with the results afterwards. Inputs
count by their content, so the key of a step never contains another key, and keying is linear in the number of steps.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from dw_lsp import __version__
from dw_lsp.catalog.models import MODEL_INDEX, file_identity, looks_local
from dw_lsp.catalog.modular_models import block_files
from dw_lsp.planning.artifact import Artifact, plain_value
from dw_lsp.planning.input_files import FROM_FILE, SOUND_KEYS, InputFiles, location_of, medium, names_media
from dw_lsp.planning.loras import lora_settings
from dw_lsp.planning.modular import is_modular
from dw_lsp.planning.requirements import SCHEDULER_NAMES, RequiredPipeline
from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.format.commands import COMMANDS
from dw_lsp.workflow.identity import canonical, content_digest, digest, loading_identity
from dw_lsp.workflow.resolved import ResolvedStep, ResolvedWorkflow

#: Raised when a key no longer means what it meant, so that nothing remembered before is taken.
KEY_FORMAT = 3
#: Members of a pipeline that are in its key in a form of their own, or say nothing about its results.
_OWN_FORM = frozenset(
    {
        "arguments",
        "from_pretrained_arguments",
        "seed",
        "shared_components",
        "configuration",
        "loras",
        "ip_adapter",
        "chain",
    }
)
#: How weights in prompts are asked for: each calling step does so for itself.
_WEIGHTING = "prompt_weighting"
_FREE_CONFIGURATION = frozenset({"shared_components", "component_type", _WEIGHTING})
#: Members of a configuration that say how latents are decoded and where, not what they are.
DECODING = frozenset({"vae", "offload", "exclude_from_cpu_offload"})
_TO_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
#: Of the versions that are known, those that decide no result.
_INDIFFERENT = frozenset({"python", "safetensors"})
#: Variables by which libraries choose how they compute.
_VARIABLES = (
    "DIFFUSERS_ATTN_BACKEND", "NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG",
)  # fmt: skip


def surroundings(versions: Mapping[str, str], device: str, environment: Mapping[str, str]) -> str:
    """What decides results beside the workflow, as a digest.

    Arguments: the libraries' versions; the kind of device; the worker's variables.
    """
    told = {name: version for name, version in versions.items() if name not in _INDIFFERENT}
    chosen = {name: environment[name] for name in _VARIABLES if environment.get(name)}
    return digest(str(KEY_FORMAT), __version__, canonical(told), device, canonical(chosen))


def pipeline_definition(
    step: ResolvedStep,
    required: RequiredPipeline,
    reused: Mapping[str, str],
    without: frozenset[str] = frozenset(),
    weighting: bool = False,
) -> str | None:
    """What a pipeline step defines, its call's arguments left out, as a digest.

    Arguments: `reused` are the keys of components that it takes from earlier steps, by name; `without` are members of
    its configuration that do not count; `weighting`: the step that calls wants weights in prompts. Returns `None` when
    something of it cannot be identified: files that are not here yet, a configuration in a folder of its own.
    """
    loading = required.loading
    if any(part.where_from == "download" for part in required.parts) or any(
        adapter is not None and adapter.file is None for adapter in (*required.loras, required.ip_adapter)
    ):
        return None
    if any(
        isinstance(loading.get(key), str) and looks_local(str(loading[key])) for key in ("config", "original_config")
    ):
        return None
    parts = {part.name: part.key for part in required.parts if part.name not in reused}
    parts.update(reused)
    if required.model is not None:
        parts.update({part.name: part.identity for part in required.model.parts if part.name in SCHEDULER_NAMES})
        index = required.model.path / MODEL_INDEX
        parts["/index"] = file_identity(index) if index.is_file() else ""
        if is_modular(required.class_name):
            parts["/blocks"] = "".join(map(file_identity, block_files(required.model.path)))
    configuration = step.body.get("configuration")
    settings = configuration if isinstance(configuration, dict) else {}
    told: dict[str, Value] = {
        "class": required.class_name.removeprefix("diffusers."),
        "parts": dict(parts),
        "loading": loading_identity(loading),
        "ip_adapter": None if required.ip_adapter is None else required.ip_adapter.settings(),
        "loras": [dict(each) for each in lora_settings(required.loras)],
        "settings": {key: settings[key] for key in settings.keys() - _FREE_CONFIGURATION - without},
        "more": {
            key: value for key, value in step.body.items() if key not in _OWN_FORM and key not in required.explicit
        },
    }
    if weighting:
        told[_WEIGHTING] = True
    return content_digest("pipeline" + canonical(told))


def task_definition(command: str, whole_items: bool, required: RequiredPipeline | None = None) -> str | None:
    """What a task is, its arguments left out; `None` when its models are not here yet.

    Arguments: `whole_items`: each item of `inputs` is a result as it is; `required` are the models of a task with some.
    """
    parts = () if required is None else required.parts
    if any(part.where_from == "download" for part in parts):
        return None
    return " ".join(["task", command, str(whole_items), *(part.key for part in parts)])


def iteration_key(
    definition: str, arguments: Any, seed: int | None, around: str, files: InputFiles, paths: frozenset[str]
) -> str | None:
    """The key of one call; `None` when an argument's content cannot be known without the call.

    Arguments: the definition's digest; the call's arguments, with artifacts in the place of references; the seed in
    use; the surroundings; where files are read; `paths` are keys that hold paths or patterns in this call.
    """
    spelled = _Spelled(files, paths)
    told = _TO_JSON(spelled.value("", arguments))
    return None if spelled.unknown else content_digest(f"{definition} {seed} {around} {told}")


def in_parts(key: str | None) -> str | None:
    """The key of what a call gave whose latents were decoded in parts, unlike its text says, since memory ran out."""
    return None if key is None else content_digest(f"in parts {key}")


def path_arguments(command: str | None) -> frozenset[str]:
    """The arguments of a task that are paths, though their names do not say so."""
    if command in ("gather_images", "gather_videos"):
        return frozenset({"urls", "glob"})
    return sound_arguments(command)


@functools.cache
def sound_arguments(command: str | None) -> frozenset[str]:
    """The arguments of a task that hold sound: recordings, or files with one."""
    known = COMMANDS.get(command or "")
    return frozenset(each.name for each in known.arguments if each.name in SOUND_KEYS) if known else frozenset()


def base_seed(step: ResolvedStep, definition: Mapping[str, Value], run_seed: int | None) -> int | None:
    """The seed of a step's first iteration: the pipeline's, the step's own, the run's."""
    own = definition.get("seed")
    if isinstance(own, int):
        return own
    if step.seed is not None and ("seed",) in step.places:
        return step.seed
    return run_seed


def drawn_for(workflow: ResolvedWorkflow) -> str:
    """The identity of what a seed is drawn for: as long as it is the same, a run that was broken off goes on with it.

    How latents are decoded is left out: who ran out of memory there changes that and wants to go on.
    """
    told: list[Value] = [[step.kind, _drawing(step.body), step.seed] for step in workflow.steps]
    return content_digest(canonical(told))


def _drawing(body: Mapping[str, Value]) -> dict[str, Value]:
    configuration = body.get("configuration")
    if not isinstance(configuration, dict):
        return dict(body)
    return {**body, "configuration": {key: configuration[key] for key in configuration.keys() - DECODING}}


def takes_no_generator(step: ResolvedStep) -> bool:
    """Whether a step's calls draw from the process's own random numbers, so that no two of them are the same."""
    configuration = step.body.get("configuration")
    return isinstance(configuration, dict) and bool(configuration.get("no_generator"))


def weighs_prompts(step: ResolvedStep) -> bool:
    """Whether a step that calls a pipeline, by a reference too, wants weights in its prompts to be obeyed."""
    configuration = step.body.get("configuration")
    return isinstance(configuration, dict) and bool(configuration.get(_WEIGHTING))


class _Spelled:
    """Arguments as JSON in which files and artifacts are their contents."""

    def __init__(self, files: InputFiles, paths: frozenset[str]):
        self._files, self._paths = files, paths
        self.unknown = False

    def value(self, key: str, value: Any) -> Any:
        """A value under a key."""
        if isinstance(value, str):
            return self._text(key, value)
        if isinstance(value, Artifact):
            # What could stand in the text as it is counts as if it did: a path under `image` is a file either way.
            plain = plain_value(value)
            return self.value(key, plain[0]) if plain else {"\0artifact": self._known(value.digest)}
        if isinstance(value, list):
            return [self.value(key, item) for item in value]
        if isinstance(value, dict):
            return self._object(key, value)
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def _text(self, key: str, text: str) -> Any:
        if names_media(key) or key == FROM_FILE:
            return self._file(text)
        if key in self._paths:
            if key == "glob":
                return [self._file(path) for path in self._files.matching(text)]
            return self._file(text)
        return text

    def _object(self, key: str, value: dict[str, Any]) -> Any:
        holds = names_media(key) or key in self._paths or medium(value) is not None
        location = location_of(value) if holds else None
        if location is not None:
            # Under a key that names no medium, the object itself says how its file is read.
            return self._file(location, "file" if names_media(key) else str(value.get("media_type", "file")))
        return {name: self.value(name, item) for name, item in value.items()}

    def _file(self, location: str, read_as: str = "file") -> Any:
        return {f"\0{read_as}": self._known(self._files.digest(location))}

    def _known(self, content: str | None) -> str | None:
        self.unknown = self.unknown or content is None
        return content
