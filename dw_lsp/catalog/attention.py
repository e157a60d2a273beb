"""The attention implementations that an installed diffusers has by name."""

from __future__ import annotations

import re

from dw_lsp.catalog.environment import Environment
from dw_lsp.catalog.sources import module_file

_MODULE = "models.attention_dispatch"
_NAMES = re.compile(r"^class AttentionBackendName\b[^\n]*\n(?P<body>(?:[ \t]+[^\n]*\n|\n)*)", re.MULTILINE)
_NAME = re.compile(r"^[ \t]+\w+ = \"(\w+)\"", re.MULTILINE)


def attention_backends(environment: Environment) -> tuple[str, ...]:
    """Their names, in the order of the library's own list; none where there is no diffusers or an old one."""
    package = environment.package("diffusers")
    file = None if package is None else module_file(package, _MODULE)
    if file is None:
        return ()
    listed = _NAMES.search(file.read_text(encoding="utf-8", errors="replace"))
    return tuple(_NAME.findall(listed["body"])) if listed is not None else ()
