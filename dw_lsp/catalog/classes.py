"""Classes of an installed package: where each is defined, and what kind of thing it is, told from its bases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from dw_lsp.catalog.environment import Package
from dw_lsp.catalog.exports import Export
from dw_lsp.catalog.sources import Definition

#: What a class is good for in a workflow.
Kind: TypeAlias = Literal["pipeline", "model", "scheduler", "quantization", "tokenizer", "processor", "other"]

#: Classes that make what inherits from them a thing of that kind.
_ROOTS: Mapping[str, Kind] = {
    "DiffusionPipeline": "pipeline",
    "ModularPipeline": "pipeline",
    "ModelMixin": "model",
    "PreTrainedModel": "model",
    "_BaseAutoModelClass": "model",
    "SchedulerMixin": "scheduler",
    "QuantizationConfigMixin": "quantization",
    "PipelineQuantizationConfig": "quantization",
    "PreTrainedTokenizerBase": "tokenizer",
    "ProcessorMixin": "processor",
    "ImageProcessingMixin": "processor",
    "FeatureExtractionMixin": "processor",
}
#: Classes that choose another one when they are loaded, and so inherit from nothing that tells their kind.
_CHOOSERS: Mapping[str, Kind] = {
    "AutoModel": "model",
    "AutoTokenizer": "tokenizer",
    "AutoProcessor": "processor",
    "AutoImageProcessor": "processor",
    "AutoVideoProcessor": "processor",
    "AutoFeatureExtractor": "processor",
}
_DEEPEST = 30


@dataclass(frozen=True)
class ClassEntry:
    """A class that a workflow may name. `module` is where it is defined, with dots."""

    name: str
    package: str
    module: str
    file: Path
    kind: Kind
    bases: tuple[str, ...] = ()

    @property
    def written(self) -> str:
        """How a workflow names it: classes of diffusers by their bare name."""
        return self.name if self.package == "diffusers" else f"{self.package}.{self.name}"


@dataclass(frozen=True)
class PackageIndex:
    """What is known of a package: its classes by name (files with bases), and the names that it offers itself."""

    package: Package
    classes: Mapping[str, Sequence[Sequence[str]]]
    exports: Mapping[str, Export]

    def definitions(self, name: str) -> tuple[Definition, ...]:
        """Every class of that name."""
        return tuple(Definition(name, file, tuple(bases)) for file, *bases in self.classes.get(name, ()))

    def definition(self, name: str, near: str | None = None) -> Definition | None:
        """The class of that name: the one in the given file or nearest to it, else the one the package offers."""
        found = self.definitions(name)
        if len(found) <= 1:
            return found[0] if found else None
        if near is not None:
            return max(found, key=lambda definition: _common(definition.file, near))
        section = self.exports[name].section.replace(".", "/") if name in self.exports else ""
        return max(found, key=lambda definition: (definition.file.startswith(section), -len(definition.file)))


def _common(one: str, other: str) -> int:
    """How many folders (and the file) two paths share from the start; the same file counts most."""
    count = 0
    for mine, theirs in zip(one.split("/"), other.split("/"), strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def kind_of(index: PackageIndex, definition: Definition) -> Kind:
    """What kind of thing a class is, told from its bases within its package."""
    chooser = _CHOOSERS.get(definition.name)
    if chooser is not None:
        return chooser
    if definition.name.startswith("AutoPipeline"):
        return "pipeline"
    return _inherited(index, definition, _DEEPEST) or "other"


def _inherited(index: PackageIndex, definition: Definition, depth: int) -> Kind | None:
    if definition.name in _ROOTS:
        return _ROOTS[definition.name]
    for base in definition.bases if depth else ():
        found = index.definition(base, definition.file)
        if base in _ROOTS:
            return _ROOTS[base]
        if found is None and base.endswith("PreTrainedModel"):
            return "model"  # A base in transformers, which is not read for this alone.
        kind = _inherited(index, found, depth - 1) if found is not None and found != definition else None
        if kind is not None:
            return kind
    return None


def bases_in(
    index: PackageIndex, base: str, near: str, others: Callable[[], Sequence[PackageIndex]]
) -> list[tuple[PackageIndex, Definition]]:
    """Where a base class is defined: in the same package, else in another one; empty if nowhere."""
    found = index.definition(base, near)
    if found is not None:
        return [(index, found)]
    for other in others():
        if other is not index and (found := other.definition(base)) is not None:
            return [(other, found)]
    return []


def lineage(
    index: PackageIndex, definition: Definition, others: Callable[[], Sequence[PackageIndex]], depth: int = _DEEPEST
) -> Iterator[tuple[PackageIndex, Definition]]:
    """A class and those that it inherits from, each before its bases."""
    yield index, definition
    for base in definition.bases if depth else ():
        for place, found in bases_in(index, base, definition.file, others):
            if found != definition:
                yield from lineage(place, found, others, depth - 1)
