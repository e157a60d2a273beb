"""Watching a pipeline from outside while it is called: phases, counted steps, previews, and places to stop.

Every pipeline is watched in the same way, whether it has callbacks or not, modular ones too: hooks on its modules,
schedulers whose `step` is seen, and its progress bar where no scheduler counts. All of it is taken off when the call is
over.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch

from dw_lsp.protocol import Phase
from dw_lsp.worker.engine.compiling import computes_compiled
from dw_lsp.worker.engine.progress import StepReporter
from dw_lsp.worker.engine.prompts import replaced
from dw_lsp.worker.engine.signatures import signatures_known

#: Components whose forward pass is a phase of its own, by the beginning of their name.
_PHASES: tuple[tuple[str, Phase], ...] = (
    ("text_encoder", "encoding"),
    ("image_encoder", "encoding"),
    ("unet", "denoising"),
    ("transformer", "denoising"),
    ("prior", "denoising"),
    ("decoder", "denoising"),
    ("controlnet", "denoising"),
)

_AUTOENCODER: tuple[tuple[str, Phase], ...] = (("encoder", "encoding"), ("decoder", "decoding"))
#: How models call the lists of their blocks; others, such as those of an attention's projections, are too fine.
_BLOCK_LISTS = ("blocks", "layers", "block", "layer")

#: Weights of an autoencoder, in bytes, from which on its blocks are too slow on a processor to be waited for: their
#: layers are watched too. The lists of these.
LARGE_AUTOENCODER = 32 * 1024 * 1024
_LAYER_LISTS = ("resnets", "attentions", "downsamplers", "upsamplers")
#: Schedulers whose last timestep is that of the clean image, at which nobody asks them.
_ENDING_CLEAN = ("DDPMWuerstchenScheduler",)

#: Called after each denoising step: model output, timestep, sample, the scheduler's answer, how many steps are done, of
#: how many.
StepListener = Callable[[Any, Any, Any, Any, int, int], None]


def denoisers(pipeline: Any) -> Iterator[tuple[str, torch.nn.Module]]:
    """The models of a pipeline that denoise, by name."""
    prefixes = tuple(prefix for prefix, phase in _PHASES if phase == "denoising")
    for name, component in pipeline.components.items():
        if isinstance(component, torch.nn.Module) and _own_name(name).startswith(prefixes):
            yield name, component


def _own_name(name: str) -> str:
    """What a component is called in the pipeline that it comes from: a combined one calls those of its prior so."""
    return name.removeprefix("prior_")


class Instruments:
    """Watches one call of a pipeline; a context manager.

    Arguments: a pipeline that was assembled for this step alone; who is told; who sees each denoising step.
    """

    def __init__(self, pipeline: Any, reporter: StepReporter, listener: StepListener | None = None):
        self._pipeline, self._reporter, self._listener = pipeline, reporter, listener
        self._undo = contextlib.ExitStack()
        self._schedulers: list[tuple[Any, type]] = []
        self._leading: _Counter | None = None
        self._counting = self._listening = False
        self._own_bar: Any = None

    def __enter__(self) -> Instruments:
        models = []
        for name, component in self._pipeline.components.items():
            if isinstance(component, torch.nn.Module):
                models.append(component)
                self._watch_phase(name, component)
                for block in () if computes_compiled(component) else blocks_of(component):
                    self._undo.enter_context(before_each(block, self._reporter.goes_on))
            elif all(callable(getattr(type(component), name, None)) for name in ("step", "set_timesteps")):
                self._watch_scheduler(component)
        self._undo.enter_context(signatures_known(models))
        self._own_bar = getattr(self._pipeline, "progress_bar", None)
        if callable(self._own_bar):
            self._pipeline.progress_bar = self._watched_bar
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()
        for scheduler, own in self._schedulers:
            scheduler.__class__ = own
        self._schedulers.clear()
        if "progress_bar" in vars(self._pipeline):
            del self._pipeline.progress_bar

    # ------------------------------------------------------------ modules

    def _watch_phase(self, name: str, module: torch.nn.Module) -> None:
        for prefix, phase in _PHASES:
            if _own_name(name).startswith(prefix):
                self._undo.callback(module.register_forward_pre_hook(self._begins(phase)).remove)
        if name.startswith(("vae", "vqvae", "movq", "vqgan", "autoencoder")):
            for part, phase in _AUTOENCODER:
                inner = getattr(module, part, None)
                if isinstance(inner, torch.nn.Module):
                    self._undo.callback(inner.register_forward_pre_hook(self._begins(phase)).remove)

    def _begins(self, phase: Phase) -> Callable[..., None]:
        calls = 0

        def hook(module: torch.nn.Module, arguments: Any) -> None:
            nonlocal calls
            if self._listening:
                return
            self._reporter.phase(phase)
            if phase == "denoising" and not self._counting:
                # Without a scheduler or a bar to count by, the denoiser's own calls are the only sign of life.
                calls += 1
                self._reporter.unit_done(calls, None, "step")

        return hook

    # ------------------------------------------------------------ schedulers

    def _watch_scheduler(self, scheduler: Any) -> None:
        """See each `step` of a scheduler, by a class of its own for the time of the call.

        Not by an attribute of the object: some pipelines go on with a copy of it, which would then step the original.
        """
        self._counting = True
        own = type(scheduler)
        names = [name for name in inspect.signature(own.step).parameters if name != "self"]
        counter = _Counter()

        # `wraps` keeps the signature: pipelines ask it whether the scheduler takes `eta` or `generator`.
        @functools.wraps(own.step)
        def step(this: Any, *args: Any, **kwargs: Any) -> Any:
            if this is not scheduler:
                return own.step(this, *args, **kwargs)
            given = {**dict(zip(names, args, strict=False)), **kwargs}
            counter.asked(lambda: steps_to_come(scheduler, given.get("timestep")))
            answer = own.step(this, *args, **kwargs)
            self._stepped(counter, given, answer)
            return answer

        watched = type(own.__name__, (own,), {"step": step, "__module__": own.__module__, "__doc__": own.__doc__})
        scheduler.__class__ = watched
        self._schedulers.append((scheduler, own))

    def _stepped(self, counter: _Counter, given: dict[str, Any], answer: Any) -> None:
        counter.done += 1
        total = max(counter.total or 0, counter.done)
        leading = self._leading
        if leading is None or (leading is not counter and leading.is_done):
            leading = self._leading = counter
        self._reporter.phase("denoising")
        if leading is not counter:
            # Sound beside pictures, and the like: steps of the same round.
            self._reporter.cancellation.check()
            return
        self._reporter.unit_done(counter.done, total, "step")
        seen = [given.get(name) for name in ("model_output", "timestep", "sample")]
        if self._listener is not None and all(each is not None for each in seen):
            # What the listener does with the modules is no phase of the run.
            self._listening = True
            try:
                self._listener(seen[0], seen[1], seen[2], answer, counter.done, total)
            finally:
                self._listening = False

    # ------------------------------------------------------------ progress bars

    def _watched_bar(self, iterable: Any = None, total: int | None = None, **more: Any) -> Any:
        """The pipeline's own bar, seen: what it counts is told where no scheduler of this call counts."""
        bar = self._own_bar(iterable, **more) if iterable is not None else self._own_bar(total=total, **more)
        try:
            length = total if total is not None else len(iterable)
        except TypeError:
            length = None
        return _Bar(bar, lambda done: self._bar_advanced(done, length))

    def _bar_advanced(self, done: int, total: int | None) -> None:
        self._reporter.cancellation.check()
        if self._leading is None:
            self._counting = True
            self._reporter.phase("denoising")
            self._reporter.unit_done(done, total, "step")


class _Counter:
    """How often a scheduler was asked, and how often it will be."""

    def __init__(self) -> None:
        self.done = 0
        self.total: int | None = None

    @property
    def is_done(self) -> bool:
        return self.total is not None and self.done >= self.total

    def asked(self, to_come: Callable[[], int | None]) -> None:
        """A step begins: the first, or the first of another loop, as films that are made in sections have several."""
        if self.done == 0:
            self.total = to_come()
        elif self.is_done and (total := to_come()) is not None:
            self.done, self.total = 0, total


class _Bar:
    """A progress bar that tells how often it was advanced. Arguments: the real one; who is told."""

    def __init__(self, bar: Any, advanced: Callable[[int], None]):
        self._bar, self._advanced, self._done = bar, advanced, 0

    def __enter__(self) -> _Bar:
        self._bar.__enter__()
        return self

    def __exit__(self, *error: Any) -> Any:
        return self._bar.__exit__(*error)

    def __iter__(self) -> Iterator[Any]:
        for item in self._bar:
            yield item
            self._tell(1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bar, name)

    def update(self, n: int | None = 1) -> Any:
        answer = self._bar.update(n)
        self._tell(int(n or 0))
        return answer

    def _tell(self, more: int) -> None:
        self._done += more
        self._advanced(self._done)


def before_each(module: torch.nn.Module, call: Callable[[], None]) -> contextlib.AbstractContextManager[None]:
    """While it lasts, something is called before each forward pass of a module.

    In place of the module's `forward` and not as a hook: on the way around hooks torch takes 10 us for each module.
    """
    own = module.forward

    # `wraps` keeps the signature: models ask it which arguments a block takes.
    @functools.wraps(own)
    def watched(*given: Any, **named: Any) -> Any:
        call()
        return own(*given, **named)

    return replaced(module, "forward", watched)


#: Found once for each model, as long as it lives: a large one has thousands of modules to look through. The blocks may
#: hold their model, by hooks that offloading has left: who held them would keep all of it in memory.
_BLOCKS: weakref.WeakKeyDictionary[torch.nn.Module, tuple[weakref.ref[torch.nn.Module], ...]]
_BLOCKS = weakref.WeakKeyDictionary()


def blocks_of(module: torch.nn.Module) -> tuple[torch.nn.Module, ...]:
    """The blocks that a model goes through one after another: between two of them it can be stopped."""
    if module not in _BLOCKS:
        _BLOCKS[module] = tuple(map(weakref.ref, _blocks(module)))
    return tuple(block for each in _BLOCKS[module] if (block := each()) is not None)


def _blocks(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    endings = _BLOCK_LISTS + _LAYER_LISTS if _is_large_autoencoder(module) else _BLOCK_LISTS
    found = False
    for name, child in module.named_modules():
        if not isinstance(child, torch.nn.ModuleList):
            continue
        words = name.split(".")
        # A list in a list is called by a number; what a model has at its top is never too fine.
        last = next((word for word in reversed(words) if not word.isdigit()), "")
        if len(words) == 1 or last.endswith(endings):
            for block in child:
                # In place of an attention or a layer that a model does without stands nothing.
                if block is not None and not isinstance(block, (torch.nn.ModuleList, torch.nn.ModuleDict)):
                    found = True
                    yield block
    if not found:
        yield from module.children()


def _is_large_autoencoder(module: torch.nn.Module) -> bool:
    if not all(callable(getattr(module, name, None)) for name in ("encode", "decode")):
        return False
    return sum(each.numel() * each.element_size() for each in module.parameters()) >= LARGE_AUTOENCODER


def steps_to_come(scheduler: Any, timestep: Any) -> int | None:
    """How many times a scheduler will be asked, from its first timestep on; `None` if its timesteps do not tell.

    Counted by its own timesteps: with a strength below 1 the first ones are skipped, and some schedulers are asked
    twice for each inference step.
    """
    timesteps = getattr(scheduler, "timesteps", None)
    if timesteps is None or timestep is None or not len(timesteps):
        return None
    values = [float(value) for value in (timesteps.tolist() if torch.is_tensor(timesteps) else timesteps)]
    if type(scheduler).__name__ in _ENDING_CLEAN:
        values.pop()
    first = float(timestep) if not torch.is_tensor(timestep) else float(timestep.flatten()[0])
    position = next((index for index, value in enumerate(values) if value == first), None)
    return None if position is None else len(values) - position
