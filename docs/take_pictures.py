"""Takes the pictures of Visual Studio Code that the documentation shows, from the real editor, and writes them small.

    python docs/take_pictures.py [--beginner]

Runs the test on screen (tests/end_to_end/test_vscode.py), which takes one at each state; with `--beginner` the path of
a new user in a folder of its own, which installs torch. What cannot be run here is said.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
#: Colours of a picture: enough for text and small pictures, at a third of the size.
COLOURS = 200


def main() -> int:
    """Take and convert; the exit code is that of the tests."""
    beginner = "--beginner" in sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="dw-pictures-") as scratch:
        taken = Path(scratch) / "pictures"
        code = (new_user if beginner else on_screen)(Path(scratch), taken)
        for picture in sorted(taken.glob("*.png")):
            if not picture.name.startswith("failed"):
                print(shrink(picture, IMAGES / f"vscode-{picture.name}"))
    return code


def on_screen(scratch: Path, taken: Path) -> int:
    """The test of what a user sees."""
    test = "tests/end_to_end/test_vscode.py::test_what_the_user_sees"
    environment = {**os.environ, "DW_TEST_PICTURES": str(taken)}
    return subprocess.run([sys.executable, "-m", "pytest", "-q", "-rs", test], cwd=ROOT, env=environment).returncode


def new_user(scratch: Path, taken: Path) -> int:
    """The path of somebody who has a Python without packages and nothing set."""
    workspace = scratch / "workflows"
    shutil.copytree(ROOT / "workflows", workspace, ignore=shutil.ignore_patterns("*.py", ".checkpoints", "outputs"))
    package = sorted((ROOT / "vscode-extension").glob("*.vsix"))[-1]
    browser = next(path for name in ("chromium", "google-chrome") if (path := shutil.which(name)))
    command = [sys.executable, str(ROOT / "tests/end_to_end/vscode/run.py"), "--suite", "beginner"]
    command += ["--code-server", str(Path(sys.prefix) / "editors"), "--chromium", browser, "--vsix", str(package)]
    command += ["--workspace", str(workspace), "--report", str(scratch / "report.json"), "--pictures", str(taken)]
    return subprocess.run([*command, "--server-python", "", "--worker-python", "", "--seconds", "900"]).returncode


def shrink(picture: Path, into: Path) -> str:
    """Write a picture with fewer colours. Returns what it is called and its size."""
    with Image.open(picture) as image:
        small = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    into.parent.mkdir(parents=True, exist_ok=True)
    small.save(into, optimize=True)
    return f"{into.relative_to(ROOT)} ({into.stat().st_size // 1024} kB)"


if __name__ == "__main__":
    sys.exit(main())
