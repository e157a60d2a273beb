"""Bytes that arrive from a worker -> its messages. Knows frames, not processes and not what a message is about."""

from __future__ import annotations

import typing
from collections.abc import Iterator

from dw_lsp.protocol import HEADER, FromWorker, MalformedMessage, decode, frame_length

_FROM_WORKER = typing.get_args(FromWorker)
_SHOWN_BYTES = 80


class Frames:
    """Collects bytes, in whatever pieces they come, and gives out each message as soon as it is whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._length: int | None = None
        self._looked_at = 0  # So many bytes of the body that is coming are known to be text.
        self._heard_any = False

    def feed(self, data: bytes) -> Iterator[FromWorker]:
        """The messages that are whole now. Raises `MalformedMessage`, after which nothing more can be read."""
        self._buffer += data
        while (body := self._next_body()) is not None:
            yield self._message(body)

    @property
    def torn(self) -> bool:
        """Whether a message has begun and not ended: when no more bytes come, it was cut off."""
        return bool(self._buffer) or self._length is not None

    def _next_body(self) -> bytes | None:
        if self._length is None:
            if len(self._buffer) < HEADER.size:
                return None
            try:
                self._length = frame_length(bytes(self._buffer[: HEADER.size]))
            except MalformedMessage as error:
                raise MalformedMessage(self._explain(error)) from error
            del self._buffer[: HEADER.size]
            self._looked_at = 0
        self._must_be_text(self._length)
        if len(self._buffer) < self._length:
            return None
        body = bytes(self._buffer[: self._length])
        del self._buffer[: self._length]
        self._length = None
        return body

    def _must_be_text(self, length: int) -> None:
        """JSON has no zero bytes, and nearly every header begins with one: there another message has begun."""
        end = min(length, len(self._buffer))
        place = self._buffer.find(b"\0", self._looked_at, end)
        if place >= 0:
            raise MalformedMessage(
                f"the stream of messages is broken: of a message of {length} bytes came {place}, then something else"
            )
        self._looked_at = end

    def _message(self, body: bytes) -> FromWorker:
        message = decode(body)
        if not isinstance(message, _FROM_WORKER):
            raise MalformedMessage(f"a {type(message).__name__} came from the worker, which may only receive it")
        self._heard_any = True
        return typing.cast("FromWorker", message)

    def _explain(self, error: MalformedMessage) -> str:
        if self._heard_any:
            return f"the stream of messages is broken: {error}"
        text = bytes(self._buffer[:_SHOWN_BYTES]).decode("utf-8", "backslashreplace").strip()
        shown = text.partition("\n")[0]
        return (
            f"its standard output begins with {shown!r}, which is no message. When dw.worker.command goes through a "
            "shell or ssh, nothing there may print to standard output (look at ~/.bashrc and the like)"
        )
