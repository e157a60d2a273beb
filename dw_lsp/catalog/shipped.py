"""The small catalogue that comes along, for a machine on which nothing is installed: names, kinds, and what calls take.

`python -m dw_lsp.catalog.shipped` writes it anew from what is installed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from dw_lsp.catalog.annotations import Accepted, accepted_by
from dw_lsp.catalog.classes import ClassEntry, Kind
from dw_lsp.catalog.signatures import Parameter, Signature

FILE = Path(__file__).with_name("shipped.json")
_METHODS: Mapping[str, str] = {"pipeline": "__call__", "scheduler": "__init__", "quantization": "__init__"}


@dataclass(frozen=True)
class Shipped:
    """Classes of one version of diffusers. `kinds` has each class' kind, `signatures` what it takes.

    `vocabulary` are the arguments of all pipelines, with the annotation on which they agree, if they do.
    """

    version: str
    kinds: Mapping[str, Kind]
    signatures: Mapping[str, Any]
    vocabulary: Mapping[str, str | None]

    def any_pipeline(self) -> Signature:
        """What some pipeline takes: for classes that only choose one."""
        return Signature(tuple(Parameter(name, kind, "None") for name, kind in self.vocabulary.items()), open=True)

    def names(self) -> Collection[str]:
        """All class names."""
        return self.kinds.keys()

    def entry(self, name: str) -> ClassEntry | None:
        """The class of that name."""
        kind = self.kinds.get(name)
        return None if kind is None else ClassEntry(name, "diffusers", "diffusers", Path(), kind)

    def by_kind(self) -> dict[str, tuple[ClassEntry, ...]]:
        """The classes of each kind."""
        entries = [entry for name in self.kinds if (entry := self.entry(name)) is not None]
        return {kind: tuple(entry for entry in entries if entry.kind == kind) for kind in get_args(Kind)}

    def signature(self, name: str, method: str) -> Signature | None:
        """What a method of a class takes, if it is among what was written down."""
        if _METHODS.get(self.kinds.get(name, "other")) != method or name not in self.signatures:
            return None
        is_open, *parameters = self.signatures[name]
        return Signature(tuple(Parameter(*parameter) for parameter in parameters), bool(is_open))


def read_shipped() -> Shipped:
    """The catalogue that comes along."""
    kept = json.loads(FILE.read_text(encoding="utf-8"))
    kinds = {name: kind for kind, names in kept["kinds"].items() for name in names}
    return Shipped(kept["version"], kinds, kept["signatures"], kept["vocabulary"])


def vocabulary_of(signatures: Iterable[Signature]) -> dict[str, str | None]:
    """The arguments of all calls; each with an annotation if all certain ones take the same values."""
    found: dict[str, dict[Accepted, str]] = {}
    for signature in signatures:
        for each in signature.parameters:
            accepted = accepted_by(None if each.documented else each.annotation)
            kinds = found.setdefault(each.name, {})
            if accepted.certain:
                bare = replace(accepted, kinds=accepted.kinds - {"null"})
                kinds.setdefault(bare, each.annotation or "")
    return {name: next(iter(kinds.values())) if len(kinds) == 1 else None for name, kinds in sorted(found.items())}


def main() -> int:
    """Write the catalogue from what is installed beside this Python."""
    from dw_lsp.catalog.catalog import Catalog
    from dw_lsp.catalog.environment import environment_of
    from dw_lsp.catalog.store import Store

    catalog = Catalog(environment_of(None), Store(None))
    package = catalog.environment.package("diffusers")
    if package is None:
        print("diffusers is not installed here.", file=sys.stderr)
        return 1
    kinds = {kind: [entry.name for entry in catalog.of_kind(kind)] for kind in get_args(Kind)}
    signatures = {}
    for kind, method in _METHODS.items():
        for entry in catalog.of_kind(kind):  # type: ignore[arg-type]  # the keys are kinds
            signature = catalog.signature(entry, method)
            if signature is not None:
                listed = [
                    [each.name, each.annotation, each.default] for each in signature.parameters if not each.documented
                ]
                signatures[entry.name] = [signature.open, *listed]
    calls = (catalog.signature(entry, "__call__") for entry in catalog.of_kind("pipeline"))
    vocabulary = vocabulary_of(signature for signature in calls if signature is not None)
    kept = {"version": package.version, "kinds": kinds, "signatures": signatures, "vocabulary": vocabulary}
    FILE.write_text(json.dumps(kept, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{FILE}: {len(signatures)} signatures, {FILE.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
