"""The rules of the house that a machine can check: floors, what a process may import, sizes, names."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "dw_lsp"
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = ("torch", "diffusers", "transformers", "numpy", "PIL")
LONGEST_MODULE = 400


def run_python(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter, as a user's process would be."""
    return subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=100, cwd=ROOT, check=False
    )


def test_every_floor_imports_only_what_lies_below() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Contracts: 5 kept, 0 broken" in done.stdout


@pytest.mark.parametrize("module", ["dw_lsp.server.app", "dw_lsp.cli.main", "dw_lsp.cli.run", "dw_lsp.cli.check"])
def test_no_front_imports_torch(module: str) -> None:
    done = run_python(f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])")
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_checking_a_file_does_not_import_the_language_server() -> None:
    done = run_python("import sys, dw_lsp.cli.check; print('pygls' in sys.modules, 'lsprotocol' in sys.modules)")
    assert done.stdout.strip() == "False False", done.stdout + done.stderr


def test_the_worker_runs_where_pygls_is_absent() -> None:
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('pygls', 'lsprotocol', 'rich', 'cattrs'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import dw_lsp.worker.main\n"
        "print('imported')\n"
    )
    done = run_python(code)
    assert done.stdout.strip() == "imported", done.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_holds_one_idea(path: Path) -> None:
    assert path.read_text(encoding="utf-8").count("\n") <= LONGEST_MODULE
    assert not re.fullmatch(r"(utils?|helpers?|misc|common|base|manager)", path.stem)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_it_owns(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "a module begins with a sentence on what it owns"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_error_is_swallowed(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or (isinstance(node.type, ast.Name) and node.type.id.endswith("Exception"))
            silent = all(isinstance(line, (ast.Pass, ast.Continue)) for line in node.body)
            assert not (broad and silent), f"line {node.lineno} swallows every error"


def test_data_shapes_are_frozen() -> None:
    loose = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                for mark in node.decorator_list:
                    text = ast.unparse(mark)
                    if text.startswith("dataclass") and "frozen=True" not in text:
                        loose.append(f"{path.name}:{node.lineno} {node.name}")
    assert not loose
