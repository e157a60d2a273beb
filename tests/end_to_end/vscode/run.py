"""Runs tests in a real Visual Studio Code: code-server on this machine, opened in a headless Chromium.

    python run.py --code-server DIR --chromium PROGRAM --vsix FILE --workspace DIR --server-python PYTHON \\
        --worker-python PYTHON --report FILE [--suite full|untrusted|bare|screen|beginner] [--pictures DIR]

`full`, `untrusted` and `bare` (a worker's Python without torch) are index.cjs, inside the extension host; `screen` and
`beginner` are screen.cjs, which clicks and types and takes pictures. DIR of code-server is what install.py has made.
Everything is written to a temporary folder; every process that was started is gone when this ends, or is named and
ended. Exit code: 0 all tests passed, 1 some failed, 2 they could not be run. Linux only: the processes are found in
/proc.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
#: Suites within the extension host, and those that see what a user sees.
EXTENSION_HOST = ("full", "untrusted", "bare")
ON_SCREEN = ("screen", "beginner")
#: In these the workspace is not trusted from the start.
WITH_TRUST_PROMPT = ("untrusted", "beginner")
START_SECONDS = 60.0
#: How long what was started may outlive the editor: the server takes its worker down with it.
FAREWELL_SECONDS = 15.0
QUIET_EDITOR = {
    "workbench.startupEditor": "none",
    "workbench.tips.enabled": False,
    "telemetry.telemetryLevel": "off",
    "update.mode": "none",
    "extensions.autoUpdate": False,
    "extensions.autoCheckUpdates": False,
    "extensions.ignoreRecommendations": True,
    "files.hotExit": "off",
    "files.autoSave": "off",
    "workbench.enableExperiments": False,
    "editor.minimap.enabled": False,
    # What the tests type is typed as it is.
    "editor.autoClosingQuotes": "never",
    "editor.autoSurround": "never",
    "chat.commandCenter.enabled": False,
    "window.commandCenter": False,
}
CHROMIUM_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-port=0",
)


class CannotRun(Exception):
    """The tests could not be started: why."""


def main() -> int:
    """Run one suite; see the module's text."""
    parser = argparse.ArgumentParser(description="Run the extension's tests in a real editor.")
    parser.add_argument("--code-server", type=Path, required=True)
    parser.add_argument("--chromium", required=True)
    for name in ("--vsix", "--workspace", "--report"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--server-python", required=True)
    parser.add_argument("--worker-python", required=True)
    parser.add_argument("--suite", choices=(*EXTENSION_HOST, *ON_SCREEN), default="full")
    parser.add_argument("--good-python", default="", help="a Python with torch, for the suite `bare`")
    parser.add_argument("--second-folder", default="", help="a folder that is added to the workspace")
    parser.add_argument("--pictures", type=Path, help="where the suites on screen put what they saw")
    parser.add_argument("--seconds", type=float, default=240.0, help="limit of the whole suite")
    given = parser.parse_args()
    # A terminated run cleans up as a finished one does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    mark = uuid.uuid4().hex
    with tempfile.TemporaryDirectory(prefix="dw-vscode-") as scratch:
        try:
            report = run_suite(given, Path(scratch), mark)
        except CannotRun as error:
            print(error, file=sys.stderr)
            return 2
        finally:
            left = end_survivors(mark)
    print_report(report)
    if left:
        print("FAIL processes were left behind: " + "; ".join(left))
    return 1 if report["failed"] or left else 0


def run_suite(given: argparse.Namespace, scratch: Path, mark: str) -> dict[str, list[str]]:
    """The report of the tests. Raises `CannotRun`."""
    environment = {
        **os.environ,
        "HOME": str(scratch),
        "DW_TEST_MARK": mark,
        "DW_TEST_SUITE": given.suite,
        "DW_TEST_REPORT": str(given.report.resolve()),
        "DW_TEST_GOOD_PYTHON": given.good_python,
        "DW_TEST_SECOND_FOLDER": given.second_folder,
    }
    given.report.unlink(missing_ok=True)
    command = editor_command(given, scratch)
    install = subprocess.run(
        [*command, "--install-extension", str(given.vsix)], env=environment, capture_output=True, text=True, check=False
    )
    if install.returncode != 0:
        raise CannotRun(f"the package cannot be installed:\n{install.stdout}{install.stderr}")
    port = free_port()
    command += ["--auth", "none", "--bind-addr", f"127.0.0.1:{port}", "--disable-telemetry", "--disable-update-check"]
    command.append("--disable-getting-started-override")
    if given.suite not in WITH_TRUST_PROMPT:
        command.append("--disable-workspace-trust")
    with running(command, environment, scratch / "code-server.log"):
        wait_for_answer(f"http://127.0.0.1:{port}/healthz", scratch / "code-server.log")
        with running(seeing_command(given, scratch, port), environment, scratch / "browser.log"):
            return wait_for_report(given.report, given.seconds, scratch)


def editor_command(given: argparse.Namespace, scratch: Path) -> list[str]:
    """What starts code-server, with settings of its own. Raises `CannotRun`."""
    data = scratch / "data"
    trust = {} if given.suite == "beginner" else {"security.workspace.trust.startupPrompt": "never"}
    write_json(data / "User" / "settings.json", {**QUIET_EDITOR, **trust})
    machine = {"dw.server.python": given.server_python, "dw.worker.python": given.worker_python}
    # A beginner has set nothing.
    write_json(data / "Machine" / "settings.json", {name: path for name, path in machine.items() if path})
    (scratch / "config.yaml").write_text("auth: none\n", encoding="utf-8")
    program = given.code_server / "node_modules" / "code-server" / "out" / "node" / "entry.js"
    if not program.is_file():
        raise CannotRun(f"{given.code_server} has no code-server in it: {program} is missing")
    command = ["node", str(program), "--config", str(scratch / "config.yaml")]
    return [*command, "--user-data-dir", str(data), "--extensions-dir", str(scratch / "extensions")]


def seeing_command(given: argparse.Namespace, scratch: Path, port: int) -> list[str]:
    """What opens the editor: a browser that loads the tests into it, or the script that clicks."""
    if given.suite in EXTENSION_HOST:
        browser = [given.chromium, *CHROMIUM_FLAGS, f"--user-data-dir={scratch / 'browser'}"]
        return [*browser, workbench_address(port, given.workspace)]
    address = f"http://127.0.0.1:{port}/?{urllib.parse.urlencode({'folder': str(given.workspace.resolve())})}"
    pictures = given.pictures or scratch / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    playwright = given.code_server.resolve() / "node_modules" / "playwright-core"
    return ["node", str(HERE / "screen.cjs"), given.suite, address, str(pictures), given.chromium, str(playwright)]


def workbench_address(port: int, workspace: Path) -> str:
    """The page that opens the folder and loads the tests into its extension host."""
    remote = f"vscode-remote://127.0.0.1:{port}"
    payload = [["extensionDevelopmentPath", f"{remote}{HERE}"], ["extensionTestsPath", f"{remote}{HERE}/index.cjs"]]
    query = urllib.parse.urlencode({"folder": str(workspace.resolve()), "payload": json.dumps(payload)})
    return f"http://127.0.0.1:{port}/?{query}"


@contextmanager
def running(command: list[str], environment: dict[str, str], log: Path) -> Iterator[None]:
    """A process for the time of the block; its output goes to the file."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_answer(address: str, log: Path) -> None:
    """Return as soon as the address answers. Raises `CannotRun`."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise CannotRun(f"code-server did not answer within {START_SECONDS:.0f} s:\n{tail(log)}")


def wait_for_report(file: Path, seconds: float, scratch: Path) -> dict[str, list[str]]:
    """What the tests have written. Raises `CannotRun` when they write nothing in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if file.exists():
            report: dict[str, list[str]] = json.loads(file.read_text(encoding="utf-8"))
            return report
        time.sleep(0.1)
    logs = [*sorted((scratch / "data" / "logs").rglob("*dw-lsp*.log")), scratch / "code-server.log"]
    logs.append(scratch / "browser.log")
    said = "\n".join(f"== {log.name}\n{tail(log)}" for log in logs)
    raise CannotRun(f"the tests wrote no report within {seconds:.0f} s\n{said}")


def end_survivors(mark: str) -> list[str]:
    """Command lines of the processes that still carry the mark after a while; they are ended."""
    end = time.monotonic() + FAREWELL_SECONDS
    while (left := marked(mark)) and time.monotonic() < end:
        time.sleep(0.2)
    lines = []
    for pid in left:
        try:
            lines.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip())
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, FileNotFoundError):
            continue
    return lines


def marked(mark: str) -> list[int]:
    """Processes whose environment has the mark: all that this run has started, however far removed."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if f"DW_TEST_MARK={mark}".encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue
    return found


def print_report(report: dict[str, list[str]]) -> None:
    """One line for each test, and the pictures that were made."""
    for name in report["passed"]:
        print(f"ok   {name}")
    for name in report["failed"]:
        print(f"FAIL {name}")
    for picture in report.get("pictures", []):
        print(f"picture {picture}")
    for line in report.get("times", []):
        print(f"time {line}")
    print(f"{len(report['passed'])} passed, {len(report['failed'])} failed")


def write_json(path: Path, value: object) -> None:
    """Write the value, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tail(path: Path) -> str:
    """The end of a log."""
    if not path.is_file():
        return ""
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])


if __name__ == "__main__":
    if shutil.which("node") is None:
        sys.exit("node is not on the PATH")
    sys.exit(main())
