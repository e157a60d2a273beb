"""Messages that no sound client sends, and ways to be connected: each request is answered, the server lives on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from client import ALL_CAPABILITIES, ROOT, Client, RequestError, client

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMETERS = -32700, -32600, -32601, -32602
NOT_INITIALIZED = -32002
STOPPED = {"state": "stopped"}
NO_WORKER = {"worker": {"prewarm": "onRun"}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def quiet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """A server without a worker."""
    async with client(tmp_path_factory.mktemp("quiet"), settings=NO_WORKER) as session:
        yield session


def frame(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


async def error_of(answer: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        await answer
    return caught.value


async def asked(session: Client, body: str) -> Any:
    """The answer to a request that is sent as it stands; `NUMBER` is replaced by its number."""
    session._number += 1
    future = session._answers[session._number] = asyncio.get_running_loop().create_future()
    assert session.process.stdin is not None
    session.process.stdin.write(frame(body.replace("NUMBER", str(session._number)).encode()))
    return await asyncio.wait_for(future, 10)


async def test_an_argument_that_looks_like_a_message_is_data(quiet: Client) -> None:
    inner = {"jsonrpc": "2.0", "id": 5, "method": "shutdown", "params": {}}
    answer = quiet.command("dw.run", {"uri": "file:///nowhere.dw.json", "arguments": {"a": inner}})
    assert "cannot be read" in (await error_of(answer)).message


@pytest.mark.parametrize("order", ["{number}, {params}", "{params}, {number}"])
async def test_parameters_nested_too_deeply_to_be_read_are_answered(quiet: Client, order: str) -> None:
    deep = '{"command": "dw.run", "arguments": [' + "[" * 100_000 + "]" * 100_000 + "]}"
    members = order.format(number='"id": NUMBER, "method": "workspace/executeCommand"', params=f'"params": {deep}')
    body = '{"jsonrpc": "2.0", ' + members + "}"
    if order.startswith("{number}"):
        error = await error_of(asked(quiet, body))
        assert error.code == PARSE_ERROR and "nested too deeply" in error.message
    else:
        assert quiet.process.stdin is not None
        quiet.process.stdin.write(frame(body.encode()))
    assert await quiet.command("dw.status") == STOPPED


@pytest.mark.parametrize("depth", [101, 400, 900])
async def test_an_argument_nested_deeper_than_can_be_passed_on_is_refused_by_name(quiet: Client, depth: int) -> None:
    deep: Any = "x"
    for _ in range(depth):
        deep = [deep]
    error = await error_of(quiet.command("dw.run", {"uri": "file:///x", "arguments": {"prompt": deep}}))
    assert error.code == INVALID_PARAMETERS and "'arguments' is nested more than 100 levels" in error.message


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"null", b'{"id": 900, "method": "shutdown"}', b'{"jsonrpc": "2.0", "method": "\xff"}', b"{}"],
)
async def test_what_is_no_message_does_no_harm(quiet: Client, body: bytes) -> None:
    assert quiet.process.stdin is not None
    quiet.process.stdin.write(frame(body))
    assert await quiet.command("dw.status") == STOPPED


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ([1], "params.command"),
        (None, "params"),
        ({"arguments": []}, "a required field is missing: params.command"),
    ],
)
async def test_malformed_parameters_are_answered_with_their_place(quiet: Client, params: Any, told: str) -> None:
    error = await error_of(quiet.request("workspace/executeCommand", params, 10))
    assert error.code == INVALID_PARAMETERS and error.message.endswith(told) and error.data is None


async def test_a_nested_field_is_named_as_it_stands_in_the_message(quiet: Client) -> None:
    error = await error_of(quiet.request("textDocument/codeLens", {"textDocument": {"url": 5}}, 10))
    assert "a required field is missing: params.textDocument.uri" in error.message


async def test_unknown_requests_and_commands_are_refused(quiet: Client) -> None:
    assert (await error_of(quiet.request("dw/nothing", {}))).code == METHOD_NOT_FOUND
    error = await error_of(quiet.command("dw.walk"))
    assert error.code == INVALID_PARAMETERS and "dw.walk" in error.message


async def test_malformed_notifications_do_no_harm(quiet: Client) -> None:
    quiet.notify("textDocument/didOpen", {"textDocument": 5})
    quiet.notify("textDocument/didChange", {"textDocument": {"uri": "file:///none", "version": 1}, "contentChanges": 1})
    quiet.notify("window/workDoneProgress/cancel", {"token": "unknown"})
    quiet.notify("$/unknown", {"x": 1})
    assert await quiet.command("dw.status") == STOPPED


async def test_half_a_surrogate_pair_is_placed_and_sent(quiet: Client, tmp_path: Path) -> None:
    uri = (tmp_path / "half.dw.json").as_uri()
    step = '{ "name": "\udc00", "task": { "command": "gather_inputs", "inputs": ["previous_result:q"] } }'
    quiet.open(uri, '{ "id": "a\ud800b", "steps": [ ' + step + " ] }")
    (diagnostic,) = await quiet.diagnostics(uri, 1)
    assert diagnostic["code"] == "unknown-step"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes in folders")
async def test_a_pipe_is_not_waited_for(quiet: Client, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.dw.json"
    os.mkfifo(pipe)
    assert "no regular file" in (await error_of(quiet.command("dw.run", {"uri": pipe.as_uri()}))).message


async def test_a_folder_is_no_workflow(quiet: Client, tmp_path: Path) -> None:
    assert "is a folder" in (await error_of(quiet.command("dw.plan", {"uri": tmp_path.as_uri()}))).message


@pytest.mark.parametrize("folder", ["~nobody-of-that-name/x", "a\0b"])
async def test_an_output_folder_that_cannot_be_is_named(quiet: Client, workspace: Path, folder: str) -> None:
    uri = (workspace / "workflows" / "shapes.dw.json").as_uri()
    for command in ("dw.run", "dw.plan"):
        error = await error_of(quiet.command(command, {"uri": uri, "outputDir": folder}))
        assert error.code == INVALID_PARAMETERS and "'outputDir'" in error.message


STEP = '{"name": "a%d", "task": {"command": "gather_inputs", "inputs": [1, 2, 3, 4, 5, 6, 7, 8, 9]}}'


@pytest.mark.parametrize("megabytes", [1, 10])
async def test_work_on_a_large_document_keeps_nobody_waiting(quiet: Client, tmp_path: Path, megabytes: int) -> None:
    uri = (tmp_path / f"dense{megabytes}.dw.json").as_uri()
    steps = ",\n".join(STEP % number for number in range(megabytes * 1_000_000 // len(STEP)))
    quiet.open(uri, '{"id": "dense", "steps": [' + steps + "]}")
    await quiet.diagnostics(uri, 1)
    slow = [
        asyncio.create_task(quiet.request("textDocument/codeLens", {"textDocument": {"uri": uri}})),
        asyncio.create_task(quiet.command("dw.plan", {"uri": uri})),
    ]
    await asyncio.sleep(0.05)
    assert await quiet.request("workspace/executeCommand", {"command": "dw.status"}, seconds=1) == STOPPED
    if megabytes == 1:
        assert not slow[1].done(), "the plan was ready at once, so nothing was shown"
    lenses, plan = await asyncio.gather(*slow, return_exceptions=True)
    if megabytes == 1:
        assert not isinstance(lenses, BaseException) and len(lenses) > 10_000
    else:
        assert lenses == [] and "million characters" in str(plan)
    quiet.close(uri)


# ---------------------------------------------------------------- the life cycle


@contextlib.asynccontextmanager
async def bare(*options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A server process with which nobody has spoken yet."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dw_lsp", "serve", *options, stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_nothing_is_done_before_initialize_or_after_shutdown(tmp_path: Path) -> None:
    async with bare("--stdio") as process:
        session = Client(process, NO_WORKER)
        assert (await error_of(session.command("dw.status"))).code == NOT_INITIALIZED
        await session.initialize(tmp_path, ALL_CAPABILITIES)
        assert await session.command("dw.status") == STOPPED
        await session.request("shutdown")
        assert (await error_of(session.command("dw.status"))).code == INVALID_REQUEST
        session.notify("exit", None)
        assert await asyncio.wait_for(process.wait(), 20) == 0
        await session._reading
        assert process.stderr is not None and await process.stderr.read() == b""


async def test_the_end_of_the_input_ends_the_server(tmp_path: Path) -> None:
    async with bare("--stdio") as process:
        assert process.stdin is not None
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 20) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX sockets as standard input and output")
async def test_a_client_whose_pipes_do_not_block_is_served_whole() -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dw_lsp", "serve", "--stdio", stdin=theirs, stdout=theirs, cwd=ROOT
    )
    theirs.close()
    ours.settimeout(20)
    try:
        params = {"processId": None, "rootUri": None, "capabilities": {}}
        await asyncio.sleep(1.0)  # Until it reads: an empty input that does not block would have ended it.
        ours.sendall(frame(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).encode()))
        assert b"dw-lsp" in await asyncio.to_thread(ours.recv, 1 << 16)
    finally:
        ours.close()
        assert await asyncio.wait_for(process.wait(), 20) == 1


async def test_an_editor_that_cannot_be_seen_from_here_is_served_on(tmp_path: Path) -> None:
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await child.wait()
    async with bare("--stdio") as process:
        session = Client(process, NO_WORKER)
        params = {"processId": child.pid, "rootUri": tmp_path.as_uri(), "capabilities": {}}
        await session.request("initialize", params)
        session.notify("initialized", {})
        await asyncio.sleep(4)
        assert await session.command("dw.status") == STOPPED
        assert await session.leave() == 0
        await session._reading


class TcpProcess:
    """A connection in place of the process that the test client speaks to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.stdin, self.stdout = writer, reader


async def test_one_client_is_served_over_tcp(tmp_path: Path) -> None:
    async with bare("--tcp", "127.0.0.1:0") as process:
        assert process.stderr is not None
        line = (await asyncio.wait_for(process.stderr.readline(), 20)).decode()
        port = int(line.rsplit(":", 1)[1])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        session = Client(TcpProcess(reader, writer), NO_WORKER)  # type: ignore[arg-type]
        await session.initialize(tmp_path, ALL_CAPABILITIES)
        uri = (tmp_path / "flow.dw.json").as_uri()
        session.open(
            uri,
            '{ "id": "x", "stops": 1, "steps": [{ "name": "a", "task": {"command": "gather_inputs", "inputs": []}}] }',
        )
        assert [entry["code"] for entry in await session.diagnostics(uri, 1)] == ["unknown-property"]
        await session.request("shutdown")
        session.notify("exit", None)
        assert await asyncio.wait_for(process.wait(), 20) == 0
        await session._reading
        writer.close()
