"""The first file of a worker process: `PYTHON launch.py`, in any Python with torch, with nothing of ours installed.

It makes `dw_lsp` importable, and nothing that lies beside it; then it hands over to `dw_lsp.worker.main`. It must not
import anything of the package before that, and must run (to say that it cannot) on a Python too old for the rest.
"""

import os
import sys

OLDEST_PYTHON = (3, 10)


def keep_own_folder_off_the_path() -> None:
    """Drop this script's folder and the working directory from `sys.path`: nothing there may stand in for a library."""
    here = os.path.realpath(os.path.dirname(os.path.abspath(__file__)))
    sys.path[:] = [entry for entry in sys.path if entry not in ("", ".") and os.path.realpath(entry) != here]


def make_package_importable() -> None:
    """Register the package by its folder, so that the folder above never enters `sys.path`."""
    import importlib.util

    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    loaded = sys.modules.get("dw_lsp")
    if loaded is not None and os.path.realpath(os.path.dirname(str(loaded.__file__))) == os.path.realpath(folder):
        return
    for name in [name for name in sys.modules if name.split(".")[0] == "dw_lsp"]:
        del sys.modules[name]
    spec = importlib.util.spec_from_file_location(
        "dw_lsp", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"the dw_lsp package is not at {folder}")
    package = importlib.util.module_from_spec(spec)
    sys.modules["dw_lsp"] = package
    spec.loader.exec_module(package)


def refuse_old_python() -> int:
    """Answer in the protocol's form, by hand, that this Python is too old to read the rest of the program."""
    import json
    import struct

    version = ".".join(str(part) for part in sys.version_info[:3])
    needed = ".".join(str(part) for part in OLDEST_PYTHON)
    message = {
        "kind": "StartFailed",
        "message": f"{sys.executable} is Python {version}; the worker needs {needed} or newer",
        "hint": "Set dw.worker.python to a newer Python that has torch and diffusers.",
    }
    body = json.dumps(message).encode("utf-8")
    sys.stdout.buffer.write(struct.pack(">I", len(body)) + body)
    sys.stdout.buffer.flush()
    return 3


def launch() -> int:
    """Start the worker, or a process that stands by to be one. Returns its exit status."""
    keep_own_folder_off_the_path()
    if tuple(sys.version_info[:2]) < OLDEST_PYTHON:
        return refuse_old_python()
    make_package_importable()
    from dw_lsp.worker.main import main

    return main(standing_by="--standby" in sys.argv[1:])


# Libraries that start processes of their own import the main file again: that must not start a second worker.
if __name__ == "__main__":
    sys.exit(launch())
