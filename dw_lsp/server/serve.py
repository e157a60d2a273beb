"""How a server is started, and on which streams it talks until its end."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from dw_lsp.server.app import create_server, settle
from dw_lsp.server.transport import StandardOutput, read_on_thread

#: When the collector is at work at the latest, in seconds: a client may never say that it is ready.
LONGEST_START = 10.0


def serve_stdio() -> int:
    """Serve one client over standard input and output. Returns the exit code."""
    _quiet()
    sys.stdout.flush()
    descriptor = os.dup(1)
    os.dup2(2, 1)  # Whatever prints from now on cannot break the protocol.
    sys.stdout = sys.stderr

    async def serve() -> int:
        loop = asyncio.get_running_loop()
        loop.call_later(LONGEST_START, settle)
        reader = read_on_thread(sys.stdin.buffer, loop)
        return await create_server().talk(reader, StandardOutput(descriptor))

    return asyncio.run(serve())


def serve_tcp(host: str, port: int) -> int:
    """Wait for one client at an address and serve it. Returns the exit code."""
    _quiet()

    async def serve() -> int:
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            listening.close()
            try:
                server = create_server()
                server.watches_client = False  # Its process may be one of another machine.
                done.set_result(await server.talk(reader, writer))
            except Exception as error:
                done.set_exception(error)
            finally:
                writer.close()

        listening = await asyncio.start_server(talk, host, port)
        bound = listening.sockets[0].getsockname()
        print(f"dw-lsp: waiting for a client at {bound[0]}:{bound[1]}", file=sys.stderr, flush=True)
        return await done

    return asyncio.run(serve())


def _quiet() -> None:
    """Editors show every line on standard error as an error: only what is one goes there."""
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr, format="dw-lsp: %(message)s")
    logging.getLogger("pygls").setLevel(logging.CRITICAL)
