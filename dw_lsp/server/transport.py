"""How messages come in and go out: pygls' protocol with our own documents, and streams that no thread pool can starve.

Differs from pygls in four points. Documents are not kept by pygls (it takes U+2028 for a line end). A request whose
parameters cannot be understood gets an answer. What goes wrong is answered, not shown to the user a second time.
Standard input is read by a thread of its own, which never keeps the process alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Generator
from typing import Any, BinaryIO

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams
from pygls.io_ import run_async
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol, lsp_method

logger = logging.getLogger(__name__)

#: The request was sound, but could not be carried out (LSP 3.17).
REQUEST_FAILED = -32803
_CHUNK = 1 << 16


class Protocol(LanguageServerProtocol):
    """LSP as pygls speaks it, with the differences named above."""

    def structure_message(self, data: dict[str, Any]) -> Any:
        """The message in a JSON object; one that cannot be understood is answered before it is given up."""
        try:
            return super().structure_message(data)
        except JsonRpcException as error:
            if "id" in data and "method" in data:
                cause = error.__cause__
                reason = "; ".join(_reasons(cause)) if cause is not None else error.message
                message = f"{data['method']}: the parameters cannot be understood: {reason}"
                response = types.ResponseError(code=JsonRpcInvalidParams.CODE, message=message)
                self._send_response(data["id"], error=response)
            raise

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> Generator[Any, Any, None]:
        yield self.fm.features[types.TEXT_DOCUMENT_DID_OPEN], (params,), None

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> Generator[Any, Any, None]:
        yield self.fm.features[types.TEXT_DOCUMENT_DID_CHANGE], (params,), None

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> Generator[Any, Any, None]:
        yield self.fm.features[types.TEXT_DOCUMENT_DID_CLOSE], (params,), None

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
        stop = threading.Event()
        loop = asyncio.create_task(run_async(stop, reader, self.protocol, logger, self.report_server_error))
        leaving = asyncio.create_task(self._leaving.wait())
        try:
            await asyncio.wait((loop, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.set()
            for task in (loop, leaving):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            await self.closed()
        return 0 if self.asked_to_leave else 1


class StandardOutput:
    """The writer over a descriptor that nothing else in this process writes to. Arguments: the descriptor."""

    def __init__(self, descriptor: int):
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

    def pump() -> None:
        with contextlib.suppress(OSError, RuntimeError):  # The loop may be closed while we wait for input.
            while chunk := os.read(descriptor, _CHUNK):
                loop.call_soon_threadsafe(reader.feed_data, chunk)
            loop.call_soon_threadsafe(reader.feed_eof)

    threading.Thread(target=pump, name="standard-input", daemon=True).start()
    return reader


def _reasons(error: BaseException) -> list[str]:
    """The innermost reasons of a group of errors: these name the fields."""
    parts = getattr(error, "exceptions", None)
    if parts:
        return [reason for part in parts for reason in _reasons(part)][:3]
    notes = [note for note in getattr(error, "__notes__", ()) if isinstance(note, str)]
    return [" ".join([str(error) or type(error).__name__, *notes])]
