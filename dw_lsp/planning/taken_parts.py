"""Which parts of its model a pipeline class takes, and that none is missing: from the sources of what is installed."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from dw_lsp.catalog.catalog import Catalog
from dw_lsp.catalog.pipeline_components import Components, components_of
from dw_lsp.planning.modular import is_modular
from dw_lsp.planning.requirements import SCHEDULER_NAMES, RequiredPipeline
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep

#: The class that leaves the choice to the model.
_ANY = "DiffusionPipeline"


def taken_parts(
    step: ResolvedStep, required: RequiredPipeline, reused: Collection[str], catalog: Catalog | None
) -> RequiredPipeline:
    """What a pipeline step requires, without the parts that its class has no use for.

    Arguments: `reused` are the names of components that earlier steps share with it.
    Raises `InvalidInput` where the class needs a part that nothing gives. What cannot be told is left as it is.
    """
    components = None if catalog is None or required.model is None else _components(required, catalog)
    if components is None or required.model is None:
        return required
    absent = missing_part(required, components.needed, reused)
    if absent is not None:
        raise lacks(step, required, required.class_name.rpartition(".")[2], absent)
    return dataclasses.replace(required, parts=tuple(part for part in required.parts if part.name in components.names))


def missing_part(required: RequiredPipeline, needed: Collection[str], reused: Collection[str]) -> str | None:
    """The first of the components that a class needs which neither the model nor the workflow gives."""
    given = {part.name for part in required.parts} | {*required.loading, *reused}
    if required.model is not None:
        given |= {part.name for part in required.model.parts if part.name in SCHEDULER_NAMES}
    return next((name for name in sorted(needed) if name not in given), None)


def lacks(step: ResolvedStep, required: RequiredPipeline, class_name: str, absent: str) -> InvalidInput:
    """The error for a class that needs a component which nothing gives."""
    whose = f"the model {required.model_name!r} does not have" if required.model_name else "nothing gives"
    return InvalidInput(
        f"{class_name} needs the component {absent!r}, which {whose}",
        step.place("pipeline", "configuration", "component_type"),
        step.name,
        f"Define {absent!r} in the pipeline, or use a class that fits the model.",
    )


def _components(required: RequiredPipeline, catalog: Catalog) -> Components | None:
    name = required.class_name.removeprefix("diffusers.")
    if name == _ANY and required.model is not None:
        name = required.model.pipeline_class or name
    entry = None if is_modular(name) else catalog.resolve(name).entry
    return components_of(catalog, entry) if entry is not None and entry.kind == "pipeline" else None
