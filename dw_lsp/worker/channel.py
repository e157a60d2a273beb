"""Frames over file descriptors: the worker's only way to speak. Knows bytes and messages, not what they are about."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from dw_lsp.protocol import HEADER, MalformedMessage, Message, decode, encode, frame_length


class Channel:
    """Both directions of the transport. Any thread may send; one thread receives.

    Arguments: two descriptors; `on_gone` is called when the counterpart no longer reads.
    """

    def __init__(self, incoming: int, outgoing: int, on_gone: Callable[[], None]):
        self._incoming, self._outgoing, self._on_gone = incoming, outgoing, on_gone
        self._sending = threading.Lock()

    def send(self, message: Message) -> None:
        """Send one message, whole. Raises `ValueError` for one that is larger than a frame may be."""
        data = memoryview(encode(message))
        try:
            with self._sending:
                while data:
                    data = data[os.write(self._outgoing, data) :]
        except OSError:
            self._on_gone()

    def receive(self) -> Message | None:
        """The next message; `None` when the counterpart has closed its end.

        Raises `MalformedMessage` for a frame that is no message of this protocol, `ConnectionError` when what follows
        cannot be read as frames any more.
        """
        header = self._read(HEADER.size)
        if header is None:
            return None
        try:
            length = frame_length(header)
        except MalformedMessage as error:
            raise ConnectionError(f"the stream of messages cannot be followed any more: {error}") from error
        body = self._read(length)
        return None if body is None else decode(body)

    def _read(self, count: int) -> bytes | None:
        parts = bytearray()
        while len(parts) < count:
            try:
                part = os.read(self._incoming, min(count - len(parts), 1 << 20))
            except OSError:
                return None
            if not part:
                return None
            parts += part
        return bytes(parts)
