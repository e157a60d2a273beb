"""Installs what the tests in a real editor need, from npm alone: code-server, and what drives a browser.

    python install.py DIR

Nothing is compiled: terminal, search and file logs of that editor do not work, and no password can be checked, so it
is for tests on this machine only. A browser is not installed; run.py finds Chromium or Chrome where there is one.
Exit code: 0 installed, or it cannot be installed here and the reason was printed (the tests are skipped then).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

#: The newest version whose editor loads tests into its extension host, and the Node that it is made for.
CODE_SERVER = "code-server@4.100.3"
PLAYWRIGHT = "playwright-core@1.65.1"
OLDEST_NODE = 20
SECONDS = 420
QUIET = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
#: Stands in for a compiled module that code-server loads at its start and needs for passwords only.
NO_PASSWORDS = (
    "module.exports = { hash() { throw new Error('no passwords here'); }, verify: async () => false, "
    "needsRehash: () => false };\n"
)


class CannotInstall(Exception):
    """Why the editor cannot be installed here."""


def main() -> int:
    """Install; see the module's text."""
    folder = Path(sys.argv[1]).resolve()
    mark = folder / "installed"
    if mark.is_file() and mark.read_text(encoding="utf-8") == wanted():
        return 0
    try:
        install(folder)
    except CannotInstall as reason:
        print(f"The tests in Visual Studio Code will be skipped: {reason}", file=sys.stderr)
        return 0
    mark.write_text(wanted(), encoding="utf-8")
    return 0


def wanted() -> str:
    """What has to be there."""
    return f"{CODE_SERVER} {PLAYWRIGHT}\n"


def install(folder: Path) -> None:
    """Install into the folder. Raises `CannotInstall`."""
    if sys.platform != "linux":
        raise CannotInstall("they find their processes in /proc, which only Linux has")
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise CannotInstall("node and npm are not on the PATH")
    found = run(["node", "--version"], Path.cwd()).strip()
    if int(found.lstrip("v").split(".")[0]) < OLDEST_NODE:
        raise CannotInstall(f"node is {found}, and {OLDEST_NODE} or newer is needed")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(json.dumps({"private": True}), encoding="utf-8")
    run(["npm", "install", *QUIET, CODE_SERVER, PLAYWRIGHT], folder)
    editor = folder / "node_modules" / "code-server" / "lib" / "vscode"
    for inner in (editor, editor / "extensions"):
        run(["npm", "install", *QUIET, "--omit=dev"], inner)
    archive = editor / "node_modules.asar"
    if not archive.exists():
        archive.symlink_to("node_modules")
    passwords = folder / "node_modules" / "argon2"
    if passwords.is_dir() and not (passwords / "prebuilds").is_dir():
        (passwords / "argon2.js").write_text(NO_PASSWORDS, encoding="utf-8")


def run(command: list[str], folder: Path) -> str:
    """What the command prints. Raises `CannotInstall` with its last words."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotInstall(str(error)) from None
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise CannotInstall(f"{' '.join(command[:3])} ended with code {done.returncode}: {' | '.join(last)}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
