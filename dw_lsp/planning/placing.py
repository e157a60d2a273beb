"""Where a pipeline step wants each of its components to rest, and how many bytes of the device follow from that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from dw_lsp.planning.modular import offload_in
from dw_lsp.text.syntax_tree import Value
from dw_lsp.workflow.resolved import ResolvedStep

#: Settings of a component that may stand in its own definition, too.
OWN_SETTINGS = frozenset({"device", "preserve_device_placement", "group_offload"})
#: Where a component rests: on the device; in host memory, to come as a whole for its turn or in parts; or elsewhere.
Place = Literal["device", "turns", "parts", "elsewhere"]
#: What comes to the device layer by layer fills about this part of the largest component there.
_PART = 20


def component_settings(step: ResolvedStep, settings: Mapping[str, Value]) -> dict[str, dict[str, Value]]:
    """What a step sets for single components, by name or path: in their own definitions and under `components`."""
    found: dict[str, dict[str, Value]] = {}
    for name, definition in step.body.items():
        configuration = definition.get("configuration") if isinstance(definition, dict) else None
        if isinstance(configuration, dict) and "from_pretrained_arguments" in step.body[name]:  # type: ignore[operator]
            own = {key: configuration[key] for key in OWN_SETTINGS & configuration.keys()}
            if own:
                found[name] = own
    listed = settings.get("components")
    for name, more in (listed if isinstance(listed, dict) else {}).items():
        if isinstance(more, dict):
            found[name] = {**found.get(name, {}), **more}
    return found


@dataclass(frozen=True)
class Places:
    """Where components rest: all at `usual`, but for those in `single`."""

    usual: Place = "device"
    single: tuple[tuple[str, Place], ...] = ()

    def of(self, name: str) -> Place:
        """Where the component of that name rests."""
        return dict(self.single).get(name, self.usual)

    @property
    def all_on_device(self) -> bool:
        """Whether none rests anywhere but on the device."""
        return self.usual == "device" and all(place == "device" for _, place in self.single)

    def on_device(self, sizes: Iterable[tuple[str, int]]) -> int:
        """Bytes that are on the device at once. Arguments: the names and sizes of components."""
        resting, coming = 0, 0
        for name, size in sizes:
            place = self.of(name)
            resting += size if place == "device" else 0
            coming = max(coming, {"turns": size, "parts": size // _PART}.get(place, 0))
        return resting + coming


ON_DEVICE = Places()


def places_of(step: ResolvedStep, device: str) -> Places:
    """Where the components of a pipeline step rest. Arguments: `device` is the kind of the worker's own."""
    configuration = step.body.get("configuration")
    settings = configuration if isinstance(configuration, dict) else {}
    if device == "cpu":
        return ON_DEVICE
    offload = offload_in(settings)
    if offload in ("model", "sequential"):
        return Places("turns" if offload == "model" else "parts")
    usual: Place = "parts" if settings.get("group_offload") else "device"
    if _is_host(settings.get("device")):
        usual = "elsewhere"
    chosen = ((name, _place(wanted, usual)) for name, wanted in component_settings(step, settings).items())
    return Places(usual, tuple((name, place) for name, place in chosen if "." not in name and place != usual))


def _place(wanted: Mapping[str, Value], usual: Place) -> Place:
    if _is_host(wanted.get("device")):
        return "elsewhere"
    if wanted.get("group_offload"):
        return "parts"
    if wanted.get("residency") == "on_demand":
        return "turns"
    return "device" if wanted.get("residency") or wanted.get("device") else usual


def _is_host(device: Value) -> bool:
    return isinstance(device, str) and device.partition(":")[0] == "cpu"
