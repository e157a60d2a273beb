"""What pipeline classes are made of, told from their sources as diffusers tells it from the classes themselves."""

from __future__ import annotations

from dataclasses import dataclass

from dw_lsp.catalog.catalog import Catalog
from dw_lsp.catalog.classes import ClassEntry

#: Where a pipeline class names the components that it can do without.
_OPTIONAL = "_optional_components"


@dataclass(frozen=True)
class Components:
    """The names of the components of a pipeline class, and of those among them that it cannot do without."""

    names: frozenset[str]
    needed: frozenset[str]


def components_of(catalog: Catalog, entry: ClassEntry) -> Components | None:
    """The components of a pipeline class; `None` when that cannot be told."""
    made, optional = catalog.signature(entry, "__init__"), catalog.listed(entry, _OPTIONAL)
    if made is None or made.open or optional is None:
        return None
    needed = frozenset(each.name for each in made.parameters if each.required)
    others = frozenset(each.name for each in made.parameters if each.name in optional)
    return Components(needed | others, needed - others)
