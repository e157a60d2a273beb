"""Latents that outlive a failed decode: what has been denoised is not denoised again because decoding it failed.

What a pipeline hands to its autoencoder is kept beside the remembered steps until the call has succeeded. A later call
of the same definition goes the same way with denoisers that compute nothing, and decodes what was kept; so everything
behind the decoder works on the very same numbers, for every kind of pipeline.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from dw_lsp.worker.engine.artifact_codec import CannotRestore, Contents, encode, live
from dw_lsp.worker.engine.instruments import denoisers
from dw_lsp.worker.engine.prompts import replaced
from dw_lsp.worker.engine.remembering import Finished, StepMemory

logger = logging.getLogger(__name__)

#: Latents are kept when it took at least this long to come by them. Seconds.
WORTH_SECONDS = 0.5
#: Larger ones are not kept. Bytes.
LARGEST = 512 * 1024**2


#: Members of an output that come out of the decoder.
DECODED = frozenset({"images", "frames", "videos", "nsfw_content_detected"})


class DoesNotFit(Exception):
    """What was kept belongs to another call after all: it has to be made from the beginning."""


class _Unknown(Exception):
    """An output that cannot be described by its shapes."""


class _Answer(tuple[Any, ...]):
    """Stands for an output with named members: they are found by name and by position."""


class KeptLatents:
    """Watches one call of a pipeline; a context manager.

    Arguments: the pipeline; the key of what it denoises, `None` if nothing is to be kept; where it is kept; `worth` is
    how long it must have taken, in seconds.
    """

    def __init__(self, pipeline: Any, key: str | None, memory: StepMemory, worth: float = WORTH_SECONDS):
        self._decoder, self._pipeline, self._memory, self._worth = _decoder_of(pipeline), pipeline, memory, worth
        self._key = key if self._decoder is not None else None
        self._undo = contextlib.ExitStack()
        self._started = time.monotonic()
        self._latents: list[torch.Tensor] = []
        self._outputs: dict[str, Any] = {}
        self._decoded = 0
        self._inside = False
        self.resumed = False

    def __enter__(self) -> KeptLatents:
        if self._key is None:
            return self
        self.resumed = self._found()
        self._undo.enter_context(replaced(self._decoder, "decode", self._watched(self._decoder.decode)))
        for name, module in denoisers(self._pipeline):
            if not self.resumed:
                self._undo.callback(module.register_forward_hook(self._noting(name)).remove)
            elif name in self._outputs:
                answer = _answering(module.forward, self._outputs[name])
                self._undo.enter_context(replaced(module, "forward", answer))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        self._undo.close()
        if self._key is None:
            return
        if kind is None and self._decoded:
            self._memory.forget(self._key)
        elif self.resumed and not self._inside and isinstance(error, Exception):
            # Not the decoding has failed, but the way there with denoisers that compute nothing.
            self._memory.forget(self._key)
            raise DoesNotFit from error

    def check(self, output: Any) -> None:
        """Raise `DoesNotFit` when a resumed call gave more than what was decoded, since that has no basis."""
        if not self.resumed:
            return
        members = output if isinstance(output, Mapping) else vars(output) if hasattr(output, "__dict__") else {}
        if not self._decoded or any(value is not None for name, value in members.items() if name not in DECODED):
            raise DoesNotFit

    def _found(self) -> bool:
        """Take what an earlier call left. Returns whether there is anything."""
        entry = self._memory.find(self._key) if self._key is not None else None
        if entry is None:
            return False
        try:
            kept = live(entry.artifacts()[0], self._memory.read)
            self._latents, self._outputs = list(kept["latents"]), dict(kept["outputs"])
        except (CannotRestore, KeyError, TypeError, IndexError):
            return False
        return True

    def _watched(self, decode: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(decode)
        def watched(latents: Any, *args: Any, **kwargs: Any) -> Any:
            index = self._decoded
            self._decoded += 1
            if self.resumed:
                latents = self._in_place_of(latents, index)
            elif isinstance(latents, torch.Tensor):
                self._keep(latents)
            self._inside = True
            answer = decode(latents, *args, **kwargs)
            self._inside = False
            return answer

        return watched

    def _in_place_of(self, latents: Any, index: int) -> torch.Tensor:
        if index < len(self._latents):
            kept = self._latents[index]
            if (kept.shape, kept.dtype) == (getattr(latents, "shape", None), getattr(latents, "dtype", None)):
                return kept.to(latents.device)
        raise DoesNotFit

    def _keep(self, latents: torch.Tensor) -> None:
        """Write the latents before they are decoded: the process may not live to do it afterwards."""
        if self._key is None or not self._outputs or time.monotonic() - self._started < self._worth:
            return
        self._latents.append(latents.detach().to("cpu", copy=True))
        if sum(each.numel() * each.element_size() for each in self._latents) > LARGEST:
            return
        contents: Contents = {}
        kept = encode({"latents": self._latents, "outputs": self._outputs}, contents)
        seconds = time.monotonic() - self._started
        self._memory.remember(self._key, Finished([kept], contents, False, None, seconds))

    def _noting(self, name: str) -> Callable[..., None]:
        def hook(module: torch.nn.Module, arguments: Any, output: Any) -> None:
            try:
                self._outputs[name] = _shape_of(output)
            except _Unknown:
                self._outputs.pop(name, None)

        return hook


def _decoder_of(pipeline: Any) -> Any:
    """The autoencoder of a pipeline that has exactly one: what several decode, no single one of them can resume."""
    found = [
        component
        for component in pipeline.components.values()
        if isinstance(component, torch.nn.Module) and callable(getattr(component, "decode", None))
    ]
    return found[0] if len(found) == 1 else None


def _shape_of(output: Any) -> Any:
    """What an output is made of, in JSON."""
    if isinstance(output, torch.Tensor):
        return {"tensor": [str(output.dtype).removeprefix("torch."), list(output.shape)]}
    if isinstance(output, Mapping):
        return {"named": {str(name): _shape_of(item) for name, item in output.items()}}
    if isinstance(output, (tuple, list)):
        return {"tuple" if isinstance(output, tuple) else "list": [_shape_of(item) for item in output]}
    if output is None or type(output) in (bool, int, float, str):
        return output
    raise _Unknown


def _answering(forward: Callable[..., Any], shape: Any) -> Callable[..., Any]:
    @functools.wraps(forward)
    def answer(*args: Any, **kwargs: Any) -> Any:
        given = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
        return _zeros(shape, given[0].device if given else torch.device("cpu"))

    return answer


def _zeros(shape: Any, device: torch.device) -> Any:
    if not isinstance(shape, Mapping):
        return shape
    ((kind, content),) = shape.items()
    if kind == "tensor":
        return torch.zeros(content[1], dtype=getattr(torch, content[0]), device=device)
    if kind == "named":
        made = {name: _zeros(item, device) for name, item in content.items()}
        answer = _Answer(made.values())
        vars(answer).update(made)
        return answer
    items: Iterator[Any] = (_zeros(item, device) for item in content)
    return tuple(items) if kind == "tuple" else list(items)
