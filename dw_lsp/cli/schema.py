"""`dw-lsp schema`: the JSON Schema of the workflow format, for editors and tools that know nothing of dw-lsp."""

from __future__ import annotations

import json

from dw_lsp.workflow.json_schema import json_schema


def schema() -> int:
    """Print the schema. Returns the exit code."""
    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return 0
