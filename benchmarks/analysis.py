"""What a key stroke costs: our whole analysis beside `json.loads` and a schema validator, in one run.

python benchmarks/analysis.py [FILE ...]        # the example workflows if none is named
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema

from dw_lsp.analysis.diagnose import diagnose
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.text.document import Document
from dw_lsp.workflow.json_schema import json_schema

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 30
LARGE_STEPS = 100


def milliseconds(action: Callable[[], object]) -> float:
    """The median time of an action."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        action()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def enlarged(text: str) -> str:
    """The workflow with its steps repeated under new names: what a large file looks like."""
    workflow = json.loads(text)
    first = workflow["steps"][0]
    workflow["steps"] = [{**first, "name": f"{first['name']} {number}"} for number in range(LARGE_STEPS)]
    return json.dumps(workflow, indent=2)


def compare(name: str, text: str, validator: jsonschema.Draft202012Validator) -> None:
    """Print one row: lines, our time, theirs, the ratio."""
    workspace = DiskWorkspace([])
    ours = milliseconds(lambda: diagnose(Document(f"file:///{name}", text), workspace, {}))
    theirs = milliseconds(lambda: list(validator.iter_errors(json.loads(text))))
    print(f"{name:<42} {text.count(chr(10)):>6} lines  {ours:7.2f} ms  {theirs:7.2f} ms  ratio {ours / theirs:5.2f}")


def main() -> None:
    files = [Path(name) for name in sys.argv[1:]] or sorted((ROOT / "workflows").glob("*.dw.json"))
    validator = jsonschema.Draft202012Validator(json_schema())
    print("ours: parse with recovery, read, all rules; theirs: json.loads and jsonschema, no positions, no references")
    for file in files:
        compare(file.name, file.read_text(encoding="utf-8"), validator)
    compare(f"{files[0].name} x {LARGE_STEPS}", enlarged(files[0].read_text(encoding="utf-8")), validator)


if __name__ == "__main__":
    main()
