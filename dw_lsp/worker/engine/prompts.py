"""Encoded prompts: what a text encoder gave for exactly these inputs is not computed again.

An answer is kept under the encoder's content key, the LoRAs that are active in it and the inputs' bytes, so it is what
the encoder would give; only what a language model notes for words to come is left out, unless it was asked for. Copies
are kept and copies are handed out: a pipeline may write into what it gets.
"""

from __future__ import annotations

import contextlib
import functools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from dw_lsp.worker.engine.components import size_of_tensor
from dw_lsp.worker.engine.host_memory import host_memory
from dw_lsp.workflow.identity import bytes_digest, content_digest

#: What encoded prompts may fill in host memory, and a part of the machine's: language models of 40 layers answer with
#: 200 MB, since a pipeline that reads three of the layers has to ask for all. One larger than a part of it is not kept.
LARGEST = 1024**3
LARGEST_OF_HOST = 1 / 32
LARGEST_PART = 0.25
_PREFIX = "text_encoder"


class _Unknown(Exception):
    """An input or an answer holds something that cannot be compared or copied."""


@dataclass(frozen=True)
class _Kept:
    answer: Any
    bytes: int


class _LeftOut:
    """Stands for what was not kept: it holds its place among the members of an answer, and is of no use."""


class Prompts:
    """The answers of text encoders, least recently used first. Arguments: how many bytes they may fill."""

    def __init__(self, largest: int | None = None) -> None:
        total = host_memory().total
        usual = LARGEST if total is None else min(LARGEST, int(total * LARGEST_OF_HOST))
        self._largest = usual if largest is None else largest
        self._bytes = 0
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    @property
    def bytes(self) -> int:
        """What they fill now."""
        return self._bytes

    def clear(self) -> None:
        """Forget all of them."""
        self._kept.clear()
        self._bytes = 0

    @contextlib.contextmanager
    def used_by(self, pipeline: Any, keys: Mapping[str, str], state: Callable[[Any], str]) -> Iterator[None]:
        """While this is entered, a pipeline's text encoders compute only what is not known.

        Arguments: `keys` are those of its components, by name; `state` tells what else decides what a model answers.
        """
        with contextlib.ExitStack() as undo:
            for name, encoder in pipeline.components.items():
                if name.startswith(_PREFIX) and isinstance(encoder, torch.nn.Module) and name in keys:
                    undo.enter_context(replaced(encoder, "forward", self._remembering(encoder, keys[name], state)))
            yield

    def _remembering(self, encoder: Any, key: str, state: Callable[[Any], str]) -> Callable[..., Any]:
        forward = encoder.forward

        @functools.wraps(forward)
        def remembered(*args: Any, **kwargs: Any) -> Any:
            if encoder.training:
                return forward(*args, **kwargs)
            try:
                told = content_digest(f"{key} {state(encoder)} {_spelled((args, kwargs))}")
            except _Unknown:
                return forward(*args, **kwargs)
            if told in self._kept:
                self._kept.move_to_end(told)
                device = next(iter(_tensors((args, kwargs)))).device
                return _copied(self._kept[told].answer, device)
            answer = forward(*args, **kwargs)
            self._keep(told, answer, notes_too=kwargs.get("use_cache") or kwargs.get("past_key_values") is not None)
            return answer

        return remembered

    def _keep(self, told: str, answer: Any, notes_too: Any) -> None:
        if not notes_too:
            answer = _without_notes(answer)
        try:
            size = sum(size_of_tensor(tensor) for tensor in _tensors(answer))
            if size > self._largest * LARGEST_PART:
                return
            self._kept[told] = _Kept(_copied(answer, torch.device("cpu")), size)
        except _Unknown:
            return
        self._bytes += size
        while self._bytes > self._largest:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= gone.bytes


@contextlib.contextmanager
def replaced(module: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """Let a model have another method for a while; one that hooks have put there stands again after."""
    # Past `torch.nn.Module`, which looks through all of its parameters first at each setting.
    own = vars(module)
    before = own.get(name)
    own[name] = function
    try:
        yield
    finally:
        if before is None:
            del own[name]
        else:
            own[name] = before


def _spelled(value: Any) -> str:
    """A value as text that is equal for equal values only."""
    if isinstance(value, torch.Tensor):
        flat = value.detach().to("cpu").contiguous().reshape(-1).view(torch.uint8)
        data = bytes_digest(memoryview(flat.numpy()).cast("B")) if value.numel() else ""
        return f"<{value.dtype} {tuple(value.shape)} {value.device.type} {data}>"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({','.join(map(_spelled, value))})"
    if type(value) is dict and all(isinstance(key, str) for key in value):
        return "{" + ",".join(f"{key}={_spelled(value[key])}" for key in sorted(value)) + "}"
    if value is None or type(value) in (bool, int, float, str):
        return repr(value)
    raise _Unknown


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)


def _copied(value: Any, device: torch.device) -> Any:
    """A copy of an answer on a device; of the same class, where that has named members."""
    if isinstance(value, torch.Tensor):
        return value.detach().to(device, copy=True)
    if type(value) in (list, tuple):
        return type(value)(_copied(item, device) for item in value)
    if isinstance(value, Mapping) and hasattr(value, "to_tuple"):
        made: Any = type(value)
        return made(**{name: _copied(item, device) for name, item in value.items()})
    if value is None or type(value) in (bool, int, float, str, _LeftOut):
        return value
    raise _Unknown


def _without_notes(answer: Any) -> Any:
    """An answer of a language model without its cache of keys and values, for which nobody has asked."""
    if type(answer) is tuple:
        return tuple(_LeftOut() if _is_cache(item) else item for item in answer)
    if not (isinstance(answer, Mapping) and hasattr(answer, "to_tuple")):
        return answer
    made: Any = type(answer)
    return made(**{name: _LeftOut() if _is_cache(item) else item for name, item in answer.items()})


def _is_cache(value: Any) -> bool:
    return any(
        (kind.__module__, kind.__name__) == ("transformers.cache_utils", "Cache") for kind in type(value).__mro__
    )
