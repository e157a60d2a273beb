"""Which LoRAs a pipeline step wants: their files on this machine, what identifies them, how strong each is to be."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dw_lsp.catalog.models import file_identity, find_folder, looks_local, tensors_of
from dw_lsp.planning.weight_bytes import dtype_bytes
from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.identity import component_key
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

#: The name under which diffusers saves a LoRA, when none is chosen.
USUAL_NAME = "pytorch_lora_weights.safetensors"
_ENDINGS = (".safetensors", ".bin", ".pt", ".ckpt")
#: Parts of names of files that lie beside a LoRA and are none.
_NO_LORA = ("scheduler", "optimizer", "checkpoint")
#: Members of an entry that say where its file is or how it is used; the others are keywords of its loading.
_OWN = frozenset(
    {
        "model_name", "weight_name", "subfolder", "revision", "adapter_name", "scale", "alpha", "use_safetensors",
        "local_files_only", "low_cpu_mem_usage",
    }
)  # fmt: skip


@dataclass(frozen=True)
class RequiredLora:
    """A LoRA at its place in a step's list: its file (`None`: yet to be downloaded), its weight, its own alpha.

    `options` are further keywords of its loading. `key` names file and way of loading; `scale` and `alpha` are settings
    of what is loaded and not in it.
    """

    index: int
    key: str
    name: str
    source: str
    file: Path | None
    bytes: int | None
    scale: float
    alpha: float | None
    options: Mapping[str, Value]

    def settings(self) -> dict[str, Value]:
        """What decides its effect, for the key of a step."""
        return {"lora": self.key, "scale": self.scale, "alpha": self.alpha}


def required_loras(step: ResolvedStep, folder: Path | None, dtype: Value = None) -> tuple[RequiredLora, ...]:
    """The LoRAs of a pipeline step, in its order; those whose `model_name` is null are off.

    Arguments: `folder` is where relative names start; `dtype` is the precision of the models, which LoRAs take on.
    Raises `InvalidInput` where one is named that is not there, or its scale is no number.
    """
    entries = step.body.get("loras")
    if not isinstance(entries, list):
        return ()
    return tuple(
        _required(step, index, entry, folder, dtype_bytes(dtype) or 4)
        for index, entry in enumerate(entries)
        if isinstance(entry, dict) and entry.get("model_name") is not None
    )


def lora_settings(loras: Sequence[RequiredLora]) -> list[dict[str, Value]]:
    """What decides the effect of a step's LoRAs, in their order."""
    return [lora.settings() for lora in loras]


def _required(
    step: ResolvedStep, index: int, entry: Mapping[str, Value], folder: Path | None, floating_bytes: int
) -> RequiredLora:
    source = str(entry["model_name"])
    weight_name, subfolder, revision = (_text(entry.get(key)) for key in ("weight_name", "subfolder", "revision"))
    place = ("pipeline", "loras", index)
    try:
        file = find_weights("LoRA", source, weight_name, subfolder, revision, folder)
    except InvalidInput as error:
        raise InvalidInput(error.message, step.place(*place, "model_name"), step.name, error.hint) from error
    if file is not None:
        identity = file_identity(file)
    else:
        identity = f"{source}@{revision or 'main'}/{subfolder or ''}/{weight_name or ''}"
    scale = _number(step, (*place, "scale"), entry.get("scale"), 1.0)
    alpha = entry.get("alpha")
    options = {key: value for key, value in entry.items() if key not in _OWN}
    return RequiredLora(
        index,
        component_key("lora", "LoRA", identity, options),
        _text(entry.get("adapter_name")) or Path(weight_name or source).stem,
        source,
        file,
        _bytes(file, floating_bytes) if file is not None else None,
        scale,
        None if alpha is None else _number(step, (*place, "alpha"), alpha, 0.0),
        options,
    )


def _bytes(file: Path, floating_bytes: int) -> int:
    """Bytes of its matrices in memory; alphas are numbers there."""
    counts = [math.prod(tensor.shape) for name, tensor in tensors_of(file).items() if not name.endswith(".alpha")]
    return sum(counts) * floating_bytes or file.stat().st_size


def find_weights(
    what: str, source: str, weight_name: str | None, subfolder: str | None, revision: str | None, folder: Path | None
) -> Path | None:
    """The file of an adapter; `None` when it is the hub's and not here.

    Arguments: `what` it is, in words. Raises `InvalidInput` when a local one is not there.
    """
    named = Path(os.path.expanduser(source))
    if folder is not None and not named.is_absolute():
        named = folder / named
    if (named.is_absolute() or folder is not None) and named.is_file():
        return named
    found = find_folder(source, folder, revision)
    if found is None:
        if looks_local(source):
            raise InvalidInput(f"there is no {what} {source!r}", hint=f"It was looked for at {named}.")
        return None
    inside = found / subfolder if subfolder else found
    chosen = inside / weight_name if weight_name else _usual(what, inside)
    if chosen is not None and chosen.is_file():
        return chosen
    if found == named:
        wanted = repr(weight_name) if weight_name else "a .safetensors file"
        raise InvalidInput(f"the folder {source!r} does not hold {wanted}", hint=f"It was looked for in {inside}.")
    return None


def _usual(what: str, folder: Path) -> Path | None:
    """The weights in a folder that names none: by the usual name, else the only file that can be it."""
    if (folder / USUAL_NAME).is_file() or not folder.is_dir():
        return folder / USUAL_NAME
    for ending in _ENDINGS:
        files = [file for file in sorted(folder.iterdir()) if file.name.endswith(ending)]
        files = [file for file in files if not any(part in file.name for part in _NO_LORA)]
        if len(files) > 1:
            names = ", ".join(file.name for file in files)
            raise InvalidInput(
                f"the folder {folder.name!r} holds several files that may be the {what}: {names}",
                hint="Add `weight_name`.",
            )
        if files:
            return files[0]
    return None


def _number(step: ResolvedStep, path: tuple[str | int, ...], value: Value, default: float) -> float:
    """A number that may be written as text."""
    if value is None:
        return default
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InvalidInput(f"`{path[-1]}` should be a number, not {value!r}", step.place(*path), step.name)
    return number


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) else None
