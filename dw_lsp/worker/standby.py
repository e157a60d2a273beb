"""Getting ready before the first run: import the torch stack ahead, tell what was found, bring its logs in line."""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.metadata
import importlib.util
import logging
import os
import platform
import sys
import warnings
from collections.abc import Callable

from dw_lsp.catalog.environment import pip_install
from dw_lsp.catalog.store import cache_folder

#: Imported in this order; each brings most of what the next needs.
REQUIRED = ("torch", "diffusers")
#: Set before torch is imported, unless the user has chosen otherwise. Threads that wait for each other spin for so long
#: before they sleep: with the usual 300,000 turns, a neighbour busy on the same two cores made a run of 0.2 s take 12
#: to 40 s; with 2000 it takes 0.8 s there, and 0.24 s on a quiet machine.
THREADING = {"GOMP_SPINCOUNT": "2000"}
#: Distributions whose versions are told, where they are installed.
REPORTED = (
    "torch", "diffusers", "transformers", "accelerate", "safetensors", "pillow", "peft", "numpy", "tokenizers",
    "sentencepiece", "torchvision", "torchao", "sdnq", "bitsandbytes", "optimum-quanto", "gguf", "xformers",
    "flash-attn", "sageattention", "kernels", "av", "soundfile", "segno",
)  # fmt: skip


class CannotStart(Exception):
    """This Python cannot be a worker: what is missing or broken, and how to mend it."""

    def __init__(self, message: str, hint: str):
        super().__init__(message)
        self.message, self.hint = message, hint


def import_libraries(log: Callable[[str, str], None]) -> dict[str, str]:
    """Import what every run needs and return the versions found.

    Arguments: `log` receives a level and a line. Raises `CannotStart` when torch or diffusers is missing or broken.
    """
    missing = [name for name in REQUIRED if not _is_there(name)]
    if missing:
        raise CannotStart(
            f"{sys.executable} has no {' and no '.join(missing)}",
            f"{_install(*missing)}  (or set dw.worker.python to a Python that has them)",
        )
    # What is compiled is kept for later workers, and does not lie among the temporary files.
    kept = {"TORCHINDUCTOR_CACHE_DIR": str(cache_folder() / "compiled")}
    for name, value in {**THREADING, **kept}.items():
        os.environ.setdefault(name, value)
    _import("torch", log)
    if _is_there("transformers"):
        _import("transformers", log)
    else:
        log(
            "warning", f"{sys.executable} has no transformers: most pipelines will not load. {_install('transformers')}"
        )
    _import("diffusers", log)
    _import("diffusers.pipelines.pipeline_utils", log)
    _quiet_the_libraries()
    _warm_up(log)
    return versions()


def start_its_threads() -> None:
    """Import what starts threads when it is imported: they keep the priority of the thread that imports it."""
    if _is_there("numpy"):
        # What is wrong with it is told where it is needed.
        with contextlib.suppress(Exception):
            importlib.import_module("numpy")


def _is_there(name: str) -> bool:
    """Whether it can be imported: a folder without sources, as an uninstallation may leave it, cannot."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None


def _import(name: str, log: Callable[[str, str], None]) -> None:
    # Native code may end the process inside: these are then the last words, and name the library.
    log("debug", f"importing {name}")
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:
        library, cause = name.partition(".")[0], _cause(error)
        raise CannotStart(
            f"{library} in {sys.executable} cannot be imported: {type(cause).__name__}: {cause}",
            _remedy(cause, library),
        ) from error


def _warm_up(log: Callable[[str, str], None]) -> None:
    """What most image pipelines share is imported with this one, in a few hundredths of a second."""
    log("debug", "importing StableDiffusionPipeline")
    try:
        getattr(sys.modules["diffusers"], "StableDiffusionPipeline", None)
    except (Exception, SystemExit) as error:
        cause = _cause(error)
        told = f"Many pipelines of diffusers cannot be imported: {type(cause).__name__}: {cause}"
        log("warning", f"{told}. {_remedy(cause, 'diffusers')}")


def _cause(error: BaseException) -> BaseException:
    """The import that failed first: libraries that import lazily wrap it in an error of another kind."""
    found, next_one = error, error.__cause__
    while next_one is not None:
        if isinstance(next_one, ImportError):
            found = next_one
        next_one = next_one.__cause__
    return found


def _remedy(error: BaseException, library: str) -> str:
    """What to install: what is missing, or what does not fit, where the error names it; else the library itself."""
    named = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    if not named or named == library:
        return f"Install it again: {_install(library)} --force-reinstall"
    if isinstance(error, ModuleNotFoundError) and not _is_there(named):
        return f"{library} needs {named}: {_install(named)}"
    return f"{named} does not fit to {library}: {_install(library, named)} --upgrade"


def _install(*modules: str) -> str:
    return f"{sys.executable} -m {pip_install(*modules)}"


def versions() -> dict[str, str]:
    """The versions of Python and of the libraries that decide a result."""
    found = {"python": platform.python_version()}
    for name in REPORTED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _quiet_the_libraries() -> None:
    """Let the libraries log through Python's logging and draw no progress bars: progress has its own messages."""
    for name in ("diffusers.utils.logging", "transformers.utils.logging"):
        if name.partition(".")[0] in sys.modules:
            library = importlib.import_module(name)
            library.disable_default_handler()
            library.enable_propagation()
            library.disable_progress_bar()
    if "huggingface_hub" in sys.modules:
        importlib.import_module("huggingface_hub.utils").disable_progress_bars()


def send_logs_to(handler: logging.Handler) -> None:
    """Let every log record and every Python warning go to the handler."""
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    warnings.formatwarning = lambda message, category, *_: f"{category.__name__}: {message}"
    logging.captureWarnings(True)
    # What these two tell at this level is for their own developers.
    for chatty in ("httpx", "urllib3", "PIL"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def settle_garbage() -> None:
    """Collect once and set what is left aside: modules and models live on and need not be looked through again."""
    gc.collect()
    gc.freeze()
