"""What typing costs: our server beside the JSON server of VS Code and yaml-language-server, by turns in one run.

python benchmarks/language_server.py [--servers FOLDER] [--rounds N]

The other two are installed by npm into FOLDER (build/language-servers if none is given) unless they are there. They are
are given our JSON Schema. Prints Markdown tables of milliseconds, median / 95th percentile, and our time over theirs.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dw_lsp.workflow.json_schema import json_schema

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "tests" / "data" / "workflows" / "film.dw.json"
PACKAGES = ("vscode-langservers-extracted", "yaml-language-server")
EDITS = 40
LINES = (233, 2058)


@dataclass(frozen=True)
class Server:
    """A server to be measured; `pulls`: the client asks for diagnostics instead of waiting for them."""

    name: str
    command: tuple[str, ...]
    pulls: bool = False


@dataclass
class Times:
    """What was measured, in seconds, by figure; and the memory at the end, in bytes."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    memory: list[int] = field(default_factory=list)

    def add(self, figure: str, seconds: float) -> None:
        self.seconds.setdefault(figure, []).append(seconds)


class Session:
    """One server process and the conversation with it."""

    def __init__(self, server: Server, folder: Path, schema: Path):
        self.server, self._schema = server, schema
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            server.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder
        )
        self._number = 0
        self._heard: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def _read(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        while header := stream.readline():
            length = 0
            while header.strip():
                if header.lower().startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
                header = stream.readline()
            self._heard.put(json.loads(stream.read(length)))

    def until(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next message that fits; the server's own requests are answered on the way."""
        while True:
            message = self._heard.get(timeout=30)
            if "method" in message and "id" in message:
                self.send({"id": message["id"], "result": self._answer(message)})
            if fits(message):
                return message

    def _answer(self, message: dict[str, Any]) -> Any:
        if message["method"] != "workspace/configuration":
            return None
        url = self._schema.as_uri()
        known = {
            "json": {"validate": {"enable": True}, "schemas": [{"fileMatch": ["*.dw.json"], "url": url}]},
            "yaml": {"validate": True, "completion": True, "hover": True, "schemas": {url: "*.dw.json"}},
        }
        return [known.get(item.get("section", ""), {}) for item in message["params"]["items"]]

    def request(self, method: str, params: Any) -> Any:
        self._number += 1
        number = self._number
        self.send({"id": number, "method": method, "params": params})
        return self.until(lambda message: message.get("id") == number and "method" not in message).get("result")

    def notify(self, method: str, params: Any) -> None:
        self.send({"method": method, "params": params})

    def diagnosed(self, uri: str, version: int) -> None:
        """Wait for the diagnostics of a version."""
        if self.server.pulls:
            self.request("textDocument/diagnostic", {"textDocument": {"uri": uri}})
            return

        def published(message: dict[str, Any]) -> bool:
            params = message.get("params") or {}
            told = message.get("method") == "textDocument/publishDiagnostics" and params.get("uri") == uri
            return told and params.get("version", version) == version

        self.until(published)

    def memory(self) -> int:
        """The resident memory of the process in bytes; 0 where the system does not tell it this way."""
        try:
            pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        except OSError:
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def end(self) -> None:
        self.request("shutdown", None)
        self.notify("exit", None)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def measure(server: Server, folder: Path, schema: Path, text: str, times: Times) -> None:
    """One session: start, open, edits, completions, hovers."""
    session = Session(server, folder, schema)
    diagnostic = {"diagnostic": {"dynamicRegistration": False}} if server.pulls else {}
    capabilities = {
        "workspace": {"configuration": True, "diagnostics": {"refreshSupport": server.pulls}},
        "textDocument": {"publishDiagnostics": {"versionSupport": True}, **diagnostic},
    }
    session.request(
        "initialize",
        {
            "processId": os.getpid(),
            "rootUri": folder.as_uri(),
            "capabilities": capabilities,
            "initializationOptions": {"provideFormatter": False, "worker": {"prewarm": "onRun"}},
        },
    )
    times.add("spawn → initialize", time.perf_counter() - session.began)
    session.notify("initialized", {})
    session.notify("workspace/didChangeConfiguration", {"settings": session._answer(_asking("json"))[0]})
    session.notify("json/schemaAssociations", [{"fileMatch": ["*.dw.json"], "uri": schema.as_uri()}])
    uri = (folder / "measured.dw.json").as_uri()
    item = {"uri": uri, "languageId": "yaml" if server.name.startswith("yaml") else "json", "version": 1, "text": text}
    session.notify("textDocument/didOpen", {"textDocument": item})
    session.diagnosed(uri, 1)
    times.add("spawn → diagnostics", time.perf_counter() - session.began)
    _type(session, uri, text, times)
    times.memory.append(session.memory())
    session.end()


def _asking(section: str) -> dict[str, Any]:
    return {"method": "workspace/configuration", "params": {"items": [{"section": section}]}}


def _type(session: Session, uri: str, text: str, times: Times) -> None:
    lines = text.split("\n")
    line = next(number for number in range(len(lines) // 2, len(lines)) if '"prompt"' in lines[number])
    character = lines[line].rindex('"')
    at = {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}
    on_key = {"textDocument": {"uri": uri}, "position": {"line": line, "character": lines[line].index("prompt") + 2}}
    for version in range(2, 2 + EDITS):
        place = {"line": line, "character": character}
        change = {"range": {"start": place, "end": place}, "text": "x"}
        began = time.perf_counter()
        session.notify(
            "textDocument/didChange", {"textDocument": {"uri": uri, "version": version}, "contentChanges": [change]}
        )
        session.diagnosed(uri, version)
        times.add("edit → diagnostics", time.perf_counter() - began)
        for figure, method, where in (
            ("completion", "textDocument/completion", at),
            ("hover", "textDocument/hover", on_key),
        ):
            began = time.perf_counter()
            session.request(method, where)
            times.add(figure, time.perf_counter() - began)


def document(lines: int) -> str:
    """A sound workflow of about so many lines."""
    workflow = json.loads(SOURCE.read_text(encoding="utf-8"))
    steps = workflow["steps"][:2]
    workflow["steps"] = []
    while json.dumps(workflow, indent=2).count("\n") < lines - 60:
        number = len(workflow["steps"]) // 2
        for step in steps:
            renamed = json.dumps(step).replace("previous_result:describe", f"previous_result:describe {number}")
            workflow["steps"].append({**json.loads(renamed), "name": f"{step['name']} {number}"})
    return json.dumps(workflow, indent=2)


def servers(folder: Path) -> list[Server]:
    """The servers to be measured; those that are missing are installed."""
    programs = folder / "node_modules" / ".bin"
    if not (programs / "yaml-language-server").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), *PACKAGES], check=True)
    json_server = (str(programs / "vscode-json-language-server"), "--stdio")
    return [
        Server("dw-lsp", (sys.executable, "-m", "dw_lsp")),
        Server("vscode-json, push", json_server),
        Server("vscode-json, pull", json_server, pulls=True),
        Server("yaml-ls", (str(programs / "yaml-language-server"), "--stdio")),
    ]


def cell(seconds: Iterable[float]) -> str:
    """Milliseconds: median / 95th percentile."""
    values = sorted(1000 * value for value in seconds)
    return f"{statistics.median(values):.1f} / {values[min(len(values) - 1, int(0.95 * len(values)))]:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--servers", type=Path, default=ROOT / "build" / "language-servers")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    measured = servers(options.servers)
    for lines in LINES:
        text = document(lines)
        times = {server.name: Times() for server in measured}
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            schema = folder / "schema.json"
            schema.write_text(json.dumps(json_schema()), encoding="utf-8")
            (folder / "measured.dw.json").write_text(text, encoding="utf-8")
            for turn in range(options.rounds):
                for server in measured if turn % 2 == 0 else reversed(measured):
                    measure(server, folder, schema, text, times[server.name])
        print(f"\n{text.count(chr(10)) + 1} lines, milliseconds, median / 95th percentile; (ours / theirs)\n")
        print_table(times)


def print_table(times: dict[str, Times]) -> None:
    """One row for each server, one column for each figure, with the ratio of medians."""
    figures = list(next(iter(times.values())).seconds)
    print(f"| server | {' | '.join(figures)} | memory |\n|---|{'---|' * (len(figures) + 1)}")
    ours = next(iter(times.values()))
    for name, measured in times.items():
        cells = []
        for figure in figures:
            ratio = statistics.median(ours.seconds[figure]) / statistics.median(measured.seconds[figure])
            cells.append(cell(measured.seconds[figure]) + ("" if measured is ours else f" ({ratio:.2f})"))
        print(f"| {name} | {' | '.join(cells)} | {max(measured.memory) / 1e6:.0f} MB |", flush=True)


if __name__ == "__main__":
    main()
