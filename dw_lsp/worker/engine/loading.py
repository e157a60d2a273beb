"""Loading one component from the files of a model: which class, which precision, which kinds of weights are allowed."""

from __future__ import annotations

import importlib
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch

from dw_lsp.catalog.models import looks_local
from dw_lsp.planning.requirements import RequiredComponent
from dw_lsp.protocol import RunOptions
from dw_lsp.text.syntax_tree import Value
from dw_lsp.worker.engine.allowed_paths import AllowedPaths
from dw_lsp.worker.engine.arguments import Arguments
from dw_lsp.worker.engine.media import Media
from dw_lsp.worker.engine.quantization import quantization_of
from dw_lsp.worker.engine.trusted_types import TrustedTypes
from dw_lsp.workflow.resolved import InvalidInput

logger = logging.getLogger(__name__)

#: Keywords with which a component that a workflow defines is loaded, or that say where it is.
_KEYWORDS = frozenset(
    {
        "model_name", "from_single_file", "subfolder", "revision", "variant", "torch_dtype", "dtype", "config",
        "original_config", "use_safetensors", "low_cpu_mem_usage", "local_files_only", "device_map",
    }
)  # fmt: skip
_WEIGHTS = re.compile(r".*\.(safetensors|bin|ckpt|pt|pth|msgpack|h5)(\.index\.json)?")


class Loader:
    """Loads components. Arguments: what the workflow may name, read and execute; the device they are meant for."""

    def __init__(self, types: TrustedTypes, allowed: AllowedPaths, options: RunOptions, device: torch.device):
        self._types, self._allowed, self._options, self._device = types, allowed, options, device

    def component(
        self,
        part: RequiredComponent,
        keywords: Mapping[str, Value],
        base: Path | None,
        chosen: str | None = None,
        quantization: Value = None,
    ) -> Any:
        """Load a component from its folder or file.

        Arguments: `keywords` are those of `from_pretrained`, as the workflow has them; `base` is where relative paths
        start; `chosen` and `quantization` are the class and the `quantization_config` that the workflow names, for a
        component that it defines itself.
        Raises `InvalidInput` when the files are missing, unsafe, or of a class that may not be used.
        """
        kind = self._types.component(chosen) if chosen else self.class_of(part.library, part.class_name)
        for name in keywords if chosen else ():
            if name not in _KEYWORDS:
                logger.warning("the loading of %s does not take %r; it has no effect", part.name, name)
        folder = part.folder
        if folder is None:
            raise InvalidInput(f"the files of {part.name} are not on this machine")
        real = self._allowed.resolve(str(folder), None, f"the model's {part.name}")
        if real.is_file():
            # By its own name: in the hub's cache it is a link to a file without an ending.
            return self._from_file(kind, folder, part.name, keywords, base, quantization)
        if not real.is_dir():
            raise InvalidInput(f"the model has no folder {folder.name!r} for its {part.name} (looked for at {folder})")
        if not issubclass(kind, torch.nn.Module):
            # Asked for code that comes with a model, a class that chooses another by itself would ask on the terminal.
            chooses = kind.__name__.startswith("Auto")
            return kind.from_pretrained(real, **({"trust_remote_code": False} if chooses else {}))
        self._allowed.check_links(real, f"the model's {part.name}")
        self._check_weights(real, part.name)
        given = self._model_keywords(kind, real, part.name, keywords)
        live = kind.from_pretrained(real, **given, **self._quantized(kind, quantization)).eval()
        _check_complete(live, part.name, real)
        return live

    def class_of(self, library: str, name: str) -> Any:
        """The class of a component as a model's index names it. Raises `InvalidInput` when it may not be used."""
        if library not in ("diffusers", "transformers") and hasattr(diffusers.pipelines, library):
            home: Any = getattr(diffusers.pipelines, library)
        else:
            self._types.check_package(library, f"the model's class {name}")
            home = importlib.import_module(library)
        found = getattr(home, name, None)
        if found is None and name.endswith("FeatureExtractor"):
            # The class's name of earlier years; models on disk still have it.
            found = getattr(home, name.removesuffix("FeatureExtractor") + "ImageProcessor", None)
        if found is None:
            raise InvalidInput(
                f"the model needs the class {name}, which the installed {library} does not have",
                hint=f"Another version of {library} may have it.",
            )
        return found

    def dtype_of(self, name: str, keywords: Mapping[str, Value]) -> torch.dtype | None:
        """The precision of a component: the workflow's; else 32 bits on a CPU; else `None`, the library's choice."""
        wanted = keywords.get("dtype") or keywords.get("torch_dtype")
        if isinstance(wanted, dict):
            wanted = wanted.get(name, wanted.get("default"))
        if isinstance(wanted, str) and wanted != "auto":
            return self._types.dtype(wanted)
        return torch.float32 if self._device.type == "cpu" else None

    def _model_keywords(self, kind: Any, folder: Path, name: str, keywords: Mapping[str, Value]) -> dict[str, Any]:
        given: dict[str, Any] = {}
        dtype = self.dtype_of(name, keywords)
        if dtype is not None:
            given["dtype" if _takes_dtype(kind) else "torch_dtype"] = dtype
        if not self._options.allow_pickle:
            given["use_safetensors"] = True
        elif keywords.get("use_safetensors") is not None:
            given["use_safetensors"] = keywords["use_safetensors"]
        variant = keywords.get("variant")
        if isinstance(variant, str) and any(f".{variant}." in file for file in os.listdir(folder)):
            given["variant"] = variant
        if isinstance(keywords.get("low_cpu_mem_usage"), bool):
            given["low_cpu_mem_usage"] = keywords["low_cpu_mem_usage"]
        return given

    def quantization(self, kind: Any, definition: Value) -> Any:
        """What tells the loading of a class how to quantize; `None` if nothing does. Raises `InvalidInput`."""
        values = Arguments(Media(self._allowed, None), self._types)
        return quantization_of(definition, kind, self._types, values, self._device)

    def _quantized(self, kind: Any, definition: Value) -> dict[str, Any]:
        made = self.quantization(kind, definition)
        return {} if made is None else {"quantization_config": made}

    def _check_weights(self, folder: Path, name: str) -> None:
        weights = [file for file in os.listdir(folder) if _WEIGHTS.fullmatch(file)]
        if not weights:
            raise InvalidInput(f"the model has no weights for its {name} (looked in {folder})")
        if not self._options.allow_pickle and not any(".safetensors" in file for file in weights):
            raise InvalidInput(
                f"the weights of {name} are not safetensors ({weights[0]}): loading them could run any code",
                hint="Convert them to safetensors, or set dw.security.allowPickle if you trust them.",
            )

    def _from_file(
        self,
        kind: Any,
        file: Path,
        name: str,
        keywords: Mapping[str, Value],
        base: Path | None,
        quantization: Value,
    ) -> Any:
        check_single_file(file, self._options.allow_pickle)
        if not hasattr(kind, "from_single_file"):
            raise InvalidInput(f"{kind.__name__} cannot be loaded from a single file")
        given: dict[str, Any] = {}
        dtype = self.dtype_of(name, keywords)
        if dtype is not None:
            given["torch_dtype"] = dtype
        if isinstance(keywords.get("subfolder"), str):
            given["subfolder"] = keywords["subfolder"]
        given.update(config_of_file(keywords, base, self._allowed))
        live = kind.from_single_file(str(file), **given, **self._quantized(kind, quantization)).eval()
        _check_complete(live, name, file)
        return live


def _check_complete(model: torch.nn.Module, name: str, place: Path) -> None:
    """Raise `InvalidInput` when the files did not have all weights of a model: some have no numbers then."""
    absent = [path for path, parameter in model.named_parameters() if parameter.is_meta]
    if absent:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise InvalidInput(
            f"the weights of {name} in {place} do not fit {type(model).__name__}: there is no {absent[0]!r}{more}",
            hint="Check that the class, the folder and its configuration belong together.",
        )


def config_of_file(keywords: Mapping[str, Value], folder: Path | None, allowed: AllowedPaths) -> dict[str, str]:
    """The keywords that say where the configuration for a single file is: a repository, or a folder that may be read.

    Arguments: `folder` is where relative paths start.
    """
    found: dict[str, str] = {}
    for key in ("config", "original_config"):
        value = keywords.get(key)
        if isinstance(value, str):
            local = looks_local(value) or (folder is not None and (folder / value).exists())
            found[key] = str(allowed.resolve(value, folder, f"`{key}`")) if local else value
    return found


def check_single_file(file: Path, allow_pickle: bool) -> None:
    """Raise `InvalidInput` unless weights of this format may be loaded."""
    if file.suffix.lower() not in (".safetensors", ".gguf") and not allow_pickle:
        raise InvalidInput(
            f"the weights {file.name!r} are neither safetensors nor GGUF: loading them could run any code",
            hint="Convert them to safetensors, or set dw.security.allowPickle if you trust them.",
        )


def _takes_dtype(kind: Any) -> bool:
    """Whether a class calls the precision `dtype`: transformers has done so since it deprecated `torch_dtype`."""
    return kind.__module__.partition(".")[0] == "transformers" and _transformers_version() >= (4, 56)


def _transformers_version() -> tuple[int, int]:
    major, minor, *_ = str(importlib.import_module("transformers").__version__).split(".")
    return int(major), int(minor)
