"""Looks at the Python that would be the worker's, from inside, and prints what it finds as one line of JSON.

`doctor` runs this file by path in that Python, which may be of any age and has nothing of ours: standard library only,
no syntax newer than Python 3.6. It imports none of the libraries, so it answers at once and cannot fail with them.
"""

import importlib.util
import json
import os
import platform
import re
import sys


def look(names: "list[str]") -> "dict[str, object]":
    """What this Python is, and the version of each distribution in `names`; `None` for those it does not have."""
    return {
        "executable": sys.executable,
        "version": platform.python_version(),
        "versions": {name: version_of(name) for name in names},
        "torchCuda": torch_cuda(),
    }


def version_of(name: str) -> "str | None":
    """The version of an installed distribution, or `None`."""
    try:
        from importlib import metadata
    except ImportError:
        return None
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def torch_cuda() -> "str | None":
    """The CUDA version that torch was built for; `None` for a build without it, or no torch."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    path = os.path.join(os.path.dirname(spec.origin), "version.py")
    if not os.path.isfile(path):
        return None
    with open(path, encoding="utf-8") as file:
        found = re.search(r"^cuda\b[^=\n]*=\s*['\"]([\d.]+)['\"]", file.read(), re.MULTILINE)
    return found.group(1) if found else None


if __name__ == "__main__":
    # This file's folder is no place to find a library in.
    sys.path[:] = sys.path[1:]
    print(json.dumps(look(sys.argv[1:])))
