"""Image-prompt adapters: loaded once into a model, put on for a step's calls and taken off after it.

What an adapter adds to a model (attention processors, a projection of the image) is kept beside the model; putting it
on again exchanges these objects and loads nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch

from dw_lsp.planning.ip_adapters import RequiredIpAdapter
from dw_lsp.protocol import Component
from dw_lsp.worker.engine.components import Components, device_of, size_of
from dw_lsp.worker.engine.failures import describe
from dw_lsp.worker.engine.out_of_memory import is_out_of_memory
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

_HOST = torch.device("cpu")


@dataclass(frozen=True)
class _Added:
    """What makes a model another one: its attention processors, the projection in front, and that one's kind."""

    processors: Mapping[str, Any]
    projection: Any
    kind: Any

    def on(self, model: Any) -> None:
        """Let a model have all of it."""
        self.to(next(model.parameters()).device)
        model.set_attn_processor(dict(self.processors))
        model.encoder_hid_proj = self.projection
        if "encoder_hid_dim_type" in model.config:
            model.register_to_config(encoder_hid_dim_type=self.kind)

    def to(self, device: torch.device) -> None:
        """Bring what has weights to a device."""
        for part in (*self.processors.values(), self.projection):
            if isinstance(part, torch.nn.Module):
                part.to(device)


class IpAdapters:
    """Which adapters have been loaded for which live models. A model that is dropped takes them along."""

    def __init__(self) -> None:
        self._added: WeakKeyDictionary[torch.nn.Module, dict[str, _Added]] = WeakKeyDictionary()

    def bring(
        self,
        pipeline: Any,
        step: ResolvedStep,
        adapter: RequiredIpAdapter,
        keys: Mapping[str, str],
        components: Components,
    ) -> tuple[tuple[Component, ...], tuple[Component, ...]]:
        """Load an adapter for a pipeline's model, unless it is. Returns what was loaded, and what was there.

        Arguments: `keys` are those of the pipeline's components, by name. Raises `InvalidInput` when it does not fit.
        """
        name, model = _model_of(pipeline, step)
        _with_feature_extractor(pipeline)
        known = self._added.setdefault(model, {})
        if adapter.key in known:
            return (), tuple(record for record in components.records() if record.key == adapter.key)
        started, before = time.monotonic(), _state_of(model)
        files = [each.file for each in adapter.files if each.file is not None]
        if len(files) != len(adapter.files):
            raise RuntimeError("an adapter is loaded before its file is there")
        folders: Any = [str(file.parent) for file in files]
        names: Any = [file.name for file in files]
        if len(files) == 1:  # Some pipelines take one only, and no list.
            folders, names = folders[0], names[0]
        try:
            pipeline.load_ip_adapter(
                folders, subfolder="", weight_name=names, image_encoder_folder=None, local_files_only=True
            )
            known[adapter.key] = added = _state_of(model)
        except (ValueError, KeyError, RuntimeError, TypeError, OSError) as error:
            if is_out_of_memory(error):
                raise
            what = " and ".join(file.name for file in files)
            message = f"{what} cannot be loaded as an image-prompt adapter: {describe(error).splitlines()[0]}"
            hint = "Check that it was made for this kind of model."
            raise InvalidInput(message, step.place("pipeline", "ip_adapter"), step.name, hint) from error
        finally:
            before.on(model)
        added.to(_HOST)
        size = sum(size_of(part) for part in (*added.processors.values(), added.projection))
        seconds = time.monotonic() - started
        record = Component(adapter.key, adapter.name, "IPAdapter", size, device_of(model), seconds)
        components.put_inside(keys[name], record)
        return (record,), ()

    def take_out(self, key: str, components: Components) -> bool:
        """Forget one adapter of all models. Returns whether any had it."""
        found = [known for known in self._added.values() if known.pop(key, None) is not None]
        if found:
            components.take_out(key)
        return bool(found)

    @contextlib.contextmanager
    def used_by(self, pipeline: Any, step: ResolvedStep, adapter: RequiredIpAdapter) -> Iterator[None]:
        """While this is entered, a pipeline's model has the adapter, with its weight."""
        _, model = _model_of(pipeline, step)
        before, added = _state_of(model), self._added[model][adapter.key]
        added.on(model)
        try:
            scale: Any = 1.0 if adapter.scale is None else adapter.scale
            if len(adapter.files) > 1 and not isinstance(scale, list):
                scale = [scale] * len(adapter.files)
            _set_scale(pipeline, step, scale)
            yield
        finally:
            before.on(model)
            # Beside its model, which may leave the device without it, it takes none of the device's memory.
            added.to(_HOST)


def _set_scale(pipeline: Any, step: ResolvedStep, scale: Any) -> None:
    try:
        pipeline.set_ip_adapter_scale(scale)
    except Exception as error:  # Numbers and objects for blocks are looked at in many places.
        place = step.place("pipeline", "ip_adapter", "scale")
        raise InvalidInput(f"the scale {scale!r} cannot be set: {describe(error)}", place, step.name) from error


def check_ip_adapter(step: ResolvedStep, chosen: Any, automatic: bool) -> None:
    """Raise `InvalidInput` when an adapter is wanted of a class that takes none."""
    if step.body.get("ip_adapter") and not automatic and not hasattr(chosen, "load_ip_adapter"):
        place = step.place("pipeline", "ip_adapter")
        raise InvalidInput(f"{chosen.__name__} takes no image-prompt adapter", place, step.name, "Remove `ip_adapter`.")


def _model_of(pipeline: Any, step: ResolvedStep) -> tuple[str, Any]:
    check_ip_adapter(step, type(pipeline), False)
    name = "unet" if getattr(pipeline, "unet", None) is not None else "transformer"
    return name, getattr(pipeline, name)


def _state_of(model: Any) -> _Added:
    # The loader sets the attribute of the configuration, not its item; the model reads the attribute.
    kind = getattr(model.config, "encoder_hid_dim_type", None)
    return _Added(dict(model.attn_processors), getattr(model, "encoder_hid_proj", None), kind)


def _with_feature_extractor(pipeline: Any) -> None:
    """Give a pipeline what brings pictures to its image encoder's size, where its model has nothing of the kind."""
    encoder = getattr(pipeline, "image_encoder", None)
    if encoder is None or getattr(pipeline, "feature_extractor", None) is not None:
        return
    import transformers

    size = encoder.config.image_size
    pipeline.register_modules(feature_extractor=transformers.CLIPImageProcessor(size=size, crop_size=size))
