"""Watching a pipeline from outside while it is called: phases, counted steps, previews, and places to stop.

Every pipeline is watched in the same way, whether it has callbacks or not: hooks on its modules and a wrapped
`scheduler.step`. The scheduler is the run's own and is thrown away; hooks are removed when the call is over.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch

from dw_lsp.protocol import Phase
from dw_lsp.worker.engine.progress import StepReporter

#: Components whose forward pass is a phase of its own, by the beginning of their name.
_PHASES: tuple[tuple[str, Phase], ...] = (
    ("text_encoder", "encoding"),
    ("image_encoder", "encoding"),
    ("unet", "denoising"),
    ("transformer", "denoising"),
    ("prior", "denoising"),
    ("controlnet", "denoising"),
)

_AUTOENCODER: tuple[tuple[str, Phase], ...] = (("encoder", "encoding"), ("decoder", "decoding"))
#: How models call the lists of their blocks; others, such as those of an attention's projections, are too fine.
_BLOCK_LISTS = ("blocks", "layers")

#: Called after each denoising step: model output, timestep, sample, the scheduler's answer, how many steps are done, of
#: how many.
StepListener = Callable[[Any, Any, Any, Any, int, int], None]


class Instruments:
    """Watches one call of a pipeline; a context manager.

    Arguments: a pipeline that was assembled for this step alone; who is told; who sees each denoising step.
    """

    def __init__(self, pipeline: Any, reporter: StepReporter, listener: StepListener | None = None):
        self._pipeline, self._reporter, self._listener = pipeline, reporter, listener
        self._handles: list[Any] = []
        self._steps = 0
        self._total: int | None = None
        self._counting = self._listening = False

    def __enter__(self) -> Instruments:
        for name, module in self._modules():
            self._watch_phase(name, module)
            for block in _blocks(module):
                self._handles.append(block.register_forward_pre_hook(self._stop_if_asked))
        scheduler = getattr(self._pipeline, "scheduler", None)
        if scheduler is not None and hasattr(scheduler, "step"):
            self._counting = True
            scheduler.step = self._wrapped(scheduler, scheduler.step)
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        scheduler = getattr(self._pipeline, "scheduler", None)
        if scheduler is not None and "step" in vars(scheduler):
            del scheduler.step

    def _modules(self) -> Iterator[tuple[str, torch.nn.Module]]:
        for name, component in self._pipeline.components.items():
            if isinstance(component, torch.nn.Module):
                yield name, component

    def _watch_phase(self, name: str, module: torch.nn.Module) -> None:
        for prefix, phase in _PHASES:
            if name.startswith(prefix):
                self._handles.append(module.register_forward_pre_hook(self._begins(phase)))
        if name.startswith(("vae", "vqvae", "movq", "autoencoder")):
            for part, phase in _AUTOENCODER:
                inner = getattr(module, part, None)
                if isinstance(inner, torch.nn.Module):
                    self._handles.append(inner.register_forward_pre_hook(self._begins(phase)))

    def _begins(self, phase: Phase) -> Callable[..., None]:
        def hook(module: torch.nn.Module, arguments: Any) -> None:
            if self._listening:
                return
            # Without a scheduler to count by, the denoiser's own calls are the only sign of life.
            self._reporter.phase(phase)
            if phase == "denoising" and not self._counting:
                self._steps += 1
                self._reporter.unit_done(self._steps, None, "step")

        return hook

    def _stop_if_asked(self, module: torch.nn.Module, arguments: Any) -> None:
        self._reporter.cancellation.check()

    def _wrapped(self, scheduler: Any, step: Callable[..., Any]) -> Callable[..., Any]:
        # `wraps` keeps the signature: pipelines ask it whether the scheduler takes `eta` or `generator`.
        @functools.wraps(step)
        def watched(model_output: Any, timestep: Any, sample: Any, *rest: Any, **named: Any) -> Any:
            if self._steps == 0:
                self._total = steps_to_come(scheduler, timestep)
            answer = step(model_output, timestep, sample, *rest, **named)
            self._steps += 1
            total = max(self._total or 0, self._steps)
            self._reporter.phase("denoising")
            self._reporter.unit_done(self._steps, total, "step")
            if self._listener is not None:
                # What the listener does with the modules is no phase of the run.
                self._listening = True
                try:
                    self._listener(model_output, timestep, sample, answer, self._steps, total)
                finally:
                    self._listening = False
            return answer

        return watched


def _blocks(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """The blocks that a model goes through one after another: between two of them it can be stopped."""
    for name, child in module.named_modules():
        if isinstance(child, torch.nn.ModuleList) and name.endswith(_BLOCK_LISTS):
            yield from child


def steps_to_come(scheduler: Any, timestep: Any) -> int | None:
    """How many times a scheduler will be asked, from its first timestep on; `None` if its timesteps do not tell.

    Counted by its own timesteps: with a strength below 1 the first ones are skipped, and some schedulers are asked
    twice for each inference step.
    """
    timesteps = getattr(scheduler, "timesteps", None)
    if timesteps is None or not len(timesteps):
        return None
    values = [float(value) for value in (timesteps.tolist() if torch.is_tensor(timesteps) else timesteps)]
    first = float(timestep) if not torch.is_tensor(timestep) else float(timestep.flatten()[0])
    position = next((index for index, value in enumerate(values) if value == first), None)
    return None if position is None else len(values) - position
