"""Which Python objects a workflow's text may name: classes of the allowed packages, of kinds that are meant for it.

A workflow may come from anywhere. Naming a type must never run code that the user has not allowed.
"""

from __future__ import annotations

import copy
import difflib
import importlib
import importlib.util
import inspect
import re
from collections.abc import Iterable
from typing import Any

import diffusers
import torch

from dw_lsp.workflow.resolved import InvalidInput

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
LONGEST_NAME = 200
#: Modules of diffusers in which the classes live that choose a pipeline class by themselves.
_AUTO_PIPELINES = "diffusers.pipelines.auto_pipeline"
#: Classes with one of these methods are made to be loaded from a folder.
_LOADERS = ("from_pretrained", "from_config")
_PIPELINES: Any = (diffusers.DiffusionPipeline, diffusers.ModularPipeline)


class TrustedTypes:
    """Looks up what a workflow names.

    Arguments: the packages from which types may be taken; whether code that comes with a model may be run.
    """

    def __init__(self, allowed_modules: Iterable[str], trust_remote_code: bool = False):
        self.allowed = tuple(allowed_modules)
        self.trust_remote_code = trust_remote_code

    def pipeline(self, name: str) -> Any:
        """The pipeline class of that name. Raises `InvalidInput` when there is none, or it may not be used."""
        found = self._class(name, "a pipeline")
        if issubclass(found, _PIPELINES) or found.__module__ == _AUTO_PIPELINES:
            return found
        if issubclass(found, diffusers.ModularPipelineBlocks):
            raise InvalidInput(f"{name} are blocks of a modular pipeline", hint="Name `ModularPipeline` instead.")
        raise InvalidInput(f"{name} is no pipeline: it is {_what(found)}")

    def scheduler(self, name: str) -> Any:
        """The scheduler class of that name. Raises `InvalidInput` when it is none, or may not be used."""
        found = self._class(name, "a scheduler")
        if issubclass(found, diffusers.SchedulerMixin):
            return found
        raise InvalidInput(f"{name} is no scheduler: it is {_what(found)}")

    def component(self, name: str) -> Any:
        """The class of a component (model, tokenizer, processor). Raises `InvalidInput` when it is none."""
        found = self._class(name, "a component")
        if issubclass(found, _PIPELINES):
            raise InvalidInput(f"{name} is a pipeline; a component of one is wanted here")
        if any(callable(getattr(found, method, None)) for method in _LOADERS):
            return found
        raise InvalidInput(f"{name} cannot be loaded as a component: it is {_what(found)}")

    def dtype(self, name: str) -> torch.dtype:
        """The dtype of that name, such as `torch.float16`. Raises `InvalidInput` when it is none."""
        found = getattr(torch, name.removeprefix("torch."), None)
        if isinstance(found, torch.dtype):
            return found
        names = [value for value in dir(torch) if isinstance(getattr(torch, value), torch.dtype)]
        raise InvalidInput(f"{name!r} is no dtype of torch{_nearest(name.removeprefix('torch.'), names, 'torch.')}")

    def value(self, name: str) -> Any:
        """What a string under a `*_type` key means: a dtype or a class of an allowed package.

        Returns `None` for a name without dots that diffusers does not have: it is then an ordinary text.
        Raises `InvalidInput` for a name with dots that leads nowhere, or to something that may not be used.
        """
        if "." not in name and not hasattr(diffusers, name):
            return None
        if name.startswith("torch.") and isinstance(getattr(torch, name[6:], None), torch.dtype):
            return self.dtype(name)
        return self._class(name, "a type")

    def constant(self, name: str) -> Any:
        """The value of `constant:NAME`: data only; lists, objects and sets are copied.

        Raises `InvalidInput` when there is no such value, or it is a class or a function.
        """
        if not _DOTTED.fullmatch(name) or len(name) > LONGEST_NAME:
            raise InvalidInput(f"{name!r} is no name of a constant: write constant:package.module.NAME")
        path = name if "." in name else f"diffusers.{name}"
        found = self._lookup(path, name)
        if callable(found) or inspect.ismodule(found):
            raise InvalidInput(f"constant:{name} is {_what(found)}, not a value")
        return copy.copy(found) if isinstance(found, (list, dict, set)) else found

    def check_package(self, package: str, purpose: str) -> None:
        """Raise `InvalidInput` unless things may be taken from a package."""
        if package.partition(".")[0] not in self.allowed:
            raise InvalidInput(
                f"{purpose} comes from the package {package.partition('.')[0]!r}, which is not allowed",
                hint=f"Allowed are {', '.join(self.allowed)}. To allow more, set dw.security.allowedModules.",
            )

    def _class(self, name: str, wanted: str) -> Any:
        if not _DOTTED.fullmatch(name) or len(name) > LONGEST_NAME:
            raise InvalidInput(f"{name!r} is no name of {wanted}")
        path = name if "." in name else f"diffusers.{name}"
        found = self._lookup(path, name)
        if not inspect.isclass(found):
            raise InvalidInput(f"{name} is no class: it is {_what(found)}")
        # A class that a library has merely imported from elsewhere is not one of the library's own.
        self.check_package(found.__module__, f"the class {name}")
        if found.__module__.startswith("diffusers.utils.dummy"):
            raise InvalidInput(_not_installed(found, name))
        return found

    def _lookup(self, path: str, name: str) -> Any:
        """The object at a dotted path: modules that are not there yet are imported, the rest are attributes."""
        self.check_package(path, name)
        parts = path.split(".")
        found = self._module(parts[0], name)
        for index, part in enumerate(parts[1:], 1):
            inner = None if part.startswith("_") else self._member(found, part, name)
            if inner is None:
                near = _nearest(part, dir(found)) if index == len(parts) - 1 else ""
                raise InvalidInput(f"{parts[0]} has no {name!r}{near}")
            (found,) = inner
        return found

    def _member(self, home: Any, part: str, name: str) -> tuple[Any] | None:
        """What an object has under a name; `None` where there is nothing. Packages list few of their modules."""
        try:
            return (getattr(home, part),)
        except AttributeError:
            # A package that another one has merely imported may lie anywhere.
            if not hasattr(home, "__path__") or home.__name__.partition(".")[0] not in self.allowed:
                return None
        except (ImportError, RuntimeError) as error:  # A class of a lazy package whose module needs what is not there.
            raise _cannot_import(name, error) from error
        module = f"{home.__name__}.{part}"
        return (self._module(module, name),) if _is_there(module) else None

    def _module(self, module: str, name: str) -> Any:
        try:
            return importlib.import_module(module)
        except (ImportError, RuntimeError) as error:
            raise _cannot_import(name, error) from error


def _is_there(module: str) -> bool:
    """Whether a module of a package that has been imported is there."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _cannot_import(name: str, error: Exception) -> InvalidInput:
    """The error for a name whose module, or what that needs, is not installed or broken."""
    causes = [each for each in (error, error.__cause__) if isinstance(each, ModuleNotFoundError) and each.name]
    package = str(causes[-1].name).partition(".")[0] if causes else ""
    if not package or importlib.util.find_spec(package) is not None:
        return InvalidInput(f"{name} cannot be imported: {error}")
    return InvalidInput(
        f"{name} needs the package {package}, which the worker's Python does not have", hint=install(package)
    )


def install(package: str) -> str:
    """What to do about a package that is not there."""
    return f"Install it there: pip install {package}"


def _what(found: Any) -> str:
    if inspect.isclass(found):
        for base, kind in (
            (_PIPELINES, "a pipeline"),
            (diffusers.SchedulerMixin, "a scheduler"),
            (torch.nn.Module, "a model"),
        ):
            if issubclass(found, base):
                return kind
        return "a class of another kind"
    if inspect.ismodule(found):
        return "a module"
    return "a function" if callable(found) else f"a {type(found).__name__}"


def _nearest(name: str, names: list[str], prefix: str = "") -> str:
    close = difflib.get_close_matches(name, [each for each in names if not each.startswith("_")], 3)
    return f"; did you mean {' or '.join(prefix + each for each in close)}?" if close else ""


def _not_installed(found: Any, name: str) -> str:
    needed = [package for package in getattr(found, "_backends", []) if package != "torch"]
    return (
        f"{name} needs {' and '.join(needed)}, which this Python does not have. Install: pip install {' '.join(needed)}"
    )
