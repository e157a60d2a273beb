"""The catalogue: which classes there are in the worker's Python and what they take, read from their sources on demand.

Imports nothing of what it reads. Where it cannot tell, it says so (`unread`): nobody is told of a mistake that is none.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from dw_lsp.catalog.classes import ClassEntry, Kind, PackageIndex, bases_in, kind_of, lineage
from dw_lsp.catalog.environment import Environment, Package, environment_of, forget_packages
from dw_lsp.catalog.exports import Export, holds, modules_of, read_exports
from dw_lsp.catalog.nearest import nearest_names
from dw_lsp.catalog.shipped import Shipped, read_shipped
from dw_lsp.catalog.signatures import ClassSource, Signature, documented, read_class, united
from dw_lsp.catalog.sources import Definition, module_file, scan
from dw_lsp.catalog.store import Store, cache_folder
from dw_lsp.settings import WorkerSettings

Status: TypeAlias = Literal["class", "value", "unknown", "absent", "unread"]
#: Names of number types, for a Python without torch.
DTYPES = (
    "bfloat16", "float16", "float32", "float64", "float8_e4m3fn", "float8_e5m2", "int8", "uint8", "int16", "int32",
    "int64", "bool",
)  # fmt: skip
_DTYPE = re.compile(rb"^(\w+): dtype = \.\.\.", re.MULTILINE)
_DEEPEST = 20
#: Where a modular pipeline names the blocks that it is made of.
_BLOCKS = "default_blocks_name"


@dataclass(frozen=True)
class Resolution:
    """What a type's name stands for.

    `class`: `entry` is there; `value`: something else that exists, such as a number type; `unknown`: the package does
    not have it, `near` are names that may be meant; `absent`: `modules` are not installed (`entry` if its source is
    there all the same); `unread`: nobody can tell.
    """

    status: Status
    entry: ClassEntry | None = None
    near: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()


class Catalog:
    """What is installed in one Python. Arguments: that Python, and what was kept of its packages."""

    def __init__(self, environment: Environment, store: Store):
        self.environment = environment
        self._stamp = environment.stamp()
        self._store = store
        self._indices: dict[str, PackageIndex | None] = {}
        self._sources: dict[tuple[Path, str], ClassSource | None] = {}
        self._signatures: dict[tuple[str, str, str], Signature | None] = {}
        self._resolved: dict[str, Resolution] = {}
        self._rows: dict[str, dict[str, list[list[str]]]] = {}
        self._kinds: dict[tuple[Kind, str], tuple[ClassEntry, ...]] = {}

    def is_current(self) -> bool:
        """Whether nothing was installed or removed since this was made; costs some looks at folders."""
        return self.environment.stamp() == self._stamp

    @property
    def installed(self) -> bool:
        """Whether diffusers is there; if not, a small catalogue that comes along stands in for it."""
        return self.environment.package("diffusers") is not None

    @property
    def origin(self) -> str:
        """Where the catalogue comes from, in words."""
        package = self.environment.package("diffusers")
        if package is not None:
            return f"diffusers {package.version or 'of unknown version'} in {package.folder.parent}"
        reason = self.environment.problem or f"{self.environment.python} has no diffusers"
        return f"a small list of diffusers {self.shipped.version}, because {reason}"

    @functools.cached_property
    def shipped(self) -> Shipped:
        """The small catalogue that stands in where nothing is installed."""
        return read_shipped()

    # ------------------------------------------------------------ names

    def resolve(self, name: str) -> Resolution:
        """What a type's name stands for, as a workflow writes it: bare names are those of diffusers."""
        known = self._resolved.get(name)
        if known is None:
            known = self._resolved[name] = self._resolve(name)
        return known

    def _resolve(self, name: str) -> Resolution:
        package_name, _, rest = name.partition(".") if "." in name else ("diffusers", "", name)
        if package_name == "torch" and rest in self.dtypes():
            return Resolution("value")
        if package_name == "diffusers" and not self.installed:
            return self._resolve_shipped(rest)
        if not self.environment.search_path:
            return Resolution("unread")
        if package_name == "torch":
            return self._resolve_torch(rest)
        index = self._index(package_name)
        if index is None:
            present = self.environment.has(package_name)
            return Resolution("unread") if present else Resolution("absent", modules=(package_name,))
        module, _, attribute = rest.rpartition(".")
        if not module:
            return self._offered(index, attribute)
        return self._in_module(index, module, attribute)

    def _resolve_shipped(self, rest: str) -> Resolution:
        name = rest.rpartition(".")[2]
        entry = self.shipped.entry(name)
        if entry is not None:
            return Resolution("class", entry)
        near = nearest_names(name, self.shipped.names())
        # Another version may have what this list does not: only a near miss is certainly none.
        return Resolution("unknown", near=near) if near else Resolution("unread")

    def _resolve_torch(self, rest: str) -> Resolution:
        """A name of torch: its number types are listed; the rest is made by compiled code, which cannot be read."""
        package = self.environment.package("torch")
        if package is None:
            return Resolution("absent", modules=("torch",))
        if "." in rest or _mentions(package, "", rest):
            return Resolution("unread")
        near = nearest_names(rest, self.dtypes())
        return Resolution("unknown", near=tuple(f"torch.{name}" for name in near))

    def _offered(self, index: PackageIndex, name: str) -> Resolution:
        """A name that a package offers itself."""
        export, definition = index.exports.get(name), index.definition(name)
        if export is not None and not self._there(export):
            entry = None if definition is None else self._entry(index, definition)
            return Resolution("absent", entry, modules=self._missing(export))
        lazily = index.package.name == "transformers" or not index.exports
        if definition is not None and (export is not None or lazily):
            return Resolution("class", self._entry(index, definition))
        if export is not None or _mentions(index.package, "", name):
            return Resolution("value")
        return Resolution("unknown", near=self._near(index, name))

    def _in_module(self, index: PackageIndex, module: str, attribute: str) -> Resolution:
        """A name inside a module of a package."""
        folder = module.replace(".", "/")
        for definition in index.definitions(attribute):
            if definition.module == module or definition.file.startswith(folder + "/"):
                return Resolution("class", self._entry(index, definition))
        if module_file(index.package, module) is None:
            compiled = any(index.package.folder.glob(f"{folder}*.so")) or (index.package.folder / folder).is_dir()
            return Resolution("unread") if compiled else Resolution("unknown", near=self._near(index, attribute))
        if _mentions(index.package, module, attribute, everything=True):
            return Resolution("value")
        return Resolution("unknown", near=self._near(index, attribute))

    def _near(self, index: PackageIndex, name: str) -> tuple[str, ...]:
        if index.package.name == "diffusers":
            known = [export.name for export in index.exports.values() if export.name[:1].isupper()]
            found = nearest_names(name, known)
            if not found and (number_type := nearest_names(name, self.dtypes())):
                return tuple(f"torch.{kind}" for kind in number_type)
            return found or self._elsewhere(name)
        return tuple(f"{index.package.name}.{found}" for found in nearest_names(name, index.classes))

    def _elsewhere(self, name: str) -> tuple[str, ...]:
        """A bare name that transformers has: it is written with its package in front."""
        index = self._index("transformers")
        return (f"transformers.{name}",) if index is not None and index.definition(name) is not None else ()

    def _there(self, export: Export) -> bool:
        return holds(export.condition, frozenset(self._missing(export)))

    def _missing(self, export: Export) -> tuple[str, ...]:
        modules = dict.fromkeys(modules_of(export.condition))
        return tuple(module for module in modules if not self.environment.has(module))

    # ------------------------------------------------------------ lists

    def of_kind(self, kind: Kind, package: str = "diffusers") -> tuple[ClassEntry, ...]:
        """The classes of a kind that a package (diffusers or transformers) offers, by name."""
        known = self._kinds.get((kind, package))
        if known is None:
            known = self._kinds[kind, package] = self._list(kind, package)
        return known

    def defined(self, part: str, package: str = "diffusers") -> tuple[ClassEntry, ...]:
        """The classes of a package whose name holds a part, whether or not it offers them under its own name."""
        index = self._index(package)
        if index is None:
            return ()
        names = sorted(name for name in index.classes if part in name)
        return tuple(self._entry(index, definition) for name in names for definition in index.definitions(name)[:1])

    def _list(self, kind: Kind, name: str) -> tuple[ClassEntry, ...]:
        package = self.environment.package(name)
        if package is None:
            return self.shipped.by_kind().get(kind, ()) if name == "diffusers" else ()
        if name not in self._rows:
            kept = self._store.get(package, "kinds")
            if kept is None:
                kept = self._listed(name)
                self._store.put(package, "kinds", kept)
            self._rows[name] = kept
        # One kind at a time: transformers has ten thousand classes, of which most are never asked for.
        return tuple(
            ClassEntry(name, package.name, f"{package.name}.{module}", package.folder / file, kind, tuple(bases))
            for name, module, file, *bases in self._rows[name].get(kind, ())
        )

    def _listed(self, name: str) -> dict[str, list[list[str]]]:
        """For each kind its classes: name, module, file, bases; without those whose requirements are not installed."""
        index = self._index(name)
        assert index is not None
        found: dict[str, list[list[str]]] = {}
        for offered in sorted(index.exports if name == "diffusers" else index.classes):
            definition = index.definition(offered)
            export = index.exports.get(offered)
            if definition is None or offered.startswith("_") or (export is not None and not self._there(export)):
                continue
            row = [definition.name, definition.module, definition.file, *definition.bases]
            found.setdefault(kind_of(index, definition), []).append(row)
        return found

    @functools.lru_cache(maxsize=1)  # noqa: B019 (one catalogue lives as long as its settings)
    def dtypes(self) -> tuple[str, ...]:
        """The number types of torch."""
        package = self.environment.package("torch")
        if package is None:
            return DTYPES
        kept = self._store.get(package, "dtypes")
        if kept is None:
            try:
                text = (package.folder / "_C" / "__init__.pyi").read_bytes()
            except OSError:
                return DTYPES
            kept = [found.decode() for found in _DTYPE.findall(text)] or list(DTYPES)
            self._store.put(package, "dtypes", kept)
        return tuple(kept)

    # ------------------------------------------------------------ what a class takes

    def signature(self, entry: ClassEntry, method: str) -> Signature | None:
        """What a method of a class takes (`__init__`, `__call__`, ...); `None` when that cannot be told."""
        key = (entry.module, entry.name, method)
        if key not in self._signatures:
            self._signatures[key] = self._find_signature(entry, method)
        return self._signatures[key]

    def _find_signature(self, entry: ClassEntry, method: str) -> Signature | None:
        if not self.installed:
            return self.shipped.signature(entry.name, method)
        found = self._defined(entry)
        if found is None:
            return None
        blocks = self._blocks(*found, _DEEPEST) if method == "__call__" else None
        return blocks or self._signature(*found, method, _DEEPEST)

    def listed(self, entry: ClassEntry, name: str) -> tuple[str, ...] | None:
        """A list of texts that a class, or the nearest of its bases that does, sets; `None` if none is known."""
        found = self._defined(entry) if self.installed else None
        sources = () if found is None else (self._source(*each) for each in lineage(*found, self._others))
        return next((source.lists[name] for source in sources if source is not None and name in source.lists), None)

    def _defined(self, entry: ClassEntry) -> tuple[PackageIndex, Definition] | None:
        index = self._index(entry.package)
        near = None if index is None else entry.file.relative_to(index.package.folder).as_posix()
        definition = None if index is None else index.definition(entry.name, near)
        return None if index is None or definition is None else (index, definition)

    def _blocks(self, index: PackageIndex, definition: Definition, depth: int) -> Signature | None:
        """What the blocks of a modular pipeline take, which their documentation lists; `None` for any other class."""
        source = self._source(index, definition)
        if source is None or depth == 0:
            return None
        named = source.constants.get(_BLOCKS)
        if named is not None and (blocks := index.definition(named, definition.file)) is not None:
            inner = self._source(index, blocks)
            described = inner.described if inner is not None else ()
            return Signature(tuple(documented(each) for each in described), open=True) if described else None
        for base in definition.bases:
            found = index.definition(base, definition.file)
            if found is not None and found != definition and (taken := self._blocks(index, found, depth - 1)):
                return taken
        return None

    def _signature(self, index: PackageIndex, definition: Definition, method: str, depth: int) -> Signature | None:
        source = self._source(index, definition)
        if source is None or depth == 0:
            return None
        own = source.methods.get(method)
        if own is None and method == "__init__":
            own = source.fields
        if own is not None and method not in source.passes_on and source.fields is None:
            return own
        for base in definition.bases:
            for place, found in bases_in(index, base, definition.file, self._others):
                inherited = self._signature(place, found, method, depth - 1) if found != definition else None
                if inherited is not None:
                    return inherited if own is None else united(own, inherited)
        return own

    @functools.cached_property
    def any_pipeline(self) -> Signature:
        """What some pipeline takes: all arguments of all of them, for a class that only chooses one."""
        return self.shipped.any_pipeline()

    def source(self, entry: ClassEntry) -> ClassSource | None:
        """What the source of a class says; `None` when it cannot be read."""
        return self._read(entry.file, entry.name) if self.installed else None

    def _source(self, index: PackageIndex, definition: Definition) -> ClassSource | None:
        return self._read(index.package.folder / definition.file, definition.name)

    def _read(self, file: Path, name: str) -> ClassSource | None:
        key = (file, name)
        if key not in self._sources:
            try:
                self._sources[key] = read_class(file.read_bytes(), name)
            except OSError:
                self._sources[key] = None
        return self._sources[key]

    # ------------------------------------------------------------ packages

    def _index(self, name: str) -> PackageIndex | None:
        if name not in self._indices:
            package = self.environment.package(name)
            self._indices[name] = None if package is None else self._read_index(package)
        return self._indices[name]

    def _read_index(self, package: Package) -> PackageIndex:
        kept = self._store.get(package, "classes")
        if kept is None:
            kept = {"classes": scan(package), "exports": _exports(package)}
            self._store.put(package, "classes", kept)
        exports = {name: Export(name, section, condition) for section, name, condition in kept["exports"]}
        return PackageIndex(package, kept["classes"], exports)

    def _others(self) -> Sequence[PackageIndex]:
        return [index for name in ("diffusers", "transformers") if (index := self._index(name)) is not None]

    def _entry(self, index: PackageIndex, definition: Definition) -> ClassEntry:
        package = index.package
        module = f"{package.name}.{definition.module}".rstrip(".")
        kind = kind_of(index, definition)
        return ClassEntry(
            definition.name, package.name, module, package.folder / definition.file, kind, definition.bases
        )


def catalog_for(worker: WorkerSettings) -> Catalog:
    """The catalogue of the Python that would be the worker."""
    return catalog_of(worker.python or None, bool(worker.command), tuple(sorted(worker.environment.items())))


@functools.lru_cache(maxsize=4)
def catalog_of(python: str | None, is_elsewhere: bool = False, extra: tuple[tuple[str, str], ...] = ()) -> Catalog:
    """The catalogue of an interpreter: its command (`None`: this one), whether it runs elsewhere, extra variables."""
    elsewhere = Environment("", (), "the worker is started by a command of its own, perhaps on another machine")
    environment = elsewhere if is_elsewhere else environment_of(python, dict(extra))
    return Catalog(environment, Store(cache_folder()))


def forget_catalogs() -> None:
    """Have everything looked up anew when it is next asked for: packages may have been installed or removed."""
    catalog_of.cache_clear()
    forget_packages()


def _exports(package: Package) -> list[list[Any]]:
    try:
        found = read_exports(package.folder / "__init__.py")
    except (OSError, SyntaxError):
        return []  # Written for another Python than this one: its classes are known all the same.
    return [[export.section, export.name, export.condition] for export in found]


def _mentions(package: Package, module: str, name: str, everything: bool = False) -> bool:
    """Whether a module's text has the name at all: it may be imported there, or made in a way that only running tells.

    Arguments: with `everything`, a module that takes all names of another one counts as having any.
    """
    file = module_file(package, module)
    if file is None:
        return False
    try:
        text = file.read_bytes()
    except OSError:
        return True
    if everything and b"import *" in text:
        return True
    return re.search(rb"\b" + re.escape(name.encode()) + rb"\b", text) is not None
