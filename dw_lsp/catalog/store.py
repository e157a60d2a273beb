"""What was read from a package, kept on disk: the next start takes it from there as long as the package is the same."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dw_lsp.catalog.environment import Package

#: Changes when what is kept is written differently.
FORM = 1


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where this machine keeps what programs can make again."""
    if explicit := environment.get("DW_CACHE"):
        return Path(explicit)
    if sys.platform == "win32":
        base = Path(environment.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "dw-lsp" / "catalogue"


class Store:
    """What is kept of packages. Arguments: the folder (`None`: nothing is kept)."""

    def __init__(self, folder: Path | None):
        self._folder = folder

    def get(self, package: Package, part: str) -> Any:
        """What was kept under a name for exactly this package, or `None`."""
        path = self._path(package, part)
        if path is None:
            return None
        try:
            return json.loads(path.read_bytes())
        except (OSError, ValueError):
            return None  # Not kept, or torn: it is read from the sources again.

    def put(self, package: Package, part: str, value: Any) -> None:
        """Keep a value; where the disk does not take it, it is read again the next time."""
        path = self._path(package, part)
        if path is None:
            return
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(value, file, separators=(",", ":"))
            os.replace(temporary, path)

    def _path(self, package: Package, part: str) -> Path | None:
        if self._folder is None:
            return None
        initializer = package.folder / "__init__.py"
        try:
            changed = initializer.stat().st_mtime_ns
        except OSError:
            return None
        identity = f"{FORM}\0{package.folder}\0{package.version}\0{changed}"
        digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
        return self._folder / f"{package.name}-{package.version or 'unknown'}-{digest}-{part}.json"
