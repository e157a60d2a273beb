"""Running a pipeline step: components in place, a new pipeline, a call for each iteration, all of it undone after."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import logging
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from dw_lsp.planning.activations import picture_of
from dw_lsp.planning.counts import makes_nothing
from dw_lsp.planning.estimate import computing_of
from dw_lsp.planning.placing import places_of
from dw_lsp.planning.requirements import RequiredPipeline
from dw_lsp.text.syntax_tree import Value
from dw_lsp.worker.engine.caches import enable_cache
from dw_lsp.worker.engine.devices import named_device
from dw_lsp.worker.engine.failures import StepFailed
from dw_lsp.worker.engine.instruments import Instruments
from dw_lsp.worker.engine.interruptible import LoadingWatch
from dw_lsp.worker.engine.ip_adapters import check_ip_adapter
from dw_lsp.worker.engine.latent_views import view_of
from dw_lsp.worker.engine.latents import DECODED, DoesNotFit, KeptLatents
from dw_lsp.worker.engine.loras import check_loras
from dw_lsp.worker.engine.model_settings import set_models
from dw_lsp.worker.engine.modular import by_name, shape_of
from dw_lsp.worker.engine.out_of_memory import AS_WRITTEN, Relief
from dw_lsp.worker.engine.pipelines import (
    Loaded,
    assemble,
    call_parameters,
    component_names,
    gather_components,
    is_automatic,
    keep_made,
    unused,
    with_made,
)
from dw_lsp.worker.engine.placement import place, set_state
from dw_lsp.worker.engine.prepare import PreparedPipeline
from dw_lsp.worker.engine.previews import Previewer
from dw_lsp.worker.engine.progress import StepReporter
from dw_lsp.worker.engine.prompt_weights import check_weights, weighing
from dw_lsp.worker.engine.prompts import replaced
from dw_lsp.worker.engine.quantization import multiply_quantized
from dw_lsp.worker.engine.restoring import as_found
from dw_lsp.worker.engine.room import Room
from dw_lsp.worker.engine.run_context import RunContext
from dw_lsp.worker.engine.schedulers import change_schedulers, set_scheduler
from dw_lsp.worker.engine.single_files import from_single_file
from dw_lsp.worker.engine.sources import obtain
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReadyPipeline:
    """A pipeline that can be called: assembled for one step, its components on their device."""

    pipeline: Any
    loaded: Loaded
    device: torch.device


def load_components(
    prepared: PreparedPipeline, shared: Mapping[str, tuple[str, Any]], context: RunContext, reporter: StepReporter
) -> tuple[Any, Loaded]:
    """Bring a step's components into memory and put its pipeline together.

    Arguments: `shared` are the components that earlier steps share: name -> (key, live object).
    """
    step = prepared.step
    _import_modules(step)
    asked, prepared = prepared, obtain(prepared, context, reporter)
    if prepared.chosen is not asked.chosen:
        _check_adapters(step, prepared.chosen, prepared.required)
    pipeline, loaded = _from_parts(prepared, shared, context, reporter)
    context.ledger.note_components(loaded.loaded, loaded.reused)
    pipeline.set_progress_bar_config(disable=True)
    for name in unused(prepared.chosen, prepared.required):
        logger.warning("%s does not take %r; it has no effect", prepared.chosen.__name__, name)
    change_schedulers(pipeline, step, step.body, context.types)
    return pipeline, _with_adapters(prepared, pipeline, loaded, context, reporter)


def _check_adapters(step: ResolvedStep, chosen: Any, required: RequiredPipeline) -> None:
    """Raise `InvalidInput` when a step wants LoRAs, an adapter or weights in prompts of a class that takes none."""
    automatic = is_automatic(chosen)
    check_loras(step, chosen, required.loras, automatic)
    check_ip_adapter(step, chosen, automatic)
    if not automatic:
        check_weights(step, chosen)


def _with_adapters(
    prepared: PreparedPipeline, pipeline: Any, loaded: Loaded, context: RunContext, reporter: StepReporter
) -> Loaded:
    """Bring a step's LoRAs and its image-prompt adapter into its models, as far as they are not in them."""
    loras, adapter, resources = prepared.required.loras, prepared.required.ip_adapter, context.resources
    names = [each.name for each in (*loras, adapter) if each is not None]
    if not names:
        return loaded
    reporter.phase("loading", f"{prepared.chosen.__name__}: {', '.join(names)}")
    started, step = time.monotonic(), prepared.step
    check_loras(step, type(pipeline), loras, False)
    with LoadingWatch(reporter.goes_on):
        fresh, there = resources.loras.bring(pipeline, step, loras, loaded.keys, resources.components)
        if adapter is not None:
            more = resources.ip_adapters.bring(pipeline, step, adapter, loaded.keys, resources.components)
            fresh, there = (*fresh, *more[0]), (*there, *more[1])
    context.ledger.note_components(fresh, there)
    seconds = loaded.seconds + (time.monotonic() - started if fresh else 0.0)
    parts: dict[str, Any] = {"loaded": (*loaded.loaded, *fresh), "reused": (*loaded.reused, *there), "seconds": seconds}
    return dataclasses.replace(loaded, loras=loras, ip_adapter=adapter, **parts)


def _from_parts(
    prepared: PreparedPipeline, shared: Mapping[str, tuple[str, Any]], context: RunContext, reporter: StepReporter
) -> tuple[Any, Loaded]:
    chosen, required = prepared.chosen, prepared.required
    names = component_names(chosen)
    wanted = frozenset(
        part.name
        for part in required.parts
        if part.name not in prepared.reused and (names is None or part.name in names)
    )
    keep = frozenset(key for key, _ in shared.values())
    loaded = _gathered(prepared, wanted, context, reporter, keep)
    live, keys = dict(loaded.live), dict(loaded.keys)
    for name in prepared.reused:
        if name not in shared:
            message = f"the component {name!r} is reused, but the step that shares it has none"
            raise InvalidInput(message, prepared.step.place("pipeline", "reused_components"), prepared.step.name)
        keys[name], live[name] = shared[name]
    loaded = dataclasses.replace(loaded, live=live, keys=keys)
    if required.single_file is not None:
        return from_single_file(prepared, loaded, context, reporter)
    components = context.resources.components
    loaded, started = with_made(loaded, components), time.monotonic()
    pipeline = assemble(chosen, required, loaded.live, context.loader, context.types, prepared.step)
    return pipeline, keep_made(pipeline, loaded, components, time.monotonic() - started)


def load_part(prepared: PreparedPipeline, name: str, context: RunContext, reporter: StepReporter) -> Loaded:
    """Bring one component of a step into memory, for another step that takes it from there."""
    loaded = _gathered(obtain(prepared, context, reporter), frozenset({name}), context, reporter)
    context.ledger.note_components(loaded.loaded, loaded.reused)
    return loaded


def _gathered(
    prepared: PreparedPipeline,
    wanted: frozenset[str],
    context: RunContext,
    reporter: StepReporter,
    keep: frozenset[str] = frozenset(),
) -> Loaded:
    begun: list[str] = []

    def listener(name: str, count: int, total: int) -> None:
        begun.append(name)
        reporter.phase("loading", f"{prepared.chosen.__name__}: {name}", count, total, "component")

    components = context.resources.components
    meter, known = context.resources.meter, context.resources.measurements
    computing = computing_of(prepared.required, picture_of(prepared.step.body), context.resources.device.type, known)
    working = computing.expected if computing is not None else 0
    places = places_of(prepared.step, context.resources.device.type)
    room = Room(context.budgets, meter.free, working, places, keep)
    required = prepared.required
    try:
        with LoadingWatch(reporter.goes_on):
            return gather_components(required, wanted, components, context.loader, room, listener, prepared.folder)
    except InvalidInput as error:
        if error.range is not None:
            raise
        name = begun[-1] if begun and begun[-1] in required.explicit else "from_pretrained_arguments"
        place = prepared.step.place(prepared.step.kind, name)
        raise InvalidInput(error.message, place, prepared.step.name, error.hint) from error


@contextlib.contextmanager
def ready_pipeline(
    pipeline: Any,
    loaded: Loaded,
    step: ResolvedStep,
    context: RunContext,
    goes_on: Callable[[], None],
    relief: Relief = AS_WRITTEN,
) -> Iterator[ReadyPipeline]:
    """The pipeline on its device, with the switches that its step sets. Afterwards its components are as they were.

    Arguments: `step` is the one that defines the pipeline; `goes_on` is called for each tensor that moves, and may
    raise to stop; `relief` changes the settings.
    """
    configuration = step.body.get("configuration")
    settings = relief.applied(configuration if isinstance(configuration, dict) else {})
    device = _device(settings, context)
    with contextlib.ExitStack() as undo:
        # Before its model is placed, so that it goes where that goes, layer by layer if need be.
        if loaded.ip_adapter is not None:
            undo.enter_context(context.resources.ip_adapters.used_by(pipeline, step, loaded.ip_adapter))
        with LoadingWatch(goes_on, once=True):
            place(pipeline, step, settings, device, undo)
        set_state(pipeline, step, settings, undo)
        set_models(pipeline, step, settings, context.types, undo)
        multiply_quantized(pipeline.components, step, settings.get("sdnq_optimize"), device, undo)
        enable_cache(pipeline, step, settings, undo)
        yield ReadyPipeline(pipeline, loaded, device)


@dataclass(frozen=True)
class Call:
    """One call of a pipeline: live arguments; the seed of its generator, `None` for none; the key of its latents."""

    arguments: Mapping[str, Any]
    seed: int | None
    latents_key: str | None = None


def call_pipeline(
    ready: ReadyPipeline, step: ResolvedStep, call: Call, context: RunContext, reporter: StepReporter
) -> Any:
    """Call a pipeline once and return its output.

    Arguments: `step` is the step that calls (of a `pipeline_reference`, not the one that loaded).
    Raises `StepFailed` when the pipeline fails.
    """
    for key, value in call.arguments.items():
        if isinstance(value, list) and not value and makes_nothing(step, key):
            path = (step.kind, "arguments", key)
            raise InvalidInput(f"the list `{key}` is empty: nothing would be made", step.place(*path), step.name)
    try:
        with _prompts_as_wanted(ready.pipeline, step):
            try:
                output = _called(ready, call, context, reporter)
            except DoesNotFit:
                output = _called(ready, dataclasses.replace(call, latents_key=None), context, reporter)
    except InvalidInput:
        raise
    except Exception as error:
        doing = f"{type(ready.pipeline).__name__} failed in step {step.name!r}"
        raise StepFailed(doing, step.name, step.place(step.kind, "arguments"), error) from error
    flagged = getattr(output, "nsfw_content_detected", None)
    if isinstance(flagged, (list, tuple)) and any(flagged):
        logger.warning("the safety checker of step %r has blackened %d image(s)", step.name, sum(map(bool, flagged)))
    return output


def _prompts_as_wanted(pipeline: Any, step: ResolvedStep) -> contextlib.AbstractContextManager[None]:
    """While it lasts, weights in prompts are obeyed if the calling step itself says so."""
    configuration = step.body.get("configuration")
    if not isinstance(configuration, dict) or not configuration.get("prompt_weighting"):
        return contextlib.nullcontext()
    check_weights(step, type(pipeline))
    return replaced(pipeline, "encode_prompt", weighing(pipeline))


def _called(ready: ReadyPipeline, call: Call, context: RunContext, reporter: StepReporter) -> Any:
    """The output of a call: with a new scheduler and generator, the LoRAs set, what is known not computed again."""
    pipeline, loaded, loras = ready.pipeline, ready.loaded, context.resources.loras
    _renew_schedulers(pipeline)
    chosen = pipeline.__class__
    given, shape = dict(call.arguments), shape_of(chosen)
    if shape is not None and given.get("output") is None:
        given["output"] = shape.usual_output
    if call.seed is not None and "generator" in call_parameters(chosen)[0]:
        given.setdefault("generator", _generator(ready.device, call.seed))
    loras.activate(pipeline, loaded.loras)
    # A scale in there is multiplied into the weights, and only roughly divided out again.
    scaled = any(key.endswith("attention_kwargs") for key in given)
    try:
        with contextlib.ExitStack() as around:
            around.enter_context(
                as_found(loaded.live, lambda name: context.resources.components.drop(loaded.keys[name]))
            )
            if not scaled:
                around.enter_context(context.resources.prompts.used_by(pipeline, loaded.keys, loras.state_of))
            key = call.latents_key if shape is None or str(given["output"]) in DECODED else None
            kept = around.enter_context(KeptLatents(pipeline, key, context.memory))
            previewer = None if kept.resumed else _previewer(ready, given, context, reporter)
            if previewer is not None:
                around.enter_context(previewer.watching(pipeline))
            around.enter_context(Instruments(pipeline, reporter, previewer))
            output = pipeline(**given)
            kept.check(output)
            return output if shape is None else by_name(given["output"], output)
    except BaseException:
        scaled = True
        raise
    finally:
        if scaled:
            loras.unsure(pipeline)


def _import_modules(step: ResolvedStep) -> None:
    """Import what a step asks for; `support` has checked that it is allowed."""
    configuration = step.body.get("configuration")
    modules = configuration.get("pre_load_modules") if isinstance(configuration, dict) else None
    for module in modules if isinstance(modules, list) else []:
        try:
            importlib.import_module(str(module))
        except ImportError as error:
            place = step.place("pipeline", "configuration", "pre_load_modules")
            raise InvalidInput(f"the module {module!r} cannot be imported: {error}", place, step.name) from error


def _device(settings: Mapping[str, Value], context: RunContext) -> torch.device:
    name = settings.get("device")
    if not isinstance(name, str):
        return context.resources.device
    device, warning = named_device(name, context.resources.device)
    if warning:
        logger.warning(warning)
    return device


def _generator(device: torch.device, seed: int) -> torch.Generator:
    # MPS has no generators of the quality that pipelines expect; its own advice is to draw on the CPU.
    home = device if device.type in ("cuda", "xpu") else torch.device("cpu")
    return torch.Generator(device=home).manual_seed(seed)


#: Pipelines whose schedulers have been used: those of a new one are new.
_CALLED: weakref.WeakSet[Any] = weakref.WeakSet()


def _renew_schedulers(pipeline: Any) -> None:
    """Each call gets schedulers that have never been used: nothing of one iteration is left for the next."""
    first = pipeline not in _CALLED
    _CALLED.add(pipeline)
    for name in ("scheduler", "audio_scheduler"):
        current = getattr(pipeline, name, None)
        if current is not None and hasattr(current, "config") and not first:
            renewed = type(current).from_config(current.config)
            shift = getattr(current, "_shift", None)
            if shift is not None and hasattr(renewed, "set_shift"):
                renewed.set_shift(shift)
            set_scheduler(pipeline, name, renewed)


def _previewer(
    ready: ReadyPipeline, given: Mapping[str, Any], context: RunContext, reporter: StepReporter
) -> Previewer | None:
    """What makes this call's previews; `None` where they are off, or the latent space is of an unknown kind."""
    scheduler, vae = getattr(ready.pipeline, "scheduler", None), ready.loaded.live.get("vae")
    if not context.options.preview_enabled or scheduler is None or vae is None:
        return None
    views, key = context.resources.latent_views, ready.loaded.keys["vae"]
    if key not in views:
        views[key] = view_of(vae, context.resources.device)
    view = views[key]
    if view is None:
        return None
    width, height = given.get("width"), given.get("height")
    size = (width, height) if isinstance(width, int) and isinstance(height, int) else None
    previewer = Previewer(view, vae, scheduler, context.options.preview_every_steps, reporter.send, size)
    previewer.begin(reporter.run_id, reporter.step, reporter.iteration)
    return previewer
