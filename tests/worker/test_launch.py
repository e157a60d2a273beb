"""The first file: what it makes importable, what it keeps away, and its answer on a Python that cannot do the work."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dw_lsp.protocol import HEADER, StartFailed, decode

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The package, alone in a folder beside a decoy, with a decoy of the standard library inside `worker`."""
    shutil.copytree(ROOT / "dw_lsp", tmp_path / "dw_lsp", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "decoy.py").write_text("raise RuntimeError('the decoy was imported')\n")
    (tmp_path / "dw_lsp" / "worker" / "json.py").write_text("raise RuntimeError('a wrong json was imported')\n")
    return tmp_path


def launched(folder: Path, code: str) -> str:
    """What launch.py prints, its last step replaced by code, in a Python that has no dw_lsp of its own."""
    script = folder / "dw_lsp" / "worker" / "launch.py"
    script.write_text(script.read_text().replace("    sys.exit(launch())", code))
    done = subprocess.run(
        [sys.executable, "-S", str(script)], capture_output=True, text=True, timeout=60, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


PREPARE = "    keep_own_folder_off_the_path(); make_package_importable()\n"


def test_the_package_is_importable_and_what_lies_beside_it_is_not(copied: Path) -> None:
    code = PREPARE + (
        "    import importlib.util, json, dw_lsp.worker.channel\n"
        "    print(json.dumps([dw_lsp.__file__, importlib.util.find_spec('decoy') is None]))"
    )
    assert json.loads(launched(copied, code)) == [str(copied / "dw_lsp" / "__init__.py"), True]


def test_a_module_beside_the_script_does_not_replace_the_standard_library(copied: Path) -> None:
    assert launched(copied, PREPARE + "    import json; print(json.dumps([1]))") == "[1]"


def test_another_dw_lsp_on_the_path_gives_way(copied: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "dw_lsp"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise RuntimeError('another dw_lsp was imported')\n")
    code = f"    sys.path.insert(0, {str(other.parent)!r})\n{PREPARE}    import dw_lsp; print(dw_lsp.__file__)"
    assert launched(copied, code) == str(copied / "dw_lsp" / "__init__.py")


def test_importing_the_file_starts_nothing() -> None:
    script = ROOT / "dw_lsp" / "worker" / "launch.py"
    code = f"import runpy; runpy.run_path({str(script)!r}, run_name='__mp_main__'); print('quiet')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "quiet", done.stderr


def test_a_python_that_is_too_old_says_so_in_a_frame() -> None:
    script = ROOT / "dw_lsp" / "worker" / "launch.py"
    code = f"import runpy, sys; sys.exit(runpy.run_path({str(script)!r}, run_name='old')['refuse_old_python']())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    message = decode(done.stdout[HEADER.size :])
    assert done.returncode == 3
    assert isinstance(message, StartFailed)
    assert "3.10" in message.message and "dw.worker.python" in str(message.hint)


def test_the_script_is_readable_by_the_oldest_python_that_may_be_found() -> None:
    tree = ast.parse((ROOT / "dw_lsp" / "worker" / "launch.py").read_text(), feature_version=(3, 7))
    imported = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"os", "sys"}
