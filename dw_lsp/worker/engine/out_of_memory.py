"""Memory has run out: how that is recognised, what is tried next in which order, and what is said when nothing helps.

Decides only; `sparing_calls` carries it out.
"""

from __future__ import annotations

import errno
import itertools
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from dw_lsp.planning.modular import offload_in
from dw_lsp.text.syntax_tree import Value

Offload = Literal["model", "sequential"]
#: What a VAE can do to decode in parts; the first saves nothing on a single picture, the second on a small one.
SAVING_SWITCHES = ("enable_slicing", "enable_tiling")
#: How allocators that raise a plain RuntimeError (or OSError, out of native code) say it.
_SAYINGS = (
    "not enough memory", "can't allocate memory", "cannot allocate memory", "out of memory", "bad_alloc",
    "cublas_status_alloc_failed", "cudnn_status_alloc_failed", "os error 12",
)  # fmt: skip
#: The processor's library (oneDNN) had no memory for its code. That it knows of no code for a kind of number, or for
#: this processor, begins alike.
_NO_CODE = re.compile(r"could not (?:create|execute) a primitive(?! descriptor)")
#: Arguments that say how long a sound is to be.
_LENGTHS = ("audio_end_in_s", "audio_length_in_s", "audio_duration")
_OTHER_PROGRAMS = "closing other programs that use the same memory"
_ASKED = re.compile(r"(?:tried to allocate|unable to allocate) ([\d.]+) ?(bytes|[KMGT]i?B)", re.IGNORECASE)
_UNITS = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on the device or on the host."""
    # Older releases have the device's error under `torch.cuda` only.
    of_device = getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)
    if isinstance(error, (MemoryError, of_device)):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    if had_no_code(error):
        return True
    said = str(error).lower()
    return type(error).__name__ in ("RuntimeError", "OSError", "SafetensorError", "AcceleratorError") and any(
        saying in said for saying in _SAYINGS
    )


def had_no_code(error: BaseException) -> bool:
    """Whether code for a computation could not be made: for want of memory now, or once before on the same thread."""
    return isinstance(error, RuntimeError) and _NO_CODE.search(str(error)) is not None


def asked_bytes(error: BaseException) -> int | None:
    """How much the failed allocation asked for, where its error tells."""
    found = _ASKED.search(str(error))
    return None if found is None else int(float(found[1]) * _UNITS[found[2][0].lower()])


@dataclass(frozen=True)
class Relief:
    """How a step is carried out in less memory than its text says. `None` of all is how it is written."""

    decode_in_parts: bool = False
    offload: Offload | None = None

    @property
    def words(self) -> str:
        """What is done, for people."""
        done = ["VAE tiling and slicing"] if self.decode_in_parts else []
        done += [f"{self.offload} offload"] if self.offload else []
        return " and ".join(done) or "nothing else in memory"

    def applied(self, settings: Mapping[str, Value]) -> Mapping[str, Value]:
        """A pipeline's `configuration` with this put in."""
        changed = dict(settings)
        if self.decode_in_parts:
            vae = settings.get("vae")
            changed["vae"] = {**(vae if isinstance(vae, dict) else {}), **dict.fromkeys(SAVING_SWITCHES, True)}
        if self.offload:
            changed["offload"] = self.offload
            changed.pop("group_offload", None)
        return changed


AS_WRITTEN = Relief()


def next_relief(
    tried: Relief,
    settings: Mapping[str, Value],
    device_type: str,
    switches: Collection[str],
    freed: bool,
    takes_turns: bool = True,
) -> Relief | None:
    """What to try after `tried` ran out of memory; `None` when nothing is left that would change anything.

    Arguments: `settings` is the pipeline's `configuration` as written; `switches` are those of `SAVING_SWITCHES` that
    its VAE has and that are off; `freed`: something else has just left memory, so that the same again may succeed;
    `takes_turns`: its models can be offloaded one by one.
    """
    if switches and not tried.decode_in_parts:
        return replace(tried, decode_in_parts=True)
    if tried == AS_WRITTEN and freed:
        return tried
    if device_type == "cpu":
        return None  # There is no other memory to offload to.
    offload = tried.offload or offload_in(settings)
    if offload == "sequential":
        return None
    return replace(tried, offload="sequential" if offload == "model" or not takes_turns else "model")


def need_in_words(peak: int | None, asked: int | None) -> str:
    """What a step that ran out of memory needs, to go on in its error; empty where nobody knows."""
    if peak is None:
        return ""
    needed = f": it needs at least {memory_words(peak + (asked or 0))}"
    return needed + (f", {memory_words(peak)} in use and another {memory_words(asked)} asked for" if asked else "")


def ways_to_reduce(body: Mapping[str, Value], device_type: str) -> str:
    """The three ways to need less memory that promise most for a pipeline's step, for people.

    Arguments: the pipeline's `body`, with what was tried in vain in its `configuration`.
    """
    return _three(_ways(body, device_type))


def ways_of_task(body: Mapping[str, Value], device_type: str, has_models: bool) -> str:
    """The same for the step of a task. Arguments: its `body`; `has_models`: it computes with some."""
    return _three(_ways_of_task(body, device_type, has_models))


def _three(ways: Iterator[str]) -> str:
    numbered = (f"{number}. {way}" for number, way in enumerate(itertools.islice(ways, 3), 1))
    return f"Three ways to need less: {'; '.join(numbered)}."


def _ways(body: Mapping[str, Value], device_type: str) -> Iterator[str]:
    arguments, configuration = _object(body.get("arguments")), _object(body.get("configuration"))
    images, frames = arguments.get("num_images_per_prompt"), arguments.get("num_frames")
    if isinstance(images, int) and images > 1:
        yield f"fewer pictures at once (`num_images_per_prompt` is {images})"
    if isinstance(frames, int) and frames > 1:
        yield f"fewer frames (`num_frames` is {frames})"
    lengths = [name for name in _LENGTHS if isinstance(arguments.get(name), (int, float))]
    if lengths or "Audio" in str(configuration.get("component_type")):
        yield f"a shorter sound (`{lengths[0]}` is {arguments[lengths[0]]})" if lengths else "a shorter sound"
    else:
        yield _smaller_picture(arguments)
    if device_type != "cpu" and configuration.get("offload") != "sequential":
        yield '`"offload": "sequential"` in the configuration'
    loading = _object(body.get("from_pretrained_arguments"))
    if not str(loading.get("torch_dtype")).endswith("16"):
        yield '`"torch_dtype": "torch.bfloat16"`, which halves the weights'
    yield "a `quantization_config` for the largest component, or a smaller model"
    yield _OTHER_PROGRAMS


def _ways_of_task(body: Mapping[str, Value], device_type: str, has_models: bool) -> Iterator[str]:
    arguments = _object(body.get("arguments"))
    if isinstance(arguments.get("width"), int):
        yield _smaller_picture(arguments)
    if has_models:
        yield "a smaller model (`model_name`)"
        if device_type != "cpu" and arguments.get("device") != "cpu":
            yield '`"device": "cpu"` in the arguments: slower, in host memory'
    yield "smaller inputs (a step before can scale a picture, or cut a film or a sound)"
    yield "fewer inputs in one call"
    yield _OTHER_PROGRAMS


def _smaller_picture(arguments: Mapping[str, Value]) -> str:
    width, height = arguments.get("width"), arguments.get("height")
    if isinstance(width, int) and isinstance(height, int):
        return f"a smaller picture ({width} x {height} now; half of both needs about a quarter)"
    return "a smaller picture (set `width` and `height`)"


def _object(value: Any) -> Mapping[str, Value]:
    return value if isinstance(value, dict) else {}


def memory_words(size: int | None) -> str:
    """A size for people."""
    if size is None:
        return "an unknown amount"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
