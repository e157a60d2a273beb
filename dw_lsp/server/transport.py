"""How messages come in and go out: pygls' protocol with our own documents, and streams that no thread pool can starve.

Differs from pygls in six points. Documents are not kept by pygls (it takes U+2028 for a line end). Every request gets
an answer: one that cannot be understood, that comes too early or too late, too. Objects inside of parameters are data,
even if they look like messages. What goes wrong is answered, not shown to the user a second time. Standard input is
read by a thread of its own, which never keeps the process alive. Requests that still wait do not hinder the shutdown.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import threading
from collections.abc import Generator
from typing import Any, BinaryIO

from cattrs import transform_error
from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol, lsp_method

from dw_lsp.text.parser import parse
from dw_lsp.text.syntax_tree import Object, to_value

logger = logging.getLogger(__name__)

#: The request was sound, but could not be carried out (LSP 3.17).
REQUEST_FAILED = types.LSPErrorCodes.RequestFailed.value
PARSE_ERROR = types.ErrorCodes.ParseError.value
INVALID_REQUEST = types.ErrorCodes.InvalidRequest.value
NOT_INITIALIZED = types.ErrorCodes.ServerNotInitialized.value
_CHUNK = 1 << 16


class Protocol(LanguageServerProtocol):
    """LSP as pygls speaks it, with the differences named above."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._began = False

    def receive(self, body: bytes) -> None:
        """Carry out one message. Arguments: its JSON text."""
        try:
            data = json.loads(body)
        except (ValueError, RecursionError) as error:
            reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
            self._refuse(_request_number(body), PARSE_ERROR, f"The message cannot be read as JSON: {reason}")
            return
        if not isinstance(data, dict) or data.get("jsonrpc") != self.VERSION:
            number = data.get("id") if isinstance(data, dict) else None
            self._refuse(number, INVALID_REQUEST, 'A message is an object with "jsonrpc": "2.0"')
        elif (untimely := self._untimely(data)) is not None:
            self._refuse(data.get("id"), *untimely)
        else:
            self._carry_out(data)

    def _untimely(self, data: dict[str, Any]) -> tuple[int, str] | None:
        """Why a message cannot be carried out now, as code and sentence: LSP has a life cycle."""
        method = data.get("method")
        if method is None or method == types.EXIT:
            return None
        if self._shutdown:
            return INVALID_REQUEST, f"{method}: the server has been shut down and takes no more work"
        if method != types.INITIALIZE and not self._began:
            return NOT_INITIALIZED, f"{method}: the first request has to be `initialize`"
        self._began = True
        return None

    def _carry_out(self, data: dict[str, Any]) -> None:
        number = data.get("id") if "method" in data else None
        method = data.get("method", "a response")
        try:
            message = self.structure_message(data)
        except JsonRpcException as error:
            self._refuse(number, JsonRpcInvalidParams.CODE, f"{method}: {_reasons(error)}")
            return
        try:
            self.handle_message(message)
        except Exception as error:
            # A message that cannot be carried out must cost neither its answer nor the ones after it.
            logger.exception("%s failed", method)
            self._refuse(number, types.ErrorCodes.InternalError.value, f"{method}: {error}")

    def _refuse(self, number: int | str | None, code: int, message: str) -> None:
        """Answer a request with an error; what asked nothing, or does not say what, is noted instead."""
        if number is None:
            logger.error("%s", message)
        else:
            self._send_response(number, error=types.ResponseError(code=code, message=message))

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> Generator[Any, Any, None]:
        yield self.fm.features[types.TEXT_DOCUMENT_DID_OPEN], (params,), None

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> Generator[Any, Any, None]:
        yield self.fm.features[types.TEXT_DOCUMENT_DID_CHANGE], (params,), None

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> Generator[Any, Any, None]:
        yield self.fm.features[types.TEXT_DOCUMENT_DID_CLOSE], (params,), None

    @lsp_method(types.SHUTDOWN)
    def lsp_shutdown(self, *args: Any) -> Generator[Any, Any, None]:
        """End the work. Each request that waits takes itself off the list when it is cancelled: pygls trips over it."""
        yield self.fm.features[types.SHUTDOWN], args, None
        current = self.msg_id
        for number, future in tuple(self._request_futures.items()):
            if number != current and not future.done():
                future.cancel()
        self._shutdown = True

    @lsp_method(types.EXIT)
    def lsp_exit(self, *args: Any) -> Generator[Any, Any, None]:
        """Leave: with success only if the client has asked for the shutdown before."""
        assert isinstance(self._server, QuietLanguageServer)
        self._server.leave()
        yield from ()


class QuietLanguageServer(LanguageServer):
    """A server that ends when it is told to, and leaves its errors to the answers in which they stand."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, protocol_cls=Protocol, **options)
        self._leaving: asyncio.Event | None = None
        self.asked_to_leave = False  # Set by the shutdown request: an `exit` may follow before it is carried out.

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Note an error that has been answered already (or is a notification's, which has no answer)."""
        if not isinstance(error, JsonRpcException):
            logger.error("%s: %s", getattr(source, "__name__", source), error)

    def leave(self) -> None:
        """End the server."""
        if self._leaving is not None:
            self._leaving.set()

    async def closed(self) -> None:
        """Called once when the connection has ended, for what is to be ended with it."""

    async def talk(self, reader: asyncio.StreamReader, writer: Any) -> int:
        """Serve one client until it says `exit`, goes away, or dies. Returns the exit code."""
        self.protocol.set_writer(writer)
        self._leaving = asyncio.Event()
        protocol = self.protocol
        assert isinstance(protocol, Protocol)
        loop = asyncio.create_task(_receive_all(reader, protocol))
        leaving = asyncio.create_task(self._leaving.wait())
        try:
            await asyncio.wait((loop, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (loop, leaving):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            await self.closed()
        return 0 if self.asked_to_leave else 1


class StandardOutput:
    """The writer over a descriptor that nothing else in this process writes to. Arguments: the descriptor."""

    def __init__(self, descriptor: int):
        _wait_for(descriptor)
        self._descriptor = descriptor

    def write(self, data: bytes) -> None:
        """Write all of it; a client that no longer reads is noticed by the end of our input."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            logger.warning("the client does not read any more: %s", error)

    def close(self) -> None:
        """Nothing: the descriptor lives as long as the process."""


def read_on_thread(stream: BinaryIO, loop: asyncio.AbstractEventLoop) -> asyncio.StreamReader:
    """A reader that a thread of its own feeds from the stream, whose end is the reader's end."""
    reader = asyncio.StreamReader(loop=loop)
    descriptor = stream.fileno()
    _wait_for(descriptor)

    def pump() -> None:
        with contextlib.suppress(RuntimeError):  # The loop may be closed while we wait for input.
            try:
                while chunk := os.read(descriptor, _CHUNK):
                    loop.call_soon_threadsafe(reader.feed_data, chunk)
            except OSError as error:
                logger.warning("the client's messages cannot be read any more: %s", error)
            loop.call_soon_threadsafe(reader.feed_eof)

    threading.Thread(target=pump, name="standard-input", daemon=True).start()
    return reader


def _wait_for(descriptor: int) -> None:
    """Make reading and writing wait: a client may have set its pipes, and so ours, not to."""
    if os.name == "posix":
        os.set_blocking(descriptor, True)


async def _receive_all(reader: asyncio.StreamReader, protocol: Protocol) -> None:
    """Carry out messages until there are no more."""
    try:
        while (body := await _next_body(reader)) is not None:
            protocol.receive(body)
    except (asyncio.IncompleteReadError, ConnectionError, ValueError) as error:
        logger.error("the connection broke off: %s", error)


async def _next_body(reader: asyncio.StreamReader) -> bytes | None:
    """The next message's JSON text; `None` at the end. Raises `ValueError` for what is no header."""
    length: int | None = None
    while line := await reader.readline():
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
        if not line.strip() and length is not None:
            return await reader.readexactly(length)
    return None


def _request_number(body: bytes) -> int | str | None:
    """The number of a request that is no JSON: our own parser reads what is left of it."""
    root = parse(body.decode(errors="replace")).root
    if not isinstance(root, Object) or root.get("method") is None:
        return None
    node = root.get("id")
    number = None if node is None else to_value(node)
    return number if isinstance(number, (int, str)) else None


def _reasons(error: JsonRpcException) -> str:
    """Which parameters cannot be understood."""
    if error.__cause__ is None:
        return str(error.message)
    reasons = transform_error(error.__cause__, path="", format_exception=_reason)[:3]
    return "the parameters cannot be understood: " + "; ".join(_as_on_the_wire(reason) for reason in reasons)


def _reason(error: BaseException, kind: type | None) -> str:
    return "a required field is missing" if isinstance(error, KeyError) else "a value of the wrong type"


def _as_on_the_wire(reason: str) -> str:
    """The names of fields as they stand in the message: `params.textDocument.uri`."""
    return re.sub(r"_([a-z])", lambda match: match.group(1).upper(), reason).replace(" @ .", ": ").replace(" @ ", ": ")
