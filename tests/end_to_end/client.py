"""A small language client for tests: a real server process, every message as it went over the pipe."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: A CPU machine that does other work besides takes its time.
SECONDS = 90.0
ALL_CAPABILITIES: dict[str, Any] = {
    "window": {"workDoneProgress": True},
    "workspace": {"configuration": True, "workspaceFolders": True},
}


class RequestError(Exception):
    """The server answered with an error."""

    def __init__(self, error: dict[str, Any]):
        super().__init__(error["message"])
        self.code, self.message, self.data = error["code"], error["message"], error.get("data")


class Client:
    """One server process and all that it said. `notifications` holds (method, parameters) in their order."""

    def __init__(self, process: asyncio.subprocess.Process, settings: dict[str, Any]):
        self.process, self.settings = process, settings
        self.notifications: list[tuple[str, Any]] = []
        self.requests: list[tuple[str, Any]] = []
        self.capabilities: dict[str, Any] = {}
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._heard = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    # ------------------------------------------------------------ messages

    def send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def notify(self, method: str, params: Any) -> None:
        self.send({"method": method, "params": params})

    async def request(self, method: str, params: Any = None, seconds: float = SECONDS) -> Any:
        self._number += 1
        future = self._answers[self._number] = asyncio.get_running_loop().create_future()
        self.send({"id": self._number, "method": method, "params": params})
        return await asyncio.wait_for(future, seconds)

    async def command(self, name: str, *arguments: Any) -> Any:
        return await self.request("workspace/executeCommand", {"command": name, "arguments": list(arguments)})

    async def _read(self) -> None:
        reader = self.process.stdout
        assert reader is not None
        while header := await reader.readline():
            length = 0
            while header.strip():
                if header.lower().startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
                header = await reader.readline()
            await self._handle(json.loads(await reader.readexactly(length)))
        for future in self._answers.values():
            if not future.done():
                future.set_exception(ConnectionError("the server is gone"))
        async with self._heard:
            self._heard.notify_all()

    async def _handle(self, message: dict[str, Any]) -> None:
        if "method" not in message:
            future = self._answers.pop(message["id"], None)
            if future is not None and not future.done():
                if "error" in message:
                    future.set_exception(RequestError(message["error"]))
                else:
                    future.set_result(message.get("result"))
            return
        if "id" in message:
            params = message.get("params")
            self.requests.append((message["method"], params))
            self.send({"id": message["id"], "result": self._answer(message["method"], params)})
        else:
            self.notifications.append((message["method"], message["params"]))
        async with self._heard:
            self._heard.notify_all()

    def _answer(self, method: str, params: Any) -> Any:
        return [self.settings for _ in params["items"]] if method == "workspace/configuration" else None

    # ------------------------------------------------------------ what was heard

    def of(self, method: str) -> list[Any]:
        return [params for name, params in self.notifications if name == method]

    async def until(self, condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
        """Wait until the condition gives something, and return that."""

        async def wait() -> Any:
            async with self._heard:
                while not (found := condition()):
                    if self._reading.done():
                        raise ConnectionError("the server is gone")
                    await self._heard.wait()
                return found

        return await asyncio.wait_for(wait(), seconds)

    async def heard(self, method: str, fits: Callable[[Any], bool] = lambda params: True) -> Any:
        """The first notification of a method that fits."""
        return await self.until(lambda: next((params for params in self.of(method) if fits(params)), None))

    async def finished(self, run_id: str) -> Any:
        """How a run ended."""
        return await self.heard("dw/runFinished", lambda params: params["runId"] == run_id)

    async def diagnostics(self, uri: str, version: int) -> list[Any]:
        """The diagnostics of a version of a document."""

        def published() -> Any:
            found = [
                params
                for params in self.of("textDocument/publishDiagnostics")
                if params["uri"] == uri and params.get("version") == version
            ]
            return found and found[-1]

        diagnostics: list[Any] = (await self.until(published))["diagnostics"]
        return diagnostics

    # ------------------------------------------------------------ a session

    async def initialize(self, folder: Path, capabilities: dict[str, Any], **more: Any) -> Any:
        result = await self.request(
            "initialize",
            {"processId": os.getpid(), "rootUri": folder.as_uri(), "capabilities": capabilities, **more},
        )
        self.capabilities = result["capabilities"]
        self.notify("initialized", {})
        return result

    def open(self, uri: str, text: str, version: int = 1, language: str = "json") -> None:
        item = {"uri": uri, "languageId": language, "version": version, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    def replace(self, uri: str, text: str, version: int) -> None:
        params = {"textDocument": {"uri": uri, "version": version}, "contentChanges": [{"text": text}]}
        self.notify("textDocument/didChange", params)

    def close(self, uri: str) -> None:
        self.notify("textDocument/didClose", {"textDocument": {"uri": uri}})

    async def run(self, uri: str, **argument: Any) -> Any:
        """Run a document and wait for its end."""
        accepted = await self.command("dw.run", {"uri": uri, **argument})
        return await self.finished(accepted["runId"])

    async def leave(self) -> int:
        """End the session as an editor does. Returns the server's exit code."""
        await self.request("shutdown")
        self.notify("exit", None)
        return await asyncio.wait_for(self.process.wait(), SECONDS)


@contextlib.asynccontextmanager
async def client(
    folder: Path,
    capabilities: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    environment: dict[str, str] | None = None,
    **more: Any,
) -> AsyncIterator[Client]:
    """A server in a workspace folder, initialized; its process is gone afterwards, whatever happened."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "dw_lsp",
        "serve",
        "--stdio",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **(environment or {})},
        limit=2**26,
    )
    session = Client(process, settings or {})
    try:
        await session.initialize(folder, ALL_CAPABILITIES if capabilities is None else capabilities, **more)
        yield session
        if process.returncode is None:
            assert await session.leave() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await session._reading
